//! Which storefront tokens are good, as whoever accepts them asks.

use jsonwebtoken::Header;
use local::demo;
use serde_json::{Value, json};
use shared::{
    auth::denial::Denial,
    keys::{claims::StorefrontTokenClaims, jwt::DAY},
    scopes::Scopes,
    tables::directory::{Customer, CustomerLogin, Store},
};
use tests::{
    Authorizer, NOW, TestStack, buyer_login, current_customer, decode, demo_key, keyed, platform_jwt, rest_event, sign,
    signed_with_demo_key, with,
};

/// A stranger is a customer whom only the platform knows.
const STRANGER: u64 = 4927;

/// As the operator's tool does it; introspection and the authorizer must say the same.
async fn verify(stack: &TestStack, token: &str) -> Result<StorefrontTokenClaims, String> {
    let verified = stack.services().auth.storefront_token(token).await;
    let introspected = stack.introspect(token).token(&stack.demo_token).send().await;
    assert_eq!(introspected.status, if token.is_empty() { 422 } else { 200 }, "{}", introspected.body);
    // It tells of server-to-server tokens too.
    assert_eq!(introspected.body["aud"] == "storefront", verified.is_ok(), "{}", introspected.body);
    let asked = rest_event(&json!({"Authorization": format!("Bearer {token}")}));
    let entry = Authorizer::of(stack).ask("storefront", &asked).await.status();
    // A good token of the other kind is no bad one.
    let expected = if introspected.body["aud"] == "server" { 403 } else { 401 };
    assert_eq!(entry, if verified.is_ok() { 200 } else { expected });
    verified.map_err(|denial| match denial {
        Denial::Invalid(reason) => reason.into(),
        other => panic!("{other:?}"),
    })
}

#[track_caller]
fn is_refused(verified: Result<StorefrontTokenClaims, String>, reason: &str) {
    assert_eq!(verified.map(|claims| claims.email), Err(reason.into()));
}

/// One of the buyer from each endpoint, by the name of how it was made.
pub async fn tokens(stack: &TestStack) -> Vec<(&'static str, String)> {
    let now = stack.clock.now();
    let jwt = platform_jwt(&current_customer(now));
    let mut tokens = Vec::new();
    for (name, call) in [
        ("exchange", stack.exchange(&jwt)),
        ("login", stack.post("/auth/customers", &buyer_login())),
        ("issue", stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID}))),
    ] {
        tokens.push((name, call.token(&stack.demo_token).send().await.storefront_token().to_owned()));
    }
    tokens
}

/// What is no good token of either kind, whoever is shown it.
pub async fn bad_tokens(stack: &TestStack) -> Vec<String> {
    let good = &stack.demo_token;
    let (message, signature) = good.rsplit_once('.').unwrap();
    let claims_part = message.split_once('.').unwrap().1;
    let (claims, storefront) = (decode(good).1, decode(&tokens(stack).await.remove(2).1).1);
    let other_key = "another key of thirty-two bytes...";
    let changed = |name: &str, value: Value| signed_with_demo_key(&with(claims.clone(), name, value));
    let changed_storefront = |name: &str, value: Value| signed_with_demo_key(&with(storefront.clone(), name, value));
    let deleted = stack.create_token("deleted").await;
    let delete = stack.delete(&json!({"id": decode(&deleted).1["jti"]})).token(good);
    assert_eq!(delete.send().await.status, 200);
    vec![
        "x".into(),
        "eyJ".into(),
        "..".into(),
        format!("{good}x"),
        good[..good.len() - 1].into(),
        good.to_uppercase(),
        format!("{message}."),
        format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIiwia2lkIjoiZGVtbyJ9.{claims_part}.{signature}"),
        deleted,
        stack.add_api_account(demo::STORE, &Scopes::ALL).await,
        platform_jwt(&current_customer(NOW)),
        sign(&keyed("demo"), &claims, other_key),
        sign(&keyed("unknown"), &claims, other_key),
        sign(&Header::default(), &claims, demo::APP_CLIENT_SECRET),
        changed("jti", json!("77")),
        changed("aud", json!("storefront")),
        changed("aud", json!("elsewhere")),
        changed("aud", json!(["server", "storefront"])),
        changed("scope", json!("tokens:read")),
        changed("scope", json!("storefront")),
        changed("store_hash", json!(demo::OTHER_STORE)),
        changed("iat", json!(NOW + 6)),
        changed_storefront("exp", json!(NOW - 5)),
        changed_storefront("aud", json!("server")),
    ]
}

