"""An API of somebody else's, behind the authorizer, as in examples/protected-api: who is let in where, and until when."""

import base64
import contextlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from conftest import ROOT, login

STORE, OTHER_STORE, REMOVED_STORE = "protected", "protected-elsewhere", "protected-removed"
CUSTOMER_PASSWORD = "a password of a customer"
ORDERS, STOCK = "/orders", "/stock"


class Example:
    """The example's stack, in both of its forms."""

    def __init__(self, aws, outputs):
        self.aws, self.rest, self.http = aws, aws.client("apigateway"), aws.client("apigatewayv2")
        # The addresses in the outputs are those of the real AWS.
        urls = {"REST": urllib.parse.urlsplit(outputs["RestApiUrl"]), "HTTP": urllib.parse.urlsplit(outputs["HttpApiUrl"])}
        self.ids = {api: url.hostname.partition(".")[0] for api, url in urls.items()}
        self.stages = {api: url.path for api, url in urls.items()}

    def call(self, api, path, headers):
        """Status and body of the answer."""
        headers = {**headers, "Host": f"{self.ids[api]}.execute-api.localhost"}
        request = urllib.request.Request(self.aws.url + self.stages[api] + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def statuses(self, headers):
        """Of both routes, first of the REST API and then of the HTTP API."""
        return [self.call(api, path, headers)[0] for api in ["REST", "HTTP"] for path in [ORDERS, STOCK]]

    @contextlib.contextmanager
    def rest_authorizers(self, **changes):
        """With other settings of the authorizers; a deployment would take them to the real API."""

        def change(authorizer, settings):
            patch = [{"op": "replace", "path": f"/{name}", "value": str(value)} for name, value in settings.items()]
            self.rest.update_authorizer(restApiId=self.ids["REST"], authorizerId=authorizer["id"], patchOperations=patch)

        authorizers = self.rest.get_authorizers(restApiId=self.ids["REST"])["items"]
        for authorizer in authorizers:
            change(authorizer, changes)
        try:
            yield
        finally:
            for authorizer in authorizers:
                change(authorizer, {name: authorizer[name] for name in changes})

    @contextlib.contextmanager
    def scopes_of_stages(self, names):
        """With the stage variable by which an API lets in limited tokens."""

        def change(operation, variables):
            patch = [{"op": operation, "path": "/variables/b2bAuthScopes", "value": names}]
            self.rest.update_stage(restApiId=self.ids["REST"], stageName="api", patchOperations=patch)
            self.http.update_stage(ApiId=self.ids["HTTP"], StageName="$default", StageVariables=variables)

        change("replace", {"b2bAuthScopes": names})
        try:
            yield
        finally:
            change("remove", {})


@pytest.fixture(scope="module")
def example(aws, stack):
    template = ROOT / "examples" / "protected-api" / "template.yaml"
    return Example(aws, aws.deploy_template("protected-api", template, AuthStack=stack.name))


class Callers:
    """Those who call the example, and how each of them got its credentials."""

    def __init__(self, stack, programs):
        self.stack, self.programs = stack, programs
        self.tokens = {}
        for store in [STORE, OTHER_STORE, REMOVED_STORE]:
            stack.add_store(programs, store)
            self.tokens[store] = self.server_token(store)
        self.customer(7, STORE)

    def tool(self, *arguments, given=None):
        return self.stack.b2b_auth(self.programs, *arguments, given=given)

    def server_token(self, store=STORE, **fields):
        status, answer = self.stack.call("POST", "/auth/backend", {**login(store), **fields})
        assert status == 200, answer
        return answer["data"][0]["token"]

    def delete(self, token):
        status, answer = self.stack.call("DELETE", "/auth/backend", {"id": int(claims(token)["jti"])}, authToken=token)
        assert status == 200, answer

    def customer(self, customer_id, store=STORE):
        customer = [f"customer-{customer_id}@example.com", "--store", store]
        self.tool("customer", "add", *customer, "--id", str(customer_id), "--password-stdin", given=CUSTOMER_PASSWORD)
        return customer

    def storefront_token(self, customer_id=7, store=STORE):
        body = {"customerId": customer_id}
        status, answer = self.stack.call("POST", "/auth/customers/storefront", body, authToken=self.tokens[store])
        assert status == 200, answer
        return answer["data"]["token"][0]

    def storefront_token_of(self, begin_at, end_at):
        body = {"storeHash": STORE, "email": "customer-7@example.com", "password": CUSTOMER_PASSWORD, "channelId": 1}
        times = {"name": "e2e", "beginAt": begin_at, "endAt": end_at}
        status, answer = self.stack.call("POST", "/auth/customers", {**body, **times}, authToken=self.tokens[STORE])
        assert status == 200, answer
        return answer["data"]["token"]

    def api_account(self, *scope):
        create = ["--output", "json", "api-account", "create", "e2e", "--store", STORE, *scope]
        account = json.loads(self.tool(*create))
        return account["id"], {"X-Auth-Token": account["accessToken"], "X-Store-Hash": STORE}


@pytest.fixture(scope="module")
def callers(stack, programs):
    return Callers(stack, programs)


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def forged(token):
    """With claims of somebody else under the same signature."""
    header, _, signature = token.split(".")
    payload = base64.urlsafe_b64encode(json.dumps({**claims(token), "store_hash": OTHER_STORE}).encode()).decode()
    return f"{header}.{payload.rstrip('=')}.{signature}"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def credentials(callers):
    """Credentials, and what both forms of the example answer to them: on /orders and on /stock."""
    now = int(time.time())
    server, shopper = callers.tokens[STORE], callers.storefront_token()
    _, account = callers.api_account("--scope", "modify")
    yield "storefront token", bearer(shopper), (200, 403)
    yield "the same, x-store-hash", {**bearer(shopper), "x-store-hash": STORE}, (200, 403)
    yield "server token, Bearer", bearer(server), (403, 200)
    yield "server token, authToken", {"authToken": server}, (403, 200)
    yield "API account", account, (403, 200)

    limited = callers.server_token(scopes=["storefront"])
    _, limited_account = callers.api_account("--scopes", "tokens:read,introspect")
    yield "limited server token", bearer(limited), (403, 403)
    yield "limited API account", limited_account, (403, 403)

    yield "none", {}, (401, 401)
    yield "X-Store-Hash alone", {"X-Store-Hash": STORE}, (401, 401)
    yield "no credential", {"Authorization": "Bearer"}, (401, 401)
    yield "Basic", {"Authorization": "Basic " + base64.b64encode(f"{STORE}:{server}".encode()).decode()}, (401, 401)
    yield "two at once", {**bearer(shopper), "authToken": server}, (401, 401)
    yield "storefront token, authToken", {"authToken": shopper}, (401, 401)
    for name, token in [("storefront", shopper), ("server", server)]:
        yield f"forged {name} token", bearer(forged(token)), (401, 401)
        yield f"{name} token, other store", {**bearer(token), "X-Store-Hash": OTHER_STORE}, (401, 401)
    yield "API account, other store", {**account, "X-Store-Hash": OTHER_STORE}, (401, 401)
    yield "API account, no store", {"X-Auth-Token": account["X-Auth-Token"]}, (401, 401)

    yield "expired storefront token", bearer(callers.storefront_token_of(now - 3600, now - 60)), (401, 401)
    yield "storefront token, not yet", bearer(callers.storefront_token_of(now + 3600, now + 7200)), (401, 401)
    ended = callers.server_token(beginAt=now - 3600, endAt=now - 60)
    yield "expired server token", bearer(ended), (401, 401)
    yield "server token, not yet", bearer(callers.server_token(beginAt=now + 3600)), (401, 401)

    deleted = callers.server_token()
    callers.delete(deleted)
    yield "deleted server token", bearer(deleted), (401, 401)
    disabled = callers.customer(8)
    token = callers.storefront_token(8)
    callers.tool("customer", "disable", *disabled)
    yield "disabled customer", bearer(token), (401, 401)
    removed = callers.customer(9)
    token = callers.storefront_token(9)
    callers.tool("customer", "remove", *removed)
    yield "removed customer", bearer(token), (401, 401)
    revoked, account = callers.api_account("--scope", "modify")
    callers.tool("api-account", "revoke", revoked, "--store", STORE)
    yield "revoked API account", account, (401, 401)
    callers.customer(7, REMOVED_STORE)
    tokens = [callers.storefront_token(7, REMOVED_STORE), callers.tokens[REMOVED_STORE]]
    callers.tool("store", "remove", REMOVED_STORE, "--confirm", REMOVED_STORE)
    for name, token in zip(["storefront", "server"], tokens):
        yield f"{name} token, removed store", bearer(token), (401, 401)


def test_each_route_lets_in_whom_it_is_for_and_nobody_else(example, callers):
    rows = [(name, example.statuses(headers), expected) for name, headers, expected in credentials(callers)]
    print(f"\n| {'credentials':31} | REST /orders | REST /stock | HTTP /orders | HTTP /stock |\n|---|---|---|---|---|")
    for name, (rest_orders, rest_stock, http_orders, http_stock), _ in rows:
        print(f"| {name:31} | {rest_orders:12} | {rest_stock:11} | {http_orders:12} | {http_stock:11} |")
    # An HTTP API has no 401 for what a function refuses.
    assert [(name, found) for name, found, _ in rows] == [
        (name, [*expected, *(403 if status == 401 else status for status in expected)]) for name, _, expected in rows
    ]


@pytest.mark.parametrize("api", ["REST", "HTTP"])
def test_the_backend_is_told_who_asks(example, callers, api):
    answer = {"customerId": "7", "orders": [f"of customer-7@example.com in {STORE}"]}
    assert example.call(api, ORDERS, bearer(callers.storefront_token())) == (200, answer)
    token = callers.server_token()
    answer = {"tokenId": claims(token)["jti"], "stock": {"chair": 12}}
    assert example.call(api, STOCK, bearer(token)) == (200, answer)
    _, account = callers.api_account("--scope", "modify")
    assert example.call(api, STOCK, account) == (200, {**answer, "tokenId": None})


def test_who_is_revoked_is_refused_from_the_next_request_on(example, callers):
    token, customer = callers.server_token(), callers.customer(10)
    shopper = callers.storefront_token(10)
    assert example.statuses(bearer(token)) == [403, 200, 403, 200]
    callers.delete(token)
    assert example.statuses(bearer(token)) == [401, 401, 403, 403]
    assert example.statuses(bearer(shopper)) == [200, 403, 200, 403]
    callers.tool("customer", "disable", *customer)
    assert example.statuses(bearer(shopper)) == [401, 401, 403, 403]
    account_id, account = callers.api_account("--scope", "modify")
    assert example.statuses(account) == [403, 200, 403, 200]
    callers.tool("api-account", "revoke", account_id, "--store", STORE)
    assert example.statuses(account) == [401, 401, 403, 403]


def test_a_limited_token_is_let_in_where_the_stage_names_its_scope(example, callers):
    token = bearer(callers.server_token(scopes=["storefront"]))
    assert example.statuses(token) == [403, 403, 403, 403]
    with example.scopes_of_stages("tokens:read,storefront"):
        assert example.statuses(token) == [403, 200, 403, 200]
    with example.scopes_of_stages("introspect"):
        assert example.statuses(token) == [403, 403, 403, 403]
    with example.scopes_of_stages("storefronts"):
        assert example.statuses(bearer(callers.tokens[STORE])) == [500, 500, 500, 500]
    assert example.statuses(token) == [403, 403, 403, 403]


def test_an_answer_that_is_kept_opens_no_other_route(example, callers):
    token, shopper = callers.server_token(), callers.storefront_token()
    kept = {"authorizerResultTtlInSeconds": 300, "identitySource": "method.request.header.Authorization"}
    with example.rest_authorizers(**kept):
        for headers, let_in, kept_out in [(bearer(shopper), ORDERS, STOCK), (bearer(token), STOCK, ORDERS)]:
            for path, status in [(let_in, 200), (kept_out, 403), (let_in, 200)]:
                assert example.call("REST", path, headers)[0] == status
        callers.delete(token)
        # It is still the answer of before: this is what a revocation waits for.
        assert example.call("REST", STOCK, bearer(token))[0] == 200
        assert example.call("REST", ORDERS, bearer(token))[0] == 403
    assert example.call("REST", STOCK, bearer(token))[0] == 401


def test_an_alias_says_who_is_let_in(example, callers, stack):
    uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{}/invocations"
    for_all = stack.outputs["AuthorizerArn"]
    everybody = [bearer(callers.storefront_token()), bearer(callers.tokens[STORE])]
    for arn, status in [(for_all, 200), (for_all.removesuffix(":live"), 500), (for_all.replace(":live", ":1"), 500)]:
        with example.rest_authorizers(authorizerUri=uri.format(arn)):
            for headers in everybody:
                assert example.call("REST", STOCK, headers)[0] == status, arn
