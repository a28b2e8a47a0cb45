//! `b2b-auth token`.

use crate::support::{Ended, OperatedStack, in_store, run};
use local::demo;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::{Fate, Proxy, fill_store, keyed, sign, signed_with_demo_key};

fn create(stack: &OperatedStack, name: &str) -> Value {
    stack.json(&in_store(&["token", "create", "--email", "Admin@example.com", "--name", name]))
}

fn ids(stack: &OperatedStack, filter: &[&str]) -> Vec<u64> {
    let tokens = stack.json(&in_store(&[&["token", "list"], filter].concat()));
    tokens.as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_created_shown_and_revoked() {
    let stack = OperatedStack::start().await;
    let ended = stack.b2b_auth(&in_store(&["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "erp"]));
    ended.changes("token create");
    let created = create(&stack, "shop");
    let token = created["token"].as_str().unwrap();
    assert!(!ended.stderr.contains("eyJ") && stack.list(token, "").await.status == 200);
    let shown = stack.json(&in_store(&["token", "show", "3"]));
    assert_eq!(
        (&shown["name"], &shown["email"], &shown["eventChannel"]),
        (&json!("shop"), &json!(demo::ADMIN_EMAIL), &json!("admin"))
    );
    assert!(shown["lastUsedAt"].is_u64() && !shown.to_string().contains("eyJ"), "{shown}");
    stack.b2b_auth(&in_store(&["token", "revoke", "3", "2"])).changes("token revoke");
    assert_eq!(stack.list(token, "").await.status, 401);
    assert_eq!(ids(&stack, &[]), [1]);
    for (arguments, code, says) in [
        (vec!["token", "show", "3"], 3, "The store demostore has no token 3."),
        (vec!["token", "revoke", "3", "4"], 3, "The store demostore has no token 3."),
        (vec!["token", "revoke"], 2, "Which tokens?"),
        (vec!["token", "revoke", "1", "--email", "a@b"], 2, "The options do not fit the token 1."),
        (vec!["token", "create", "--email", "a@b", "--name", "n"], 3, "has no backend user a@b."),
        (vec!["token", "create", "--email", demo::REP_EMAIL, "--name", "n"], 5, "may have no token"),
        (
            vec!["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "n", "--expires-at", "2020-01-01"],
            2,
            "future",
        ),
        (
            vec!["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "n", "--expires-at", "soon"],
            2,
            "must be a time",
        ),
    ] {
        stack.b2b_auth(&in_store(&arguments)).fails(code, says);
    }
    assert_eq!(ids(&stack, &[]), [1]);
    // As after an attempt that was interrupted.
    stack.b2b_auth(&in_store(&["token", "revoke", "2", "1", "3"])).changes("token revoke");
    assert_eq!(ids(&stack, &[]), Vec::<u64>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pile_of_tokens_is_revoked_by_age_by_maker_or_whole() {
    let stack = OperatedStack::start().await;
    create(&stack, "a");
    create(&stack, "b");
    let confirm = ["--confirm", demo::STORE];
    // The demo token is of 2024-01-01.
    assert_eq!(ids(&stack, &["--issued-before", "2024-01-01T00:00:01Z"]), [1]);
    let before = in_store(&["token", "revoke", "--issued-before", "2024-01-01T00:00:01Z"]);
    stack.b2b_auth(&before).fails(5, "This revokes 1 token of the store demostore.");
    stack.b2b_auth(&[&before[..], &confirm].concat()).changes("token revoke");
    assert_eq!(ids(&stack, &[]), [2, 3]);
    let by_email = in_store(&["token", "revoke", "--email", demo::REP_EMAIL]);
    let nobody = stack.b2b_auth(&[&by_email[..], &confirm].concat());
    nobody.succeeds();
    assert!(nobody.audit().is_empty(), "{nobody:?}");
    assert_eq!(ids(&stack, &[]), [2, 3]);
    assert_eq!((ids(&stack, &["--key", "demo"]), ids(&stack, &["--key", "x"])), (vec![2, 3], vec![]));
    let by_email = in_store(&["token", "revoke", "--email", "ADMIN@example.com"]);
    stack.b2b_auth(&[&by_email[..], &confirm].concat()).succeeds();
    assert_eq!(ids(&stack, &[]), Vec::<u64>::new());
    create(&stack, "c");
    stack.b2b_auth(&[&in_store(&["token", "revoke", "--all"])[..], &confirm].concat()).changes("token revoke");
    assert_eq!(ids(&stack, &[]), Vec::<u64>::new());
    stack.b2b_auth(&in_store(&["token", "revoke", "--all", "4"])).fails(2, "cannot be used with");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_several_blocks_are_revoked_side_by_side() {
    let stack = OperatedStack::start().await;
    let store = "bigstore";
    // Ten in each of four blocks of 256 ids, all of which write the item of their block.
    fill_store(&stack, store, 1000, 40, 0).await;
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.fault_in("TransactWriteItems", Fate::KeptOpen(Duration::from_millis(100)));
    let begun = Instant::now();
    let all = ["token", "revoke", "--all", "--store", store, "--confirm", store];
    stack.start_tool(&proxy.url, &all).ended().await.changes("token revoke");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "one after the other they take four seconds: {took:?}");
    // Of each block the last one is tried twice, and none was in another's way.
    assert_eq!(proxy.seen("TransactWriteItems"), 44);
    assert_eq!(stack.accounts().contents(store).await.unwrap().tokens, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_stays_short_however_many_tokens_it_names() {
    let stack = OperatedStack::start().await;
    let store = "bigstore";
    fill_store(&stack, store, 2400, 1200, 0).await;
    let by_email = ["token", "revoke", "--email", "ADMIN@example.com", "--store", store, "--confirm", store];
    let ended = stack.b2b_auth(&by_email);
    ended.changes("token revoke");
    for line in ended.audit() {
        let details = &line["details"];
        assert_eq!((&details["count"], &details["email"]), (&json!(1200), &json!("ADMIN@example.com")));
        let ids = details["ids"].as_str().unwrap();
        assert!(ids.starts_with("1,3,5,") && ids.ends_with(",…,2399"), "{ids}");
        assert!(line.to_string().len() < 1024, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_told_good_or_not_and_why() {
    let stack = OperatedStack::start().await;
    let now = stack.clock.now();
    let server = |more: Value| {
        let mut claims = json!({
            "email": "a@b", "store_hash": demo::STORE, "db": "default", "jti": "1", "aud": "server", "iat": now,
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let verify = |token: &str| -> (Value, Ended) {
        let ended = stack.b2b_auth(&["--output", "json", "token", "verify", token]);
        (serde_json::from_str(&ended.stdout).unwrap(), ended)
    };
    let (good, ended) = verify(&demo::token());
    ended.succeeds();
    assert_eq!(
        (&good["kind"], &good["store"], &good["id"]),
        (&json!("server-to-server token"), &json!(demo::STORE), &json!("1"))
    );
    for (token, kind, problem) in [
        (signed_with_demo_key(&server(json!({}))), "server-to-server token", "it was revoked or deleted"),
        (signed_with_demo_key(&server(json!({"exp": now - 60}))), "server-to-server token", "expired"),
        (signed_with_demo_key(&server(json!({"nbf": now + 60}))), "server-to-server token", "not yet valid"),
        (signed_with_demo_key(&server(json!({"aud": "else"}))), "unknown", "its aud is neither server nor storefront"),
        (
            signed_with_demo_key(&server(json!({"aud": "storefront"}))),
            "storefront token",
            "a claim or header parameter is missing",
        ),
        (
            sign(&keyed("demo"), &server(json!({})), "another-signing-key-0123456789abcdefghij"),
            "unknown",
            "wrong signature",
        ),
        (demo::current_customer_jwt(now), "unknown", "no kid"),
        ("not a token".into(), "unknown", "malformed"),
    ] {
        let (described, ended) = verify(&token);
        ended.fails(8, problem);
        assert_eq!((&described["kind"], &described["good"]), (&json!(kind), &json!(false)), "{token}");
        // A forger's claims are not repeated.
        assert_eq!(
            described["kind"] == "unknown" && problem != "its aud is neither server nor storefront",
            described["store"].is_null()
        );
    }
    run(stack.command(&["token", "verify"]), &format!("{}\n", demo::token())).succeeds();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_named_a_token_cannot_reach_the_terminal() {
    let stack = OperatedStack::start().await;
    stack.create_token("\u{1b}[2J\nx").await;
    let listed = stack.b2b_auth(&in_store(&["token", "list"]));
    assert!(listed.stdout.contains(r"\u{1b}[2J\nx") && !listed.stdout.contains('\u{1b}'), "{listed:?}");
    assert_eq!(listed.stdout.lines().count(), 3);
}
