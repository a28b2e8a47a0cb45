"""What schemathesis cannot know of the API from openapi.yaml. Loaded by schemathesis.toml."""

import uuid

import schemathesis
from schemathesis.core import NOT_SET
from schemathesis.openapi.checks import RejectedPositiveData, UnsupportedMethodResponse

# What these say depends on more than the field alone, which no schema can tell. They stand where functions/ read their requests.
DEPENDS_ON_MORE = {
    "must lie after beginAt.",
    "must lie after beginAt, or in the future without one.",
    "must lie in the future, and after the beginAt of the token that is replaced.",
    "must not lie after the end of the token that is replaced.",
    "is not a channel of the store that the customer may use.",
    "lies in the past: the customer access token has expired.",
}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """What a success answers must be described. To callers openapi.yaml does not say so: they must be ready for more than that."""

    def close(schema):
        if isinstance(schema, list):
            for each in schema:
                close(each)
        elif isinstance(schema, dict):
            if schema.get("type") == "object" and "properties" in schema:
                schema.setdefault("additionalProperties", False)
            if "allOf" in schema:
                schema.setdefault("unevaluatedProperties", False)
            close(list(schema.values()))

    operations = [operation for path in raw_schema["paths"].values() for operation in path.values()]
    for responses in [raw_schema["components"], *operations]:
        for response in responses["responses"].values():
            close([content["schema"] for content in response.get("content", {}).values()])


@schemathesis.hook
def before_call(context, case, kwargs):
    """What is right for each part of a request alone, but not for the whole."""
    if not case.meta or not case.meta.generation.mode.is_positive:
        return
    key = (case.headers or {}).get("Idempotency-Key")
    if key:
        # One that was used for another request is refused, and schemathesis uses few, such as "0".
        case.headers["Idempotency-Key"] = f"{uuid.uuid4()}-{key}"[:255]
    if case.method == "DELETE" and isinstance(case.body, dict):
        # What stands in the query and in the body must be the same.
        case.query = {name: value for name, value in (case.query or {}).items() if name not in case.body}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether it is one."""
    if isinstance(failure, UnsupportedMethodResponse):
        # What is no endpoint is a 404, be it for its path or for its method, as with API Gateway.
        return response.status_code != 404
    if isinstance(failure, RejectedPositiveData) and response.status_code == 400:
        # E-mail or password are wrong, for which the published page has a 400. A body that cannot be read is a "Bad Request".
        return response.json()["meta"]["message"] not in ("API logic error", "Calling BC API failed")
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        errors = response.json()["data"]["errors"]
        if case.method == "DELETE" and (case.body is NOT_SET or "id" not in case.body) and "id" not in (case.query or {}):
            # It may stand in the query or in the body, but must in one of them.
            errors.pop("id", None)
        return any(set(messages) - DEPENDS_ON_MORE for messages in errors.values())
    return True
