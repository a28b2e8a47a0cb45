"""A local AWS, the template built and deployed to it, and all of it gone afterwards."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid

import boto3
import pytest

ROOT = pathlib.Path(__file__).parent.parent
FUNCTIONS = sorted(folder.name for folder in (ROOT / "functions").iterdir())
EMAIL, PASSWORD = "admin@example.com", "a password of the end-to-end tests"
# What the local AWS does not know: rotation schedules, and alarms that sum up metrics.
PARAMETERS = {"RotationDays": 0, "DatabaseThrottlesThreshold": 0}
# With the programs of the virtual environment.
ENVIRONMENT = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url, process, log):
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            return urllib.request.urlopen(url, timeout=5)
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer: {log.read_text()}")


class Aws:
    def __init__(self, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            **ENVIRONMENT,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "SAM_CLI_TELEMETRY": "0",
        }
        own = {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "LAMBDA_EXECUTOR": "local",
            "TMPDIR": str(folder),
            "HOME": str(folder),
        }
        log = folder / "log"
        with log.open("w") as output:
            # From an environment of its own: it wants another version of AWS's SDK than the SAM CLI.
            self.process = subprocess.Popen(
                [ROOT / "target/ministack/bin/python", ROOT / "e2e/local_aws.py"],
                env={**self.environment, **own}, stdout=output, stderr=output, start_new_session=True,
            )
        try:
            wait_for(f"{self.url}/_ministack/health", self.process, log)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        # Functions that still run too.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def sam(self, *arguments):
        ended = subprocess.run(
            ["sam", *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def deploy(self, name, template=ROOT / ".aws-sam/build/template.yaml", **parameters):
        return Stack(self, name, self.deploy_template(name, template, **{**PARAMETERS, **parameters}))

    def deploy_template(self, name, template, **parameters):
        """Gives the outputs of the stack."""
        # The SAM CLI takes nothing for an empty value but two quotation marks.
        given = {key: '""' if value == "" else value for key, value in parameters.items()}
        overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
        arguments = ["--config-file", ROOT / "samconfig.toml", "--template-file", template]
        arguments += ["--stack-name", name, "--region", "us-east-1", "--no-progressbar"]
        self.sam("deploy", *arguments, "--parameter-overrides", *overrides)
        stack = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


class Stack:
    def __init__(self, aws, name, outputs):
        self.aws, self.name, self.outputs = aws, name, outputs
        self.api_host = f"{self.outputs['RestApiId']}.execute-api.localhost"
        # The one in the outputs is that of the real AWS.
        self.api_url = f"{aws.url}/restapis/{self.outputs['RestApiId']}/api/_user_request_/io"

    def call(self, method, path, body=None, prefix="/io", **headers):
        """Status and body of the answer."""
        answer = self.answer(method, path, body, prefix, headers)
        return answer.status, json.loads(answer.read())

    def answer(self, method, path, body=None, prefix="/io", headers=None):
        """The answer itself, for what is in its headers."""
        headers = dict(headers or {})
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"{self.aws.url}/api{prefix}{path}", data, headers, method=method)
        request.add_header("Host", self.api_host)
        try:
            return urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            return error

    def list(self, token):
        return self.call("GET", "/backend/tokens", authToken=token)

    def check_tokens(self, tokens):
        """That each of them is good, and lists all of them and no other."""
        for token in tokens:
            status, answer = self.list(token)
            assert (status, [entry["token"] for entry in answer["data"]]) == (200, tokens)

    def b2b_auth(self, programs, *arguments, given=None, **environment):
        """What the operator's tool prints; it must succeed."""
        ended = subprocess.run(
            [programs / "b2b-auth", "--stack-name", self.name, "--api-url", self.api_url, *arguments],
            env={**self.aws.environment, **environment}, input=given, capture_output=True, text=True,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def add_store(self, programs, store):
        """With an administrator."""
        self.b2b_auth(programs, "store", "add", store)
        user = ["user", "add", EMAIL, "--store", store, "--role", "administrator", "--password-stdin"]
        self.b2b_auth(programs, *user, given=PASSWORD)

    def create_token(self, store):
        """Of the store's administrator."""
        status, answer = self.call("POST", "/auth/backend", login(store))
        assert status == 200, answer
        return answer["data"][0]["token"]

    def live(self, function):
        """The version that callers reach, by whichever alias."""
        aliases = self.aws.client("lambda").list_aliases(FunctionName=f"{self.name}-{function}")["Aliases"]
        (version,) = {alias["FunctionVersion"] for alias in aliases}
        return version

    def renew(self, function):
        """Gives callers a new version, whose instances are cold."""
        client, name = self.aws.client("lambda"), f"{self.name}-{function}"
        client.update_function_configuration(FunctionName=name, Description=str(uuid.uuid4()))
        version = client.publish_version(FunctionName=name)["Version"]
        client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)


