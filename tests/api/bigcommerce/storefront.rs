//! `POST /auth/customers/storefront`.

use super::{CHANNEL_SETTINGS, GRAPHQL, LOOK_UP, PRIVATE_TOKEN, issue, issue_for_access_token, put_customer};
use local::{bigcommerce::Store, demo};
use serde_json::json;
use tests::{LOG, NOW, TestStack, UpstreamFate, decode};

#[tokio::test]
async fn a_customer_whom_bigcommerce_knows_gets_a_token() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let answer = issue(&stack, &json!({"customerId": demo::BUYER_ID})).await;
    let (_, claims) = decode(answer.storefront_token());
    assert_eq!(
        claims,
        json!({
            "email": demo::BUYER_EMAIL, "bc_customer_id": demo::BUYER_ID, "store_hash": demo::STORE, "db": "default",
            "bc_channel_id": 1, "aud": "storefront", "iat": NOW, "exp": NOW + 86_400,
        })
    );
    assert_eq!((upstream.seen(LOOK_UP), upstream.seen(CHANNEL_SETTINGS), upstream.seen("")), (1, 1, 2));
}

#[tokio::test]
async fn a_channel_must_be_the_stores_and_the_customers() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    upstream.bigcommerce.change(|store| {
        put_customer(store, 21, "all@example.com", "p", None);
        put_customer(store, 22, "one@example.com", "p", Some(vec![1]));
        put_customer(store, 23, "three@example.com", "p", Some(vec![1, 2, 3]));
        put_customer(store, 24, "none@example.com", "p", Some(vec![]));
    });
    stack.add_customer(25, "ours@example.com", &[1], true).await;
    let channels = |customer_id: u64, channel_id: u64| json!({"customerId": customer_id, "channelId": channel_id});
    for (body, status) in [
        (channels(21, 1), 200),
        // It allows no global logins.
        (channels(21, 2), 404),
        (channels(22, 1), 200),
        (channels(22, 2), 404),
        (channels(23, 2), 200),
        // The store here has channels 1 and 2.
        (channels(23, 3), 404),
        (channels(24, 1), 404),
        // Only the table knows him.
        (channels(25, 1), 404),
        (channels(26, 1), 404),
        (channels(u64::MAX, 1), 404),
    ] {
        let answer = issue(&stack, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        if status == 404 {
            answer.is_error(404, "Not Found Error", "No matching customer was found.");
        }
    }
    upstream.bigcommerce.change(|store| _ = store.allow_global_logins.insert(2, Some(true)));
    stack.clock.advance(60);
    assert_eq!(issue(&stack, &channels(21, 2)).await.status, 200);
}

#[tokio::test]
async fn what_is_looked_up_is_good_for_a_minute() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let body = json!({"customerId": demo::BUYER_ID});
    for (seconds, look_ups) in [(0, 1), (59, 1), (1, 2)] {
        stack.clock.advance(seconds);
        assert_eq!(issue(&stack, &body).await.status, 200);
        assert_eq!((upstream.seen(LOOK_UP), upstream.seen(CHANNEL_SETTINGS)), (look_ups, look_ups));
    }
    upstream.bigcommerce.change(|store| _ = store.customers.remove(&demo::BUYER_ID));
    stack.clock.advance(60);
    assert_eq!(issue(&stack, &body).await.status, 404);
    // One who is not there is asked for anew.
    upstream.bigcommerce.change(|store| put_customer(store, demo::BUYER_ID, "new@example.com", "p", None));
    let answer = issue(&stack, &body).await;
    assert_eq!(decode(answer.storefront_token()).1["email"], "new@example.com");
}

#[tokio::test]
async fn a_customer_access_token_must_be_good_now_and_the_same_customers() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    assert_eq!(issue_for_access_token(&stack, demo::BUYER_ACCESS_TOKEN).await.status, 200);
    let [_, _, token, question]: [_; 4] = upstream.take_requests().try_into().unwrap();
    assert_eq!(token.body, json!({"channel_ids": [1], "expires_at": NOW + 86_400, "scopes": ["Customer"]}));
    assert_eq!(question.headers["x-bc-customer-access-token"], demo::BUYER_ACCESS_TOKEN);
    assert_eq!(question.headers["x-bc-error-on-invalid-customer-access-token"], "true");
    assert_eq!(question.body, json!({"query": "query { customer { entityId } }"}));

    upstream.bigcommerce.change(|store| {
        put_customer(store, 21, "other@example.com", "p", None);
        store.customer_access_tokens.insert("of another".into(), 21);
    });
    let invalid = "Invalid customerAccessToken.";
    for value in ["of another", "unknown", "", " ", "ä", "a\nb", "a\r\nX-Auth-Token: b", "\u{0}"] {
        issue_for_access_token(&stack, value).await.is_error(401, invalid, invalid);
    }
    // A logout has ended it, whatever its expires_at says.
    upstream.bigcommerce.change(|store| _ = store.customer_access_tokens.remove(demo::BUYER_ACCESS_TOKEN));
    issue_for_access_token(&stack, demo::BUYER_ACCESS_TOKEN).await.is_error(401, invalid, invalid);
    assert!(!LOG.text().contains(demo::BUYER_ACCESS_TOKEN));
    // One without a value is none that could be good.
    upstream.take_requests();
    for access_token in
        [json!({}), json!({"value": null}), json!({"expires_at": "2030-01-01T00:00:00Z"}), json!({"Value": "v"})]
    {
        let answer = issue(&stack, &json!({"customerId": demo::BUYER_ID, "customerAccessToken": access_token})).await;
        answer.is_error(401, invalid, invalid);
    }
    // Where none is shown, none is looked into.
    let answer = issue(&stack, &json!({"customerId": demo::BUYER_ID, "customerAccessToken": null})).await;
    assert_eq!((answer.status, upstream.seen(GRAPHQL)), (200, 0));
    let expired = json!({"value": demo::BUYER_ACCESS_TOKEN, "expires_at": "2020-01-01T00:00:00Z"});
    let answer = issue(&stack, &json!({"customerId": demo::BUYER_ID, "customerAccessToken": expired})).await;
    answer.refuses_fields(&["customerAccessToken.expires_at"]);
}

#[tokio::test]
async fn the_private_token_is_made_anew_before_it_ends_and_where_it_is_refused() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let good = async || assert_eq!(issue_for_access_token(&stack, demo::BUYER_ACCESS_TOKEN).await.status, 200);
    for (seconds, made) in [(0, 1), (60, 1), (86_400 - 60 - 301, 1), (1, 2), (60, 2)] {
        stack.clock.advance(seconds);
        good().await;
        assert_eq!(upstream.seen(PRIVATE_TOKEN), made, "{seconds}");
    }
    upstream.bigcommerce.change(Store::revoke_private_tokens);
    stack.clock.advance(60);
    good().await;
    assert_eq!(upstream.seen(PRIVATE_TOKEN), 3);
    // One that is refused at once is not made again and again.
    upstream.fault_in(GRAPHQL, UpstreamFate::status(401));
    stack.clock.advance(60);
    assert_eq!(issue_for_access_token(&stack, demo::BUYER_ACCESS_TOKEN).await.status, 503);
    assert_eq!((upstream.seen(PRIVATE_TOKEN), upstream.seen(GRAPHQL)), (1, 2));
}
