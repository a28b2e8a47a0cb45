//! `POST /auth/customers/storefront`.

use local::demo;
use serde_json::{Value, json};
use tests::{NOW, TestStack, decode};

const PATH: &str = "/auth/customers/storefront";

#[tokio::test]
async fn gives_an_array_of_one_token_that_carries_the_platforms_claims() {
    let stack = TestStack::start().await;
    let answer = stack.post(PATH, &json!({"customerId": demo::BUYER_ID})).token(&stack.demo_token).send().await;
    assert_eq!(answer.body["meta"], json!({"message": "success"}));
    assert_eq!(answer.body["data"]["token"].as_array().unwrap().len(), 1);
    let (header, claims) = decode(answer.storefront_token());
    assert_eq!(header, json!({"typ": "JWT", "alg": "HS256", "kid": "demo"}));
    assert_eq!(
        claims,
        json!({
            "email": demo::BUYER_EMAIL, "bc_customer_id": demo::BUYER_ID, "store_hash": demo::STORE, "db": "default",
            "bc_channel_id": 1, "aud": "storefront", "iat": NOW, "exp": NOW + 86_400,
        })
    );
}

#[tokio::test]
async fn optional_fields_may_be_absent_null_or_given() {
    let stack = TestStack::start().await;
    for body in [
        json!({"customerId": "313", "channelId": "1"}),
        json!({"customerId": 313, "channelId": null, "customerAccessToken": null, "other": []}),
        json!({"customerId": 313, "customerAccessToken": {"value": "v", "expires_at": "2030-01-01T00:00:00.0Z"}}),
        json!({"customerId": 313, "customerAccessToken": {"value": "v", "expiresAt": "2030-01-01T00:00:00+02:00"}}),
        json!({"customerId": 313, "customerAccessToken": {"value": "v", "expiresAt": "2027-01-15T07:59:56Z"}}),
        json!({"customerId": 313, "customerAccessToken": {"value": "v", "expires_at": null, "expiresAt": "2030-01-01"}}),
        json!({"customerId": 313, "customerAccessToken": {}}),
        json!({"customerId": 313, "customerAccessToken": {"value": "sometoken"}}),
        json!({"customerId": 313, "customerAccessToken": {"value": ""}}),
        json!({"customerId": 313, "customerAccessToken": {"value": null, "expires_at": null, "expiresAt": null}}),
        json!({"customerId": 313, "customerAccessToken": {"expires_at": "2030-01-01T00:00:00Z"}}),
        json!({"customerId": 313, "customerAccessToken": {"sub": "313", "iat": 1_700_000_000, "jti": "x"}}),
    ] {
        let answer = stack.post(PATH, &body).token(&stack.demo_token).send().await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    }
}

#[tokio::test]
async fn unknown_customers_and_channels_are_not_found() {
    let stack = TestStack::start().await;
    stack.add_customer(7, "gone@example.com", &[1], false).await;
    stack.add_customer(8, "two@example.com", &[2], true).await;
    for (body, status) in [
        (json!({"customerId": 1}), 404),
        (json!({"customerId": u64::MAX}), 404),
        (json!({"customerId": demo::OTHER_BUYER_ID}), 404),
        (json!({"customerId": 313, "channelId": 2}), 404),
        (json!({"customerId": 7}), 404),
        (json!({"customerId": 8}), 404),
        (json!({"customerId": 8, "channelId": 2}), 200),
    ] {
        let answer = stack.post(PATH, &body).token(&stack.demo_token).send().await;
        if status == 200 {
            assert_eq!(decode(answer.storefront_token()).1["bc_channel_id"], 2);
        } else {
            answer.is_error(404, "Not Found Error", "No matching customer was found.");
        }
    }
}

#[tokio::test]
async fn bad_fields_are_all_named() {
    let stack = TestStack::start().await;
    let access_token = |access_token: Value| json!({"customerId": 313, "customerAccessToken": access_token});
    for (body, fields) in [
        (json!({}), ["customerId"].as_slice()),
        (json!({"customerId": null}), &["customerId"]),
        (json!({"customerId": 0}), &["customerId"]),
        (json!({"customerId": -1}), &["customerId"]),
        (json!({"customerId": "x", "channelId": 0}), &["channelId", "customerId"]),
        (access_token(json!("v")), &["customerAccessToken"]),
        (access_token(json!([])), &["customerAccessToken"]),
        (access_token(json!({"value": 7, "expires_at": "2030-01-01T00:00:00Z"})), &["customerAccessToken.value"]),
        (access_token(json!({"value": "x".repeat(8193)})), &["customerAccessToken.value"]),
        (access_token(json!({"value": "v", "expires_at": 7})), &["customerAccessToken.expires_at"]),
        (
            access_token(json!({"value": [], "expires_at": "", "expiresAt": {}})),
            &["customerAccessToken.expiresAt", "customerAccessToken.expires_at", "customerAccessToken.value"],
        ),
        (access_token(json!({"expires_at": "2027-01-15T07:59:55Z"})), &["customerAccessToken.expires_at"]),
        (
            access_token(json!({"expires_at": "2030-01-01T00:00:00Z", "expiresAt": "2024-12-31T00:00:00Z"})),
            &["customerAccessToken.expiresAt"],
        ),
        (access_token(json!({"value": "v", "expiresAt": "soon"})), &["customerAccessToken.expiresAt"]),
        (
            access_token(json!({"value": "v", "expires_at": "2027-01-15T07:59:55Z"})),
            &["customerAccessToken.expires_at"],
        ),
        (
            access_token(json!({"value": "v", "expiresAt": "2024-12-31T00:00:00.0Z"})),
            &["customerAccessToken.expiresAt"],
        ),
    ] {
        stack.post(PATH, &body).token(&stack.demo_token).send().await.refuses_fields(fields);
    }
}

#[tokio::test]
async fn needs_a_token_even_where_the_deployment_is_public() {
    let public = TestStack::start_public().await;
    assert_eq!(public.post(PATH, &json!({"customerId": demo::BUYER_ID})).send().await.status, 401);
}
