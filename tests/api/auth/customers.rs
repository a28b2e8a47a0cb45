//! `POST /auth/customers`.

use futures_util::future::join_all;
use local::demo;
use serde_json::{Value, json};
use tests::{NOW, PASSWORD, TestStack, admin_login, buyer_login, customer_login, decode, with};

const PATH: &str = "/auth/customers";

#[tokio::test]
async fn gives_a_token_that_carries_the_platforms_claims() {
    let stack = TestStack::start().await;
    let answer = stack.post(PATH, &buyer_login()).token(&stack.demo_token).send().await;
    assert_eq!(answer.body["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "token"]);
    assert_eq!((&answer.body["data"]["name"], &answer.body["meta"]), (&json!("web"), &json!({"message": "SUCCESS"})));
    let (header, claims) = decode(answer.storefront_token());
    assert_eq!(header, json!({"typ": "JWT", "alg": "HS256", "kid": "demo"}));
    assert_eq!(
        claims,
        json!({
            "email": demo::BUYER_EMAIL, "store_hash": demo::STORE, "db": "default", "name": "web", "channel_ids": [1],
            "token_type": 3, "bc_customer_id": demo::BUYER_ID, "aud": "storefront",
            "iat": NOW, "nbf": NOW, "exp": NOW + 86_400,
        })
    );
}

#[tokio::test]
async fn begin_and_end_bound_the_validity() {
    let stack = TestStack::start().await;
    for (begin_at, end_at, nbf, exp) in [
        (json!(1000), json!(2000), 1000, 2000),
        (json!("1000"), Value::Null, 1000, 87_400),
        (json!(NOW + 50), json!(NOW + 51), NOW + 50, NOW + 51),
        (Value::Null, json!(NOW + 1), NOW, NOW + 1),
    ] {
        let body = with(with(buyer_login(), "beginAt", begin_at), "endAt", end_at);
        let answer = stack.post(PATH, &body).token(&stack.demo_token).send().await;
        let (_, claims) = decode(answer.storefront_token());
        assert_eq!((&claims["nbf"], &claims["exp"]), (&json!(nbf), &json!(exp)), "{body}");
    }
}

#[tokio::test]
async fn every_reason_to_refuse_a_customer_reads_the_same() {
    let stack = TestStack::start().await;
    stack.add_customer(7, "gone@example.com", &[1], false).await;
    for (email, password, channel_id) in [
        (demo::BUYER_EMAIL, "wrong", 1),
        ("nobody@example.com", demo::BUYER_PASSWORD, 1),
        (demo::BUYER_EMAIL, demo::BUYER_PASSWORD, 2),
        (demo::BUYER_EMAIL, demo::BUYER_PASSWORD, 3),
        (demo::OTHER_BUYER_EMAIL, demo::BUYER_PASSWORD, 1),
        (demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD, 1),
        ("gone@example.com", PASSWORD, 1),
    ] {
        let body = with(customer_login(email, password), "channelId", channel_id);
        let answer = stack.post(PATH, &body).token(&stack.demo_token).send().await;
        answer.is_error(400, "Calling BC API failed", "Customer auth failed");
    }
}

#[tokio::test]
async fn a_customer_of_several_channels_may_use_each_of_them() {
    let stack = TestStack::start().await;
    stack.add_customer(7, "Both@example.com", &[1, 2], true).await;
    for channel_id in [json!(1), json!("2")] {
        let body = with(customer_login("both@EXAMPLE.com", PASSWORD), "channelId", channel_id);
        let answer = stack.post(PATH, &body).token(&stack.demo_token).send().await;
        let (_, claims) = decode(answer.storefront_token());
        assert_eq!((&claims["email"], &claims["bc_customer_id"]), (&json!("Both@example.com"), &json!(7)));
    }
}

#[tokio::test]
async fn another_store_is_forbidden_and_costs_it_no_attempt() {
    let stack = TestStack::start().await;
    let other = stack.other_store_token().await;
    for _ in 0..11 {
        let answer = stack.post(PATH, &buyer_login()).token(&other).send().await;
        assert_eq!((answer.status, &answer.body["meta"]["message"]), (403, &json!("Forbidden")));
    }
    assert_eq!(stack.post(PATH, &buyer_login()).token(&stack.demo_token).send().await.status, 200);
}

#[tokio::test]
async fn needs_a_token_unless_the_deployment_is_public() {
    let stack = TestStack::start().await;
    stack.post(PATH, &buyer_login()).send().await.is_error(
        401,
        "Invalid token header. No credentials provided.",
        "Invalid token header. No credentials provided.",
    );
    let public = TestStack::start_public().await;
    assert_eq!(public.post(PATH, &buyer_login()).send().await.status, 200);
    assert_eq!(public.post(PATH, &buyer_login()).token(&public.demo_token).send().await.status, 200);
    public.post(PATH, &buyer_login()).token("x").send().await.is_invalid_token();
    let other = public.other_store_token().await;
    assert_eq!(public.post(PATH, &buyer_login()).token(&other).send().await.status, 403);
    let unknown_store = with(buyer_login(), "storeHash", "nostore");
    let answer = public.post(PATH, &unknown_store).send().await;
    answer.is_error(400, "Calling BC API failed", "Customer auth failed");
}

#[tokio::test]
async fn bad_fields_are_all_named() {
    let stack = TestStack::start().await;
    for (field, values) in [
        ("storeHash", vec![json!(""), json!("x".repeat(65)), json!(7), Value::Null]),
        ("email", vec![json!(""), json!("string"), json!(7), Value::Null]),
        ("password", vec![json!(""), json!("x".repeat(1025)), Value::Null]),
        ("channelId", vec![json!(0), json!(-1), json!("x"), json!(""), json!(1.5), json!([1]), Value::Null]),
        ("name", vec![json!(""), json!("x".repeat(256)), Value::Null]),
        ("beginAt", vec![json!("x"), json!(-1)]),
        ("endAt", vec![json!("x"), json!(0), json!(NOW), json!(NOW - 1)]),
    ] {
        for value in values {
            let body = with(buyer_login(), field, value);
            let answer = stack.post(PATH, &body).token(&stack.demo_token).send().await;
            answer.refuses_fields(&[field]);
        }
    }
    let answer = stack.post(PATH, &json!({})).token(&stack.demo_token).send().await;
    answer.refuses_fields(&["channelId", "email", "name", "password", "storeHash"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_right_passwords_in_parallel_all_go_in_when_those_refused_ask_again() {
    let stack = TestStack::start().await;
    let body = buyer_login();
    let mut outside = 40;
    while outside > 0 {
        let answers = join_all((0..outside).map(|_| stack.post(PATH, &body).token(&stack.demo_token).send())).await;
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
        assert!(refused.iter().all(|answer| (answer.status, answer.retry_after) == (429, Some(1))), "{refused:?}");
        assert!(refused.len() < outside, "nobody has gone in");
        outside = refused.len();
    }
}

#[tokio::test]
async fn a_deleted_token_costs_the_customer_no_attempt() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await;
    for _ in 0..12 {
        stack.post(PATH, &buyer_login()).token(&token).send().await.is_invalid_token();
    }
    assert_eq!(stack.post(PATH, &buyer_login()).token(&stack.demo_token).send().await.status, 200);
}

#[tokio::test]
async fn a_customers_login_does_not_clear_the_count_of_a_backend_user_with_the_same_e_mail() {
    let stack = TestStack::start().await;
    stack.add_customer(7, demo::ADMIN_EMAIL, &[1], true).await;
    let guess = with(admin_login("n"), "password", "wrong");
    for _ in 0..10 {
        assert_eq!(stack.post("/auth/backend", &guess).send().await.status, 400);
        assert_eq!(stack.log_in(demo::ADMIN_EMAIL, PASSWORD).await.status, 200);
    }
    assert_eq!(stack.post("/auth/backend", &guess).send().await.status, 429);
    assert_eq!(stack.log_in(demo::ADMIN_EMAIL, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn after_ten_failures_even_the_right_password_waits() {
    let stack = TestStack::start().await;
    let log_in = |password| stack.log_in(demo::BUYER_EMAIL, password);
    for _ in 0..10 {
        assert_eq!(log_in("wrong").await.status, 400);
    }
    for (seconds, retry_after) in [(0, 1), (1, 1), (1, 898), (897, 1)] {
        stack.clock.advance(seconds);
        let answer = log_in(demo::BUYER_PASSWORD).await;
        assert_eq!((answer.status, answer.retry_after), (429, Some(retry_after)));
    }
    stack.clock.advance(1);
    assert_eq!(log_in(demo::BUYER_PASSWORD).await.status, 200);
}
