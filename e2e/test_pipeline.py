"""The roles that deploy a stage: who may take them, and what they may do."""

import fnmatch
import json
import pathlib
import re

import cfnlint
import pytest
from conftest import ROOT
from samcli.yamlhelper import yaml_parse
from test_operating import Witness

TEMPLATE = (ROOT / "pipeline" / "template.yaml").read_text()
PARAMETERS = {
    "StackName": "b2b-auth",
    "Repository": "octocat@1/b2b-auth@2",
    "Environment": "prod",
    # The local AWS makes none.
    "OidcProvider": "present",
    "KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
    "HostedZoneId": "Z1",
    "DomainName": "b2b.example.com",
}
# What SAM makes of its own kinds.
MADE = {
    "AWS::Serverless::Api": ["AWS::ApiGateway::RestApi", "AWS::ApiGateway::Deployment", "AWS::ApiGateway::Stage"],
    "AWS::Serverless::Function": [
        "AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::Permission",
        "AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup", "AWS::IAM::Role",
    ],
}
# What the execution role is made for.
KINDS = {
    *MADE["AWS::Serverless::Api"], "AWS::ApiGateway::Account", "AWS::ApiGateway::DomainName", "AWS::ApiGateway::BasePathMapping",
    *MADE["AWS::Serverless::Function"], "AWS::IAM::ManagedPolicy", "AWS::Route53::RecordSet",
    "AWS::WAFv2::WebACL", "AWS::WAFv2::WebACLAssociation",
    "AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::RotationSchedule", "AWS::Scheduler::Schedule",
    "AWS::Logs::LogGroup", "AWS::Logs::MetricFilter", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription",
}
# What CloudFormation's handlers of these ask for and no property of the template leads to.
NOT_USED = [
    # Networks, files and streams of one's own, names of keys; and what else than an API a web ACL can stand before.
    "amplify:*", "apprunner:*", "appsync:*", "bedrock-agentcore:*", "cognito-idp:*", "ec2:*", "elasticfilesystem:*",
    "elasticloadbalancing:*", "firehose:*", "kinesis:*", "kms:ListAliases", "payments:*", "s3files:*", "iam:CreateServiceLinkedRole",
    # Imports, replicas, streams and policies of tables.
    "dynamodb:*Item", "dynamodb:*Replica", "dynamodb:*Import*", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PutResourcePolicy",
    "dynamodb:DeleteResourcePolicy", "dynamodb:*ableKinesisStreamingDestination", "dynamodb:UpdateKinesisStreamingDestination",
    "logs:*LogStream*", "logs:PutLogEvents", "s3:GetObjectMetadata", "s3:ListBucket",
    # Settings that stay as AWS has them.
    "apigateway:UpdateRestApiPolicy", "codedeploy:RegisterOnPremisesInstance", "iam:*Group*", "iam:*User*",
    "lambda:AssociateRuntimeAlias", "lambda:GetCodeSigningConfig", "lambda:DeleteFunctionCodeSigningConfig",
    "lambda:PutFunctionCodeSigningConfig", "lambda:GetLayerVersion", "lambda:PassCapacityProvider",
    "lambda:PutFunctionRecursionConfig", "lambda:PutFunctionScalingConfig", "lambda:PutRuntimeManagementConfig",
    "lambda:[DP]*ProvisionedConcurrencyConfig",
    "logs:*BearerTokenAuthentication", "logs:*LogDelivery", "logs:[DP]*DataProtectionPolicy", "logs:[DP]*IndexPolicy",
    "logs:[DP]*tResourcePolicy", "logs:DeleteResourcePolicy", "logs:PutLogGroupDeletionProtection",
    "s3:GetObjectVersion", "s3:REST.*", "sns:PutDataProtectionPolicy", "wafv2:*PermissionPolicy",
    # What would take away data, or a guard.
    "dynamodb:DeleteTable", "secretsmanager:DeleteSecret", "secretsmanager:DeleteResourcePolicy",
    "iam:DeleteRolePermissionsBoundary",
]
# What no handler asks for: SAM's transform, the role that API Gateway's first domain name in an account makes, and what DynamoDB
# does with another key.
BESIDES = {"cloudformation:CreateChangeSet", "iam:CreateServiceLinkedRole", "kms:ReEncrypt*"}


class Roles:
    """Both roles of a stage, as CloudFormation has made them."""

    def __init__(self, aws, **parameters):
        cloudformation, self.iam = aws.client("cloudformation"), aws.client("iam")
        # A name that the execution role may give to roles.
        name = f"b2b-auth-pipeline-{parameters['Doctor']}"
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=TEMPLATE,
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in {**PARAMETERS, **parameters}.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        self.arns = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.deploy, self.execution = self.statements("DeployRoleArn"), self.statements("ExecutionRoleArn")

    def trust(self, role):
        return self.iam.get_role(RoleName=self.arns[role].rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]

    def policies(self, role):
        name = self.arns[role].rpartition("/")[2]
        names = self.iam.list_role_policies(RoleName=name)["PolicyNames"]
        return [self.iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in names]

    def statements(self, role):
        """What the role may: each action, on what, and under which condition."""
        return [
            (action, resource, statement.get("Condition"))
            for policy in self.policies(role)
            for statement in policy["Statement"]
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        ]


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(patterns, text):
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