def schedule_of(stack):
    """By which ended tokens are removed."""
    resource = stack.aws.client("cloudformation").describe_stack_resource(
        StackName=stack.name, LogicalResourceId="TokenExpiry"
    )
    name = resource["StackResourceDetail"]["PhysicalResourceId"]
    return stack.aws.client("scheduler").get_schedule(Name=name)


def login(store):
    """What the administrator of a store asks for a token with."""
    return {"storeHash": store, "email": EMAIL, "password": PASSWORD, "name": "e2e"}


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    aws = Aws(tmp_path_factory.mktemp("aws"))
    yield aws
    aws.stop()


@pytest.fixture(scope="session")
def built(aws):
    """The folder of what `sam build` makes."""
    ended = subprocess.run([".ci/build"], cwd=ROOT, env=aws.environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ROOT / ".aws-sam" / "build"


def cargo_test(arguments, environment):
    ended = subprocess.run(
        ["cargo", "test", "--workspace", "--locked", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="session")
def programs():
    """The folder of the operator's tool and of what `cargo run` starts, as `cargo test` has built them."""
    cargo_test(["--no-run"], ENVIRONMENT)
    return ROOT / "target" / "debug"


@contextlib.contextmanager
def local_stack(programs, folder, *options):
    """What `cargo run` says when it is ready, while it runs."""
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen([programs / "local", *options], cwd=folder, stdout=output, stderr=output)
    try:
        while "Ctrl-C" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield log.read_text()
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def stack(aws, built):
    return aws.deploy("b2b-auth")


@pytest.fixture(scope="session")
def docker(tmp_path_factory):
    """A Docker engine with an image that stands for AWS's, which cannot be pulled without a network."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("no Docker engine can be started here")
    folder = tmp_path_factory.mktemp("docker")
    if subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        # Somebody's own, which has or can get the real image.
        yield
        return
    log = folder / "log"
    with log.open("w") as output:
        engine = subprocess.Popen(
            ["dockerd", "--data-root", folder / "data"], stdout=output, stderr=output, start_new_session=True
        )
    try:
        for _ in range(100):
            if engine.poll() is not None:
                pytest.skip(f"no Docker engine runs here: {log.read_text()[-300:]}")
            if subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
                break
            time.sleep(0.2)
        import_base_image(folder)
        yield
    finally:
        engine.terminate()
        engine.wait()


def import_base_image(folder):
    root = folder / "root"
    libraries = pathlib.Path("/lib/x86_64-linux-gnu")
    files = {
        "bin/sh": pathlib.Path("/bin/busybox"),
        "lib64/ld-linux-x86-64.so.2": pathlib.Path("/lib64/ld-linux-x86-64.so.2"),
        "etc/ssl/certs/ca-certificates.crt": pathlib.Path("/etc/ssl/certs/ca-certificates.crt"),
        **{
            f"lib/x86_64-linux-gnu/{name}": libraries / name
            for name in [
                "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libnss_files.so.2", "libpthread.so.0",
                "libresolv.so.2", "librt.so.1", "libutil.so.1",
            ]
        },
    }
    for target, source in files.items():
        if not source.exists():
            pytest.skip(f"no base image can be made here: {source} is not there")
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / target)
    for name in ["tmp", "var/task", "var/runtime"]:
        (root / name).mkdir(parents=True)
    archive = folder / "root.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    image = "public.ecr.aws/lambda/provided:al2023-x86_64"
    subprocess.run(["docker", "import", archive, image], check=True, capture_output=True)
