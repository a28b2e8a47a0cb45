//! How many requests to the database, one after the other, an answer waits for: the budget of the design.

use local::{demo, gateway::ROUTES};
use serde_json::{Value, json};
use shared::scopes::Scopes;
use std::collections::BTreeSet;
use tests::{
    Answer, Call, NOW, Stopwatch, TestStack, Trip, admin_login, buyer_login, current_customer, decode, eventually,
    platform_jwt, waits, with,
};

/// What an answer cost.
#[derive(Debug, PartialEq)]
struct Cost {
    status: u16,
    /// Operations in the order of their names.
    operations: String,
    /// How many of them had to follow one another.
    waits: usize,
    /// Operations that were sent when the others had been answered, which the answer need not wait for.
    afterwards: String,
}

fn cost(status: u16, operations: &str, waits: usize, afterwards: &str) -> Cost {
    Cost { status, operations: operations.into(), waits, afterwards: afterwards.into() }
}

/// Sends the call, of which something like this is expected.
async fn measure(stopwatch: &Stopwatch, call: Call, expected: &Cost) -> (Answer, Cost) {
    stopwatch.take();
    let answer = call.send().await;
    let afterwards = expected.afterwards.split_whitespace().count();
    let expected = expected.operations.split_whitespace().count() + afterwards;
    eventually(async || {
        let trips = stopwatch.trips();
        trips.len() >= expected && trips.iter().all(|trip| trip.answered.is_some())
    })
    .await;
    let trips = stopwatch.take();
    let (waited_for, afterwards) = trips.split_at(trips.len() - afterwards);
    let answered = waited_for.iter().filter_map(|trip| trip.answered).max();
    assert!(afterwards.iter().all(|trip| answered.is_some_and(|answered| trip.sent >= answered)), "{afterwards:?}");
    let operations = |trips: &[Trip]| {
        let mut operations: Vec<_> = trips.iter().map(|trip| trip.operation.as_str()).collect();
        operations.sort_unstable();
        operations.join(" ")
    };
    let cost = Cost {
        status: answer.status,
        operations: operations(waited_for),
        waits: waits(waited_for),
        afterwards: operations(afterwards),
    };
    (answer, cost)
}

/// A stack whose requests to the database are measured.
async fn measured_stack() -> (TestStack, Stopwatch) {
    let direct = TestStack::start().await;
    let stopwatch = Stopwatch::default();
    let stack = direct.with_clients(&stopwatch.watch(&direct.sdk_config), &direct.secrets).await;
    // Its first use is written late, and would be counted with a later call.
    stack.list(&stack.demo_token, "").await;
    eventually(async || stack.token_last_used_at(1).await.is_some()).await;
    (stack, stopwatch)
}

