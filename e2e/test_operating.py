"""Every command of docs/operating.md, from top to bottom in one session of bash, against a deployed stack and a local one."""

import fnmatch
import http.client
import http.server
import json
import re
import subprocess
import threading
import urllib.parse

import pytest
from conftest import ENVIRONMENT, ROOT, local_stack

DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
STACK = "operating"
# Blocks without a language are left out: the release build, which takes minutes and is the debug build here; and what is done
# about a table that is gone, because the local AWS makes no backup of a table that is deleted.
BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
# What a block begins with that is not for both stacks.
ONLY = {"deployed": "# Only deployed\n", "local": "# Only local\n"}
PRACTICE = "# Only to practise\n"
# What becomes of a block for the stack at hand.
NAME = "B2B_AUTH_STACK_NAME=b2b-auth"
ADDRESS = "API=$(output ApiUrl)"
LOCAL_API, LOCAL_AWS = "http://127.0.0.1:3000/api/io", "http://127.0.0.1:8000"
END = "--- the block has ended ---"


def blocks():
    """The stack, commands and output of each."""
    for stack in ONLY:
        for match in BLOCK.finditer(DOCUMENT):
            others = [mark for name, mark in ONLY.items() if name != stack]
            if match["commands"].startswith(tuple(others)):
                continue
            heading = re.findall(r"^## (.+)$", DOCUMENT[: match.start()], re.MULTILINE)[-1]
            line = DOCUMENT[: match.start()].count("\n") + 2
            yield pytest.param(stack, match["commands"], match["output"] or "", id=f"{stack}: line {line}: {heading}")


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
            index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
            names = request.get("RequestItems") or [request.get("TableName", "") + index or request["SecretId"]]
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


def tool(folder, environment, command):
    """The environment with a `b2b-auth` of this command."""
    path = folder / "bin" / "b2b-auth"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\n{command} "$@"\n')
    path.chmod(0o755)
    return {**environment, "HOME": str(folder), "PATH": f"{path.parent}:{environment['PATH']}"}


@pytest.fixture(scope="module")
def deployed(aws, built, programs, tmp_path_factory):
    stack = aws.deploy(STACK)
    witness = Witness(aws)
    folder = tmp_path_factory.mktemp("deployed")
    command = f'AWS_ENDPOINT_URL={witness.url} exec "{programs}/b2b-auth" --api-url "{stack.api_url}"'
    shell = Shell(tool(folder, aws.environment, command), folder)
    shell.outputs, shell.witness = stack.outputs, witness
    shell.replaced = {NAME: f"B2B_AUTH_STACK_NAME={STACK}", ADDRESS: f"API={stack.api_url}"}
    yield shell
    shell.stop()
    witness.shutdown()


@pytest.fixture(scope="module")
def local(programs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    # As on a machine that knows no AWS.
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("AWS_")}
    with local_stack(programs, folder, "--port", "0", "--aws-port", "0") as greeting:
        api = re.search(r"^  API +(\S+)$", greeting, re.MULTILINE)[1]
        aws = re.search(r"^  DynamoDB and Secrets Manager +(\S+)$", greeting, re.MULTILINE)[1]
        command = f'exec "{programs}/b2b-auth" --aws-endpoint "{aws}" --api-url "{api}"'
        shell = Shell(tool(folder, environment, command), folder)
        shell.replaced = {LOCAL_API: api, LOCAL_AWS: aws}
        yield shell
        shell.stop()


@pytest.fixture(scope="module")
def shell(request):
    return request.getfixturevalue(request.param)


def pattern(line):
    """Of a line of output, in which columns may be wider and `…` stands for anything."""
    words = [re.escape(word).replace("…", ".*") for word in line.split()]
    return re.compile(r"\s+".join(words).replace(r"\s+.*", r"(\s.*)?") + r"\s*")


@pytest.mark.parametrize("shell, commands, output", list(blocks()), indirect=["shell"])
def test_block(shell, commands, output):
    for said, done in shell.replaced.items():
        commands = commands.replace(said, done)
    printed = shell.run(commands)
    print(printed)
    lines = iter(printed.splitlines())
    for expected in output.splitlines():
        assert any(pattern(expected).fullmatch(line) for line in lines), f"missing: {expected}\nIt printed:\n{printed}"


@pytest.mark.parametrize(
    "answer, says",
    [
        ('{"code": 400, "data": {"errMsg": "Customer auth failed"}, "detail": "Customer auth failed"}', "Customer auth failed"),
        # API Gateway's own.
        ('{"message": "Forbidden"}', "Forbidden"),
        ('{"code": 200, "data": [], "meta": {}}', "the answer has no .data.token"),
        ("<html>", "parse error"),
        # Where there was none, which curl or the tool has told.
        ("", "the answer has no .data.token"),
    ],
)
def test_what_has_not_the_field_fails_with_its_own_words(local, answer, says):
    definition = re.search(r"^field\(\) .*$", DOCUMENT, re.MULTILINE)[0]
    printed = local.run(f"{definition}\nprintf %s '{answer}' | field .data.token && exit || true")
    assert says in printed, printed


def test_policy_allows_what_the_tool_did_and_nothing_else(deployed):
    statements = json.loads(re.search(r"^```json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)[1])["Statement"]
    allowed = set()
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        # A secret's ARN is one of the outputs; a table is called by its name, and so is a secret that the tool makes.
        named = re.sub(r"^arn:.*:(table/|secret:)b2b-auth", STACK, statement["Resource"])
        resource = deployed.outputs.get(statement["Resource"], named)
        allowed |= {(action.split(":")[1], resource) for action in actions}
    # To ask who one is needs no permission.
    done = deployed.witness.seen - {("GetCallerIdentity", "*")}
    # What stands for a name in the document is put in, so it does not reach into the table's indexes.
    covers = lambda resource, name: fnmatch.fnmatch(name, resource) and name.count("/") == resource.count("/")
    fits = lambda right, call: right[0] == call[0] and (call[1] == "*" or covers(right[1], call[1]))
    assert [call for call in sorted(done) if not any(fits(right, call) for right in allowed)] == []
    assert [right for right in sorted(allowed) if not any(fits(right, call) for call in done)] == []


def test_the_document_is_read_whole():
    assert len(list(BLOCK.finditer(DOCUMENT))) == DOCUMENT.count("\n```sh\n")
    for said in [NAME, ADDRESS, LOCAL_API, LOCAL_AWS]:
        assert DOCUMENT.count(said) == 1, said
    marks = re.findall(r"^(?:```sh\n)?# Only .*\n", DOCUMENT, re.MULTILINE)
    assert set(marks) == {f"```sh\n{mark}" for mark in [*ONLY.values(), PRACTICE]}
