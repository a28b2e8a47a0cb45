//! What is logged, and what never is.

use local::demo;
use serde_json::{Value, json};
use shared::bigcommerce_customers::LOOK_UP_LIFE;
use tests::{
    LOG, NOW, PASSWORD, TestStack, UpstreamFate, UpstreamRequest, admin_login, buyer_login, current_customer, decode,
    eventually, platform_jwt, read_only, sha256, with,
};

/// What clients send and get that no log may hold.
struct Secrets {
    created: String,
    jwt: String,
    storefront_tokens: Vec<String>,
    tampered: String,
    account: String,
    rotated: String,
}

const IDEMPOTENCY_KEY: &str = "a-key-of-whoever-sent-it";
const WRONG_PASSWORD: &str = "a password that is wrong";

/// Calls of which some succeed and some are refused, for every reason for which they are.
async fn make_calls(stack: &TestStack) -> Secrets {
    let created = stack.create_token("secret-looking name").await;
    let jwt = platform_jwt(&current_customer(NOW));
    let mut storefront_tokens = Vec::new();
    for call in [
        stack.exchange(&jwt),
        stack.post("/auth/customers", &buyer_login()),
        stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID})),
    ] {
        storefront_tokens.push(call.token(&created).send().await.storefront_token().to_owned());
    }
    let tampered = format!("{created}x");
    for call in [
        stack.get("/backend/tokens"),
        stack.exchange("not.a.jwt-that-leaks"),
        stack.post("/auth/backend", &with(admin_login("n"), "password", WRONG_PASSWORD)),
        stack.request("POST", "/auth/customers").body("application/json", r#"{"password": "in a broken body"#),
        stack.post("/auth/customers", &json!({"password": ["in a mistyped field"]})),
    ] {
        call.token(&tampered).send().await;
    }
    for (path, token) in [("/orders", &storefront_tokens[0]), ("/stock", &created), ("/orders", &tampered)] {
        stack.protected(&format!("{path}?only-the-authorizer-is-told-this=")).bearer(token).send().await;
    }
    let rotate = |key: &str| stack.rotate(&json!({"id": decode(&created).1["jti"]})).header("Idempotency-Key", key);
    let mut rotated = Vec::new();
    for (call, status) in [
        (rotate(IDEMPOTENCY_KEY).token(&created), 200),
        (rotate(IDEMPOTENCY_KEY).token(&created), 200),
        (rotate("in a malformed key").token(&created), 422),
        (stack.post("/auth/backend", &admin_login("n")).header("Idempotency-Key", IDEMPOTENCY_KEY), 422),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status, status, "{}", answer.body);
        rotated.extend(answer.body["data"][0]["token"].as_str().map(str::to_owned));
    }
    let account = stack.add_api_account(demo::STORE, &read_only()).await;
    assert_eq!(stack.protected("/stock").account(&account).send().await.status, 403);
    let bad_checksum = format!("{}x", &account[..account.len() - 1]);
    for (access_token, status) in [(&account, 403), (&bad_checksum, 401), (&created, 401)] {
        let answer = stack.post("/auth/customers", &buyer_login()).account(access_token).send().await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(stack.get("/backend/tokens").account(&account).send().await.status, 200);
    eventually(async || stack.account_last_used_at(&account).await.is_some()).await;
    // A fault too: its line carries a cause.
    stack.add_user_with_broken_hash("broken@example.com").await;
    assert_eq!(stack.ask_for_token(demo::STORE, "broken@example.com", WRONG_PASSWORD).await.status, 500);
    Secrets { created, jwt, storefront_tokens, tampered, account, rotated: rotated.remove(0) }
}

