"""One stack through its life: the template released last, today's with all by default, all that can be turned on, and back."""

import datetime
import json
import re
import subprocess
import time

import pytest
from conftest import FUNCTIONS, ROOT, schedule_of

# Of the template before callers reached functions by an alias.
RELEASED = "6c83530"
STORE = "options"
DOMAIN = "b2b.example.com"


@pytest.fixture(scope="module")
def tokens():
    """Made by one version after the other; all stay good."""
    return []


@pytest.fixture(scope="module")
def released(aws, built, programs, tokens):
    """Deployed from the template released last, with today's functions in it."""
    shown = subprocess.run(["git", "show", f"{RELEASED}:template.yaml"], cwd=ROOT, capture_output=True, text=True)
    if shown.returncode != 0:
        pytest.skip("the checkout has no history")
    # What today's functions need and that template does not give.
    needed = {"ROTATION_DAYS": 0, "BIGCOMMERCE_SECRET_PREFIX": "options/bigcommerce/", "BIGCOMMERCE_CALLS": 50}
    given = "".join(f"        {name}: '{value}'\n" for name, value in needed.items())
    text = shown.stdout.replace("        MAX_TOKENS_PER_STORE:", f"{given}        MAX_TOKENS_PER_STORE:")
    text = re.sub(r"CodeUri: functions/(\S+)", lambda found: f"CodeUri: {found[1].title().replace('-', '')}", text)
    template = built / "released.yaml"
    template.write_text(text)
    stack = aws.deploy("options", template, DatabaseThrottlesThreshold=None)
    stack.add_store(programs, STORE)
    tokens.append(stack.create_token(STORE))
    return stack


@pytest.fixture(scope="module")
def updated(aws, released, tokens):
    released.check_tokens(tokens)
    return aws.deploy(released.name)


def test_an_update_from_the_last_release_keeps_tokens_and_data(released, updated, tokens):
    # Where routes change, the local AWS, unlike AWS, makes the API anew.
    kept = {name: value for name, value in released.outputs.items() if name not in ["ApiUrl", "RestApiId"]}
    assert kept.items() <= updated.outputs.items()
    updated.check_tokens(tokens)
    tokens.append(updated.create_token(STORE))
    updated.check_tokens(tokens)
    assert {updated.live(function) for function in FUNCTIONS} == {"1"}


def test_an_update_adds_the_index_of_tokens_that_end(released, updated):
    described = updated.aws.client("dynamodb").describe_table(TableName=updated.outputs["TokensTableName"])["Table"]
    indexes = [(index["IndexName"], index["IndexStatus"]) for index in described["GlobalSecondaryIndexes"]]
    assert indexes == [("expiring-tokens", "ACTIVE")]


def test_by_default_no_option_is_there(updated):
    assert kinds(updated).isdisjoint({
        "AWS::ApiGateway::DomainName", "AWS::ApiGateway::BasePathMapping", "AWS::Route53::RecordSet", "AWS::SNS::Topic",
        "AWS::WAFv2::WebACL", "AWS::CodeDeploy::Application",
    })
    lambda_ = updated.aws.client("lambda")
    assert lambda_.get_function_configuration(FunctionName=f"{updated.name}-login-customer")["TracingConfig"] == {"Mode": "PassThrough"}
    assert [statement["Action"] for statement in guard(updated)] == ["secretsmanager:DeleteSecret"]
    assert "Condition" not in guard(updated)[0]
    for group in ["/aws/lambda/options", "/aws/apigateway/options"]:
        (found,) = updated.aws.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert "kmsKeyId" not in found


def kinds(stack):
    pages = stack.aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.name)
    return {resource["ResourceType"] for resource in pages.build_full_result()["StackResourceSummaries"]}


def guard(stack):
    policy = stack.aws.client("secretsmanager").get_resource_policy(SecretId=stack.outputs["KeyringSecretArn"])
    return json.loads(policy["ResourcePolicy"])["Statement"]


def alarms_of(stack):
    pages = stack.aws.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack.name}-")
    return pages.build_full_result()["MetricAlarms"]


@pytest.fixture(scope="module")
def before_options(updated):
    moment = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(1)
    return moment


