//! `GET /auth/storefront`.

use jsonwebtoken::{Algorithm, Header};
use local::demo;
use serde_json::{Value, json, value::RawValue};
use tests::{Fate, LOG, NOW, TestStack, behind_proxy, current_customer, decode, platform_jwt, sign, with};

#[tokio::test]
async fn exchanges_a_current_customer_jwt() {
    let stack = TestStack::start().await;
    let customer = json!({"id": 4927, "email": "John.Doe@example.com", "group_id": null});
    let claims = with(current_customer(NOW - 60), "customer", customer);
    let answer = stack.exchange(&platform_jwt(&claims)).token(&stack.demo_token).send().await;
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
        let answer = stack.exchange(&(jwt.clone() + channel)).token(&stack.demo_token).send().await;
        tokens.push(answer.storefront_token().to_owned());
        stack.clock.advance(100);
    }
    assert_eq!((&tokens[0], &tokens[2]), (&tokens[1], &tokens[3]));
    assert_ne!(tokens[0], tokens[2]);
}

async fn is_refused(stack: &TestStack, jwt: &str, what: &str) {
    let answer = stack.exchange(jwt).token(&stack.demo_token).send().await;
    assert_eq!(answer.status, 401, "{what}");
    answer.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
}

#[tokio::test]
async fn every_claim_is_checked() {
    let stack = TestStack::start().await;
    for (name, values) in [
        ("iss", vec![Value::Null, json!("bc"), json!("BC/apps"), json!(["bc/apps"])]),
        (
            "aud",
            vec![
                Value::Null,
                json!("other-app"),
                json!(""),
                json!([]),
                json!(["other-app"]),
                json!([""]),
                json!([7, demo::APP_CLIENT_ID]),
                json!([null, demo::APP_CLIENT_ID]),
                json!([[demo::APP_CLIENT_ID]]),
                json!({"0": demo::APP_CLIENT_ID}),
                json!(vec![7; 3000]),
            ],
        ),
        ("operation", vec![Value::Null, json!("other")]),
        ("sub", vec![Value::Null, json!(demo::OTHER_STORE), json!("")]),
        ("store_hash", vec![Value::Null, json!(demo::OTHER_STORE), json!("")]),
        ("iat", vec![Value::Null, json!(NOW + 6), json!("1"), json!([NOW]), json!(NOW - 86_400), json!(true)]),
        ("exp", vec![Value::Null, json!(NOW - 5), json!(0), json!("x"), json!([NOW + 900])]),
        ("nbf", vec![json!(NOW + 6), json!("1"), json!(-1)]),
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
            let what = format!("{name}: {value}");
            is_refused(&stack, &platform_jwt(&with(current_customer(NOW), name, value)), &what).await;
        }
    }
    for name in ["iss", "aud", "operation", "sub", "store_hash", "iat", "exp", "customer"] {
        let mut claims = current_customer(NOW);
        claims.as_object_mut().unwrap().remove(name).unwrap();
        is_refused(&stack, &platform_jwt(&claims), &format!("without {name}")).await;
    }
}

#[tokio::test]
async fn only_what_the_platform_has_signed_is_exchanged() {
    let stack = TestStack::start().await;
    let claims = current_customer(NOW);
    let good = platform_jwt(&claims);
    let unsigned = good.replace("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0");
    for jwt in [
        &sign(&Header::new(Algorithm::HS384), &claims, demo::APP_CLIENT_SECRET),
        &sign(&Header::default(), &claims, "another-client-secret-0123456789abcdef"),
        &sign(&Header::default(), &claims, ""),
        unsigned.as_str(),
        &unsigned[..=unsigned.rfind('.').unwrap()],
        "x",
        "a.b.c",
        "..",
        &stack.demo_token,
        "%00",
        "%F0%9F%98%80",
    ] {
        is_refused(&stack, jwt, jwt).await;
    }
    assert_eq!(stack.exchange(&good).token(&stack.demo_token).send().await.status, 200);
}

