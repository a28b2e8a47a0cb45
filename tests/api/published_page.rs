//! The requests that the published page shows, to the letter.

use accounts::passwords;
use local::demo;
use serde_json::json;
use shared::tables::directory::{Customer, CustomerLogin};
use tests::{Setup, TestStack, decode};

const CUSTOMER_LOGIN: &str = r#"{
"storeHash": "string",
"email": "axe@snapmail.cc",
"password": "test12345",
"channelId": 1,
"name": "test",
"beginAt": 1000,
"endAt": 1721930486
}"#;

#[tokio::test]
async fn get_server_to_server_tokens() {
    let stack = TestStack::start().await;
    let published = r#"{
"storeHash": "string",
"email": "string",
"password": "string",
"name": "test"
}"#;
    let send = |body: String| stack.request("POST", "/auth/backend").body("application/json", body).send();
    send(published.into()).await.refuses_fields(&["email"]);
    let real = published
        .replacen("\"storeHash\": \"string\"", &format!("\"storeHash\": \"{}\"", demo::STORE), 1)
        .replacen("\"email\": \"string\"", &format!("\"email\": \"{}\"", demo::ADMIN_EMAIL), 1)
        .replacen("\"password\": \"string\"", &format!("\"password\": \"{}\"", demo::ADMIN_PASSWORD), 1);
    let answer = send(real).await;
    assert_eq!((answer.status, &answer.body["data"][0]["name"]), (200, &json!("test")));
}

#[tokio::test]
async fn delete_backend_api_tokens() {
    let stack = TestStack::start().await;
    stack.create_token("test").await;
    let call = stack.request("DELETE", "/auth/backend").header("Content-Type", "application/json");
    // The page's curl sends no id, which the page says is required.
    call.token(&stack.demo_token).send().await.refuses_fields(&["id"]);
}

#[tokio::test]
async fn get_all_server_to_server_tokens() {
    let stack = TestStack::start().await;
    let call = stack.get("/backend/tokens").header("Content-Type", "application/json");
    let answer = call.token(&stack.demo_token).send().await;
    let first = answer.body["data"][0].as_object().unwrap();
    let mut keys: Vec<_> = first.keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "beginAt",
            "email",
            "endAt",
            "eventChannel",
            "id",
            "lastUsedAt",
            "name",
            "replacedById",
            "scopes",
            "storeHash",
            "token"
        ]
    );
    assert_eq!(answer.body["meta"]["pagination"], json!({"totalCount": 1, "offset": 0, "limit": 10}));
}

#[tokio::test]
async fn get_a_storefront_api_auth_token() {
    let stack = TestStack::start().await;
    let call = stack.get("/auth/storefront").header("Content-Type", "application/json");
    // The page's curl sends no jwtToken, which the page says is required.
    call.token(&stack.demo_token).send().await.refuses_fields(&["jwtToken"]);
}

#[tokio::test]
async fn get_storefront_auth_token_with_credentials() {
    let stack = TestStack::start_public().await;
    let customer = Customer {
        customer_id: 7,
        email: "axe@snapmail.cc".into(),
        channels: vec![1],
        active: true,
        tokens_valid_after: None,
    };
    let login = CustomerLogin { customer, password_hash: passwords::hash(&"test12345".into()).unwrap() };
    stack.accounts().put_customer("string", &login).await.unwrap();
    let call = || stack.request("POST", "/auth/customers").body("application/json", CUSTOMER_LOGIN);
    assert_eq!(call().token(&stack.demo_token).send().await.status, 403);
    // Both times lie in the past, and the token is given.
    let answer = call().send().await;
    assert_eq!(answer.body["data"]["name"], "test");
    let (_, claims) = decode(answer.storefront_token());
    assert_eq!((&claims["nbf"], &claims["exp"]), (&json!(1000), &json!(1_721_930_486)));
}

#[tokio::test]
async fn get_a_b2b_storefront_token() {
    let published = r#"{
"customerId": 999,
"channelId": 1,
"customerAccessToken": {
"value": "sometoken",
"expires_at": "2024-12-31T00:00:00.0Z"
}
}"#;
    // The page's access token was good until the end of 2024, and five seconds of leeway.
    for (now, status) in [(1_735_603_204, 200), (1_735_603_205, 422)] {
        let stack = TestStack::start_with(Setup::at(now)).await;
        let other = stack.other_store_token().await;
        let call = stack.request("POST", "/auth/customers/storefront").body("application/json", published);
        let answer = call.token(&other).send().await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}
