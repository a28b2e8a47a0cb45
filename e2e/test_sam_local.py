"""`sam local invoke` of every sample event, with the stack that `cargo run` starts."""

import json
import re
import subprocess
import time

import pytest
from conftest import ROOT

OUTCOMES = json.loads((ROOT / "events" / "outcomes.json").read_text())
# Docker's own, which `cargo run` must listen on to be reached from containers on Linux.
BRIDGE = "172.17.0.1"


@pytest.fixture(scope="module")
def jwt(docker, programs, tmp_path_factory):
    """The local stack's current-customer JWT, while it runs."""
    log = tmp_path_factory.mktemp("local") / "log"
    with log.open("w") as output:
        local = subprocess.Popen(
            [programs / "local", "--port", "0", "--aws-host", BRIDGE], cwd=ROOT, stdout=output, stderr=output
        )
    try:
        while "Ctrl-C" not in log.read_text():
            assert local.poll() is None, log.read_text()
            time.sleep(0.1)
        yield re.search(r"JWT=(\S+)", log.read_text()).group(1)
    finally:
        local.terminate()
        local.wait()


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome["event"].removesuffix(".json"))
def test_event(aws, built, jwt, outcome):
    event = (ROOT / "events" / outcome["event"]).read_text().replace('"JWT"', json.dumps(jwt))
    ended = subprocess.run(
        ["sam", "local", "invoke", outcome["function"], "--event", "-", "--env-vars", "events/env.json",
         "--skip-pull-image"],
        cwd=ROOT, env=aws.environment, input=event, capture_output=True, text=True,
    )
    assert ended.returncode == 0 and ended.stdout, ended.stderr
    answer = json.loads(ended.stdout)
    assert answer["statusCode"] == outcome["status"]
    # A preflight has no body, and so no envelope.
    if outcome["status"] != 204:
        assert json.loads(answer["body"])["code"] == outcome["status"]
