//! What is logged, and what never is.

use crate::support::{
    LOG, NOW, PASSWORD, TestStack, credentials, current_customer, customer_credentials, platform_jwt,
};
use local::demo;
use serde_json::{Value, json};

#[tokio::test]
async fn one_line_tells_of_each_request_and_no_line_tells_a_secret() {
    let stack = TestStack::start().await;
    let created = stack.create_token("secret-looking name").await;
    let jwt = platform_jwt(&current_customer(NOW));
    let mut storefront_tokens = Vec::new();
    for call in [
        stack.get(&format!("/auth/storefront?jwtToken={jwt}")),
        stack.post("/auth/customers", &customer_credentials()),
        stack.post("/auth/customers/storefront", &json!({"customerId": 313})),
    ] {
        storefront_tokens.push(call.token(&created).send().await.storefront_token().to_owned());
    }
    let mut wrong = credentials("n");
    wrong["password"] = json!("a password that is wrong");
    let tampered = format!("{created}x");
    for call in [
        stack.get("/backend/tokens"),
        stack.get("/auth/storefront?jwtToken=not.a.jwt-that-leaks"),
        stack.post("/auth/backend", &wrong),
        stack.request("POST", "/auth/customers").body("application/json", r#"{"password": "in a broken body"#),
        stack.post("/auth/customers", &json!({"password": ["in a mistyped field"]})),
    ] {
        call.token(&tampered).send().await;
    }
    let log = LOG.text();
    for secret in [
        demo::ADMIN_PASSWORD,
        demo::REP_PASSWORD,
        demo::BUYER_PASSWORD,
        demo::APP_CLIENT_SECRET,
        "demo-signing-key",
        PASSWORD,
        "a password that is wrong",
        "in a broken body",
        "in a mistyped field",
        "not.a.jwt-that-leaks",
        "$argon2id$",
        &stack.demo_token,
        &created,
        &tampered,
        &jwt,
        &storefront_tokens[0],
        &storefront_tokens[1],
        &storefront_tokens[2],
        created.rsplit_once('.').unwrap().1,
        jwt.rsplit_once('.').unwrap().1,
    ] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_refused_list =
        |fields: &Value| fields["cause"] == "wrong signature" && fields["route"] == "GET /io/backend/tokens";
    let refused = lines.iter().find(|line| is_refused_list(&line["fields"])).unwrap();
    assert_eq!(refused["fields"]["status"], 401);
    assert_eq!(refused["fields"]["error"], "Invalid token.");
    assert!(refused["fields"]["request"].as_str().unwrap().starts_with("local-"));
    assert!(lines.iter().any(|line| line["fields"]["route"] == "POST /io/auth/customers/storefront"));
}