#[tokio::test]
async fn every_endpoint_keeps_to_its_budget() {
    let (stack, stopwatch) = measured_stack().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.get("/backend/tokens").account(&account).send().await;
    eventually(async || stack.account_last_used_at(&account).await.is_some()).await;
    let jwt = platform_jwt(&current_customer(NOW));
    let token = stack.demo_token.clone();
    let storefront =
        stack.post("/auth/customers", &buyer_login()).token(&token).send().await.storefront_token().to_owned();
    let wrong = with(admin_login("n"), "password", "wrong");
    println!("{:<36} {:>6} {:>6}  operations", "endpoint", "status", "waits");
    let mut endpoints = BTreeSet::new();
    let check = async |name: &str, call: Call, expected: Cost| {
        let (answer, cost) = measure(&stopwatch, call, &expected).await;
        let Cost { status, operations, waits, afterwards } = &cost;
        println!("{name:<36} {status:>6} {waits:>6}  {operations} ({afterwards})");
        assert_eq!(cost, expected, "{name}");
        answer
    };
    let create = || stack.post("/auth/backend", &admin_login("n"));
    let keyed = |call: Call, key: &str| call.header("Idempotency-Key", key);
    let created = || cost(200, "BatchGetItem TransactWriteItems UpdateItem", 2, "UpdateItem");
    for (authenticated, secret) in [(Call::token as fn(Call, &str) -> Call, &token), (Call::account, &account)] {
        let id = decode(check("create", create(), created()).await.server_token()).1["jti"].clone();
        let other = decode(check("create", create(), created()).await.server_token()).1["jti"].clone();
        let rotate = |id: &Value| stack.rotate(&json!({"id": id}));
        let rotated = || cost(200, "BatchGetItem TransactWriteItems", 2, "");
        let issue = stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID}));
        // A key of its own for each caller.
        let [k, r] = ["k", "r"].map(|key| format!("{key}{id}"));
        for (name, call, cost) in [
            ("create, with a key", keyed(create(), &k), created()),
            (
                "create, with a key again",
                keyed(create(), &k),
                cost(200, "BatchGetItem BatchGetItem UpdateItem", 2, "UpdateItem"),
            ),
            (
                "create, with another's key",
                keyed(stack.post("/auth/backend", &admin_login("another")), &k),
                cost(422, "BatchGetItem UpdateItem", 1, "UpdateItem"),
            ),
            ("rotate", rotate(&id), rotated()),
            ("rotate, with a key", keyed(rotate(&other), &r), rotated()),
            ("rotate, with a key again", keyed(rotate(&other), &r), cost(200, "BatchGetItem BatchGetItem", 2, "")),
            ("rotate, with another's key", keyed(rotate(&id), &r), cost(422, "BatchGetItem", 1, "")),
            ("rotate, replaced", rotate(&id), cost(409, "BatchGetItem", 1, "")),
            ("rotate, not there", rotate(&json!(99)), cost(404, "BatchGetItem", 1, "")),
            ("rotate, bad field", rotate(&json!("x")), cost(422, "BatchGetItem", 1, "")),
            (
                "create, wrong password",
                stack.post("/auth/backend", &wrong),
                cost(400, "BatchGetItem UpdateItem", 1, ""),
            ),
            ("list", stack.get("/backend/tokens"), cost(200, "BatchGetItem Query Query", 1, "")),
            ("list, deeper", stack.get("/backend/tokens?offset=1"), cost(200, "BatchGetItem Query Query", 2, "")),
            ("list, past the end", stack.get("/backend/tokens?offset=99"), cost(200, "BatchGetItem Query", 1, "")),
            ("list, bad limit", stack.get("/backend/tokens?limit=x"), cost(422, "BatchGetItem", 1, "")),
            ("delete", stack.delete(&json!({"id": id})), cost(200, "TransactWriteItems", 1, "")),
            ("delete, not there", stack.delete(&json!({"id": id})), cost(404, "TransactWriteItems", 1, "")),
            ("exchange", stack.exchange(&jwt), cost(200, "BatchGetItem", 1, "")),
            (
                "login",
                stack.post("/auth/customers", &buyer_login()),
                cost(200, "BatchGetItem UpdateItem", 1, "UpdateItem"),
            ),
            ("issue", issue, cost(200, "BatchGetItem", 1, "")),
            ("introspect", stack.introspect(&token), cost(200, "BatchGetItem", 1, "")),
            ("introspect, for a customer", stack.introspect(&storefront), cost(200, "BatchGetItem", 1, "")),
        ] {
            endpoints.extend(name.split(',').next());
            check(name, authenticated(call, secret), cost).await;
        }
    }
    assert_eq!(endpoints.len(), ROUTES.len(), "an endpoint has no budget");
    let asked = |call: fn(Call, &str) -> Call, path, token: &str| call(stack.protected(path), token);
    for (name, call, status) in [
        ("authorize, a token", asked(Call::bearer, "/stock", &token), 200),
        ("authorize, an account", asked(Call::account, "/stock", &account), 200),
        ("authorize, a customer", asked(Call::bearer, "/orders", &storefront), 200),
        ("authorize, of another kind", asked(Call::bearer, "/orders", &token), 403),
    ] {
        check(name, call, cost(status, "BatchGetItem", 1, "")).await;
    }
    check("authorize, forged", asked(Call::bearer, "/stock", &format!("{token}x")), cost(401, "", 0, "")).await;
    for _ in 0..10 {
        stack.post("/auth/backend", &wrong).send().await;
    }
    let refused = cost(429, "BatchGetItem UpdateItem", 1, "");
    check("create, too often", stack.post("/auth/backend", &wrong), refused).await;
    let both = |call: Call| call.token(&token).account(&account);
    check("list, both", both(stack.get("/backend/tokens")), cost(200, "BatchGetItem Query Query", 1, "")).await;
    check("rotate, both", both(stack.rotate(&json!({"id": 99}))), cost(404, "BatchGetItem", 1, "")).await;
    let delete = |id: u64| both(stack.delete(&json!({"id": id})));
    check("delete, both", delete(99), cost(404, "TransactWriteItems", 1, "")).await;
    check("delete itself", delete(1), cost(200, "TransactWriteItems", 1, "")).await;
    let list = || stack.get("/backend/tokens");
    let refused = || cost(401, "BatchGetItem Query Query", 1, "");
    check("list, deleted token", list().token(&token), refused()).await;
    stack.revoke_api_account(&account).await;
    check("list, revoked account", list().account(&account), refused()).await;
}

