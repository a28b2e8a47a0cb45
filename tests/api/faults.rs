//! What callers get while the database or the secret store is down.

use futures_util::future::join_all;
use local::{demo, server};
use serde_json::json;
use shared::scopes::Scopes;
use std::time::{Duration, Instant};
use tests::{
    Call, Fate, NOW, Request, Service, TestStack, admin_login, behind_proxy, buyer_login, current_customer,
    platform_jwt,
};

fn calls(stack: &TestStack) -> [(&'static str, Call); 8] {
    [
        ("create", stack.post("/auth/backend", &admin_login("n"))),
        ("rotate", stack.rotate(&json!({"id": 1}))),
        ("delete", stack.delete(&json!({"id": 1}))),
        ("list", stack.get("/backend/tokens")),
        ("exchange", stack.exchange(&platform_jwt(&current_customer(NOW)))),
        ("login", stack.post("/auth/customers", &buyer_login())),
        ("issue", stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID}))),
        ("introspect", stack.introspect(&stack.demo_token)),
    ]
}

/// What can be wrong with an AWS service.
fn faults() -> [Fate; 4] {
    [Fate::CutOff, Fate::error("ThrottlingException"), Fate::internal_error(), Fate::Unanswered]
}

/// Calls every endpoint, and checks that `affected` answer 503 in time.
async fn are_unavailable(stack: &TestStack, what: &str, affected: &[&str]) {
    let token = stack.demo_token.clone();
    let answers = calls(stack).into_iter().filter(|(name, _)| affected.contains(name)).map(|(name, call)| {
        let call = call.token(&token);
        async move {
            let started = Instant::now();
            let answer = call.send().await;
            assert_eq!((answer.status, answer.retry_after), (503, Some(5)), "{what} {name}: {}", answer.body);
            assert_eq!(answer.body["meta"]["message"], "Service Unavailable");
            assert!(!answer.body.to_string().contains("eyJ"), "{what} {name}: {}", answer.body);
            assert!(started.elapsed() < Duration::from_secs(10), "{what} {name} took {:?}", started.elapsed());
        }
    });
    join_all(answers).await;
}

