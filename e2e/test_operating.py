"""Every command of docs/operating.md, from top to bottom in one session of bash, against a stack of its own."""

import fnmatch
import http.client
import http.server
import json
import re
import subprocess
import threading
import urllib.parse

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
    "b2b-auth login list": 'until login "$BUYER" wrong | grep 429 > /dev/null; do :; done',
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


class Witness(http.server.ThreadingHTTPServer):
    """Stands before AWS, and notes which actions are called on what."""

    def __init__(self, aws):
        super().__init__(("127.0.0.1", 0), Notes)
        self.aws, self.seen = urllib.parse.urlsplit(aws.url).netloc, set()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def note(self, target, body):
        service, _, action = target.rpartition(".")
        if not service:
            # CloudFormation and STS have the action in a form.
            self.seen.add((urllib.parse.parse_qs(body.decode())["Action"][0], "*"))
            return
        request = json.loads(body)
        if action == "TransactWriteItems":
            # Its permissions are those of its parts.
            for part, item in [pair for item in request["TransactItems"] for pair in item.items()]:
                self.seen.add((part.removesuffix("Item") + "Item", item["TableName"]))
        else:
            names = request.get("RequestItems") or [request.get("TableName") or request["SecretId"]]
            self.seen.update((action, name) for name in names)


class Notes(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.note(self.headers.get("X-Amz-Target", ""), body)
        connection = http.client.HTTPConnection(self.server.aws, timeout=60)
        connection.request("POST", self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def shell(aws, built, programs, tmp_path_factory):
    stack = aws.deploy(STACK)
    witness = Witness(aws)
    folder = tmp_path_factory.mktemp("operating")
    tool = folder / "bin" / "b2b-auth"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\nAWS_ENDPOINT_URL={witness.url} exec "{programs}/b2b-auth" --api-url "{stack.api_url}" "$@"\n'
    )
    tool.chmod(0o755)
    environment = {**aws.environment, "HOME": str(folder), "PATH": f"{tool.parent}:{aws.environment['PATH']}"}
    shell = Shell(environment, folder)
    shell.outputs, shell.witness = stack.outputs, witness
    shell.replaced = {NAME: f"B2B_AUTH_STACK_NAME={STACK}", ADDRESS: f"API={stack.api_url}"}
    yield shell
    shell.stop()
    witness.shutdown()


def pattern(line):
    """Of a line of output, in which columns may be wider and `…` stands for anything."""
    words = [re.escape(word).replace("…", ".*") for word in line.split()]
    return re.compile(r"\s+".join(words).replace(r"\s+.*", r"(\s.*)?") + r"\s*")


@pytest.mark.parametrize("commands, output", list(blocks()))
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


def test_policy_allows_what_the_tool_did_and_nothing_else(shell):
    statements = json.loads(re.search(r"^```json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)[1])["Statement"]
    allowed = set()
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        # A secret's ARN is one of the outputs; a table is called by its name.
        resource = shell.outputs.get(statement["Resource"], statement["Resource"].rpartition("table/b2b-auth-")[2])
        resource = f"{STACK}-{resource}" if "Table-" in resource else resource
        allowed |= {(action.split(":")[1], resource) for action in actions}
    # To ask who one is needs no permission.
    done = shell.witness.seen - {("GetCallerIdentity", "*")}
    fits = lambda right, call: right[0] == call[0] and (call[1] == "*" or fnmatch.fnmatch(call[1], right[1]))
    assert [call for call in sorted(done) if not any(fits(right, call) for right in allowed)] == []
    assert [right for right in sorted(allowed) if not any(fits(right, call) for call in done)] == []


def test_the_document_is_read_whole():
    assert len(list(blocks())) == DOCUMENT.count("\n```sh\n")
    for said in [NAME, ADDRESS]:
        assert DOCUMENT.count(said) == 1, said
    for beginning in BEFORE:
        assert DOCUMENT.count(f"```sh\n{beginning}") == 1, beginning