async fn token_of_stranger(stack: &TestStack) -> String {
    let stranger = json!({"id": STRANGER, "email": "stranger@example.com", "group_id": 1});
    let claims = with(current_customer(stack.clock.now()), "customer", stranger);
    let call = stack.exchange(&platform_jwt(&claims));
    call.token(&stack.demo_token).send().await.storefront_token().to_owned()
}

fn buyer() -> Customer {
    Customer {
        customer_id: demo::BUYER_ID,
        email: demo::BUYER_EMAIL.into(),
        channels: vec![1],
        active: true,
        tokens_valid_after: None,
    }
}

/// The buyer becomes this.
async fn put(stack: &TestStack, customer: Customer) {
    let known = stack.directory().customer_login(demo::STORE, demo::BUYER_EMAIL).await.unwrap().unwrap();
    let login = CustomerLogin { customer, ..known };
    stack.accounts().put_customer(demo::STORE, &login).await.unwrap();
}

async fn put_store(stack: &TestStack, channels: &[u64], created_at: u64) {
    let store = Store { channels: channels.into(), created_at, ..Store::default() };
    stack.accounts().put_store(demo::STORE, &store).await.unwrap();
}

#[tokio::test]
async fn tokens_of_all_three_endpoints_are_good() {
    let stack = TestStack::start().await;
    for (name, token) in tokens(&stack).await {
        let claims = verify(&stack, &token).await.expect(name);
        assert_eq!((claims.bc_customer_id, claims.channel_id()), (demo::BUYER_ID, Some(1)), "{name}");
        assert_eq!((claims.email.as_str(), claims.store_hash.as_str()), (demo::BUYER_EMAIL, demo::STORE), "{name}");
    }
    let claims = verify(&stack, &token_of_stranger(&stack).await).await.unwrap();
    assert_eq!(claims.bc_customer_id, STRANGER);
}

#[tokio::test]
async fn a_change_of_the_customer_ends_the_tokens_from_before() {
    let stack = TestStack::start().await;
    let tokens = tokens(&stack).await;
    let revoked = "revoked: the customer was disabled or got another password since";
    for (customer, reason) in [
        (Customer { active: false, ..buyer() }, Some("the customer is disabled or removed")),
        (Customer { tokens_valid_after: Some(NOW), ..buyer() }, Some(revoked)),
        (Customer { tokens_valid_after: Some(NOW + 1), ..buyer() }, Some(revoked)),
        (Customer { tokens_valid_after: Some(NOW - 1), ..buyer() }, None),
        (Customer { channels: vec![2], ..buyer() }, Some("not a channel of the store that the customer may use")),
        (Customer { channels: Vec::new(), ..buyer() }, Some("not a channel of the store that the customer may use")),
        (Customer { channels: vec![2, 1], ..buyer() }, None),
        // Made anew after the removal, under the same id.
        (
            Customer { tokens_valid_after: Customer::removed(demo::BUYER_ID, NOW).tokens_valid_after, ..buyer() },
            Some(revoked),
        ),
        (buyer(), None),
        (Customer::removed(demo::BUYER_ID, NOW), Some("the customer is disabled or removed")),
        // Nothing is known but what was revoked.
        (Customer { active: true, ..Customer::removed(demo::BUYER_ID, NOW - 1) }, None),
        (Customer { active: true, ..Customer::removed(demo::BUYER_ID, NOW) }, Some(revoked)),
    ] {
        let what = format!("{customer:?}");
        put(&stack, customer).await;
        for (name, token) in &tokens {
            let verified = verify(&stack, token).await.map(|claims| claims.bc_customer_id);
            assert_eq!(verified, reason.map_or(Ok(demo::BUYER_ID), |reason| Err(reason.into())), "{name}, {what}");
        }
    }
}

