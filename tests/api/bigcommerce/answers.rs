//! Whatever BigCommerce answers, and what the caller gets.

use super::{CHANNEL_SETTINGS, GRAPHQL, LOOK_UP, PRIVATE_TOKEN, VALIDATE, issue, issue_for_access_token, log_in};
use local::demo;
use serde_json::json;
use std::time::{Duration, Instant};
use tests::{Answer, TestStack, Upstream, UpstreamFate};

const REFUSES: &str = "The store's customer directory refuses this service.";
const UNAVAILABLE: &str = "The store's customer directory is temporarily unavailable. Try again in 5 seconds.";

/// The calls, each with what a caller does to have it made.
const CALLS: [&str; 5] = [VALIDATE, LOOK_UP, CHANNEL_SETTINGS, PRIVATE_TOKEN, GRAPHQL];

async fn have_made(stack: &TestStack, call: &str) -> Answer {
    // Nothing is remembered.
    let stack = stack.fresh_functions(stack.aws_url()).await;
    match call {
        VALIDATE => log_in(&stack).await,
        LOOK_UP | CHANNEL_SETTINGS => issue(&stack, &json!({"customerId": demo::BUYER_ID})).await,
        _ => issue_for_access_token(&stack, demo::BUYER_ACCESS_TOKEN).await,
    }
}

/// Meets each of the calls with the fate, and gives the answers and how often each was tried.
async fn each_meets(stack: &TestStack, upstream: &Upstream, fate: &UpstreamFate) -> Vec<(&'static str, Answer, usize)> {
    let mut answers = Vec::new();
    for call in CALLS {
        upstream.fault_in(call, fate.clone());
        // The budget is another matter.
        stack.clock.advance(30);
        let answer = have_made(stack, call).await;
        answers.push((call, answer, upstream.seen(call)));
    }
    answers
}

#[tokio::test]
async fn an_account_that_is_refused_is_the_operators_to_mend() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let redirect = UpstreamFate::Answered(302, vec![("Location", format!("{}/elsewhere", upstream.url))], "".into());
    let page = UpstreamFate::Answered(404, vec![("Content-Type", "text/html".into())], "<html>".into());
    for fate in [401, 402, 403, 405, 409, 301, 308].map(UpstreamFate::status).into_iter().chain([redirect, page]) {
        for (call, answer, tries) in each_meets(&stack, &upstream, &fate).await {
            answer.is_error(503, "Service Unavailable", REFUSES);
            assert_eq!(answer.retry_after, Some(5));
            // A private token that was just made is not made again.
            assert_eq!(tries, 1, "{call} {fate:?}");
            assert_eq!(upstream.seen("/elsewhere"), 0, "{call}");
        }
    }
}

#[tokio::test]
async fn what_bigcommerce_does_not_even_look_up_is_nobodys() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    for status in [400, 413, 414, 422, 431] {
        for (call, answer, tries) in each_meets(&stack, &upstream, &UpstreamFate::status(status)).await {
            match call {
                VALIDATE => answer.is_error(400, "Calling BC API failed", "Customer auth failed"),
                LOOK_UP => answer.is_error(404, "Not Found Error", "No matching customer was found."),
                GRAPHQL => answer.is_error(401, "Invalid customerAccessToken.", "Invalid customerAccessToken."),
                // Nothing of these comes from a caller.
                _ => answer.is_error(503, "Service Unavailable", REFUSES),
            }
            assert_eq!(tries, 1, "{call} {status}");
        }
    }
}

