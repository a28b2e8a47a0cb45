//! The API's description names just the endpoints that there are.

use crate::support::TestStack;
use std::collections::BTreeSet;

#[tokio::test]
async fn the_description_that_is_served_names_the_six_endpoints() {
    let stack = TestStack::start().await;
    let served = reqwest::get(format!("{}/openapi.yaml", stack.url)).await.unwrap().text().await.unwrap();
    let mut operations = BTreeSet::new();
    let mut path = "";
    for line in served.lines() {
        if let Some(name) = line.strip_prefix("  /") {
            path = name.trim_end_matches(':');
        } else if let Some(method @ ("get" | "post" | "put" | "patch" | "delete")) =
            line.strip_prefix("    ").and_then(|line| line.strip_suffix(':'))
        {
            operations.insert(format!("{} /{path}", method.to_uppercase()));
        }
    }
    assert_eq!(
        operations.iter().collect::<Vec<_>>(),
        [
            "DELETE /auth/backend",
            "GET /auth/storefront",
            "GET /backend/tokens",
            "POST /auth/backend",
            "POST /auth/customers",
            "POST /auth/customers/storefront",
        ]
    );
    for operation in operations {
        let (method, path) = operation.split_once(' ').unwrap();
        assert_ne!(stack.request(method, path).send().await.status, 404, "{operation}");
    }
}
