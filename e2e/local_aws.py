"""Starts the local AWS, and teaches its CloudFormation the one kind of resource that every stack of ours has and it lacks."""

import json
import sys

from ministack.app import main
from ministack.services import secretsmanager
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
sys.exit(main())