const ALL: [&str; 8] = ["create", "rotate", "delete", "list", "exchange", "login", "issue", "introspect"];

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_every_endpoint_is_unavailable_and_nothing_changes() {
    let (direct, stack, proxy) = behind_proxy().await;
    for fault in faults() {
        proxy.fault_of(Service::DynamoDb, fault.clone());
        are_unavailable(&stack, &format!("database {fault:?}"), &ALL).await;
        are_unavailable(&direct.fresh_functions(&proxy.url).await, &format!("cold, database {fault:?}"), &ALL).await;
    }
    proxy.forward_all();
    assert_eq!(direct.total_count().await, 1);
    assert_eq!(stack.list(&stack.demo_token, "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_store_a_cold_function_is_unavailable_and_nothing_changes() {
    let (direct, _, proxy) = behind_proxy().await;
    for fault in faults() {
        proxy.fault_of(Service::SecretsManager, fault.clone());
        are_unavailable(&direct.fresh_functions(&proxy.url).await, &format!("secrets {fault:?}"), &ALL).await;
    }
    assert_eq!(direct.total_count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_needs_the_database_always_and_the_secret_store_only_where_tokens_are_signed() {
    let (direct, _, proxy) = behind_proxy().await;
    let account = direct.add_api_account(demo::STORE, &Scopes::ALL).await;
    for (broken, delete) in [(Service::DynamoDb, 503), (Service::SecretsManager, 200)] {
        proxy.fault_of(broken, Fate::internal_error());
        for (name, call) in calls(&direct.fresh_functions(&proxy.url).await) {
            let answer = call.account(&account).send().await;
            assert_eq!(answer.status, if name == "delete" { delete } else { 503 }, "{name}: {}", answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_where_aws_should_be() {
    let direct = TestStack::start().await;
    let free = server::bind(0, "").await.unwrap().local_addr().unwrap();
    are_unavailable(&direct.fresh_functions(&format!("http://{free}")).await, "no listener", &ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_functions_outlast_the_secret_store() {
    let (_, stack, proxy) = behind_proxy().await;
    let succeed = async || {
        // These two succeed once.
        for (name, call) in calls(&stack).into_iter().filter(|(name, _)| !["rotate", "delete"].contains(name)) {
            let answer = call.token(&stack.demo_token).send().await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        }
    };
    succeed().await;
    proxy.fault_of(Service::SecretsManager, Fate::CutOff);
    // The current-customer JWT is good for 15 minutes.
    for seconds in [301, 301] {
        stack.clock.advance(seconds);
        succeed().await;
    }
    let forged = stack.get("/backend/tokens").token("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.e30.AAAA");
    forged.send().await.is_invalid_token();
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_others_keep_crossing_are_unavailable() {
    let (direct, stack, proxy) = behind_proxy().await;
    proxy.rule(|request| match request.operation {
        "TransactWriteItems" => request.cancelled("TransactionConflict"),
        _ => Fate::Forwarded,
    });
    are_unavailable(&stack, "conflict", &["create", "rotate", "delete"]).await;
    proxy.forward_all();
    assert_eq!(direct.total_count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_crossed_three_times_still_succeeds() {
    let (direct, stack, proxy) = behind_proxy().await;
    let conflicts = |request: &Request<'_>| match (request.operation, request.earlier) {
        ("TransactWriteItems", 0..3) => request.cancelled("TransactionConflict"),
        _ => Fate::Forwarded,
    };
    proxy.rule(conflicts);
    stack.create_token("n").await;
    assert_eq!(direct.total_count().await, 2);
    proxy.rule(conflicts);
    assert_eq!(stack.rotate(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(direct.total_count().await, 3);
    proxy.rule(conflicts);
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(direct.total_count().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_not_repeated() {
    let (direct, stack, proxy) = behind_proxy().await;
    let lost_answers = |request: &Request<'_>| match (request.operation, request.earlier) {
        ("TransactWriteItems", 0..2) => Fate::AnswerLost,
        _ => Fate::Forwarded,
    };
    proxy.rule(lost_answers);
    let token = stack.create_token("n").await;
    assert_eq!(direct.total_count().await, 2);
    assert_eq!(direct.list(&token, "").await.body["data"][1]["token"], token);
    proxy.rule(lost_answers);
    let rotated = stack.rotate(&json!({"id": 2})).token(&stack.demo_token).send().await;
    assert_eq!(direct.list(&token, "").await.body["data"][2]["token"], rotated.server_token());
    assert_eq!(direct.total_count().await, 3);
    proxy.rule(lost_answers);
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(direct.total_count().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_still_under_way_is_asked_for_again_and_made_once() {
    let (direct, stack, proxy) = behind_proxy().await;
    let under_way = |request: &Request<'_>| match (request.operation, request.earlier) {
        ("TransactWriteItems", 0) => Fate::AnswerLost,
        ("TransactWriteItems", 1..4) => Fate::error("TransactionInProgressException"),
        _ => Fate::Forwarded,
    };
    proxy.rule(under_way);
    let token = stack.create_token("n").await;
    let requests = proxy.take_requests();
    let of_transaction = requests.iter().filter(|(operation, _)| operation == "TransactWriteItems");
    let request_tokens: Vec<_> = of_transaction.map(|(_, body)| body["ClientRequestToken"].as_str().unwrap()).collect();
    assert!(request_tokens.len() == 5 && request_tokens.iter().all(|token| *token == request_tokens[0]));
    assert_eq!(direct.list(&token, "").await.body["data"][1]["token"], token);
    assert_eq!(direct.total_count().await, 2);
    proxy.rule(under_way);
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(direct.total_count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_read_leaves_over_is_asked_for_again() {
    let (_, stack, proxy) = behind_proxy().await;
    // As where one table is throttled, and then the other.
    let leaves_over = |request: &Request<'_>| {
        let asked = &request.body["RequestItems"];
        match request.operation {
            "BatchGetItem" if request.earlier < 3 => {
                Fate::Answered(200, json!({"Responses": {}, "UnprocessedKeys": asked}))
            }
            _ => Fate::Forwarded,
        }
    };
    for (_, call) in calls(&stack).into_iter().filter(|(name, _)| *name != "delete") {
        proxy.rule(leaves_over);
        let answer = call.token(&stack.demo_token).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(proxy.seen("BatchGetItem"), 4);
    }
    proxy.rule(|request| match request.operation {
        "BatchGetItem" => Fate::Answered(200, json!({"UnprocessedKeys": request.body["RequestItems"]})),
        _ => Fate::Forwarded,
    });
    are_unavailable(&stack, "left over", &["create", "rotate", "list", "exchange", "login", "issue"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn part_of_what_a_read_finds_is_not_taken_for_all() {
    let (_, stack, proxy) = behind_proxy().await;
    // The first answer has the caller's record, and none of the directory.
    let tokens_table = stack.configuration.tokens_table.clone();
    let record = stack.tokens().record(demo::STORE, 1).await.unwrap().unwrap();
    proxy.rule(move |request| match (request.operation, request.earlier) {
        ("BatchGetItem", 0) => {
            let mut asked = request.body["RequestItems"].clone();
            let key = asked.as_object_mut().unwrap().remove(&tokens_table).unwrap()["Keys"][0].clone();
            let mut item = key.as_object().unwrap().clone();
            for (name, value) in
                [("name", "demo"), ("email", demo::ADMIN_EMAIL), ("event_channel", "admin"), ("kid", "demo")]
            {
                item.insert(name.into(), json!({"S": value}));
            }
            for (name, value) in [("id", record.id), ("iat", record.iat)] {
                item.insert(name.into(), json!({"N": value.to_string()}));
            }
            Fate::Answered(200, json!({"Responses": {&tokens_table: [item]}, "UnprocessedKeys": asked}))
        }
        _ => Fate::Forwarded,
    });
    let issue = stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID}));
    let answer = issue.token(&stack.demo_token).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let requests = proxy.take_requests();
    let asked: Vec<_> = requests.iter().filter(|(operation, _)| operation == "BatchGetItem").collect();
    let tables = |n: usize| asked[n].1["RequestItems"].as_object().unwrap().len();
    assert_eq!((asked.len(), tables(0), tables(1)), (2, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn to_clear_a_count_neither_fails_nor_delays_a_login() {
    for fault in [Fate::internal_error(), Fate::Unanswered] {
        let (_, stack, proxy) = behind_proxy().await;
        for call in [
            stack.post("/auth/customers", &buyer_login()).token(&stack.demo_token),
            stack.post("/auth/backend", &admin_login("n")),
        ] {
            let fate = fault.clone();
            proxy.rule(move |request| {
                let clears = request.body["UpdateExpression"].as_str().is_some_and(|update| update.contains("REMOVE"));
                if clears { fate.clone() } else { Fate::Forwarded }
            });
            let started = Instant::now();
            let answer = call.send().await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            // A write that gets no answer is given up after three.
            assert!(started.elapsed() < Duration::from_secs(3), "{fault:?} took {:?}", started.elapsed());
        }
    }
}