/// The last token of a block takes the block's item with it, which its transaction learns only by trying.
#[tokio::test]
async fn to_delete_the_last_token_of_a_block_takes_two_transactions() {
    let (stack, stopwatch) = measured_stack().await;
    let itself = stack.delete(&json!({"id": 1})).token(&stack.demo_token);
    let expected = cost(200, "TransactWriteItems TransactWriteItems", 2, "");
    assert_eq!(measure(&stopwatch, itself, &expected).await.1, expected);
}

#[tokio::test]
async fn a_page_costs_the_same_at_any_depth() {
    let (stack, stopwatch) = measured_stack().await;
    crate::backend::tokens::fill(&stack, 600).await;
    for offset in [0, 250, 255, 256, 400, 590] {
        let call = stack.get(&format!("/backend/tokens?limit=10&offset={offset}")).token(&stack.demo_token);
        let expected = cost(200, "BatchGetItem Query Query", if offset == 0 { 1 } else { 2 }, "");
        let (answer, cost) = measure(&stopwatch, call, &expected).await;
        assert_eq!(answer.body["data"].as_array().unwrap().len(), 10);
        assert_eq!(cost, expected, "offset {offset}");
    }
}

#[tokio::test]
async fn customers_at_bigcommerce_cost_a_write_for_each_call_and_a_login_one_more_read() {
    let (direct, upstream) = TestStack::start_on_bigcommerce().await;
    let stopwatch = Stopwatch::default();
    let stack = direct.with_clients(&stopwatch.watch(&direct.sdk_config), &direct.secrets).await;
    let token = &stack.demo_token;
    stack.list(token, "").await;
    eventually(async || stack.token_last_used_at(1).await.is_some()).await;
    let login = || stack.post("/auth/customers", &buyer_login()).token(token);
    let issue = |body| stack.post("/auth/customers/storefront", &body).token(token);
    let access_token =
        || json!({"customerId": demo::BUYER_ID, "customerAccessToken": {"value": demo::BUYER_ACCESS_TOKEN}});
    let exchange = || stack.exchange(&platform_jwt(&current_customer(NOW))).token(token);
    let storefront = login().send().await.storefront_token().to_owned();
    stack.clock.advance(60);
    println!("{:<36} {:>6} {:>6}  calls  operations", "endpoint", "status", "waits");
    for (name, call, expected, calls) in [
        ("login", login(), cost(200, "BatchGetItem BatchGetItem UpdateItem UpdateItem UpdateItem", 3, "UpdateItem"), 2),
        ("login again", login(), cost(200, "BatchGetItem BatchGetItem UpdateItem UpdateItem", 3, "UpdateItem"), 1),
        (
            "issue",
            issue(json!({"customerId": demo::BUYER_ID})),
            cost(200, "BatchGetItem UpdateItem UpdateItem", 3, ""),
            2,
        ),
        ("issue again", issue(json!({"customerId": demo::BUYER_ID})), cost(200, "BatchGetItem", 1, ""), 0),
        ("issue, an access token", issue(access_token()), cost(200, "BatchGetItem UpdateItem UpdateItem", 3, ""), 2),
        ("issue, an access token again", issue(access_token()), cost(200, "BatchGetItem UpdateItem", 2, ""), 1),
        ("exchange", exchange(), cost(200, "BatchGetItem UpdateItem UpdateItem", 3, ""), 2),
        ("exchange again", exchange(), cost(200, "BatchGetItem", 1, ""), 0),
        ("introspect", stack.introspect(&storefront).token(token), cost(200, "BatchGetItem", 1, ""), 0),
        ("authorize", stack.protected("/orders").bearer(&storefront), cost(200, "BatchGetItem", 1, ""), 0),
    ] {
        upstream.take_requests();
        let (_, cost) = measure(&stopwatch, call, &expected).await;
        let made = upstream.take_requests().len();
        println!("{name:<36} {:>6} {:>6} {made:>6}  {}", cost.status, cost.waits, cost.operations);
        assert_eq!((cost, made), (expected, calls), "{name}");
    }
}