/// Claims of a current-customer JWT, where `name` is written as `text`, whatever that is.
fn with_text(name: &str, text: &str) -> Box<RawValue> {
    let others = current_customer(NOW).to_string().replace(&format!("\"{name}\":"), "\"instead\":");
    RawValue::from_string(format!("{{\"{name}\":{text},{}", &others[1..])).unwrap()
}

#[tokio::test]
async fn jwt_times_have_five_seconds_of_leeway() {
    let stack = TestStack::start().await;
    for (name, text, accepted) in [
        ("iat", "1800000005", true),
        ("iat", "1800000005.0", true),
        ("iat", "1.800000005e9", true),
        ("iat", "1800000005.000001", false),
        ("iat", "1800000005.5", false),
        ("iat", "1799913600", false),
        ("iat", "1799913600.75", false),
        ("iat", "1799913601", true),
        ("iat", "-1799999999.5", false),
        ("iat", "18446744073709551616", false),
        ("iat", "1e300", false),
        ("iat", "1e400", false),
        ("nbf", "1800000004.999999", true),
        ("nbf", "1800000005", true),
        ("nbf", "1800000005.25", false),
        ("nbf", "0.5", true),
        ("nbf", "-0.5", false),
        ("nbf", "1e300", false),
        ("nbf", "1e400", false),
        ("exp", "1799999996", true),
        ("exp", "1799999995.000001", true),
        ("exp", "1799999995", false),
        ("exp", "1799999994.999999", false),
        ("exp", "-1900000000.5", false),
        ("exp", "1900000000.123456789123456789", true),
        ("exp", "18446744073709551615", true),
        ("exp", "1e300", true),
        ("exp", "1e400", false),
    ] {
        let jwt = platform_jwt(&with_text(name, text));
        let answer = stack.exchange(&jwt).token(&stack.demo_token).send().await;
        assert_eq!(answer.status, if accepted { 200 } else { 401 }, "{name} {text}: {}", answer.body);
    }
}

#[tokio::test]
async fn times_with_fractions_give_a_token_of_whole_seconds_always_the_same() {
    let stack = TestStack::start().await;
    let mut claims = with(current_customer(NOW), "exp", 1_800_000_900.5);
    claims["iat"] = json!(1_799_999_999.75);
    let exchange = async || {
        let answer = stack.exchange(&platform_jwt(&claims)).token(&stack.demo_token).send().await;
        answer.storefront_token().to_owned()
    };
    let token = exchange().await;
    let (_, issued) = decode(&token);
    assert_eq!((&issued["iat"], &issued["exp"]), (&json!(NOW - 1), &json!(NOW - 1 + 86_400)));
    stack.clock.advance(100);
    assert_eq!(exchange().await, token);
}

#[tokio::test]
async fn a_jwt_may_be_for_several_apps() {
    let stack = TestStack::start().await;
    for audience in [json!([demo::APP_CLIENT_ID]), json!(["other-app", demo::APP_CLIENT_ID])] {
        let jwt = platform_jwt(&with(current_customer(NOW), "aud", audience));
        assert_eq!(stack.exchange(&jwt).token(&stack.demo_token).send().await.status, 200);
    }
}

