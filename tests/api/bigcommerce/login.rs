//! `POST /auth/customers`.

use super::{LOOK_UP, VALIDATE, log_in, put_customer};
use local::demo;
use serde_json::{Value, json};
use tests::{LOG, NOW, PASSWORD, TestStack, UpstreamFate, buyer_login, customer_login, decode, with};

const FAILED: (u16, &str, &str) = (400, "Calling BC API failed", "Customer auth failed");

#[tokio::test]
async fn a_customer_logs_in_with_the_password_that_bigcommerce_knows() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let body = with(buyer_login(), "email", demo::BUYER_EMAIL.to_uppercase());
    let answer = stack.post("/auth/customers", &body).token(&stack.demo_token).send().await;
    let (_, claims) = decode(answer.storefront_token());
    assert_eq!(
        claims,
        json!({
            "email": demo::BUYER_EMAIL, "store_hash": demo::STORE, "db": "default", "name": "web", "channel_ids": [1],
            "token_type": 3, "bc_customer_id": demo::BUYER_ID, "aud": "storefront", "iat": NOW, "nbf": NOW,
            "exp": NOW + 86_400,
        })
    );

    let [validation, look_up]: [_; 2] = upstream.take_requests().try_into().unwrap();
    assert_eq!(
        (validation.method.as_str(), validation.path.as_str()),
        ("POST", "/stores/demostore/v3/customers/validate-credentials")
    );
    assert_eq!(
        validation.body,
        json!({"email": demo::BUYER_EMAIL.to_uppercase(), "password": demo::BUYER_PASSWORD, "channel_id": 1})
    );
    assert_eq!((look_up.method.as_str(), look_up.path.as_str()), ("GET", "/stores/demostore/v3/customers?id:in=313"));
    assert_eq!(look_up.body, Value::Null);
    for request in [validation, look_up] {
        assert_eq!(request.headers["x-auth-token"], demo::BIGCOMMERCE_ACCESS_TOKEN);
        assert_eq!(request.headers["accept"], "application/json");
    }
    for secret in [demo::BUYER_PASSWORD, demo::BIGCOMMERCE_ACCESS_TOKEN] {
        assert!(!LOG.text().contains(secret));
    }
}

#[tokio::test]
async fn whoever_is_not_let_in_there_or_here_hears_the_same() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    stack.add_customer(11, "disabled@example.com", &[], false).await;
    upstream.bigcommerce.change(|store| {
        put_customer(store, 11, "disabled@example.com", PASSWORD, None);
        put_customer(store, 12, "elsewhere@example.com", PASSWORD, Some(vec![3]));
        put_customer(store, 13, "good@example.com", PASSWORD, Some(vec![2, 1]));
    });
    // The table has a password for this one, and BigCommerce has another.
    stack.add_customer(14, "moved@example.com", &[1], true).await;
    upstream.bigcommerce.change(|store| put_customer(store, 14, "moved@example.com", "new at BigCommerce", None));

    let (email, password) = (demo::BUYER_EMAIL, demo::BUYER_PASSWORD);
    for (body, calls) in [
        (customer_login(email, "wrong"), 1),
        (customer_login("nobody@example.com", password), 1),
        (customer_login("moved@example.com", PASSWORD), 1),
        (customer_login("elsewhere@example.com", PASSWORD), 1),
        (customer_login("disabled@example.com", PASSWORD), 2),
        (with(customer_login(email, password), "channelId", 2), 1),
        // None of the store's channels, whatever BigCommerce says.
        (with(customer_login("elsewhere@example.com", PASSWORD), "channelId", 3), 0),
    ] {
        let answer = stack.post("/auth/customers", &body).token(&stack.demo_token).send().await;
        answer.is_error(FAILED.0, FAILED.1, FAILED.2);
        assert_eq!(upstream.take_requests().len(), calls, "{body}");
    }
    for (email, password) in [("good@example.com", PASSWORD), ("moved@example.com", "new at BigCommerce")] {
        assert_eq!(stack.log_in(email, password).await.status, 200, "{email}");
    }
    // Valid credentials are not all: the customer himself says where he may log in.
    upstream.fault_in(VALIDATE, UpstreamFate::json(200, &json!({"is_valid": true, "customer_id": 12})));
    stack.log_in("elsewhere@example.com", PASSWORD).await.is_error(FAILED.0, FAILED.1, FAILED.2);
    // Nor is one let in who has been deleted since.
    upstream.fault_in(VALIDATE, UpstreamFate::json(200, &json!({"is_valid": true, "customer_id": 99})));
    stack.log_in("gone@example.com", PASSWORD).await.is_error(FAILED.0, FAILED.1, FAILED.2);
}

#[tokio::test]
async fn the_limits_of_failed_logins_stand_in_front() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    for _ in 0..10 {
        assert_eq!(stack.log_in(demo::BUYER_EMAIL, "wrong").await.status, 400);
    }
    assert_eq!(upstream.seen(VALIDATE), 10);
    stack.clock.advance(60);
    let answer = log_in(&stack).await;
    answer.is_error(429, "Too Many Requests", "Too many failed logins. Try again in 840 seconds.");
    assert_eq!(upstream.seen(VALIDATE), 10);
}

#[tokio::test]
async fn only_what_was_judged_counts_as_a_failed_login() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    for fate in [503, 401, 429].map(UpstreamFate::status) {
        upstream.fault_in(VALIDATE, fate.clone());
        for _ in 0..11 {
            let status = stack.log_in(demo::BUYER_EMAIL, "wrong").await.status;
            assert!([429, 503].contains(&status), "{fate:?}: {status}");
            stack.clock.advance(10);
        }
    }
    upstream.fault_in(LOOK_UP, UpstreamFate::status(500));
    for _ in 0..11 {
        assert_eq!(log_in(&stack).await.status, 503);
        stack.clock.advance(10);
    }
    upstream.forward_all();
    assert_eq!(log_in(&stack).await.status, 200);
}

#[tokio::test]
async fn a_login_validates_anew_each_time_and_looks_up_once_a_minute() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    for (seconds, look_ups) in [(0, 1), (30, 1), (29, 1), (1, 2)] {
        stack.clock.advance(seconds);
        assert_eq!(log_in(&stack).await.status, 200);
        assert_eq!(upstream.seen(LOOK_UP), look_ups);
    }
    assert_eq!(upstream.seen(VALIDATE), 4);
    upstream.bigcommerce.change(|store| store.customers.get_mut(&demo::BUYER_ID).unwrap().password = "new".into());
    assert_eq!(log_in(&stack).await.status, 400);
}

#[tokio::test]
async fn whoever_logs_in_as_another_of_the_same_email_is_not_known_to_be_this_one() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let email = "same@example.com";
    upstream.bigcommerce.change(|store| {
        put_customer(store, 31, email, "the victim's", Some(vec![1]));
        put_customer(store, 32, email, "the attacker's", Some(vec![2]));
    });
    let log_in = async |password: &str, channel_id: u64| {
        let body = with(customer_login(email, password), "channelId", channel_id);
        stack.post("/auth/customers", &body).token(&stack.demo_token).send().await.status
    };
    let mut guesses = 0;
    while log_in("a guess", 1).await == 400 {
        guesses += 1;
        if guesses % 9 == 0 {
            stack.clock.advance(30);
            assert_eq!(log_in("the attacker's", 2).await, 200);
        }
        assert!(guesses <= 100);
    }
    assert_eq!(guesses, 100);
    stack.clock.advance(30);
    assert_eq!((log_in("the victim's", 1).await, log_in("the attacker's", 2).await), (429, 200));
}
