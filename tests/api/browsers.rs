//! Pages of the deployment's allowed origins may call two endpoints, and nobody else's page any.

use crate::every_endpoint::calls;
use local::gateway::{PREFIXES, ROUTES};
use serde_json::json;
use tests::{Answer, Call, Setup, TestStack, admin_login, buyer_login, with};

const SHOP: &str = "https://shop.example";
const OTHER_SHOP: &str = "http://localhost:3000";

async fn stack() -> TestStack {
    TestStack::start_with(Setup::for_pages_of(&format!("{SHOP},{OTHER_SHOP}"))).await
}

/// What the answer says to browsers, names in order.
fn cors_headers(answer: &Answer) -> Vec<(&str, &str)> {
    let names = answer.headers.keys().map(reqwest::header::HeaderName::as_str);
    let mut names: Vec<_> = names.filter(|name| name.starts_with("access-control-") || *name == "vary").collect();
    names.sort_unstable();
    names.into_iter().map(|name| (name, answer.headers[name].to_str().unwrap())).collect()
}

fn shared_with(origin: &str) -> Vec<(&str, &str)> {
    vec![("access-control-allow-origin", origin), ("vary", "Origin")]
}

/// The client resolves the dots, so a prefix takes the place of the usual one.
fn preflight(stack: &TestStack, prefix: &str, path: &str, method: &str) -> Call {
    let preflight = stack.request("OPTIONS", &format!("/..{prefix}{path}"));
    preflight.header("Access-Control-Request-Method", method).header("Access-Control-Request-Headers", "authtoken")
}

#[tokio::test]
async fn a_preflight_from_an_allowed_origin_is_answered_on_the_two_routes_alone() {
    let stack = stack().await;
    let mut answered = Vec::new();
    for prefix in PREFIXES {
        for route in &ROUTES {
            for origin in [SHOP, OTHER_SHOP] {
                let method = route.method.as_str();
                let answer = preflight(&stack, prefix, route.path, method).header("Origin", origin).send().await;
                if answer.status == 204 {
                    let expected = [
                        ("access-control-allow-headers", "authToken, Content-Type, X-Store-Hash"),
                        ("access-control-allow-methods", method),
                        ("access-control-allow-origin", origin),
                        ("access-control-max-age", "7200"),
                        ("vary", "Origin"),
                    ];
                    assert_eq!(cors_headers(&answer), expected, "{method} {}", route.path);
                    answered.push((prefix, method, route.path, origin));
                } else {
                    is_no_route(&answer);
                }
            }
        }
    }
    let expected = PREFIXES.iter().flat_map(|prefix| {
        [("GET", "/auth/storefront"), ("POST", "/auth/customers")]
            .into_iter()
            .flat_map(|(method, path)| [SHOP, OTHER_SHOP].map(|origin| (*prefix, method, path, origin)))
    });
    assert_eq!(answered, expected.collect::<Vec<_>>());
}

fn is_no_route(answer: &Answer) {
    answer.is_error(404, "Not Found Error", "No endpoint matches this method and path.");
    assert!(cors_headers(answer).is_empty(), "{answer:?}");
}

#[tokio::test]
async fn for_other_origins_and_where_none_is_allowed_nothing_changes() {
    let (allowing, usual) = (stack().await, TestStack::start().await);
    let others = [
        "https://evil.example",
        "https://shop.example.evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://SHOP.example",
        "https://shop.example/",
        "https://shop.example, https://evil.example",
        "http://localhost",
        "null",
        "*",
        "",
    ];
    let cases = others.map(|origin| (&allowing, origin)).into_iter().chain([(&usual, SHOP), (&usual, "")]);
    for (stack, origin) in cases {
        for (method, path) in [("GET", "/auth/storefront"), ("POST", "/auth/customers")] {
            is_no_route(&preflight(stack, "/io", path, method).header("Origin", origin).send().await);
        }
        for (name, call) in calls(stack) {
            let answer = call.token(&stack.demo_token).header("Origin", origin).send().await;
            assert!(cors_headers(&answer).is_empty(), "{name} from {origin}: {answer:?}");
        }
    }
    is_no_route(&preflight(&allowing, "/io", "/auth/customers", "POST").send().await);
    let twice = preflight(&allowing, "/io", "/auth/customers", "POST").header("Origin", SHOP).header("Origin", SHOP);
    is_no_route(&twice.send().await);
}

#[tokio::test]
async fn every_answer_of_the_two_can_be_read_by_a_page_that_may_call() {
    let stack = stack().await;
    let mut statuses = Vec::new();
    let login = |body| stack.post("/auth/customers", &body).token(&stack.demo_token);
    let large = |bytes: usize| {
        let call = stack.request("POST", "/auth/customers").token(&stack.demo_token);
        call.body("application/json", " ".repeat(bytes))
    };
    for call in
        calls(&stack).into_iter().filter(|(name, _)| ["GET /auth/storefront", "POST /auth/customers"].contains(name))
    {
        statuses.push((call.1.clone().token(&stack.demo_token), 200));
        statuses.push((call.1.clone(), 401));
        statuses.push((call.1.header("authToken", "a").header("authToken", "b"), 401));
    }
    statuses.extend([
        (stack.exchange("x").token(&stack.demo_token), 401),
        (stack.get("/auth/storefront").token(&stack.demo_token), 422),
        (login(with(buyer_login(), "password", "wrong")), 400),
        (login(with(buyer_login(), "storeHash", "otherstore")), 403),
        (login(json!({})), 422),
        (stack.request("POST", "/auth/customers").token(&stack.demo_token).body("text/plain", "{}"), 415),
        (large(65_537), 413),
        // The gateway's own.
        (large(10 * 1024 * 1024 + 1), 413),
    ]);
    for (call, status) in statuses {
        let answer = call.header("Origin", SHOP).send().await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(cors_headers(&answer), shared_with(SHOP), "{answer:?}");
    }
}

#[tokio::test]
async fn no_page_may_read_what_the_other_routes_answer() {
    let stack = stack().await;
    let others =
        calls(&stack).into_iter().filter(|(name, _)| !["GET /auth/storefront", "POST /auth/customers"].contains(name));
    let others = others.chain([
        ("POST /auth/backend", stack.post("/auth/backend", &admin_login("n"))),
        ("GET /auth/customers", stack.get("/auth/customers")),
        ("POST /auth/storefront", stack.post("/auth/storefront", &json!({}))),
        ("GET /", stack.get("/")),
    ]);
    let mut count = 0;
    for (name, call) in others {
        let answer = call.token(&stack.demo_token).header("Origin", SHOP).send().await;
        assert!(cors_headers(&answer).is_empty(), "{name}: {answer:?}");
        count += 1;
    }
    assert_eq!(count, 9);
}
