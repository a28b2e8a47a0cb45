"""Every command of docs/operating.md, from top to bottom in one session of bash, against a stack of its own."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
STACK = "operating"
# Blocks without a language are left out: the release build, which takes minutes and is the debug build here; and what is done
# about a table that is gone, because the local AWS makes no backup of a table that is deleted.
BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
# What becomes of a block for this stack.
ADDRESS = "API=$(output ApiUrl)"
NAME = "B2B_AUTH_STACK_NAME=b2b-auth"
# What has happened before a block, where the document does not do it itself.
BEFORE = {
    "b2b-auth login unlock": 'until login "$BUYER" wrong | grep -q 429; do :; done',
    # The accident. The local AWS restores a table as it is, and not as it was, so it comes after that.
    "b2b-auth restore": 'b2b-auth user remove "$REP" --store "$STORE"; b2b-auth customer remove "$BUYER" --store "$STORE"',
}
END = "--- the block has ended ---"


def blocks():
    for match in BLOCK.finditer(DOCUMENT):
        heading = re.findall(r"^## (.+)$", DOCUMENT[: match.start()], re.MULTILINE)[-1]
        line = DOCUMENT[: match.start()].count("\n") + 2
        yield pytest.param(match["commands"], match["output"] or "", id=f"line {line}: {heading}")


class Shell:
    def __init__(self, environment, folder):
        self.folder = folder
        self.bash = subprocess.Popen(
            ["bash", "--norc"], env=environment, cwd=folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.run("set -e -o pipefail")

    def run(self, commands):
        """What the commands print; none of them may fail."""
        block = self.folder / "block"
        block.write_text(commands)
        said = []
        try:
            self.bash.stdin.write(f". {block} < /dev/null\nprintf '\\n%s\\n' '{END}'\n")
            self.bash.stdin.flush()
        except BrokenPipeError:
            pytest.fail("an earlier block has ended the session")
        for line in self.bash.stdout:
            if line.rstrip("\n") == END:
                return "".join(said)
            said.append(line)
        raise AssertionError(f"a command has failed:\n{commands}\nIt printed:\n{''.join(said)}")

    def stop(self):
        self.bash.kill()
        self.bash.communicate()


@pytest.fixture(scope="module")
def shell(aws, built, tmp_path_factory):
    subprocess.run(["cargo", "build", "--locked", "-p", "admin"], cwd=ROOT, env=aws.environment, check=True)
    stack = aws.deploy(STACK)
    address = f"{aws.url}/restapis/{stack.outputs['RestApiId']}/api/_user_request_/io"
    folder = tmp_path_factory.mktemp("operating")
    # The address in the stack's outputs is that of the real AWS.
    tool = folder / "bin" / "b2b-auth"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{ROOT}/target/debug/b2b-auth" --api-url "{address}" "$@"\n')
    tool.chmod(0o755)
    environment = {**aws.environment, "HOME": str(folder), "PATH": f"{tool.parent}:{aws.environment['PATH']}"}
    shell = Shell(environment, folder)
    shell.replaced = {NAME: f"B2B_AUTH_STACK_NAME={STACK}", ADDRESS: f"API={address}"}
    yield shell
    shell.stop()


def pattern(line):
    """Of a line of output, in which columns may be wider and `…` stands for anything."""
    words = [re.escape(word).replace("…", ".*") for word in line.split()]
    return re.compile(r"\s+".join(words).replace(r"\s+.*", r"(\s.*)?") + r"\s*")


@pytest.mark.parametrize("commands, output", blocks())
def test_block(shell, commands, output):
    for happened in [did for beginning, did in BEFORE.items() if commands.startswith(beginning)]:
        shell.run(happened)
    for said, done in shell.replaced.items():
        commands = commands.replace(said, done)
    printed = shell.run(commands)
    print(printed)
    lines = iter(printed.splitlines())
    for expected in output.splitlines():
        assert any(pattern(expected).fullmatch(line) for line in lines), f"missing: {expected}\nIt printed:\n{printed}"


def test_the_document_is_read_whole():
    assert len(list(blocks())) == DOCUMENT.count("\n```sh\n")
    for said in [NAME, ADDRESS]:
        assert DOCUMENT.count(said) == 1, said
    for beginning in BEFORE:
        assert DOCUMENT.count(f"```sh\n{beginning}") == 1, beginning