#[tokio::test]
async fn what_fails_by_itself_is_asked_once_more_but_for_credentials() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    for status in [408, 500, 502, 503, 504, 520] {
        for (call, answer, tries) in each_meets(&stack, &upstream, &UpstreamFate::status(status)).await {
            answer.is_error(503, "Service Unavailable", UNAVAILABLE);
            assert_eq!(answer.retry_after, Some(5));
            assert_eq!(tries, if call == VALIDATE { 1 } else { 2 }, "{call} {status}");
        }
    }
    // The second time it is well.
    for call in [LOOK_UP, CHANNEL_SETTINGS, PRIVATE_TOKEN, GRAPHQL] {
        for fate in
            [UpstreamFate::status(502), UpstreamFate::CutOff, UpstreamFate::ClosedUnanswered, UpstreamFate::AnswerLost]
        {
            let then = fate.clone();
            upstream.rule(move |request| {
                let is_first = request.path.contains(call) && request.earlier == 0;
                if is_first { then.clone() } else { UpstreamFate::Forwarded }
            });
            stack.clock.advance(30);
            assert_eq!(have_made(&stack, call).await.status, 200, "{call} {fate:?}");
            assert_eq!(upstream.seen(call), 2);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_as_documented_is_no_answer() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let huge = format!(r#"{{"is_valid": true, "customer_id": 313, "data": [], "more": "{}"}}"#, "x".repeat(300_000));
    let other = json!({
        "is_valid": true, "data": [{"id": 314, "email": "other@example.com", "token": 7, "allow_global_logins": true}],
    });
    for body in
        ["", "<html>", "null", "[]", "7", "{", r#"{"is_valid": "true", "data": "x"}"#, &huge, &other.to_string()]
    {
        for (call, answer, _) in
            each_meets(&stack, &upstream, &UpstreamFate::Answered(200, vec![], body.to_owned().into())).await
        {
            assert_eq!(answer.status, 503, "{call} {:.40}: {}", body, answer.body);
            answer.is_error(503, "Service Unavailable", UNAVAILABLE);
        }
    }
    // Another status says something else, whatever the body does.
    let good = json!({"is_valid": true, "customer_id": demo::BUYER_ID});
    for status in [201, 202, 204, 206] {
        upstream.fault_in(VALIDATE, UpstreamFate::json(status, &good));
        have_made(&stack, VALIDATE).await.is_error(503, "Service Unavailable", UNAVAILABLE);
    }
    for (_, answer, _) in each_meets(&stack, &upstream, &UpstreamFate::CutOff).await {
        answer.is_error(503, "Service Unavailable", UNAVAILABLE);
    }
}

#[tokio::test]
async fn what_does_not_come_is_not_waited_for_longer_than_a_function_runs() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    for (fate, longest) in [
        (UpstreamFate::Unanswered, 7),
        (UpstreamFate::AfterDelay(Duration::from_secs(20)), 7),
        (UpstreamFate::ClosedUnanswered, 3),
        (UpstreamFate::AnswerLost, 3),
    ] {
        for call in CALLS {
            upstream.fault_in(call, fate.clone());
            stack.clock.advance(30);
            let started = Instant::now();
            have_made(&stack, call).await.is_error(503, "Service Unavailable", UNAVAILABLE);
            assert!(started.elapsed() < Duration::from_secs(longest), "{call} {fate:?}: {:?}", started.elapsed());
            // Credentials are not tried again where they may have been looked at.
            let once = call == VALIDATE && !matches!(fate, UpstreamFate::ClosedUnanswered | UpstreamFate::AnswerLost);
            assert_eq!(upstream.seen(call), if once { 1 } else { 2 }, "{call} {fate:?}");
        }
    }
    // Each call comes in time, but all of them do not.
    upstream.fault_in("", UpstreamFate::AfterDelay(Duration::from_millis(2_500)));
    stack.clock.advance(30);
    let started = Instant::now();
    have_made(&stack, GRAPHQL).await.is_error(503, "Service Unavailable", UNAVAILABLE);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    // Slow, but in time.
    upstream.fault_in("", UpstreamFate::AfterDelay(Duration::from_secs(1)));
    stack.clock.advance(30);
    assert_eq!(have_made(&stack, VALIDATE).await.status, 200);
}

#[tokio::test]
async fn a_connection_that_was_kept_too_long_costs_nobody_a_login() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let functions = stack.fresh_functions(stack.aws_url()).await;
    assert_eq!(log_in(&functions).await.status, 200);
    upstream.rule(|request| {
        let is_first = request.path.contains(VALIDATE) && request.earlier == 0;
        if is_first { UpstreamFate::ClosedUnanswered } else { UpstreamFate::Forwarded }
    });
    assert_eq!(log_in(&functions).await.status, 200);
    assert_eq!(upstream.seen(VALIDATE), 2);
}