#[tokio::test]
async fn lines_hold_no_secret() {
    let stack = TestStack::start().await;
    let Secrets { created, jwt, storefront_tokens, tampered, account, rotated } = make_calls(&stack).await;
    let log = LOG.text();
    for secret in [
        demo::ADMIN_PASSWORD,
        demo::REP_PASSWORD,
        demo::BUYER_PASSWORD,
        demo::APP_CLIENT_SECRET,
        "demo-signing-key",
        PASSWORD,
        WRONG_PASSWORD,
        "only-the-authorizer-is-told-this",
        "in a broken body",
        "in a mistyped field",
        "in a malformed key",
        IDEMPOTENCY_KEY,
        "not.a.jwt-that-leaks",
        "$argon2id$",
        &stack.demo_token,
        &created,
        &tampered,
        &rotated,
        &jwt,
        &account[..20],
        &account[account.len() - 20..account.len() - 1],
        &sha256(&account),
        &storefront_tokens[0],
        &storefront_tokens[1],
        &storefront_tokens[2],
        created.rsplit_once('.').unwrap().1,
        rotated.rsplit_once('.').unwrap().1,
        jwt.rsplit_once('.').unwrap().1,
    ] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

#[tokio::test]
async fn lines_hold_nothing_of_what_bigcommerce_is_told() {
    let (stack, upstream) = TestStack::start_on_bigcommerce().await;
    let issue = |value: &str| {
        let body = json!({"customerId": demo::BUYER_ID, "customerAccessToken": {"value": value}});
        stack.post("/auth/customers/storefront", &body).token(&stack.demo_token)
    };
    let login = |body: &Value| stack.post("/auth/customers", body).token(&stack.demo_token);
    let wrong_password = "a password that is wrong at BigCommerce";
    let wrong_token = "a-customer-access-token-that-is-wrong";
    let wrong = with(buyer_login(), "password", wrong_password);
    for (call, status) in [
        (login(&buyer_login()), 200),
        (login(&wrong), 400),
        (issue(demo::BUYER_ACCESS_TOKEN), 200),
        (issue(wrong_token), 401),
    ] {
        assert_eq!(call.send().await.status, status);
    }
    let private_token = |request: &UpstreamRequest| {
        request.headers.get("Authorization")?.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned)
    };
    let private_token = upstream.take_requests().iter().find_map(private_token).unwrap();
    for fate in [UpstreamFate::status(401), UpstreamFate::status(503), UpstreamFate::ClosedUnanswered] {
        upstream.rule(move |_| fate.clone());
        for call in [login(&buyer_login()), login(&wrong), issue(demo::BUYER_ACCESS_TOKEN), issue(wrong_token)] {
            assert_eq!(call.send().await.status, 503);
        }
        // What has been looked up is forgotten.
        stack.clock.advance(LOOK_UP_LIFE);
    }
    let log = LOG.text();
    for secret in [
        demo::BIGCOMMERCE_ACCESS_TOKEN,
        demo::BUYER_ACCESS_TOKEN,
        demo::BUYER_PASSWORD,
        wrong_password,
        wrong_token,
        &private_token,
    ] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

#[tokio::test]
async fn lines_tell_causes() {
    let stack = TestStack::start().await;
    make_calls(&stack).await;
    let lines: Vec<Value> = LOG.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_refused_list =
        |fields: &Value| fields["cause"] == "wrong signature" && fields["route"] == "GET /io/backend/tokens";
    let refused = lines.iter().find(|line| is_refused_list(&line["fields"])).unwrap();
    assert_eq!(refused["fields"]["status"], 401);
    assert_eq!(refused["fields"]["error"], "Invalid token.");
    for (status, route, [name, value]) in [
        (200, "/orders", ["kind", "storefront"]),
        (401, "/orders", ["cause", "wrong signature"]),
        (403, "/stock", ["cause", "limited to scopes that are not let in"]),
    ] {
        let expected = json!({
            "function": "authorize-request", "api": "example", "stage": "example", "route": route, "status": status,
            name: value,
        });
        let is_expected =
            |fields: &Value| expected.as_object().unwrap().iter().all(|(name, value)| fields[name] == *value);
        let line = lines.iter().find(|line| is_expected(&line["fields"])).unwrap_or_else(|| panic!("{expected}"));
        assert_eq!(line["level"], "INFO");
    }
    let fault = lines.iter().find(|line| line["fields"]["cause"] == "a stored password hash cannot be read").unwrap();
    assert_eq!((&fault["level"], &fault["fields"]["status"]), (&json!("ERROR"), &json!(500)));
}

#[tokio::test]
async fn each_request_is_one_line_with_its_id_and_without_its_query() {
    let stack = TestStack::start().await;
    for (token, status) in [(stack.demo_token.as_str(), 200), ("bad", 401)] {
        let answer = stack.list(token, "?only-this-test-asks-for-this=").await;
        assert_eq!(answer.status, status);
        let log = LOG.text();
        assert_eq!(log.lines().filter(|line| line.contains(&answer.request_id)).count(), 1);
        assert!(!log.contains("only-this-test"));
    }
}

#[tokio::test]
async fn what_a_caller_named_a_member_is_told_to_the_caller_alone() {
    let stack = TestStack::start().await;
    for (name, told) in [("my password", "my password".to_owned()), (&"x".repeat(30_000), "x".repeat(64))] {
        let body = format!(r#"{{"{name}":1,"{name}":2}}"#);
        let call = stack.request("POST", "/auth/customers").token(&stack.demo_token).body("application/json", body);
        let answer = call.send().await;
        answer.is_error(400, "Bad Request", &format!("The body names the member \"{told}\" twice."));
        let log = LOG.text();
        let line = log.lines().find(|line| line.contains(&answer.request_id)).unwrap();
        assert!(line.contains("The body names a member twice.") && !line.contains(&told), "{line}");
    }
}
