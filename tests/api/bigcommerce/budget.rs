//! How much of a store's quota is used.

use super::{GRAPHQL, VALIDATE, issue, issue_for_access_token, log_in, put_customer};
use local::demo;
use serde_json::json;
use std::ops::Range;
use tests::{NOW, TestStack, Upstream, UpstreamFate};

/// [`NOW`] is the first second of a window.
const WINDOW: u64 = 30;

fn busy(seconds: u64) -> String {
    let seconds = if seconds == 1 { "1 second".into() } else { format!("{seconds} seconds") };
    format!("Too many requests to the store's customer directory. Try again in {seconds}.")
}

#[tokio::test]
async fn a_store_has_a_budget_of_calls_that_all_functions_share() {
    assert_eq!(NOW % WINDOW, 0);
    let (mut stack, upstream) = TestStack::start_on_bigcommerce().await;
    stack.configuration.bigcommerce.calls_per_window = 10;
    let one = stack.fresh_functions(stack.aws_url()).await;
    let other = stack.fresh_functions(stack.aws_url()).await;
    stack.clock.advance(7);
    add_customers(&upstream, 100..120);
    for (functions, ids) in [(&one, 100..105), (&other, 105..110)] {
        for id in ids {
            assert_eq!(issue(functions, &json!({"customerId": id})).await.status, 200, "{id}");
        }
    }
    for (functions, remembered) in [(&one, 100), (&other, 105)] {
        for _ in 0..2 {
            let answer = issue(functions, &json!({"customerId": 110})).await;
            answer.is_error(429, "Too Many Requests", &busy(23));
            assert_eq!(answer.retry_after, Some(23));
            log_in(functions).await.is_error(429, "Too Many Requests", &busy(23));
        }
        // What is remembered costs nothing.
        assert_eq!(issue(functions, &json!({"customerId": remembered})).await.status, 200);
    }
    assert_eq!(upstream.seen(""), 10);
    stack.clock.advance(22);
    assert_eq!(issue(&one, &json!({"customerId": 110})).await.retry_after, Some(1));
    stack.clock.advance(1);
    assert_eq!(issue(&one, &json!({"customerId": 110})).await.status, 200);
}

#[tokio::test]
async fn passwords_that_anybody_may_have_checked_leave_two_fifths_to_all_else() {
    let (mut stack, upstream) = TestStack::start_on_bigcommerce().await;
    stack.configuration.bigcommerce.calls_per_window = 10;
    let stack = stack.fresh_functions(stack.aws_url()).await;
    add_customers(&upstream, 100..105);
    for n in 0..6 {
        assert_eq!(stack.log_in(&format!("nobody{n}@example.com"), "wrong").await.status, 400, "{n}");
    }
    log_in(&stack).await.is_error(429, "Too Many Requests", &busy(30));
    for id in 100..104 {
        assert_eq!(issue(&stack, &json!({"customerId": id})).await.status, 200, "{id}");
    }
    assert_eq!(issue(&stack, &json!({"customerId": 104})).await.status, 429);
    assert_eq!((upstream.seen(VALIDATE), upstream.seen("")), (6, 10));
}

#[tokio::test]
async fn what_is_asked_once_more_counts_twice() {
    let (mut stack, upstream) = TestStack::start_on_bigcommerce().await;
    stack.configuration.bigcommerce.calls_per_window = 10;
    let stack = stack.fresh_functions(stack.aws_url()).await;
    upstream.fault_in("", UpstreamFate::status(500));
    for n in 0..5 {
        assert_eq!(issue(&stack, &json!({"customerId": demo::BUYER_ID})).await.status, 503, "{n}");
    }
    assert_eq!(issue(&stack, &json!({"customerId": demo::BUYER_ID})).await.status, 429);
    assert_eq!(upstream.seen(""), 10);
}

fn add_customers(upstream: &Upstream, ids: Range<u64>) {
    upstream.bigcommerce.change(|store| {
        for id in ids {
            put_customer(store, id, &format!("c{id}@example.com"), "p", Some(vec![1]));
        }
    });
}

#[tokio::test]
async fn the_last_tenth_of_the_quota_is_left_to_the_stores_other_apps() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    stack.clock.advance(10);
    upstream.bigcommerce.use_up(133);
    // 15 are left after the two calls of this one.
    assert_eq!(log_in(&stack).await.status, 200);
    assert_eq!(upstream.seen(""), 2);
    for _ in 0..3 {
        let answer = log_in(&stack).await;
        answer.is_error(429, "Too Many Requests", &busy(20));
        assert_eq!(answer.retry_after, Some(20));
    }
    assert_eq!(upstream.seen(""), 2);
    stack.clock.advance(20);
    assert_eq!(log_in(&stack).await.status, 200);
}

#[tokio::test]
async fn a_429_is_passed_on_with_the_time_to_wait() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let of_call = |headers: &[(&'static str, &str)]| {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        UpstreamFate::Answered(429, headers, "{}".into())
    };
    for (headers, seconds) in [
        (vec![("X-Rate-Limit-Time-Reset-Ms", "4200")], 5),
        (vec![("X-Retry-After", "3")], 3),
        (vec![("X-Retry-After", "0")], 1),
        (vec![], 30),
    ] {
        upstream.fault_in(VALIDATE, of_call(&headers));
        let answer = log_in(&stack).await;
        answer.is_error(429, "Too Many Requests", &busy(seconds));
        assert_eq!((answer.retry_after, upstream.seen(VALIDATE)), (Some(seconds), 1));
        // It was about this call: others may go on.
        assert_eq!(issue(&stack, &json!({"customerId": demo::BUYER_ID})).await.status, 200);
    }
    upstream.fault_in(GRAPHQL, of_call(&[("X-Retry-After", "3")]));
    issue_for_access_token(&stack, demo::BUYER_ACCESS_TOKEN).await.is_error(429, "Too Many Requests", &busy(3));
    // The quota is used up: nothing is asked for this store until it is there again.
    upstream.bigcommerce.use_up(150);
    stack.clock.advance(60);
    upstream.bigcommerce.use_up(150);
    upstream.forward_all();
    for _ in 0..3 {
        let answer = issue(&stack, &json!({"customerId": demo::BUYER_ID})).await;
        answer.is_error(429, "Too Many Requests", &busy(30));
        assert_eq!(upstream.seen(""), 1);
    }
}
