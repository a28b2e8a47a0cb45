//! `POST /oauth/introspect`.

use crate::storefront_tokens::{bad_tokens, tokens};
use base64::{Engine, engine::general_purpose::STANDARD};
use local::demo;
use serde_json::{Value, json};
use shared::{keys::jwt::DAY, scopes::Scopes};
use tests::{
    Answer, Call, NOW, TestStack, admin_login, decode, eventually, new_key, rotated_keyring, signed_with_demo_key, with,
};

async fn introspect(stack: &TestStack, token: &str) -> Answer {
    stack.introspect(token).token(&stack.demo_token).send().await
}

/// Checks that nothing is said of it.
async fn is_inactive(stack: &TestStack, token: &str) {
    let answer = introspect(stack, token).await;
    assert_eq!((answer.status, &answer.body), (200, &json!({"active": false})), "{token}");
}

#[tokio::test]
async fn a_server_to_server_token_is_told_with_what_it_may_do() {
    let stack = TestStack::start().await;
    let answer = introspect(&stack, &stack.demo_token).await;
    assert_eq!(
        (answer.status, answer.body),
        (
            200,
            json!({
                "active": true, "token_type": "Bearer", "aud": "server", "sub": demo::ADMIN_EMAIL,
                "iat": decode(&stack.demo_token).1["iat"], "jti": "1",
                "scope": "tokens:read tokens:write storefront introspect",
                "store_hash": demo::STORE, "email": demo::ADMIN_EMAIL,
            })
        )
    );
    let body = with(with(with(admin_login("n"), "beginAt", NOW - 7), "endAt", NOW + 7), "scopes", ["storefront"]);
    let created = stack.post("/auth/backend", &body).send().await;
    let answer = introspect(&stack, created.server_token()).await.body;
    let told = [&answer["nbf"], &answer["exp"], &answer["iat"], &answer["scope"], &answer["jti"]];
    assert_eq!(told, [&json!(NOW - 7), &json!(NOW + 7), &json!(NOW), &json!("storefront"), &json!("2")]);
}

#[tokio::test]
async fn storefront_tokens_of_all_three_endpoints_are_told_alike() {
    let stack = TestStack::start().await;
    for (name, token) in tokens(&stack).await {
        let mut answer = introspect(&stack, &token).await.body;
        // Only a login may have another begin.
        assert_eq!(answer.as_object_mut().unwrap().remove("nbf"), (name == "login").then(|| json!(NOW)));
        assert_eq!(
            answer,
            json!({
                "active": true, "token_type": "Bearer", "aud": "storefront", "sub": demo::BUYER_ID.to_string(),
                "iat": NOW, "exp": NOW + DAY, "store_hash": demo::STORE, "email": demo::BUYER_EMAIL,
                "bc_customer_id": demo::BUYER_ID, "channel_id": 1,
            }),
            "{name}"
        );
    }
}

#[tokio::test]
async fn of_what_is_no_good_token_nothing_is_said() {
    let stack = TestStack::start().await;
    let good = stack.demo_token.clone();
    for token in bad_tokens(&stack).await.iter().chain(&[format!(" {good}")]) {
        is_inactive(&stack, token).await;
    }
    assert_eq!(introspect(&stack, &good).await.body["active"], true);
}

