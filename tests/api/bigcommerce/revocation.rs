//! What is known here counts everywhere and at once; what BigCommerce knows, when the next token is asked for.

use super::{issue, log_in, put_customer};
use local::demo;
use serde_json::json;
use tests::{NOW, PASSWORD, TestStack, current_customer, platform_jwt};

#[tokio::test]
async fn disabled_here_is_refused_at_once_also_while_the_look_up_is_fresh() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let token = issue(&stack, &json!({"customerId": demo::BUYER_ID})).await.storefront_token().to_owned();
    let logged_in = log_in(&stack).await.storefront_token().to_owned();
    let jwt = platform_jwt(&current_customer(NOW));
    let exchanged = stack.exchange(&jwt).token(&stack.demo_token).send().await.storefront_token().to_owned();
    let tokens = [token, logged_in, exchanged];
    upstream.take_requests();
    let is_active = async |token: &str| {
        let answer = stack.introspect(token).token(&stack.demo_token).send().await;
        let let_in = if stack.is_deployed() {
            None
        } else {
            Some(stack.protected("/orders").bearer(token).send().await.status == 200)
        };
        let active = answer.body["active"].as_bool().unwrap();
        assert!(let_in.is_none_or(|let_in| let_in == active), "{token}");
        active
    };
    for token in &tokens {
        assert!(is_active(token).await);
    }

    // The table has more of him than what was revoked: its channels do not count.
    stack.add_customer(demo::BUYER_ID, "old@example.com", &[], true).await;
    for token in &tokens {
        assert!(is_active(token).await);
    }
    assert_eq!(stack.exchange(&jwt).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(issue(&stack, &json!({"customerId": demo::BUYER_ID})).await.status, 200);
    upstream.take_requests();

    stack.add_customer(demo::BUYER_ID, "old@example.com", &[], false).await;
    for token in &tokens {
        assert!(!is_active(token).await);
    }
    assert_eq!(issue(&stack, &json!({"customerId": demo::BUYER_ID})).await.status, 404);
    stack.exchange(&jwt).token(&stack.demo_token).send().await.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
    assert!(upstream.take_requests().is_empty(), "nobody was asked");
    assert_eq!(log_in(&stack).await.status, 400);
}

#[tokio::test]
async fn a_token_is_good_only_for_a_channel_of_the_store() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    upstream.bigcommerce.change(|store| put_customer(store, 21, "two@example.com", PASSWORD, Some(vec![2])));
    let token = issue(&stack, &json!({"customerId": 21, "channelId": 2})).await.storefront_token().to_owned();
    let active = async || stack.introspect(&token).token(&stack.demo_token).send().await.body["active"].clone();
    assert_eq!(active().await, true);
    let channels = accounts::StoreChange::Channels(vec![1]);
    assert_eq!(stack.accounts().change_store(demo::STORE, &channels).await.unwrap(), accounts::Edit::Done);
    assert_eq!(active().await, false);
    assert_eq!(issue(&stack, &json!({"customerId": 21, "channelId": 2})).await.status, 404);
}
