//! What callers get while the database or the secret store is down.

use crate::support::{Call, NOW, TestStack, credentials, current_customer, customer_credentials, platform_jwt};
use aws_sdk_dynamodb::Client;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::future::join_all;
use local::{aws, server, server::Server};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// What is wrong with an AWS service.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Connections are accepted and closed.
    Unreachable,
    /// No answer comes.
    Hanging,
    /// Every request is throttled.
    Throttled,
    /// Every request fails inside AWS.
    Broken,
    /// Every transaction is crossed by another one; all else works.
    Conflict,
    /// The next so many writes are carried out, but their answers are lost.
    LosesAnswers(u32),
    /// The next so many transactions are crossed by another one.
    Conflicts(u32),
}

/// Stands between the functions and the local AWS.
#[derive(Clone)]
struct Proxy {
    target: String,
    dynamodb: Arc<Mutex<Fault>>,
    secrets: Arc<Mutex<Fault>>,
    http: reqwest::Client,
}

impl Proxy {
    async fn start(target: &str) -> (Self, Server) {
        let proxy = Self {
            target: target.into(),
            dynamodb: Arc::new(Mutex::new(Fault::None)),
            secrets: Arc::new(Mutex::new(Fault::None)),
            http: reqwest::Client::new(),
        };
        let router = Router::new().fallback(answer).with_state(proxy.clone());
        let server = Server::start(server::bind(0, "").await.unwrap(), router).unwrap();
        (proxy, server)
    }

    fn set(&self, dynamodb: Fault, secrets: Fault) {
        *self.dynamodb.lock().unwrap() = dynamodb;
        *self.secrets.lock().unwrap() = secrets;
    }

    async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let mut request = self.http.post(&self.target).body(body);
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length") {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.headers().clone(), response.bytes().await.unwrap()).into_response()
    }
}

async fn answer(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    let fault = if target.starts_with("secretsmanager") { &proxy.secrets } else { &proxy.dynamodb };
    let is_transaction = target.ends_with("TransactWriteItems");
    let now = {
        let mut fault = fault.lock().unwrap();
        let now = *fault;
        match &mut *fault {
            Fault::LosesAnswers(left) | Fault::Conflicts(left) if is_transaction => *left = left.saturating_sub(1),
            _ => {}
        }
        now
    };
    match now {
        Fault::Unreachable => broken_connection(),
        Fault::Hanging => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            broken_connection()
        }
        Fault::Throttled => aws_error("ThrottlingException", &json!({})),
        Fault::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response(),
        Fault::Conflict if is_transaction => conflict(&body),
        Fault::Conflicts(left) if is_transaction && left > 0 => conflict(&body),
        Fault::LosesAnswers(left) if is_transaction && left > 0 => {
            proxy.forward(&headers, body).await;
            broken_connection()
        }
        _ => proxy.forward(&headers, body).await,
    }
}

/// The body ends before it is complete: the connection is of no use any more.
fn broken_connection() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut off")) });
    Body::from_stream(broken).into_response()
}

fn conflict(body: &Bytes) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap();
    let items = request["TransactItems"].as_array().unwrap().len();
    let mut reasons = vec![json!({"Code": "None"}); items];
    reasons[items - 1] = json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"});
    aws_error("TransactionCanceledException", &json!({"CancellationReasons": reasons}))
}