#[tokio::test]
async fn a_jwt_that_names_a_claim_twice_is_refused() {
    let stack = TestStack::start().await;
    let good = current_customer(NOW).to_string();
    for (claim, again) in [
        ("\"sub\"", r#""sub":"demostore","#),
        ("\"sub\"", r#""s\u0075b":"otherstore","#),
        ("\"version\"", r#""version":2,"#),
        ("\"id\"", r#""id":313,"#),
        ("\"version\"", r#""nested":[{"a":1,"a":1}],"#),
    ] {
        let claims = RawValue::from_string(good.replace(claim, &format!("{again}{claim}"))).unwrap();
        assert_ne!(claims.get(), good);
        is_refused(&stack, &platform_jwt(&claims), claims.get()).await;
    }
}

#[tokio::test]
async fn a_jwt_of_another_store_is_forbidden_and_of_no_store_invalid() {
    let stack = TestStack::start().await;
    let public = TestStack::start_public().await;
    let of_store = |store: &str| platform_jwt(&with(with(current_customer(NOW), "sub", store), "store_hash", store));
    let jwt = of_store(demo::OTHER_STORE);
    assert_eq!(stack.exchange(&jwt).token(&stack.demo_token).send().await.status, 403);
    let answer = public.exchange(&jwt).send().await;
    assert_eq!(decode(answer.storefront_token()).1["store_hash"], demo::OTHER_STORE);
    assert_eq!(stack.exchange(&of_store("nostore")).token(&stack.demo_token).send().await.status, 403);
    for no_store in ["nostore", &"x".repeat(3000)] {
        let answer = public.exchange(&of_store(no_store)).send().await;
        answer.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
    }
}

#[tokio::test]
async fn a_customer_who_is_disabled_here_gets_nothing() {
    let stack = TestStack::start().await;
    stack.add_customer(demo::BUYER_ID, demo::BUYER_EMAIL, &[1], false).await;
    let answer = stack.exchange(&platform_jwt(&current_customer(NOW))).token(&stack.demo_token).send().await;
    answer.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let stack = TestStack::start().await;
    let jwt = platform_jwt(&current_customer(NOW));
    let mut stranger = current_customer(NOW);
    stranger["customer"]["id"] = json!(7);
    let stranger = platform_jwt(&stranger);
    assert_eq!(stack.exchange(&(stranger.clone() + "&channelId=2")).token(&stack.demo_token).send().await.status, 200);
    for (jwt, channel, fields) in [
        ("", "", ["jwtToken"].as_slice()),
        ("a", "&jwtToken=b", &["jwtToken"]),
        (&jwt, "&channelId=", &["channelId"]),
        (&jwt, "&channelId=0", &["channelId"]),
        (&jwt, "&channelId=-1", &["channelId"]),
        (&jwt, "&channelId=1&channelId=2", &["channelId"]),
        (&jwt, "&channelId=2", &["channelId"]),
        (&jwt, "&channelId=3", &["channelId"]),
        (&stranger, "&channelId=3", &["channelId"]),
    ] {
        let call = stack.exchange(&format!("{jwt}{channel}"));
        call.token(&stack.demo_token).send().await.refuses_fields(fields);
    }
    for (query, fields) in [("", ["jwtToken"].as_slice()), ("?channelId=x", &["channelId", "jwtToken"])] {
        let call = stack.get(&format!("/auth/storefront{query}"));
        call.token(&stack.demo_token).send().await.refuses_fields(fields);
    }
}

#[tokio::test]
async fn needs_a_token_unless_the_deployment_is_public() {
    let jwt = platform_jwt(&current_customer(NOW));
    let stack = TestStack::start().await;
    assert_eq!(stack.exchange(&jwt).send().await.status, 401);
    let public = TestStack::start_public().await;
    assert_eq!(public.exchange(&jwt).send().await.status, 200);
    assert_eq!(public.exchange(&jwt).token(&public.demo_token).send().await.status, 200);
    public.exchange(&jwt).token("x").send().await.is_invalid_token();
    public.exchange(&jwt).account("x").send().await.is_invalid_token();
}

#[tokio::test]
async fn until_the_app_is_set_there_is_no_exchange_but_callers_are_checked() {
    let (_, stack, proxy) = behind_proxy().await;
    let call = stack.exchange(&platform_jwt(&current_customer(NOW)));
    let exchange = || call.clone().token(&stack.demo_token).send();
    let not_set = "the app's client id and secret are not set.";
    for (secret, problem) in [
        (r#"{"clientId":"","clientSecret":""}"#, not_set),
        (r#"{"clientId":" ","clientSecret":"\n"}"#, not_set),
        (r#"{"clientId":null}"#, not_set),
        ("{}", not_set),
        ("demo-app-client-id", "the app secret is set, but is not JSON."),
        (r#"{"clientId":"a","clientSecret":"1234567890123456"#, "the app secret is set, but is not JSON."),
        (r#"["a", "1234567890123456"]"#, "the app secret is set, but is no JSON object."),
        (
            r#"{"clientId":"a","clientSecret":"1234567890123456","clientSecret":"6543210987654321"}"#,
            "the app secret is set, but names a member twice.",
        ),
        (r#"{"clientSecret":"1234567890123456"}"#, "the app secret is set, but its clientId is missing or empty."),
        (r#"{"clientId":"a","clientSecret":" "}"#, "the app secret is set, but its clientSecret is missing or empty."),
        (r#"{"clientId":7,"clientSecret":""}"#, "the app secret is set, but its clientId is no string."),
        (
            r#"{"clientId":"a","clientSecret":["1234567890123456"]}"#,
            "the app secret is set, but its clientSecret is no string.",
        ),
        (
            r#"{"clientId":"a","clientSecret":" 123456789012345 "}"#,
            "the app secret is set, but its clientSecret is shorter than 16 bytes.",
        ),
    ] {
        proxy.set_app_secret(secret);
        stack.clock.advance(10);
        let answer = exchange().await;
        assert_eq!(answer.retry_after, Some(5));
        let text = format!("Current-customer JWTs cannot be exchanged: {problem}");
        let log = LOG.text();
        let line = log.lines().find(|line| line.contains(&answer.request_id)).unwrap();
        assert!(line.contains("ERROR") && line.contains(&text), "{line}");
        answer.is_error(503, "Service Unavailable", &text);
        call.clone().token("bad").send().await.is_invalid_token();
        stack.get("/auth/storefront").token(&stack.demo_token).send().await.refuses_fields(&["jwtToken"]);
    }
    proxy.set_app_secret(&demo::secrets(&stack.configuration)[&stack.configuration.app_secret_id]);
    assert_eq!(exchange().await.status, 503, "it was read a moment ago");
    stack.clock.advance(10);
    assert_eq!(exchange().await.status, 200);
    // One that is taken back is good for nothing any more.
    proxy.set_app_secret(r#"{"clientId":"","clientSecret":""}"#);
    stack.clock.advance(300);
    assert_eq!(exchange().await.status, 503);
}

#[tokio::test]
async fn an_app_secret_may_be_as_short_as_the_platform_makes_them_and_pasted_with_blanks() {
    let (_, stack, proxy) = behind_proxy().await;
    for (client_id, client_secret) in [
        (demo::APP_CLIENT_ID, "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p"),
        (demo::APP_CLIENT_ID, "0123456789abcdef"),
        ("\tdemo-app-client-id\n", " demo-app-client-secret-0123456789abcdef\r\n"),
        (demo::APP_CLIENT_ID, "one with blanks in it"),
    ] {
        proxy.set_app_secret(&json!({"clientId": client_id, "clientSecret": client_secret}).to_string());
        stack.clock.advance(10);
        let claims = current_customer(NOW);
        let jwt = sign(&Header::default(), &claims, client_secret.trim());
        let answer = stack.exchange(&jwt).token(&stack.demo_token).send().await;
        assert_eq!(answer.status, 200, "{client_secret:?}: {}", answer.body);
        let shorter = sign(&Header::default(), &claims, &client_secret.trim()[1..]);
        is_refused(&stack, &shorter, "another secret").await;
    }
}

#[tokio::test]
async fn an_app_secret_that_is_binary_cannot_be_used() {
    let (_, stack, proxy) = behind_proxy().await;
    proxy.rule(|request| match request.body["SecretId"].as_str() {
        Some(id) if id.starts_with("app") => Fate::Answered(200, json!({"SecretBinary": "e30="})),
        _ => Fate::Forwarded,
    });
    let answer = stack.exchange(&platform_jwt(&current_customer(NOW))).token(&stack.demo_token).send().await;
    answer.is_error(
        503,
        "Service Unavailable",
        "Current-customer JWTs cannot be exchanged: the app secret is set, but is not JSON.",
    );
}