@pytest.fixture(scope="module")
def with_options(aws, updated, before_options):
    zone = aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="options")["HostedZone"]["Id"]
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    certificate = aws.client("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"]
    return aws.deploy(
        updated.name,
        DomainName=DOMAIN, CertificateArn=certificate, HostedZoneId=zone.rpartition("/")[2],
        KeyringOperatorArns="arn:aws:iam::000000000000:role/operator,arn:aws:iam::000000000000:role/deployer",
        BreakGlassRoleArn="arn:aws:iam::000000000000:role/break-glass", KeyringReplicaRegion="eu-west-1", KmsKeyArn=key,
        PermissionsBoundaryArn="arn:aws:iam::aws:policy/PowerUserAccess", Tracing="Active", AlarmEmail="night@example.com",
        StorefrontAccess="public", ExpireTokensMinutes=5,
    )


def test_a_deployment_with_all_options_keeps_tokens_and_data(with_options, tokens):
    # The address of AWS's is open here all the same.
    with_options.check_tokens(tokens)
    tokens.append(with_options.create_token(STORE))


def test_callers_reach_the_api_by_its_domain(with_options, tokens):
    assert with_options.outputs["ApiUrl"] == f"https://{DOMAIN}/api/io"
    domain = with_options.aws.client("apigateway").get_domain_name(domainName=DOMAIN)
    assert (domain["securityPolicy"], domain["endpointConfiguration"]["types"]) == ("TLS_1_2", ["REGIONAL"])
    assert domain["regionalDomainName"] == with_options.outputs["DomainTarget"]
    address, with_options.api_host = with_options.api_host, DOMAIN
    try:
        with_options.check_tokens(tokens)
        assert with_options.call("GET", "/backend/tokens", prefix="/v3/io", authToken=tokens[0])[0] == 200
    finally:
        with_options.api_host = address
    (zone,) = with_options.aws.client("route53").list_hosted_zones()["HostedZones"]
    records = with_options.aws.client("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    (record,) = [record for record in records if record["Name"] == f"{DOMAIN}."]
    assert (record["Type"], record["AliasTarget"]["DNSName"].rstrip(".")) == ("A", domain["regionalDomainName"])


def test_a_domain_needs_a_certificate(aws, built):
    with pytest.raises(AssertionError, match="DomainName needs a CertificateArn"):
        aws.deploy("no-certificate", DomainName=DOMAIN)


def test_every_alarm_is_told_to_the_address(with_options):
    alarms = alarms_of(with_options)
    (topic,) = {topic for alarm in alarms for topic in alarm["AlarmActions"] + alarm["OKActions"]}
    assert len(alarms) == 17
    (subscription,) = with_options.aws.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "night@example.com")
    # Each metric of ours that an alarm looks at is filled by a filter of a log group that is there.
    pages = with_options.aws.client("logs").get_paginator("describe_metric_filters").paginate()
    filters = [
        found for found in pages.build_full_result()["metricFilters"]
        if found["metricTransformations"][0]["metricNamespace"] == "options"
    ]
    counted = {found["metricTransformations"][0]["metricName"] for found in filters}
    assert counted == {alarm["MetricName"] for alarm in alarms if alarm["Namespace"] == "options"}
    assert {found["logGroupName"] for found in filters} == {"/aws/lambda/options", "/aws/apigateway/options"}


def test_the_dashboard_shows_what_is_there(with_options):
    assert with_options.outputs["DashboardUrl"].endswith("#dashboards/dashboard/options")
    dashboard = with_options.aws.client("cloudwatch").get_dashboard(DashboardName="options")["DashboardBody"]
    widgets = json.loads(dashboard)["widgets"]
    assert "${" not in dashboard
    there = {alarm["AlarmArn"] for alarm in alarms_of(with_options)}
    assert set(widgets[0]["properties"]["alarms"]) == there
    for function in FUNCTIONS:
        assert f'"options-{function}"' in dashboard