fn aws_error(code: &str, more: &Value) -> Response {
    let mut body = more.clone();
    body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{code}"));
    body["message"] = json!("as the test wants it");
    (StatusCode::BAD_REQUEST, [("Content-Type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}

/// A stack whose functions reach AWS only through the proxy.
async fn behind_proxy() -> (TestStack, TestStack, Proxy, Server) {
    let direct = TestStack::start().await;
    let (proxy, server) = Proxy::start(direct.sdk_config.endpoint_url().unwrap()).await;
    let stack = fresh_functions(&direct, &server.url).await;
    (direct, stack, proxy, server)
}

/// Functions as after a cold start: nothing is cached yet.
async fn fresh_functions(direct: &TestStack, aws_url: &str) -> TestStack {
    let sdk_config = aws::sdk_config(aws_url).await;
    let secrets = aws_sdk_secretsmanager::Client::new(&sdk_config);
    direct.with_clients(&Client::new(&sdk_config), &secrets, server::bind(0, "").await.unwrap())
}

fn calls(stack: &TestStack) -> [(&'static str, Call); 6] {
    [
        ("create", stack.post("/auth/backend", &credentials("n"))),
        ("delete", stack.delete(&json!({"id": 1}))),
        ("list", stack.get("/backend/tokens")),
        ("exchange", stack.get(&format!("/auth/storefront?jwtToken={}", platform_jwt(&current_customer(NOW))))),
        ("login", stack.post("/auth/customers", &customer_credentials())),
        ("issue", stack.post("/auth/customers/storefront", &json!({"customerId": 313}))),
    ]
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

const ALL: [&str; 6] = ["create", "delete", "list", "exchange", "login", "issue"];

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_every_endpoint_is_unavailable_and_nothing_changes() {
    let (direct, stack, proxy, server) = behind_proxy().await;
    for fault in [Fault::Unreachable, Fault::Throttled, Fault::Broken, Fault::Hanging] {
        proxy.set(fault, Fault::None);
        are_unavailable(&stack, &format!("database {fault:?}"), &ALL).await;
        are_unavailable(&fresh_functions(&direct, &server.url).await, &format!("cold, database {fault:?}"), &ALL).await;
    }
    proxy.set(Fault::None, Fault::None);
    assert_eq!(direct.total_count().await, 1);
    assert_eq!(stack.list(&stack.demo_token, "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_store_a_cold_function_is_unavailable_and_nothing_changes() {
    let (direct, _, proxy, server) = behind_proxy().await;
    for fault in [Fault::Unreachable, Fault::Throttled, Fault::Broken, Fault::Hanging] {
        proxy.set(Fault::None, fault);
        are_unavailable(&fresh_functions(&direct, &server.url).await, &format!("secrets {fault:?}"), &ALL).await;
    }
    assert_eq!(direct.total_count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_where_aws_should_be() {
    let direct = TestStack::start().await;
    let free = server::bind(0, "").await.unwrap().local_addr().unwrap();
    are_unavailable(&fresh_functions(&direct, &format!("http://{free}")).await, "no listener", &ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_functions_outlast_the_secret_store() {
    let (_direct, stack, proxy, _server) = behind_proxy().await;
    let succeed = async || {
        for (name, call) in calls(&stack).into_iter().filter(|(name, _)| *name != "delete") {
            let answer = call.token(&stack.demo_token).send().await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        }
    };
    succeed().await;
    proxy.set(Fault::None, Fault::Unreachable);
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
    let (direct, stack, proxy, _server) = behind_proxy().await;
    proxy.set(Fault::Conflict, Fault::None);
    are_unavailable(&stack, "conflict", &["create", "delete"]).await;
    proxy.set(Fault::None, Fault::None);
    assert_eq!(direct.total_count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_crossed_three_times_still_succeeds() {
    let (direct, stack, proxy, _server) = behind_proxy().await;
    proxy.set(Fault::Conflicts(3), Fault::None);
    stack.create_token("n").await;
    assert_eq!(direct.total_count().await, 2);
    proxy.set(Fault::Conflicts(3), Fault::None);
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(direct.total_count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_not_repeated() {
    let (direct, stack, proxy, _server) = behind_proxy().await;
    proxy.set(Fault::LosesAnswers(2), Fault::None);
    let token = stack.create_token("n").await;
    assert_eq!(direct.total_count().await, 2);
    assert_eq!(direct.list(&token, "").await.body["data"][1]["token"], token);
    proxy.set(Fault::LosesAnswers(2), Fault::None);
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(direct.total_count().await, 1);
}
