//! `GET /auth/storefront`.

use super::{LOOK_UP, put_customer};
use local::demo;
use serde_json::json;
use tests::{Answer, NOW, TestStack, UpstreamFate, current_customer, platform_jwt, with};

async fn exchange(stack: &TestStack, id: u64, channel_id: u64) -> Answer {
    let claims = with(current_customer(NOW), "customer", json!({"id": id, "email": "c@example.com", "group_id": 1}));
    let path = format!("/auth/storefront?jwtToken={}&channelId={channel_id}", platform_jwt(&claims));
    stack.get(&path).token(&stack.demo_token).send().await
}

#[tokio::test]
async fn a_channel_must_be_the_customers_where_the_store_has_several() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    upstream.bigcommerce.change(|store| {
        put_customer(store, 41, "all@example.com", "p", None);
        put_customer(store, 42, "two@example.com", "p", Some(vec![2, 3]));
    });
    for (id, channel_id, status) in [(41, 1, 200), (41, 2, 422), (42, 1, 422), (42, 2, 200), (42, 3, 422), (41, 1, 200)]
    {
        let answer = exchange(&stack, id, channel_id).await;
        assert_eq!(answer.status, status, "{id} {channel_id}: {}", answer.body);
        if status == 422 {
            answer.refuses_fields(&["channelId"]);
        }
    }
    // Both customers, both channels for the one who is limited to none; channel 3 is none of the store's.
    assert_eq!(upstream.seen(""), 4);
    exchange(&stack, 43, 1).await.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
    for (fate, status) in [(429, 429), (403, 503), (500, 503)] {
        upstream.fault_in(LOOK_UP, UpstreamFate::status(fate));
        assert_eq!(exchange(&stack, 44, 1).await.status, status, "{fate}");
    }
}

#[tokio::test]
async fn of_a_stores_only_channel_nobody_is_asked() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let channels = accounts::StoreChange::Channels(vec![2]);
    assert_eq!(stack.accounts().change_store(demo::STORE, &channels).await.unwrap(), accounts::Edit::Done);
    upstream.fault_in("", UpstreamFate::status(500));
    for (channel_id, status) in [(2, 200), (1, 422)] {
        assert_eq!(exchange(&stack, demo::BUYER_ID, channel_id).await.status, status);
    }
    assert_eq!(upstream.seen(""), 0);
}
