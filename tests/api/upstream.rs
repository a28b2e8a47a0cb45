//! What stands for BigCommerce in these tests breaks as it is told to.

use local::{bigcommerce::BigCommerce, demo};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use shared::clock::Clock;
use std::time::Duration;
use tests::{NOW, TestStack, Upstream, UpstreamFate};

const CUSTOMERS: &str = "/stores/demostore/v3/customers?id:in=313";

async fn start() -> (Upstream, Client) {
    (Upstream::start(BigCommerce::new(Clock::new(|| NOW))).await, Client::new())
}

fn get(upstream: &Upstream, http: &Client) -> RequestBuilder {
    let request = http.get(format!("{}{CUSTOMERS}", upstream.url));
    request.header("X-Auth-Token", demo::BIGCOMMERCE_ACCESS_TOKEN).timeout(Duration::from_millis(500))
}

#[tokio::test]
async fn a_request_is_noted_and_answered_by_the_stand_in() {
    let (upstream, http) = start().await;
    let customer: Value = get(&upstream, &http).send().await.unwrap().json().await.unwrap();
    assert_eq!(customer["data"][0]["id"], demo::BUYER_ID);
    let url = format!("{}/graphql", upstream.url);
    for body in [r#"{"query":"{}"}"#, "text"] {
        assert_eq!(http.post(&url).body(body).send().await.unwrap().status(), 401);
    }
    assert_eq!((upstream.seen("id:in"), upstream.seen("/graphql"), upstream.seen("/nothing")), (1, 2, 0));
    let requests = upstream.take_requests();
    let noted: Vec<_> =
        requests.iter().map(|it| (it.method.as_str(), it.path.as_str(), it.body.clone(), it.earlier)).collect();
    let query = json!({"query": "{}"});
    let expected =
        [("GET", CUSTOMERS, Value::Null, 0), ("POST", "/graphql", query, 0), ("POST", "/graphql", "text".into(), 1)];
    assert_eq!(noted, expected);
    assert_eq!(requests[0].headers["x-auth-token"], demo::BIGCOMMERCE_ACCESS_TOKEN);
    assert!(upstream.take_requests().is_empty());
    get(&upstream, &http).send().await.unwrap();
    assert_eq!(upstream.seen("/customers"), 1);
    upstream.forward_all();
    assert_eq!(upstream.seen("/customers"), 0);
}

#[tokio::test]
async fn each_fate_is_met() {
    let (upstream, http) = start().await;
    let answered = UpstreamFate::Answered(429, vec![("X-Retry-After", "7".into())], "half".into());
    upstream.fault_in("/customers", answered);
    let answer = get(&upstream, &http).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-retry-after"].as_bytes()), (429, b"7".as_slice()));
    assert_eq!(answer.text().await.unwrap(), "half");

    upstream.fault_in("/customers", UpstreamFate::CutOff);
    let mut answer = get(&upstream, &http).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b"{"));
    let broken = answer.chunk().await.unwrap_err();
    assert!(broken.is_body() || broken.is_decode(), "{broken:?}");

    for (fate, in_time, carried_out) in [
        (UpstreamFate::ClosedUnanswered, true, 0),
        (UpstreamFate::AnswerLost, true, 1),
        (UpstreamFate::Unanswered, false, 0),
        (UpstreamFate::AfterDelay(Duration::from_secs(30)), false, 0),
    ] {
        let left = calls_left(&upstream, &http).await;
        upstream.fault_in("/customers", fate.clone());
        let error = get(&upstream, &http).send().await.unwrap_err();
        assert_eq!(error.is_timeout(), !in_time, "{fate:?}: {error:?}");
        assert_eq!(left - calls_left(&upstream, &http).await, carried_out + 1, "{fate:?}");
    }
    upstream.fault_in("/customers", UpstreamFate::AfterDelay(Duration::from_millis(50)));
    assert_eq!(get(&upstream, &http).send().await.unwrap().status(), 200);
    upstream.fault_in("/nothing", UpstreamFate::Unanswered);
    assert_eq!(get(&upstream, &http).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_stack_on_bigcommerce_asks_there_at_its_own_time() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let log_in = || stack.log_in(demo::BUYER_EMAIL, demo::BUYER_PASSWORD);
    assert_eq!(log_in().await.status, 200);
    assert_eq!((upstream.seen("/validate-credentials"), upstream.seen("id:in=313")), (1, 1));
    let body = json!({"customerId": demo::BUYER_ID, "customerAccessToken": {"value": demo::BUYER_ACCESS_TOKEN}});
    let issue = || stack.post("/auth/customers/storefront", &body).token(&stack.demo_token).send();
    assert_eq!(issue().await.status, 200);
    assert_eq!(upstream.seen("/graphql"), 1);
    upstream.bigcommerce.change(|store| store.customer_access_tokens.clear());
    assert_eq!(issue().await.status, 401);
    upstream.bigcommerce.change(|store| store.access_token = "another".into());
    assert_eq!(log_in().await.status, 503);
    stack.put_bigcommerce_secret(demo::STORE, r#"{"accessToken": "another"}"#).await;
    stack.clock.advance(60);
    assert_eq!(log_in().await.status, 200);
    upstream.bigcommerce.use_up(1000);
    assert_eq!(log_in().await.status, 429);
    stack.clock.advance(60);
    assert_eq!(log_in().await.status, 200);
}

async fn calls_left(upstream: &Upstream, http: &Client) -> u64 {
    upstream.forward_all();
    let answer = get(upstream, http).send().await.unwrap();
    answer.headers()["x-rate-limit-requests-left"].to_str().unwrap().parse().unwrap()
}