#[tokio::test]
async fn what_is_issued_after_a_revocation_is_good() {
    let stack = TestStack::start().await;
    let before = tokens(&stack).await;
    put(&stack, Customer { tokens_valid_after: Some(NOW), ..buyer() }).await;
    stack.clock.advance(1);
    for (name, token) in tokens(&stack).await {
        assert_eq!(verify(&stack, &token).await.map(|claims| claims.iat), Ok(NOW + 1), "{name}");
    }
    for (_, token) in before {
        verify(&stack, &token).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_jwt_from_before_a_revocation_is_not_exchanged() {
    let stack = TestStack::start().await;
    let call = |iat| {
        let jwt = platform_jwt(&current_customer(iat));
        stack.exchange(&jwt).token(&stack.demo_token).send()
    };
    put(&stack, Customer { tokens_valid_after: Some(NOW - 10), ..buyer() }).await;
    for iat in [NOW - 60, NOW - 11, NOW - 10] {
        call(iat).await.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
    }
    assert_eq!(call(NOW - 9).await.status, 200);
}

#[tokio::test]
async fn a_store_that_is_gone_newer_or_has_lost_the_channel_ends_its_tokens() {
    let stack = TestStack::start().await;
    let known = tokens(&stack).await.remove(2).1;
    let stranger = token_of_stranger(&stack).await;
    for (channels, created_at, of_known, of_stranger) in [
        ([1, 2].as_slice(), NOW, None, None),
        (&[1], NOW - 1, None, None),
        (&[1], NOW + 1, Some("issued before the store was made anew"), Some("issued before the store was made anew")),
        // The customer's channels count where the directory knows the customer.
        (&[2], 0, None, Some("not a channel of the store that the customer may use")),
    ] {
        put_store(&stack, channels, created_at).await;
        for (token, reason) in [(&known, of_known), (&stranger, of_stranger)] {
            let verified = verify(&stack, token).await.map(drop);
            assert_eq!(verified, reason.map_or(Ok(()), |reason| Err(reason.into())), "{channels:?} {created_at}");
        }
    }
    stack.delete_store_item().await;
    for token in [&known, &stranger] {
        is_refused(verify(&stack, token).await, "the store does not exist");
    }
}

#[tokio::test]
async fn what_is_no_storefront_token_is_refused_with_the_reason() {
    let stack = TestStack::start().await;
    let token = tokens(&stack).await.remove(2).1;
    let claims = decode(&token).1;
    let key = demo_key();
    let key = key["key"].as_str().unwrap();
    let changed = |name: &str, value: Value| signed_with_demo_key(&with(claims.clone(), name, value));
    for (token, reason) in [
        (sign(&keyed("demo"), &claims, "another-signing-key-0123456789abcdefghij"), "wrong signature"),
        (sign(&keyed("other"), &claims, key), "unknown kid"),
        (sign(&Header::default(), &claims, key), "no kid"),
        (changed("aud", json!("server")), "not a storefront token"),
        (changed("iat", json!(NOW + 6)), "not yet valid"),
        (changed("nbf", json!(NOW + 6)), "not yet valid"),
        (changed("exp", json!(NOW - 5)), "expired"),
        (changed("channel_ids", json!([1])), "no channel"),
        (changed("bc_channel_id", Value::Null), "no channel"),
        (changed("bc_channel_id", json!(2)), "not a channel of the store that the customer may use"),
        (changed("store_hash", json!("nostore")), "the store does not exist"),
        (changed("store_hash", json!("")), "store_hash is no store"),
        (changed("store_hash", json!("x".repeat(3000))), "store_hash is no store"),
        (changed("db", json!("other")), "another db than default"),
    ] {
        is_refused(verify(&stack, &token).await, reason);
    }
    for token in [stack.demo_token.as_str(), &platform_jwt(&current_customer(NOW)), "", "x", &token[..token.len() - 1]]
    {
        verify(&stack, token).await.unwrap_err();
    }
    stack.clock.advance(DAY + 4);
    verify(&stack, &token).await.unwrap();
    stack.clock.advance(1);
    is_refused(verify(&stack, &token).await, "expired");
}
