"""Starts the local AWS, and teaches it what every stack of ours needs and it lacks: a kind of resource, and by which alias a
function is called."""

import json
import sys

from ministack.app import main
from ministack.services import lambda_svc, secretsmanager
from ministack.services.cloudformation import provisioners


def create(_logical_id, properties, _stack_name):
    secretsmanager._put_resource_policy({**properties, "ResourcePolicy": json.dumps(properties["ResourcePolicy"])})
    return properties["SecretId"], {}


def update(_physical_id, _earlier, properties, stack_name):
    return create(None, properties, stack_name)


def delete(_physical_id, properties):
    secretsmanager._delete_resource_policy(properties)


provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::ResourcePolicy"] = {
    "create": create,
    "update": update,
    "delete": delete,
}


find = lambda_svc._get_func_record_for_ref


def find_as_called(reference):
    """A function is told the ARN by which it is called, and not that of the version behind the alias."""
    record, config, name = find(reference)
    is_qualified = reference.startswith("arn:") and reference.count(":") == 7
    return record, {**config, "FunctionArn": reference} if config and is_qualified else config, name


lambda_svc._get_func_record_for_ref = find_as_called
sys.exit(main())
