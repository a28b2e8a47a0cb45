//! What holds for every endpoint.

use crate::storefront_tokens::tokens;
use jsonwebtoken::Header;
use local::{demo, gateway::ROUTES};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Instant};
use tests::{
    Call, NOW, TestStack, admin_login, buyer_login, current_customer, customer_login, decode, keyed, platform_jwt,
    sign, signed_with_demo_key, with,
};

/// A good call of each endpoint that needs a token, without one.
pub fn calls(stack: &TestStack) -> [(&'static str, Call); 7] {
    [
        ("DELETE /auth/backend", stack.delete(&json!({"id": 2}))),
        ("POST /auth/backend/rotate", stack.rotate(&json!({"id": 1}))),
        ("GET /backend/tokens", stack.get("/backend/tokens")),
        ("GET /auth/storefront", stack.exchange(&platform_jwt(&current_customer(NOW)))),
        ("POST /auth/customers", stack.post("/auth/customers", &buyer_login())),
        (
            "POST /auth/customers/storefront",
            stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID})),
        ),
        ("POST /oauth/introspect", stack.introspect(&stack.demo_token)),
    ]
}

#[tokio::test]
async fn no_endpoint_is_left_out_of_these_tests() {
    let stack = TestStack::start().await;
    let called: BTreeSet<_> = calls(&stack).into_iter().map(|(name, _)| name.to_owned()).collect();
    let routes = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path));
    // The only one whose credentials are in its body.
    assert_eq!(called, routes.filter(|route| route != "POST /auth/backend").collect());
}

