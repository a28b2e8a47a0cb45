"""Every command of docs/token-life.md, from top to bottom in one session of bash, against what `cargo run` starts."""

import re

import pytest
from conftest import ENVIRONMENT, ROOT, local_stack
from test_operating import BLOCK, LOCAL_API, Shell, pattern

DOCUMENT = (ROOT / "docs" / "token-life.md").read_text()


@pytest.fixture(scope="module")
def shell(programs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("token-life")
    with local_stack(programs, folder, "--port", "0", "--aws-port", "0") as greeting:
        shell = Shell(ENVIRONMENT, folder)
        shell.api = re.search(r"^  API +(\S+)$", greeting, re.MULTILINE)[1]
        yield shell
        shell.stop()


@pytest.mark.parametrize("block", list(BLOCK.finditer(DOCUMENT)), ids=lambda block: block["commands"].splitlines()[0])
def test_block(shell, block):
    printed = shell.run(block["commands"].replace(LOCAL_API, shell.api))
    print(printed)
    lines = iter(printed.splitlines())
    for expected in (block["output"] or "").splitlines():
        assert any(pattern(expected).fullmatch(line) for line in lines), f"missing: {expected}\nIt printed:\n{printed}"


def test_the_script_run_again_with_the_old_token_gives_the_same_new_one(shell):
    shell.run("cp token new-token; cp old-token token; ./rotate-token token; cmp token new-token")


def test_the_document_is_read_whole():
    assert len(list(BLOCK.finditer(DOCUMENT))) == DOCUMENT.count("\n```sh\n")
