//! Two stores at BigCommerce have nothing in common.

use super::put_customer;
use local::{bigcommerce::Store, demo};
use serde_json::{Value, json};
use shared::tables::directory::CustomerDirectory;
use std::collections::BTreeMap;
use tests::{Answer, TestStack, Upstream, decode};

const ACCESS_TOKEN: &str = "access-token-of-the-other-store";
const OTHER_EMAIL: &str = "same.id@other.example";

/// In the other store the demo customer's id is somebody else's, and channel 1 lets in nobody who is not limited to it.
async fn two_stores() -> (TestStack, Upstream, String) {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let mut store = Store::new(ACCESS_TOKEN);
    put_customer(&mut store, demo::BUYER_ID, OTHER_EMAIL, demo::BUYER_PASSWORD, Some(vec![1]));
    put_customer(&mut store, 20, "unlimited@other.example", demo::BUYER_PASSWORD, None);
    store.allow_global_logins = BTreeMap::from([(1, Some(false))]);
    upstream.bigcommerce.put_store(demo::OTHER_STORE, store);
    stack.put_bigcommerce_secret(demo::OTHER_STORE, &json!({"accessToken": ACCESS_TOKEN}).to_string()).await;
    stack.set_customer_directory(demo::OTHER_STORE, CustomerDirectory::BigCommerce).await;
    let other_store_token = stack.other_store_token().await;
    (stack, upstream, other_store_token)
}

async fn issue(stack: &TestStack, token: &str, body: Value) -> Answer {
    stack.post("/auth/customers/storefront", &body).token(token).send().await
}

#[tokio::test]
async fn nothing_that_is_remembered_of_one_store_is_taken_for_another() {
    let (stack, upstream, other) = two_stores().await;
    let (buyer, demo_token) = (json!({"customerId": demo::BUYER_ID}), stack.demo_token.clone());
    for _ in 0..2 {
        for (token, email) in [(&demo_token, demo::BUYER_EMAIL), (&other, OTHER_EMAIL)] {
            let answer = issue(&stack, token, buyer.clone()).await;
            assert_eq!(decode(answer.storefront_token()).1["email"], email);
        }
    }
    // The demo store's channel 1 is remembered to let in everybody.
    assert_eq!(issue(&stack, &other, json!({"customerId": 20})).await.status, 404);
    let with_access_token =
        json!({"customerId": demo::BUYER_ID, "customerAccessToken": {"value": demo::BUYER_ACCESS_TOKEN}});
    for (token, status) in [(&demo_token, 200), (&other, 401), (&demo_token, 200)] {
        assert_eq!(issue(&stack, token, with_access_token.clone()).await.status, status);
    }
    let login = |store: &str| json!({"storeHash": store, "email": OTHER_EMAIL, "password": demo::BUYER_PASSWORD, "channelId": 1, "name": "n"});
    for (store, token, status) in [(demo::OTHER_STORE, &other, 200), (demo::STORE, &demo_token, 400)] {
        assert_eq!(stack.post("/auth/customers", &login(store)).token(token).send().await.status, status, "{store}");
    }
    for request in upstream.take_requests() {
        if let Some(access_token) = request.headers.get("x-auth-token") {
            let is_of_other = request.path.starts_with("/stores/otherstore/");
            assert_eq!(access_token != demo::BIGCOMMERCE_ACCESS_TOKEN, is_of_other, "{}", request.path);
        }
    }
}

#[tokio::test]
async fn one_store_may_go_on_while_anothers_quota_or_budget_is_used_up() {
    let (mut stack, upstream, other) = two_stores().await;
    let demo_token = stack.demo_token.clone();
    let buyer = json!({"customerId": demo::BUYER_ID});
    upstream.bigcommerce.use_up(149);
    assert_eq!(issue(&stack, &demo_token, json!({"customerId": 1})).await.status, 404);
    assert_eq!(issue(&stack, &demo_token, json!({"customerId": 1})).await.status, 429);
    assert_eq!(issue(&stack, &other, buyer.clone()).await.status, 200);

    stack.clock.advance(30);
    stack.configuration.bigcommerce.calls_per_window = 5;
    let stack = stack.fresh_functions(stack.aws_url()).await;
    for id in 1..=5 {
        assert_eq!(issue(&stack, &demo_token, json!({"customerId": id})).await.status, 404, "{id}");
    }
    assert_eq!(issue(&stack, &demo_token, json!({"customerId": 6})).await.status, 429);
    assert_eq!(issue(&stack, &other, buyer).await.status, 200);
}