#[tokio::test]
async fn both_prefixes_lead_to_every_endpoint() {
    let stack = TestStack::start().await;
    // The client resolves the dots, so the second goes to /api/v3/io.
    for prefix in ["", "/../v3/io"] {
        let path = |path: &str| format!("{prefix}{path}");
        stack.create_token("mine").await;
        let id = stack.total_count().await;
        let jwt = platform_jwt(&current_customer(NOW));
        for call in [
            stack.post(&path("/auth/backend"), &admin_login("n")),
            stack.post(&path("/auth/backend/rotate"), &json!({"id": id})),
            stack.request("DELETE", &path("/auth/backend")).json(&json!({"id": id})),
            stack.get(&path("/backend/tokens")),
            stack.get(&path(&format!("/auth/storefront?jwtToken={jwt}"))),
            stack.post(&path("/auth/customers"), &buyer_login()),
            stack.post(&path("/auth/customers/storefront"), &json!({"customerId": demo::BUYER_ID})),
        ] {
            let answer = call.token(&stack.demo_token).send().await;
            assert_eq!(answer.status, 200, "{prefix}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn what_is_no_endpoint_is_not_found() {
    let stack = TestStack::start().await;
    for (method, path) in [
        ("GET", "/auth/backend"),
        ("PUT", "/auth/backend"),
        ("GET", "/auth/backend/rotate"),
        ("OPTIONS", "/auth/backend/rotate"),
        ("POST", "/auth/backend/rotate/"),
        ("POST", "/backend/tokens"),
        ("DELETE", "/backend/tokens"),
        ("POST", "/auth/storefront"),
        ("GET", "/auth/customers"),
        ("OPTIONS", "/auth/customers"),
        ("OPTIONS", "/auth/storefront"),
        ("OPTIONS", "/backend/tokens"),
        ("GET", "/auth/customers/storefront"),
        ("GET", ""),
        ("GET", "/"),
        ("GET", "/backend/tokens/"),
        ("GET", "/backend/Tokens"),
        ("GET", "/backend%2Ftokens"),
        ("GET", "/../backend/tokens"),
        ("GET", "/../../io/backend/tokens"),
        ("GET", "/../v2/io/backend/tokens"),
    ] {
        let answer = stack.request(method, path).token(&stack.demo_token).send().await;
        answer.is_error(404, "Not Found Error", "No endpoint matches this method and path.");
    }
}

#[tokio::test]
async fn no_credentials_and_bad_credentials_are_told_apart() {
    let stack = TestStack::start().await;
    for (name, call) in calls(&stack) {
        let answer = call.send().await;
        assert_eq!(answer.status, 401, "{name}");
        let missing = "Invalid token header. No credentials provided.";
        answer.is_error(401, missing, missing);
    }
    for (_, call) in calls(&stack) {
        assert_eq!(call.token("").send().await.body["detail"], "Invalid token header. No credentials provided.");
    }
    for (_, call) in calls(&stack) {
        call.header("X-Auth-Token", "x").header("X-Store-Hash", demo::STORE).send().await.is_invalid_token();
    }
}

#[tokio::test]
async fn forged_tokens_are_refused_everywhere() {
    let stack = TestStack::start().await;
    let (_, claims) = decode(&stack.demo_token);
    let (message, signature) = stack.demo_token.rsplit_once('.').unwrap();
    let (header_part, claims_part) = message.split_once('.').unwrap();
    let unsigned = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIiwia2lkIjoiZGVtbyJ9";
    for token in [
        sign(&keyed("demo"), &claims, "another-signing-key-0123456789abcdefghij"),
        sign(&keyed("demo"), &claims, ""),
        sign(&keyed("demo"), &claims, demo::APP_CLIENT_SECRET),
        sign(&Header::default(), &claims, demo::APP_CLIENT_SECRET),
        platform_jwt(&current_customer(NOW)),
        format!("{unsigned}.{claims_part}."),
        format!("{unsigned}.{claims_part}.{signature}"),
        format!("{header_part}.{claims_part}."),
        format!("{message}.{signature}A"),
        format!("Bearer {}", stack.demo_token),
        stack.demo_token.to_uppercase(),
        "null".into(),
    ] {
        for (name, call) in calls(&stack) {
            let answer = call.token(&token).send().await;
            assert_eq!(answer.status, 401, "{name} with {token}");
            answer.is_invalid_token();
        }
    }
}

#[tokio::test]
async fn storefront_tokens_are_refused_where_a_server_token_is_asked_for() {
    let stack = TestStack::start().await;
    for (_, token) in tokens(&stack).await {
        for (_, call) in calls(&stack) {
            call.token(&token).send().await.is_invalid_token();
        }
    }
}

#[tokio::test]
async fn identity_headers_that_stand_twice_are_refused() {
    let stack = TestStack::start().await;
    for (first, second) in
        [("authToken", "AUTHTOKEN"), ("X-Auth-Token", "x-auth-token"), ("X-Store-Hash", "X-Store-Hash")]
    {
        for (_, call) in calls(&stack) {
            let call = call.header(first, &stack.demo_token).header(second, &stack.demo_token);
            call.send().await.is_invalid_token();
        }
    }
    let create = stack.post("/auth/backend", &admin_login("n"));
    create.token(&stack.demo_token).token(&stack.demo_token).send().await.is_invalid_token();
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn identity_headers_that_contradict_each_other_are_refused() {
    let stack = TestStack::start().await;
    for value in [demo::OTHER_STORE, "x"] {
        for (_, call) in calls(&stack) {
            call.token(&stack.demo_token).header("X-Store-Hash", value).send().await.is_invalid_token();
        }
    }
    let same_store = stack.get("/backend/tokens").token(&stack.demo_token).header("X-Store-Hash", demo::STORE);
    assert_eq!(same_store.send().await.status, 200);
}

#[tokio::test]
async fn a_token_is_bound_to_its_record() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    assert_eq!(stack.list(&token, "").await.status, 200, "good until it is changed");
    let (_, claims) = decode(&token);
    for (name, value) in [
        ("jti", json!("1")),
        ("jti", json!("3")),
        ("jti", json!("02")),
        ("jti", json!("+2")),
        ("jti", json!("0")),
        ("jti", json!("18446744073709551615")),
        ("iat", json!(NOW - 1)),
        ("store_hash", json!(demo::OTHER_STORE)),
        ("store_hash", json!("")),
        ("store_hash", json!("#STORES")),
        ("store_hash", json!("x".repeat(3000))),
        ("exp", json!(0)),
        ("exp", json!(NOW + 1000)),
        ("nbf", json!(0)),
        ("nbf", json!(NOW)),
        ("nbf", json!(u64::MAX)),
        ("email", json!("")),
        ("email", json!(demo::OTHER_ADMIN_EMAIL)),
        ("email", json!(demo::ADMIN_EMAIL.to_uppercase())),
        ("db", json!("other")),
        ("db", json!("")),
    ] {
        let claims = with(claims.clone(), name, value);
        let token = signed_with_demo_key(&claims);
        for (endpoint, call) in calls(&stack) {
            let answer = call.token(&token).send().await;
            assert_eq!(answer.status, 401, "{endpoint} {claims}");
        }
        // The transaction compares too, as the token deletes itself.
        stack.delete(&json!({"id": 2})).token(&token).send().await.is_invalid_token();
        stack.rotate(&json!({"id": 2})).token(&token).send().await.is_invalid_token();
    }
    assert_eq!(stack.total_count().await, 2);
    let begun = with(with(admin_login("begun"), "beginAt", NOW), "endAt", NOW + 1000);
    let begun = stack.post("/auth/backend", &begun).send().await.server_token().to_owned();
    assert_eq!(stack.list(&begun, "").await.status, 200);
    let (_, claims) = decode(&begun);
    for name in ["nbf", "exp"] {
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(name);
        for other in [without, with(claims.clone(), name, NOW + 1)] {
            let token = signed_with_demo_key(&other);
            stack.list(&token, "").await.is_invalid_token();
            stack.delete(&json!({"id": 3})).token(&token).send().await.is_invalid_token();
        }
    }
    assert_eq!(stack.delete(&json!({"id": 3})).token(&begun).send().await.status, 200);
}

#[tokio::test]
async fn header_names_are_taken_in_any_case() {
    let stack = TestStack::start().await;
    for name in ["authtoken", "AuthToken", "AUTHTOKEN"] {
        assert_eq!(stack.get("/backend/tokens").header(name, &stack.demo_token).send().await.status, 200);
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_have_their_status() {
    let stack = TestStack::start().await;
    let json = "application/json";
    let large = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8)).into_bytes();
    for (content_type, body, status, message) in [
        ("", b"{}".to_vec(), 415, "Unsupported Media Type"),
        ("text/plain", b"{}".to_vec(), 415, "Unsupported Media Type"),
        ("application/jsonp", b"{}".to_vec(), 415, "Unsupported Media Type"),
        ("application/x-www-form-urlencoded", b"a=b".to_vec(), 415, "Unsupported Media Type"),
        ("text/plain", large(70_000), 415, "Unsupported Media Type"),
        (json, b"{".to_vec(), 400, "Bad Request"),
        (json, b"[]".to_vec(), 400, "Bad Request"),
        (json, b"\"x\"".to_vec(), 400, "Bad Request"),
        (json, b"null".to_vec(), 400, "Bad Request"),
        (json, b"{}{}".to_vec(), 400, "Bad Request"),
        (json, b"{\"a\": \"\xff\"}".to_vec(), 400, "Bad Request"),
        (json, b"\xff\xfe{\x00}\x00".to_vec(), 400, "Bad Request"),
        (json, b"{\"a\":".repeat(2000), 400, "Bad Request"),
        (json, b"{\"a\": 1, \"a\": 1}".to_vec(), 400, "Bad Request"),
        (json, large(65_537), 413, "Request Entity Too Large"),
        (json, large(11_000_000), 413, "Request Entity Too Large"),
        (json, large(65_536), 422, "Missing or Invalid Data"),
        ("Application/JSON; charset=utf-8", b"{}".to_vec(), 422, "Missing or Invalid Data"),
    ] {
        for (method, path) in [
            ("POST", "/auth/backend"),
            ("DELETE", "/auth/backend"),
            ("POST", "/auth/backend/rotate"),
            ("POST", "/auth/customers"),
            ("POST", "/auth/customers/storefront"),
        ] {
            let call = stack.request(method, path).token(&stack.demo_token).body(content_type, body.clone());
            let answer = call.send().await;
            let said = (answer.status, &answer.body["meta"]["message"]);
            assert_eq!(said, (status, &json!(message)), "{method} {path} {content_type}: {}", answer.body);
        }
    }
    for path in ["/auth/backend", "/auth/backend/rotate", "/auth/customers", "/auth/customers/storefront"] {
        let call = || stack.request("POST", path).token(&stack.demo_token);
        assert_eq!(call().send().await.status, 415, "{path}");
        let empty = call().header("Content-Type", json).send().await;
        empty.is_error(400, "Bad Request", "The body is not valid JSON.");
    }
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn a_member_that_is_named_twice_is_told() {
    let stack = TestStack::start().await;
    let rest = r#""email":"admin@example.com","password":"demo-admin-password","name":"n"}"#;
    for (path, body, name) in [
        ("/auth/backend", format!(r#"{{"storeHash":"x","storeHash":"demostore",{rest}"#), "storeHash"),
        ("/auth/backend", format!(r#"{{"storeHash":"demostore","store\u0048ash":"demostore",{rest}"#), "storeHash"),
        (
            "/auth/backend",
            format!(r#"{{"storeHash":"demostore","other":[{{"only here":1,"only here":2}}],{rest}"#),
            "only here",
        ),
        ("/auth/backend/rotate", r#"{"id":1,"overlapSeconds":0,"overlapSeconds":1}"#.into(), "overlapSeconds"),
        (
            "/auth/customers/storefront",
            r#"{"customerId":313,"customerAccessToken":{"value":"a","value":"b"}}"#.into(),
            "value",
        ),
    ] {
        let call = stack.request("POST", path).token(&stack.demo_token).body("application/json", body);
        let answer = call.send().await;
        answer.is_error(400, "Bad Request", &format!("The body names the member \"{name}\" twice."));
    }
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn checks_run_in_the_order_of_the_contract() {
    let stack = TestStack::start().await;
    let call = |token: &str, content_type: &str, body: &'static str| {
        stack.request("POST", "/auth/customers").token(token).body(content_type, body).send()
    };
    let token = stack.demo_token.clone();
    assert_eq!(call("bad", "text/plain", "{").await.status, 401);
    assert_eq!(call(&token, "text/plain", "{").await.status, 415);
    assert_eq!(call(&token, "application/json", "{").await.status, 400);
    assert_eq!(call(&token, "application/json", r#"{"storeHash": "otherstore"}"#).await.status, 422);
}

#[tokio::test]
async fn a_token_that_is_not_yet_valid_or_expired_is_refused_everywhere() {
    let stack = TestStack::start().await;
    let body = with(with(admin_login("n"), "beginAt", NOW + 100), "endAt", NOW + 200);
    let answer = stack.post("/auth/backend", &body).send().await;
    let token = answer.server_token();
    for seconds in [0, 300] {
        stack.clock.advance(seconds);
        for (_, call) in calls(&stack) {
            call.token(token).send().await.is_invalid_token();
        }
    }
}

#[tokio::test]
async fn unknown_e_mail_and_wrong_password_take_the_same_time() {
    let stack = TestStack::start().await;
    for (path, known_email) in [("/auth/backend", demo::ADMIN_EMAIL), ("/auth/customers", demo::BUYER_EMAIL)] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..9 {
            for (email, times) in ["nobody@example.com", known_email].into_iter().zip(&mut times) {
                let call = stack.post(path, &customer_login(email, "wrong")).token(&stack.demo_token);
                let started = Instant::now();
                assert_eq!(call.send().await.status, 400);
                times.push(started.elapsed());
            }
        }
        let [unknown, wrong] = times.map(|mut times| {
            times.sort();
            times[times.len() / 2]
        });
        // Without a hash an answer takes a twentieth of the time.
        assert!(unknown < wrong * 2 && wrong < unknown * 2, "{path}: unknown e-mail {unknown:?}, wrong {wrong:?}");
        stack.clock.advance(900);
    }
}

#[tokio::test]
async fn a_field_of_any_json_type_is_answered() {
    let stack = TestStack::start().await;
    let odd = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!("\u{0}"),
        json!("\u{202e}💥"),
        json!([[[]]]),
        json!({"value": {"value": {}}}),
        json!("x".repeat(60_000)),
    ];
    let names = [
        "storeHash",
        "email",
        "password",
        "name",
        "beginAt",
        "endAt",
        "id",
        "overlapSeconds",
        "channelId",
        "customerId",
        "customerAccessToken",
    ];
    for name in names {
        for value in &odd {
            for (method, path, mut body) in [
                ("POST", "/auth/backend", admin_login("n")),
                ("DELETE", "/auth/backend", json!({"id": 999})),
                ("POST", "/auth/backend/rotate", json!({"id": 999})),
                ("POST", "/auth/customers", buyer_login()),
                ("POST", "/auth/customers/storefront", json!({"customerId": demo::BUYER_ID})),
            ] {
                body[name] = value.clone();
                let answer = stack.request(method, path).token(&stack.demo_token).json(&body).send().await;
                assert!(answer.status < 500, "{method} {path} {name} {value}: {}", answer.body);
            }
        }
    }
}
