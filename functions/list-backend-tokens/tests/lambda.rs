//! The real binary under a Runtime API: it writes the last use once its answer is sent, and logs what an alarm counts.

use serde_json::{Value, json};
use shared::keys::rotation::OVERDUE;
use std::{path::Path, process::Stdio};
use tests::{Fate, Lambda, Outcome, Proxy, RuntimeApi, TestStack, demo_key, with};

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

#[tokio::test]
async fn an_overdue_rotation_is_a_line_with_its_message_where_the_metric_filter_looks() {
    let stack = TestStack::start_in_real_time().await;
    stack.put_keyring(&with(demo_key(), "signsFrom", 1_700_000_000).to_string()).await;
    let runtime_api = RuntimeApi::start().await;
    let mut command = runtime_api.command(Path::new(BINARY), stack.aws_url());
    let mut function = command.env("ROTATION_DAYS", "1").stdout(Stdio::piped()).spawn().unwrap();
    assert!(matches!(runtime_api.invoke("{}".into()).await, Some(Outcome::Response(_))));
    function.kill().unwrap();
    let output = function.wait_with_output().unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.find(|line| line["message"] == OVERDUE).unwrap_or_else(|| panic!("{log}"));
    assert_eq!(line["level"], "ERROR", "{line}");
    assert!(line["days"].as_u64().unwrap() > 365, "{line}");
}