def test_the_options_of_companies_reach_what_they_are_for(with_options):
    """But for the roles' boundary, which the local AWS does not know."""
    aws, outputs = with_options.aws, with_options.outputs
    (key,) = [key["KeyArn"] for key in aws.client("kms").list_keys()["Keys"]]
    for table in ["TokensTableName", "DirectoryTableName", "LoginAttemptsTableName"]:
        described = aws.client("dynamodb").describe_table(TableName=outputs[table])["Table"]
        assert described["SSEDescription"]["KMSMasterKeyArn"] == key
    for secret in ["KeyringSecretArn", "AppSecretArn"]:
        assert aws.client("secretsmanager").describe_secret(SecretId=outputs[secret])["KmsKeyId"] == key
    for group in ["/aws/lambda/options", "/aws/apigateway/options"]:
        (found,) = aws.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert found["kmsKeyId"] == key
    assert schedule_of(with_options)["ScheduleExpression"] == "rate(5 minutes)"
    traced = aws.client("lambda").get_function_configuration(FunctionName="options-login-customer")
    assert traced["TracingConfig"] == {"Mode": "Active"}


def test_the_keyring_is_guarded_and_copied(with_options, programs):
    deletes, changes = guard(with_options)
    break_glass = "arn:aws:iam::000000000000:role/break-glass"
    assert deletes["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": break_glass}}
    rotation, *named = changes["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert rotation.startswith("arn:aws:iam::000000000000:role/options-RotateSigningKeyRole")
    assert named == [f"arn:aws:iam::000000000000:role/{name}" for name in ["operator", "deployer", "break-glass"]]
    secret = with_options.aws.client("secretsmanager").describe_secret(SecretId=with_options.outputs["KeyringSecretArn"])
    assert [replica["Region"] for replica in secret["ReplicationStatus"]] == ["eu-west-1"]
    said = with_options.b2b_auth(programs, "doctor", "--read-only")
    assert "break-glass" in said and "eu-west-1" in said


def test_callers_go_back_and_forth_by_the_commands_of_the_document(with_options, before_options, tokens):
    page = (ROOT / "docs" / "deploying.md").read_text().split("### Rolling back\n")[1].split("### Deleting\n")[0]
    blocks = [block.split("```")[0].replace("b2b-auth", with_options.name) for block in page.split("```sh\n")[1:]]
    back, forth, clean_up = [re.sub("SINCE=.*", f"SINCE={before_options:%Y-%m-%dT%H:%M:%S}", block) for block in blocks]

    def run(block):
        subprocess.run(["bash", "-euo", "pipefail", "-c", block], env=with_options.aws.environment, check=True)

    public = ("GET", "/auth/storefront?jwtToken=x")
    live = {function: with_options.live(function) for function in FUNCTIONS}
    assert "1" not in live.values()
    assert with_options.call(*public)[0] == 503
    run(back)
    assert {with_options.live(function) for function in FUNCTIONS} == {"1"}
    # With the settings of then.
    assert with_options.call(*public)[0] == 401
    with_options.check_tokens(tokens)
    run(forth)
    assert {function: with_options.live(function) for function in FUNCTIONS} == live

    client, function = with_options.aws.client("lambda"), "options-list-backend-tokens"
    client.update_function_configuration(FunctionName=function, Description="of a deployment that failed")
    left_over = client.publish_version(FunctionName=function)["Version"]
    run(clean_up)
    versions = {version["Version"] for version in client.list_versions_by_function(FunctionName=function)["Versions"]}
    assert versions == {"$LATEST", "1", live["list-backend-tokens"]} and left_over not in versions
    with_options.check_tokens(tokens)


def test_without_the_options_all_is_as_before(aws, with_options, tokens):
    stack = aws.deploy(
        with_options.name, DomainName="", CertificateArn="", HostedZoneId="", KeyringOperatorArns="", BreakGlassRoleArn="",
        PermissionsBoundaryArn="", Tracing="PassThrough", AlarmEmail="", Dashboard="false", StorefrontAccess="authToken",
    )
    assert "AWS::ApiGateway::DomainName" not in kinds(stack) and "AWS::CloudWatch::Dashboard" not in kinds(stack)
    assert [statement["Action"] for statement in guard(stack)] == ["secretsmanager:DeleteSecret"]
    stack.check_tokens(tokens)
