//! Tokens and warm functions across a change of the signing key.

use serde_json::{Value, json};
use shared::keys::{jwt::DAY, rotation::OVERDUE, secret_cache::RELOAD_AFTER};
use tests::{Fate, LOG, NOW, Proxy, Setup, TestStack, behind_proxy, decode, demo_key, new_key, rotated_keyring, with};

/// Of a key that no keyring has.
const FORGED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.e30.AAAA";

fn kid(token: &str) -> Value {
    decode(token).0["kid"].clone()
}

#[tokio::test]
async fn tokens_from_before_a_rotation_stay_good_and_are_listed_as_issued() {
    let (_, stack, proxy) = behind_proxy().await;
    let before = stack.create_token("before").await;
    proxy.set_keyring(&rotated_keyring());
    stack.clock.advance(301);
    let after = stack.create_token("after").await;
    assert_eq!((kid(&before), kid(&after)), (json!("demo"), json!("new")));
    for token in [&before, &after] {
        let listed = stack.list(token, "?offset=1").await;
        let listed: Vec<_> = listed.body["data"].as_array().unwrap().iter().map(|entry| &entry["token"]).collect();
        assert_eq!(listed, [&json!(before), &json!(after)]);
    }
}

#[tokio::test]
async fn a_warm_function_accepts_a_token_of_a_key_that_it_has_not_seen_yet() {
    let (_, stack, proxy) = behind_proxy().await;
    assert_eq!(stack.list(&stack.demo_token, "").await.status, 200);
    proxy.set_keyring(&rotated_keyring());
    let other_instances = stack.fresh_functions(&proxy.url).await;
    stack.clock.advance(10);
    let token = other_instances.create_token("new").await;
    assert_eq!(kid(&token), "new");
    assert_eq!(stack.list(&token, "").await.status, 200);
}

#[tokio::test]
async fn unknown_keys_make_a_function_read_the_keyring_at_most_every_ten_seconds() {
    let (_, stack, proxy) = behind_proxy().await;
    assert_eq!(stack.list(&stack.demo_token, "").await.status, 200);
    for (seconds, reads) in [(0, 1), (9, 1), (1, 2), (5, 2), (5, 3)] {
        stack.clock.advance(seconds);
        for _ in 0..3 {
            stack.list(FORGED, "").await.is_invalid_token();
        }
        assert_eq!(proxy.keyring_reads(), reads);
    }
}

#[tokio::test]
async fn a_retired_key_is_good_for_nothing_after_five_minutes() {
    let (_, stack, proxy) = behind_proxy().await;
    let old = stack.create_token("old").await;
    proxy.set_keyring(&rotated_keyring());
    stack.clock.advance(301);
    let new = stack.create_token("new").await;
    proxy.set_keyring(&new_key());
    stack.clock.advance(301);
    stack.list(&old, "").await.is_invalid_token();
    let listed = stack.list(&new, "").await;
    let tokens: Vec<_> = listed.body["data"].as_array().unwrap().iter().map(|entry| &entry["token"]).collect();
    assert_eq!(tokens, [&json!(""), &json!(""), &json!(new)]);
}

#[tokio::test]
async fn a_keyring_that_is_broken_never_replaces_a_good_one_and_is_a_fault_for_a_cold_function() {
    let (_, stack, proxy) = behind_proxy().await;
    assert_eq!(stack.list(&stack.demo_token, "").await.status, 200);
    for broken in [json!({}), json!({"kid": "x", "key": ""}), json!({"kid": "x", "key": "short"}), json!("text")] {
        proxy.set_keyring(&broken);
        stack.clock.advance(301);
        assert_eq!(stack.list(&stack.demo_token, "").await.status, 200);
        let cold = stack.fresh_functions(&proxy.url).await;
        let answer = cold.list(&stack.demo_token, "").await;
        answer.is_error(
            500,
            "Internal Server Error",
            "The request could not be completed because of an internal error.",
        );
    }
}

/// Levels and days of the lines about an overdue rotation; no other test makes any.
fn overdue() -> Vec<(Value, Value)> {
    let log = LOG.text();
    let lines = log.lines().filter(|line| line.contains(OVERDUE));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["level"].clone(), line["fields"]["days"].clone())).collect()
}

#[tokio::test]
async fn a_rotation_that_is_overdue_is_logged_with_each_load_and_refuses_nothing() {
    let days_ago = |days: u64| NOW - days * DAY;
    let keyring_of = |signs_from: u64| with(demo_key(), "signsFrom", signs_from).to_string();
    let mut expected = Vec::new();
    for (rotation_days, secret, days) in [
        (90, json!({"SecretString": keyring_of(days_ago(100))}), Some(100)),
        (90, json!({"SecretString": keyring_of(days_ago(101)), "CreatedDate": days_ago(1)}), Some(101)),
        (90, json!({"SecretString": demo_key().to_string(), "CreatedDate": days_ago(102)}), Some(102)),
        (90, json!({"SecretString": keyring_of(days_ago(91)), "CreatedDate": days_ago(1000)}), None),
        (90, json!({"SecretString": demo_key().to_string(), "CreatedDate": days_ago(91)}), None),
        (90, json!({"SecretString": demo_key().to_string()}), None),
        (0, json!({"SecretString": keyring_of(days_ago(1000)), "CreatedDate": days_ago(1000)}), None),
    ] {
        let mut setup = Setup::default();
        setup.configuration.rotation_days = rotation_days;
        let direct = TestStack::start_with(setup).await;
        let proxy = Proxy::start(direct.aws_url()).await;
        let said = secret.to_string();
        proxy.rule(move |request| match request.operation {
            "GetSecretValue" => Fate::Answered(200, secret.clone()),
            _ => Fate::Forwarded,
        });
        let stack = direct.fresh_functions(&proxy.url).await;
        for loads in 1..=2 {
            // The second call loads nothing.
            for _ in 0..2 {
                assert_eq!(stack.list(&stack.demo_token, "").await.status, 200, "{said}");
            }
            expected.extend(days.map(|days| (json!("ERROR"), json!(days))));
            assert_eq!((overdue(), proxy.keyring_reads()), (expected.clone(), loads), "{said}");
            stack.clock.advance(RELOAD_AFTER);
        }
    }
}

#[tokio::test]
async fn a_rotation_in_the_middle_of_traffic_refuses_nothing() {
    let (_, stack, proxy) = behind_proxy().await;
    // What rotate-signing-key makes: a key that signs after all have had time to read it.
    let keyring = with(rotated_keyring(), "signsFrom", stack.clock.now() + 2 * RELOAD_AFTER);
    let (mut warm, mut tokens) = (vec![stack], Vec::new());
    for second in (0..1200).step_by(120) {
        if second == 120 {
            // An unknown key makes the first function read the keyring a moment before it changes, so not again for a while.
            warm[0].list(FORGED, "").await.is_invalid_token();
            proxy.set_keyring(&keyring);
            let cold = warm[0].fresh_functions(&proxy.url).await;
            warm.push(cold);
        }
        for function in &warm {
            tokens.push(function.create_token("traffic").await);
        }
        for function in &warm {
            for token in &tokens {
                assert_eq!(function.list(token, "").await.status, 200, "second {second}, {}", kid(token));
            }
        }
        warm[0].clock.advance(120);
    }
    assert_eq!((kid(&tokens[0]), kid(tokens.last().unwrap())), (json!("demo"), json!("new")));
}