@pytest.fixture(scope="module")
def roles(aws):
    return Roles(aws, Doctor="read-only")


@pytest.fixture(scope="module")
def roles_with_round(aws):
    return Roles(aws, Doctor="round")


def test_only_the_environment_of_the_repository_takes_the_deploy_role(roles):
    (statement,) = roles.trust("DeployRoleArn")["Statement"]
    issuer = "token.actions.githubusercontent.com"
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::000000000000:oidc-provider/{issuer}"}
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": "repo:octocat@1/b2b-auth@2:environment:prod",
        }
    }


def test_the_deploy_role_passes_the_execution_role_to_cloudformation_and_nothing_else(roles):
    assert [statement for statement in roles.deploy if statement[0].startswith("iam:")] == [
        (
            "iam:PassRole",
            roles.arns["ExecutionRoleArn"],
            {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}},
        )
    ]


def test_the_execution_role_changes_no_role_of_the_pipeline(roles):
    resources = [resource for action, resource, _ in roles.execution if action.startswith("iam:")]
    assert resources
    for arn in roles.arns.values():
        assert not matches(resources, arn)


def test_a_role_has_no_more_policy_than_iam_takes(roles_with_round):
    for role in roles_with_round.arns:
        policies = roles_with_round.policies(role)
        assert sum(len(json.dumps(policy, separators=(",", ":"))) for policy in policies) <= 10_240, role


def test_the_execution_role_may_do_what_the_template_needs_and_nothing_else(roles):
    resources = yaml_parse((ROOT / "template.yaml").read_text())["Resources"].values()
    kinds = {made for resource in resources for made in MADE.get(resource["Type"], [resource["Type"]])}
    assert kinds - KINDS == set(), "the execution role is not made for these"
    # CloudFormation's own word for what its handlers call.
    needed = set()
    for file in (pathlib.Path(cfnlint.__file__).parent / "data" / "schemas" / "resources").glob("*.json"):
        schema = json.loads(file.read_text())
        if schema["typeName"] in KINDS:
            needed |= {call for name, handler in schema["handlers"].items() if name != "list" for call in handler["permissions"]}
    allowed = {action for action, _, _ in roles.execution} - BESIDES
    needed = {call for call in needed if not matches(NOT_USED, call)}
    assert (sorted(needed - allowed), sorted(allowed - needed)) == ([], [])


def test_the_execution_role_reaches_what_the_template_names(roles):
    arns = {
        "FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:",
        "LogGroupName": "arn:aws:logs:us-east-1:000000000000:log-group:",
    }
    named = [
        arns[key] + value["Fn::Sub"].replace("${AWS::StackName}", "b2b-auth")
        for resource in yaml_parse((ROOT / "template.yaml").read_text())["Resources"].values()
        for key, value in resource["Properties"].items()
        if key in arns and "Fn::Sub" in value
    ]
    assert named
    # A log group is called with and without what stands for its streams.
    named += [f"{arn}:*" for arn in named if ":logs:" in arn]
    resources = {resource for _, resource, _ in roles.execution} - {"*"}
    assert [arn for arn in named if not matches(resources, arn)] == []


@pytest.mark.parametrize("doctor", ["read-only", "round"])
def test_the_doctor_does_with_the_deploy_role_what_it_must(doctor, aws, stack, programs, roles, roles_with_round):
    witness = Witness(aws)
    arguments = ["--read-only"] if doctor == "read-only" else []
    try:
        stack.b2b_auth(programs, "doctor", *arguments, AWS_ENDPOINT_URL=witness.url)
    finally:
        witness.shutdown()
    statements = (roles if doctor == "read-only" else roles_with_round).deploy
    # Unlike AWS, the local AWS names secrets after the stack too. To ask who one is needs no permission.
    done = {
        (action, name.removeprefix(f"{stack.name}-") if "Secret-" in name else name)
        for action, name in witness.seen if action != "GetCallerIdentity"
    }
    name_of = lambda resource: resource.partition(":secret:")[2] or re.split("[:/]", resource)[-1]
    allowed = {(action.partition(":")[2], name_of(resource)) for action, resource, _ in statements}
    fits = lambda right, call: right[0] == call[0] and (call[1] == "*" or fnmatch.fnmatchcase(call[1], right[1]))
    assert [call for call in sorted(done) if not any(fits(right, call) for right in allowed)] == []
    items = {action for action, _, _ in statements if action.startswith("dynamodb:") and "Describe" not in action}
    assert bool(items) == (doctor == "round")
