"""`sam local invoke` of every sample event, with the stack that `cargo run` starts."""

import json
import re
import subprocess

import pytest
from conftest import ROOT, local_stack

OUTCOMES = json.loads((ROOT / "events" / "outcomes.json").read_text())
# Docker's own, which `cargo run` must listen on to be reached from containers on Linux.
BRIDGE = "172.17.0.1"


@pytest.fixture(scope="module")
def jwt(docker, programs, tmp_path_factory):
    """The local stack's current-customer JWT, while it runs."""
    with local_stack(programs, tmp_path_factory.mktemp("local"), "--port", "0", "--aws-host", BRIDGE) as greeting:
        yield re.search(r"JWT=(\S+)", greeting)[1]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome["event"].removesuffix(".json"))
def test_event(aws, built, jwt, outcome):
    event = (ROOT / "events" / outcome["event"]).read_text().replace('"JWT"', json.dumps(jwt))
    ended = subprocess.run(
        ["sam", "local", "invoke", outcome["function"], "--event", "-", "--env-vars", "events/env.json",
         "--skip-pull-image"],
        cwd=ROOT, env=aws.environment, input=event, capture_output=True, text=True,
    )
    assert ended.stdout, ended.stderr
    answer = json.loads(ended.stdout)
    if outcome["function"] == "AuthorizeRequest":
        assert status_of_authorizer(answer) == outcome["status"]
        return
    assert ended.returncode == 0
    if outcome["function"] == "ExpireTokens":
        assert answer == outcome["removed"]
        return
    assert answer["statusCode"] == outcome["status"]
    # A preflight has no body, and so no envelope; what introspection tells stands in none.
    if outcome["status"] == 200 and outcome["function"] == "IntrospectToken":
        assert json.loads(answer["body"])["active"] is outcome["active"]
    elif outcome["status"] != 204:
        assert json.loads(answer["body"])["code"] == outcome["status"]


def status_of_authorizer(answer):
    """What API Gateway makes of it."""
    if "errorMessage" in answer:
        return 401 if answer["errorMessage"] == "Unauthorized" else 500
    if "policyDocument" in answer:
        return 200 if answer["policyDocument"]["Statement"][0]["Effect"] == "Allow" else 403
    return 200 if answer["isAuthorized"] is True else 403
