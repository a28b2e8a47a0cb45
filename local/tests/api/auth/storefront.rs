//! `GET /auth/storefront`.

use crate::{
    proxy::behind_proxy,
    support::{NOW, TestStack, current_customer, decode, platform_jwt, sign},
};
use jsonwebtoken::{Algorithm, Header};
use local::demo;
use serde_json::{Value, json};

fn path(jwt: &str) -> String {
    format!("/auth/storefront?jwtToken={jwt}")
}

#[tokio::test]
async fn exchanges_a_current_customer_jwt() {
    let stack = TestStack::start().await;
    let mut customer = current_customer(NOW - 60);
    customer["customer"] = json!({"id": 4927, "email": "John.Doe@example.com", "group_id": null});
    let answer = stack.get(&path(&platform_jwt(&customer))).token(&stack.demo_token).send().await;
    assert_eq!(answer.body["meta"], json!({"message": "SUCCESS"}));
    assert_eq!(answer.body["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["token"]);
    let (header, claims) = decode(answer.storefront_token());
    assert_eq!(header, json!({"typ": "JWT", "alg": "HS256", "kid": "demo"}));
    assert_eq!(
        claims,
        json!({
            "email": "John.Doe@example.com", "bc_customer_id": 4927, "store_hash": demo::STORE, "db": "default",
            "bc_channel_id": 1, "aud": "storefront", "iat": NOW - 60, "exp": NOW - 60 + 86_400,
        })
    );
}

#[tokio::test]
async fn the_same_jwt_and_channel_give_the_same_token() {
    let stack = TestStack::start().await;
    stack.add_customer(demo::BUYER_ID, demo::BUYER_EMAIL, &[1, 2], true).await;
    let jwt = platform_jwt(&current_customer(NOW));
    let mut tokens = Vec::new();
    for channel in ["", "&channelId=1", "&channelId=2", "&channelId=2"] {
        let answer = stack.get(&(path(&jwt) + channel)).token(&stack.demo_token).send().await;
        tokens.push(answer.storefront_token().to_owned());
        stack.clock.advance(100);
    }
    assert_eq!((&tokens[0], &tokens[2]), (&tokens[1], &tokens[3]));
    assert_ne!(tokens[0], tokens[2]);
}

#[tokio::test]
async fn every_claim_is_checked() {
    let stack = TestStack::start().await;
    let refused = |jwt: String, what: String| {
        let call = stack.get(&path(&jwt)).token(&stack.demo_token);
        async move {
            let answer = call.send().await;
            assert_eq!(answer.status, 401, "{what}");
            answer.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
        }
    };
    for (name, values) in [
        ("iss", vec![Value::Null, json!("bc"), json!("BC/apps"), json!(["bc/apps"])]),
        ("aud", vec![Value::Null, json!("other-app"), json!(""), json!([demo::APP_CLIENT_ID])]),
        ("operation", vec![Value::Null, json!("other")]),
        ("sub", vec![Value::Null, json!(demo::OTHER_STORE), json!("")]),
        ("store_hash", vec![Value::Null, json!(demo::OTHER_STORE), json!("")]),
        ("iat", vec![Value::Null, json!(NOW + 6), json!("1"), json!(NOW - 86_400)]),
        ("exp", vec![Value::Null, json!(NOW - 5), json!(0), json!("x")]),
        ("nbf", vec![json!(NOW + 6)]),
        (
            "customer",
            vec![
                Value::Null,
                json!({}),
                json!({"id": 7, "group_id": 1}),
                json!({"email": "a@b.c", "group_id": 1}),
                json!({"id": 7, "email": "a@b.c"}),
                json!({"id": 0, "email": "a@b.c", "group_id": 1}),
                json!({"id": -1, "email": "a@b.c", "group_id": 1}),
                json!({"id": 7, "email": "", "group_id": 1}),
            ],
        ),
    ] {
        for value in values {
            let mut claims = current_customer(NOW);
            claims[name] = value;
            refused(platform_jwt(&claims), format!("{name}: {}", claims[name])).await;
            claims.as_object_mut().unwrap().remove(name);
            if name != "nbf" {
                refused(platform_jwt(&claims), format!("without {name}")).await;
            }
        }
    }
    let claims = current_customer(NOW);
    for (header, secret) in [
        (Header::new(Algorithm::HS384), demo::APP_CLIENT_SECRET),
        (Header::new(Algorithm::HS256), "another-client-secret-0123456789abcdef"),
        (Header::new(Algorithm::HS256), ""),
    ] {
        refused(sign(&header, &claims, secret), format!("{:?} {secret}", header.alg)).await;
    }
    let unsigned = platform_jwt(&claims).replace("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0");
    for jwt in [
        unsigned.as_str(),
        &unsigned[..=unsigned.rfind('.').unwrap()],
        "x",
        "a.b.c",
        "..",
        &stack.demo_token,
        "%00",
        "%F0%9F%98%80",
    ] {
        refused(jwt.into(), jwt.into()).await;
    }
    assert_eq!(stack.get(&path(&platform_jwt(&claims))).token(&stack.demo_token).send().await.status, 200);
}

#[tokio::test]
async fn jwt_times_have_five_seconds_of_leeway() {
    let stack = TestStack::start().await;
    for (name, value) in [("iat", NOW + 5), ("nbf", NOW + 5), ("exp", NOW - 4)] {
        let mut claims = current_customer(NOW);
        claims[name] = json!(value);
        assert_eq!(
            stack.get(&path(&platform_jwt(&claims))).token(&stack.demo_token).send().await.status,
            200,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_jwt_of_another_store_is_forbidden_and_of_no_store_invalid() {
    let stack = TestStack::start().await;
    let public = TestStack::start_public().await;
    let mut claims = current_customer(NOW);
    (claims["sub"], claims["store_hash"]) = (json!(demo::OTHER_STORE), json!(demo::OTHER_STORE));
    let jwt = platform_jwt(&claims);
    assert_eq!(stack.get(&path(&jwt)).token(&stack.demo_token).send().await.status, 403);
    let answer = public.get(&path(&jwt)).send().await;
    assert_eq!(decode(answer.storefront_token()).1["store_hash"], demo::OTHER_STORE);
    (claims["sub"], claims["store_hash"]) = (json!("nostore"), json!("nostore"));
    assert_eq!(stack.get(&path(&platform_jwt(&claims))).token(&stack.demo_token).send().await.status, 403);
    public.get(&path(&platform_jwt(&claims))).send().await.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
    let long = "x".repeat(3000);
    (claims["sub"], claims["store_hash"]) = (json!(long), json!(long));
    public.get(&path(&platform_jwt(&claims))).send().await.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
}

#[tokio::test]
async fn a_customer_who_is_disabled_here_gets_nothing() {
    let stack = TestStack::start().await;
    stack.add_customer(demo::BUYER_ID, demo::BUYER_EMAIL, &[1], false).await;
    let answer = stack.get(&path(&platform_jwt(&current_customer(NOW)))).token(&stack.demo_token).send().await;
    answer.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let stack = TestStack::start().await;
    let jwt = platform_jwt(&current_customer(NOW));
    let mut stranger = current_customer(NOW);
    stranger["customer"]["id"] = json!(7);
    let stranger = platform_jwt(&stranger);
    assert_eq!(stack.get(&(path(&stranger) + "&channelId=2")).token(&stack.demo_token).send().await.status, 200);
    for (path, fields) in [
        ("/auth/storefront".to_owned(), ["jwtToken"].as_slice()),
        ("/auth/storefront?jwtToken=".to_owned(), &["jwtToken"]),
        ("/auth/storefront?jwtToken=a&jwtToken=b".to_owned(), &["jwtToken"]),
        ("/auth/storefront?channelId=x".to_owned(), &["channelId", "jwtToken"]),
        (path(&jwt) + "&channelId=", &["channelId"]),
        (path(&jwt) + "&channelId=0", &["channelId"]),
        (path(&jwt) + "&channelId=-1", &["channelId"]),
        (path(&jwt) + "&channelId=1&channelId=2", &["channelId"]),
        (path(&jwt) + "&channelId=2", &["channelId"]),
        (path(&jwt) + "&channelId=3", &["channelId"]),
        (path(&stranger) + "&channelId=3", &["channelId"]),
    ] {
        stack.get(&path).token(&stack.demo_token).send().await.refuses_fields(fields);
    }
}

#[tokio::test]
async fn needs_a_token_unless_the_deployment_is_public() {
    let jwt = platform_jwt(&current_customer(NOW));
    let stack = TestStack::start().await;
    assert_eq!(stack.get(&path(&jwt)).send().await.status, 401);
    let public = TestStack::start_public().await;
    assert_eq!(public.get(&path(&jwt)).send().await.status, 200);
    assert_eq!(public.get(&path(&jwt)).token(&public.demo_token).send().await.status, 200);
    public.get(&path(&jwt)).token("x").send().await.is_invalid_token();
    public.get(&path(&jwt)).header("X-Auth-Token", "x").send().await.is_invalid_token();
}

#[tokio::test]
async fn until_the_app_is_set_there_is_no_exchange_but_callers_are_checked() {
    let (_direct, stack, proxy, _server) = behind_proxy().await;
    let path = format!("/auth/storefront?jwtToken={}", platform_jwt(&current_customer(NOW)));
    for secret in [
        r#"{"clientId":"","clientSecret":""}"#,
        r#"{"clientId":"demo-app-client-id","clientSecret":""}"#,
        r#"{"clientId":"demo-app-client-id","clientSecret":"shorter than thirty-two bytes"}"#,
        "{}",
        "not JSON",
    ] {
        proxy.set_app_secret(secret);
        let answer = stack.get(&path).token(&stack.demo_token).send().await;
        assert_eq!(answer.retry_after, Some(5));
        answer.is_error(
            503,
            "Service Unavailable",
            "Current-customer JWTs cannot be exchanged yet: the app's client id and secret are not set.",
        );
        stack.get(&path).token("bad").send().await.is_invalid_token();
        stack.get("/auth/storefront").token(&stack.demo_token).send().await.refuses_fields(&["jwtToken"]);
    }
    let exchange = || stack.get(&path).token(&stack.demo_token).send();
    proxy.set_app_secret(&demo::secrets(&stack.configuration)[&stack.configuration.app_secret_id]);
    assert_eq!(exchange().await.status, 503, "it was read a moment ago");
    stack.clock.advance(10);
    assert_eq!(exchange().await.status, 200);
    // One that is taken back is good for nothing any more.
    proxy.set_app_secret(r#"{"clientId":"","clientSecret":""}"#);
    stack.clock.advance(300);
    assert_eq!(exchange().await.status, 503);
}
