"""`POST /auth/customers/storefront` in Python: what `tests/benches/lambda.rs` compares ours with."""

import base64
import json
import os
import time

import boto3
import jwt
from botocore.config import Config

TOKENS_TABLE = os.environ["TOKENS_TABLE"]
DIRECTORY_TABLE = os.environ["DIRECTORY_TABLE"]
LEEWAY = 5
DAY = 86_400
RELOAD_AFTER = 300

config = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 3, "mode": "standard"})
dynamodb = boto3.client("dynamodb", config=config)
secrets_manager = boto3.client("secretsmanager", config=config)


class Refusal(Exception):
    def __init__(self, status, title, err_msg=None):
        super().__init__(err_msg or title)
        self.status = status
        self.title = title


class Keyring:
    def __init__(self):
        secret = secrets_manager.get_secret_value(SecretId=os.environ["KEYRING_SECRET_ID"])["SecretString"]
        current = json.loads(secret)
        self.keys = [current, *current.get("previous", [])]
        self.loaded_at = time.time()

    def find(self, kid):
        return next((key["key"] for key in self.keys if key["kid"] == kid), None)

    def signing(self, now):
        return next((key for key in self.keys if key.get("signsFrom", 0) <= now), self.keys[-1])


keyring = Keyring()


def header(event, name):
    headers = event.get("multiValueHeaders") or {}
    return [value for key, values in headers.items() if key.lower() == name for value in values]


def callers_token(event):
    token, *others = header(event, "authtoken") or [""]
    if not token.strip():
        raise Refusal(401, "Invalid token header. No credentials provided.")
    try:
        kid = jwt.get_unverified_header(token.strip()).get("kid")
        key = keyring.find(kid)
        if others or not key:
            raise Refusal(401, "Invalid token.")
        required = {"require": ["store_hash", "jti", "aud", "iat"]}
        claims = jwt.decode(token.strip(), key, ["HS256"], audience="server", leeway=LEEWAY, options=required)
    except jwt.InvalidTokenError:
        raise Refusal(401, "Invalid token.") from None
    if claims.get("db") != "default":
        raise Refusal(401, "Invalid token.")
    return {**claims, "kid": kid}


def positive_integer(value):
    # Clients send numbers as strings too.
    number = int(value) if isinstance(value, str) else value
    if type(number) is not int or number < 1:
        raise ValueError
    return number


def fields(event):
    content_type = (header(event, "content-type") or [""])[0]
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "Unsupported Media Type", "The Content-Type must be application/json.")
    try:
        body = json.loads(base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"])
    except (TypeError, ValueError):
        raise Refusal(400, "Bad Request", "The body is not valid JSON.") from None
    try:
        channel_id = body.get("channelId")
        return positive_integer(body["customerId"]), 1 if channel_id is None else positive_integer(channel_id)
    except (AttributeError, KeyError, ValueError):
        raise Refusal(422, "Missing or Invalid Data", "customerId, channelId: must be positive integers.") from None


def record_and_customer(store_hash, token_id, customer_id):
    def request(sk):
        return {"Keys": [{"pk": {"S": store_hash}, "sk": {"S": sk}}], "ConsistentRead": True}

    requests = {
        TOKENS_TABLE: request(f"TOKEN#{token_id:0>20}"),
        DIRECTORY_TABLE: request(f"CUSTOMER#{customer_id:0>20}"),
    }
    answer = dynamodb.batch_get_item(RequestItems=requests)
    # What was not read may still be there.
    if answer.get("UnprocessedKeys"):
        raise Refusal(503, "Service Unavailable")
    return [next(iter(answer["Responses"].get(table, [])), None) for table in requests]


def is_of(record, token):
    """Whether this is the record of this token: the key and all claims."""
    texts, numbers = ["kid", "email"], ["iat", "nbf", "exp"]
    return all(record.get(name, {}).get("S") == token.get(name) for name in texts) and all(
        record.get(name, {}).get("N") == (str(token[name]) if name in token else None) for name in numbers
    )


def issue(event):
    token = callers_token(event)
    customer_id, channel_id = fields(event)
    record, customer = record_and_customer(token["store_hash"], token["jti"], customer_id)
    if not record or not is_of(record, token):
        raise Refusal(401, "Invalid token.")
    if not customer or not customer["active"]["BOOL"] or {"N": str(channel_id)} not in customer["channels"]["L"]:
        raise Refusal(404, "Not Found Error", "No matching customer was found.")
    now = int(time.time())
    claims = {
        "email": customer["email"]["S"],
        "bc_customer_id": customer_id,
        "store_hash": token["store_hash"],
        "db": "default",
        "bc_channel_id": channel_id,
        "aud": "storefront",
        "iat": now,
        "exp": now + DAY,
    }
    key = keyring.signing(now)
    return {"token": [jwt.encode(claims, key["key"], "HS256", headers={"kid": key["kid"]})]}


def response(code, data, message, **more):
    return {
        "statusCode": code,
        "multiValueHeaders": {
            "cache-control": ["no-store"],
            "content-type": ["application/json"],
            "strict-transport-security": ["max-age=31536000"],
            "x-content-type-options": ["nosniff"],
        },
        "body": json.dumps({"code": code, "data": data, "meta": {"message": message}, **more}),
        "isBase64Encoded": False,
    }


def handler(event, _context):
    global keyring
    try:
        if time.time() - keyring.loaded_at >= RELOAD_AFTER:
            keyring = Keyring()
        return response(200, issue(event), "success")
    except Exception as error:
        refusal = error if isinstance(error, Refusal) else Refusal(500, "Internal Server Error")
        print(json.dumps({"status": refusal.status, "error": repr(error)}))
        return response(refusal.status, {"errMsg": str(refusal)}, refusal.title, detail=str(refusal))


# The item is not needed; to ask for it opens the connection.
dynamodb.get_item(TableName=TOKENS_TABLE, Key={"pk": {"S": "-"}, "sk": {"S": "-"}})
