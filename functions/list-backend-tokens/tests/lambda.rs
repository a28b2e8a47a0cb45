//! The real binary under a Runtime API: it writes the last use once its answer is sent.

use serde_json::{Value, json};
use tests::{Fate, Lambda, Proxy, TestStack};

const BINARY: &str = env!("CARGO_BIN_EXE_list-backend-tokens");

/// The `lastUsedAt` of the demo token, as listed for itself.
async fn last_used_at(lambda: &Lambda, token: &str) -> Value {
    let event = json!({"httpMethod": "GET", "headers": {"authToken": token}});
    let (status, body) = lambda.answer(&event).await;
    assert_eq!(status, 200, "{body}");
    body["data"][0]["lastUsedAt"].clone()
}

#[tokio::test]
async fn a_use_is_written_before_the_next_event_is_asked_for() {
    let stack = TestStack::start_in_real_time().await;
    let lambda = Lambda::start(BINARY, stack.aws_url()).await;
    let before = stack.clock.now();
    assert_eq!(last_used_at(&lambda, &stack.demo_token).await, Value::Null);
    let used_at = last_used_at(&lambda, &stack.demo_token).await.as_u64().unwrap();
    assert!((before..=stack.clock.now()).contains(&used_at), "{used_at}");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_write() {
    let stack = TestStack::start_in_real_time().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.fault_in("UpdateItem", Fate::Unanswered);
    let lambda = Lambda::start(BINARY, &proxy.url).await;
    assert_eq!(last_used_at(&lambda, &stack.demo_token).await, Value::Null);
    let attempts = proxy.seen("UpdateItem");
    assert!(attempts < 2, "{attempts} attempts to write came before the answer");
    assert_eq!(last_used_at(&lambda, &stack.demo_token).await, Value::Null);
    assert_ne!(proxy.seen("UpdateItem"), 0);
}
