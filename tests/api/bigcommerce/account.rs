//! The store's API account.

use super::{issue, log_in};
use local::demo;
use serde_json::json;
use tests::{LOG, TestStack, behind_proxy, buyer_login};

const REFUSES: (u16, &str, &str) = (503, "Service Unavailable", "The store's customer directory refuses this service.");

#[tokio::test]
async fn a_replaced_access_token_is_taken_up_when_the_old_one_is_refused() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    assert_eq!(log_in(&stack).await.status, 200);
    upstream.bigcommerce.change(|store| store.access_token = "replaced".into());
    stack.clock.advance(60);
    let answer = log_in(&stack).await;
    answer.is_error(REFUSES.0, REFUSES.1, REFUSES.2);
    assert_eq!(answer.retry_after, Some(5));
    assert!(
        LOG.text()
            .contains("POST /customers/validate-credentials was answered with 401: the access token is not accepted")
    );
    stack.put_bigcommerce_secret(demo::STORE, r#"{"accessToken": "replaced"}"#).await;
    stack.clock.advance(10);
    assert_eq!(log_in(&stack).await.status, 200);
    assert!(!LOG.text().contains("\"replaced\""));
}

#[tokio::test]
async fn a_secret_that_is_missing_or_unusable_is_the_operators_to_mend() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    for text in ["{}", "[]", r#"{"accessToken": "a b"}"#] {
        stack.put_bigcommerce_secret(demo::STORE, text).await;
        let fresh = stack.fresh_functions(stack.aws_url()).await;
        for answer in [log_in(&fresh).await, issue(&fresh, &json!({"customerId": demo::BUYER_ID})).await] {
            answer.is_error(REFUSES.0, REFUSES.1, REFUSES.2);
        }
        stack
            .put_bigcommerce_secret(demo::STORE, &json!({"accessToken": demo::BIGCOMMERCE_ACCESS_TOKEN}).to_string())
            .await;
        stack.clock.advance(10);
        assert_eq!(log_in(&fresh).await.status, 200, "{text}");
    }
    upstream.take_requests();
    let mut without = stack.fresh_functions(stack.aws_url()).await;
    without.configuration.bigcommerce.secret_prefix = "nothing/".into();
    let without = without.fresh_functions(stack.aws_url()).await;
    log_in(&without).await.is_error(REFUSES.0, REFUSES.1, REFUSES.2);
    assert!(upstream.take_requests().is_empty());
    assert!(LOG.text().contains("there is no secret of the store's API account"));
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named_to_the_operator() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    upstream.bigcommerce.change(|store| store.scopes.clear());
    for (answer, call) in [
        (log_in(&stack).await, "POST /customers/validate-credentials"),
        (issue(&stack, &json!({"customerId": demo::BUYER_ID})).await, "GET /customers"),
    ] {
        answer.is_error(REFUSES.0, REFUSES.1, REFUSES.2);
        let line = format!("{call} was answered with 403: the API account lacks a scope");
        let log = LOG.text();
        let said = log.lines().find(|line| line.contains(&answer.request_id)).unwrap();
        assert!(said.contains(&line) && said.contains(r#""level":"ERROR""#), "{said}");
    }
}

#[tokio::test]
async fn a_store_with_customers_in_the_table_pays_nothing() {
    let (_direct, stack, proxy) = behind_proxy().await;
    proxy.forward_all();
    for _ in 0..2 {
        let login = stack.post("/auth/customers", &buyer_login()).token(&stack.demo_token).send().await;
        assert_eq!(login.status, 200);
        assert_eq!(issue(&stack, &json!({"customerId": demo::BUYER_ID})).await.status, 200);
    }
    let requests = proxy.take_requests();
    for (operation, body) in &requests {
        let body = body.to_string();
        assert!(!body.contains("bigcommerce/") && !body.contains("BIGCOMMERCE"), "{operation} {body}");
    }
    assert!(requests.iter().any(|(operation, _)| operation == "BatchGetItem"));
}