#[tokio::test]
async fn a_good_token_of_another_store_is_as_good_as_none() {
    let stack = TestStack::start().await;
    let other = stack.other_store_token().await;
    is_inactive(&stack, &other).await;
    let answer = stack.introspect(&other).token(&other).send().await;
    assert_eq!(answer.body["active"], true);
    let storefront = signed_with_demo_key(&with(decode(&tokens(&stack).await[0].1).1, "store_hash", demo::OTHER_STORE));
    is_inactive(&stack, &storefront).await;
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_with_its_key() {
    let stack = TestStack::start().await;
    let body = with(admin_login("n"), "endAt", NOW + 60);
    let token = stack.post("/auth/backend", &body).send().await.server_token().to_owned();
    assert_eq!(introspect(&stack, &token).await.body["active"], true);
    stack.clock.advance(65);
    is_inactive(&stack, &token).await;
    let (_, storefront) = tokens(&stack).await.remove(0);
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    for (keyring, active) in [(rotated_keyring(), true), (new_key(), false)] {
        stack.put_keyring(&keyring.to_string()).await;
        let fresh = stack.fresh_functions(stack.aws_url()).await;
        for token in [&stack.demo_token, &storefront] {
            let answer = fresh.introspect(token).account(&account).send().await;
            assert_eq!((answer.status, &answer.body["active"]), (200, &json!(active)), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn the_token_comes_in_a_form_or_in_json() {
    let stack = TestStack::start().await;
    let token = stack.demo_token.clone();
    let call = || stack.request("POST", "/oauth/introspect").token(&token);
    let form = "application/x-www-form-urlencoded";
    for (content_type, body) in [
        (form, format!("token={token}")),
        (
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            format!("token={token}&token_type_hint=access_token&x=1&x=2"),
        ),
        (form, format!("token={}", token.replace('.', "%2e"))),
        (form, format!("token={token}&token={token}")),
        ("application/json", json!({"token": token, "token_type_hint": 7}).to_string()),
    ] {
        let answer = call().body(content_type, body.clone()).send().await;
        assert_eq!((answer.status, &answer.body["active"]), (200, &json!(true)), "{body}: {}", answer.body);
    }
    for (content_type, body, status) in [
        (form, String::new(), 422),
        (form, "token=".into(), 422),
        (form, format!("token={token}&token=x"), 422),
        (form, format!("Token={token}"), 422),
        (form, format!("token={token}&x={}", "x".repeat(65_536)), 413),
        ("application/json", "{}".into(), 422),
        ("application/json", json!({"token": [token]}).to_string(), 422),
        ("application/json", json!({"token": null}).to_string(), 422),
        ("application/json", "[]".into(), 400),
        ("application/json", format!("token={token}"), 400),
        ("application/json", format!(r#"{{"token": "x", "token": "{token}"}}"#), 400),
        ("text/plain", format!("token={token}"), 415),
        ("multipart/form-data", format!("token={token}"), 415),
    ] {
        let answer = call().body(content_type, body.clone()).send().await;
        assert_eq!(answer.status, status, "{body:.99}: {}", answer.body);
    }
    let answer = call().body(form, vec![0xff, 0xfe]).send().await;
    answer.is_error(400, "Bad Request", "The body is not valid UTF-8.");
    let without = call().send().await;
    let needed = "The Content-Type must be application/x-www-form-urlencoded or application/json.";
    without.is_error(415, "Unsupported Media Type", needed);
}

fn basic(call: Call, user: &str, password: &str) -> Call {
    call.header("Authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

#[tokio::test]
async fn clients_of_oauth_may_show_their_credentials_in_authorization() {
    let stack = TestStack::start().await;
    let token = stack.demo_token.clone();
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let call = || stack.introspect(&token);
    let encoded = account.replace('_', "%5F");
    for call in [
        basic(call(), demo::STORE, &account),
        basic(call(), "demo%73tore", &encoded),
        call().header("Authorization", " ").account(&account),
        call().header("authorization", &format!("bearer  {token}")),
        call().header("Authorization", &format!("Bearer {token}")),
    ] {
        assert_eq!(call.send().await.body["active"], true);
    }
    let bearer = format!("Bearer {token}");
    for call in [
        basic(call(), demo::OTHER_STORE, &account),
        basic(call(), demo::STORE, &token),
        basic(call(), "", &account),
        basic(call(), demo::STORE, ""),
        call().header("Authorization", &format!("Basic {}", STANDARD.encode("no colon"))),
        call().header("Authorization", &format!("Basic {}", STANDARD.encode([0xff, b':', 0xff]))),
        call().header("Authorization", "Basic"),
        call().header("Authorization", "Basic not base64"),
        call().header("Authorization", &format!("Bearer{token}")),
        call().header("Authorization", &token),
        call().header("Authorization", "Bearer"),
        call().header("Authorization", &format!("Digest {token}")),
        basic(call(), demo::STORE, &format!("{account}=x")),
        basic(call(), demo::STORE, &format!("{account}&x")),
        call().header("Authorization", &format!("Bearer {account}")),
        // Nothing is guessed from conflicting identities, or from the same twice.
        call().header("Authorization", &bearer).header("Authorization", &bearer),
        call().header("Authorization", &bearer).token(&token),
        basic(call(), demo::STORE, &account).account(&account),
        call().header("Authorization", &bearer).header("X-Store-Hash", demo::STORE),
    ] {
        call.send().await.is_invalid_token();
    }
    let none = call().header("Authorization", "").send().await;
    assert_eq!(none.status, 401, "{}", none.body);
    call().send().await.is_error(
        401,
        "Invalid token header. No credentials provided.",
        "Invalid token header. No credentials provided.",
    );
    // Elsewhere it says nothing.
    let list = stack.get("/backend/tokens").header("Authorization", &bearer).send().await;
    assert_eq!(list.status, 401);
}

#[tokio::test]
async fn a_good_token_counts_as_used_where_somebody_asks() {
    let stack = TestStack::start().await;
    let token = stack.create_token("elsewhere").await;
    let narrow = stack.post("/auth/backend", &with(admin_login("n"), "scopes", ["storefront"])).send().await;
    assert_eq!(stack.introspect(&token).token(narrow.server_token()).send().await.status, 403);
    is_inactive(&stack, &format!("{token}x")).await;
    assert_eq!(stack.token_last_used_at(2).await, None);
    introspect(&stack, &token).await;
    eventually(async || stack.token_last_used_at(2).await == Some(NOW)).await;
}

#[tokio::test]
async fn what_is_asked_for_stays_out_of_the_envelope_and_errors_are_in_it() {
    let stack = TestStack::start().await;
    let answer = introspect(&stack, "x").await.body;
    assert_eq!(answer, json!({"active": false}));
    let refused: Value = stack.introspect("x").send().await.body;
    assert_eq!(refused["code"], 401);
}
