//! `b2b-auth token rotate`.

use crate::{
    across_stores::set,
    support::{Ended, OperatedStack, PASSWORD, in_store},
};
use local::demo;
use serde_json::{Value, json};
use shared::tables::{
    items::{number, string},
    tokens::TokenRecord,
};
use std::{collections::BTreeMap, time::Duration};
use tests::{Fate, Proxy, eventually, fill_store, signed_with_demo_key};

const STORE: &str = "bigstore";
const DAY: u64 = 24 * 3600;

/// Makes a store whose tokens were made a day ago. Gives these, by their ids.
pub async fn store_of(stack: &OperatedStack, tokens: u64) -> BTreeMap<u64, String> {
    fill_store(stack, STORE, tokens, tokens, 0).await;
    let a_day_ago = stack.clock.now() - DAY;
    for id in 1..=tokens {
        set(stack, STORE, id, "iat", Some(number(a_day_ago))).await;
    }
    let signed = |token: &TokenRecord| signed_with_demo_key(&json!(token.claims(STORE)));
    records(stack).await.iter().map(|token| (token.id, signed(token))).collect()
}

/// What is kept of the store's tokens.
pub async fn records(stack: &OperatedStack) -> Vec<TokenRecord> {
    stack.accounts().tokens(STORE).all().await.unwrap().into_iter().map(|token| token.record).collect()
}

fn rotate(stack: &OperatedStack, arguments: &[&str]) -> Ended {
    stack.b2b_auth(&in_store(&[&["--output", "json", "token", "rotate"], arguments].concat()))
}

fn one_row(ended: &Ended) -> Value {
    let rows = ended.json();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    rows[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_by_one_that_is_like_it_and_shown_once() {
    let stack = OperatedStack::start().await;
    let create =
        ["--email", demo::ADMIN_EMAIL, "--name", "erp", "--scopes", "tokens:read", "--expires-at", "2040-01-01"];
    let old = stack.json(&in_store(&[&["token", "create"][..], &create].concat()));
    let before = stack.clock.now();
    let ended = rotate(&stack, &["2"]);
    ended.changes("token rotate");
    assert!(ended.stderr.contains("Replaced: 1 token.") && !ended.stderr.contains("eyJ"), "{ended:?}");
    let lines = ended.lines();
    assert_eq!(lines[0]["details"], json!({"overlap": DAY, "count": 1, "ids": "2"}));
    assert_eq!(lines[1]["details"], json!({"overlap": DAY, "count": 1, "ids": "2", "newIds": "3"}));
    let new = one_row(&ended);
    assert_eq!((&new["id"], &new["name"], &new["replacesId"]), (&json!(3), &json!("erp"), &json!(2)));
    let end = new["replacedEndsAt"].as_u64().unwrap();
    assert!((before + DAY..=stack.clock.now() + DAY).contains(&end), "{new}");
    for token in [&old, &new] {
        assert_eq!(stack.list(token["token"].as_str().unwrap(), "").await.status, 200);
    }

    let listed = stack.json(&in_store(&["token", "list"]));
    assert_eq!((&listed[1]["replacedById"], &listed[1]["expiresAt"]), (&json!(3), &json!(end)));
    assert_eq!((&listed[2]["replacedById"], &listed[2]["expiresAt"]), (&json!(null), &json!(2_208_988_800_u64)));
    let shown = stack.json(&in_store(&["token", "show", "3"]));
    for (name, value) in [
        ("email", json!(demo::ADMIN_EMAIL)),
        ("eventChannel", json!("admin")),
        ("scopes", json!(["tokens:read"])),
        ("expiresAt", json!(2_208_988_800_u64)),
        ("replacesId", json!(2)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let verified = stack.json(&["token", "verify", old["token"].as_str().unwrap()]);
    assert_eq!((&verified["good"], &verified["expiresAt"]), (&json!(true), &json!(end)), "the end that counts");

    let again = rotate(&stack, &["2"]);
    again.fails(4, "The token 2 has been replaced already, by the token 3.");
    assert!(again.lines().is_empty() && again.stdout.is_empty(), "{again:?}");
    let both = rotate(&stack, &["2", "1"]);
    both.changes("token rotate");
    assert!(both.stderr.contains("The token 2 has been replaced already, by the token 3.\n"), "{both:?}");
    assert_eq!(one_row(&both)["replacesId"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_overlap_the_old_token_ends_at_once() {
    let stack = OperatedStack::start().await;
    let ended = rotate(&stack, &["1", "--overlap", "0s"]);
    ended.changes("token rotate");
    assert_eq!(stack.list(&demo::token(), "").await.status, 401);
    assert_eq!(stack.list(one_row(&ended)["token"].as_str().unwrap(), "").await.status, 200);
    let verified = stack.b2b_auth(&["--output", "json", "token", "verify", &demo::token()]);
    verified.fails(8, "it was replaced by the token 2, and its overlap is over");
    assert_eq!(verified.json()["expiresAt"], one_row(&ended)["replacedEndsAt"]);
    let user = stack.json(&in_store(&["user", "show", demo::ADMIN_EMAIL]));
    assert_eq!(user["liveTokens"], 1);
    stack.b2b_auth(&in_store(&["token", "revoke", "1"])).changes("token revoke");
    stack.b2b_auth(&["token", "verify", &demo::token()]).fails(8, "it was revoked or deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replaced_is_told() {
    let stack = OperatedStack::start().await;
    let in_an_hour = (stack.clock.now() + 3600).to_string();
    for (arguments, code, says) in [
        (vec![], 2, "Which tokens? Give ids, or --issued-before"),
        (vec!["--all"], 2, "Which tokens? Give ids, or --issued-before"),
        (vec!["--all", "--key", "demo"], 2, "Which tokens? Give ids, or --issued-before"),
        (vec!["--all", "1"], 2, "cannot be used with"),
        (vec!["--issued-before", &in_an_hour], 2, "lies in the future"),
        (vec!["1", "--overlap", "8d"], 2, "must be at most 7d"),
        (vec!["1", "--overlap", "604801s"], 2, "must be at most 7d"),
        (vec!["1", "--overlap", "24"], 2, "such as 7d or 12h"),
        (vec!["1", "--email", demo::REP_EMAIL], 2, "The options do not fit the token 1."),
        (vec!["2"], 3, "The store demostore has no token 2."),
        (vec!["--issued-before", "2026-01-01", "--confirm", "other"], 5, "--confirm names other, not demostore."),
    ] {
        let ended = rotate(&stack, &arguments);
        ended.fails(code, says);
        assert!(ended.lines().is_empty() && ended.stdout.is_empty(), "{ended:?}");
    }
    set(&stack, demo::STORE, 1, "ends_at", Some(number(stack.clock.now() - 1))).await;
    rotate(&stack, &["1"]).fails(3, "The token 1 has ended.");
    let none = rotate(&stack, &["--all", "--issued-before", "2026-01-01", "--confirm", demo::STORE]);
    none.succeeds();
    assert!(none.stderr.contains("Left out, because they have ended: 1 token.\n"), "{none:?}");
    assert!(none.stderr.contains("There is no such token.") && none.lines().is_empty(), "{none:?}");
    assert_eq!(none.json(), json!([]));
    assert_eq!(stack.json(&in_store(&["token", "list"])).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_leak_all_tokens_are_replaced_whose_makers_may_still_make_some() {
    let stack = OperatedStack::start().await;
    let old = store_of(&stack, 30).await;
    let rep = "rep@example.com";
    for id in [4, 9] {
        set(&stack, STORE, id, "email", Some(string(rep))).await;
    }
    stack.with_password(PASSWORD, &["user", "add", rep, "--role", "sales-rep", "--store", STORE]).succeeds();
    set(&stack, STORE, 7, "ends_at", Some(number(stack.clock.now() - 1))).await;
    // By another clock, which is ahead.
    let leak = (stack.clock.now() + 2).to_string();
    let command = ["token", "rotate", "--store", STORE, "--all", "--issued-before", &leak, "--overlap", "0s"];
    let with = |more: &[&str]| stack.b2b_auth(&[&["--output", "json"], &command[..], more].concat());

    let asked = with(&[]);
    asked.fails(
        5,
        "This replaces 29 tokens of the store bigstore. The old ones end at once: whoever calls with one then",
    );
    assert!(asked.stderr.contains("Left out, because they have ended: 1 token.\n"), "{asked:?}");
    let dry = with(&["--dry-run"]);
    dry.succeeds();
    assert!(dry.lines().is_empty() && dry.stderr.contains("Would replace: 29 tokens."), "{dry:?}");
    assert_eq!((dry.json().as_array().unwrap().len(), records(&stack).await.len()), (29, 30));

    let ended = with(&["--confirm", STORE]);
    ended.fails(8, "2 tokens were not replaced. Why stands above.");
    for id in [4, 9] {
        let says = format!("The token {id} is not replaced: its maker {rep} may make no more tokens");
        assert!(ended.stderr.contains(&says), "{ended:?}");
    }
    assert!(ended.stderr.contains("Replaced: 27 tokens."), "{ended:?}");
    let details = &ended.lines()[1]["details"];
    assert_eq!(
        (&details["ids"], &details["newIds"], &details["issuedBefore"], &details["all"]),
        (&json!("1-3,5-6,8,10-30"), &json!("31-57"), &json!(leak.parse::<u64>().unwrap()), &json!(true))
    );
    for row in ended.json().as_array().unwrap() {
        let replaced = row["replacesId"].as_u64().unwrap();
        assert_eq!(row["name"], format!("token {replaced}"));
        assert_eq!(stack.list(row["token"].as_str().unwrap(), "").await.status, 200);
        assert_eq!(stack.list(&old[&replaced], "").await.status, 401);
    }

    let again = with(&["--confirm", STORE]);
    again.fails(8, "2 tokens were not replaced.");
    assert_eq!((again.lines()[1]["result"].as_str(), again.json()), (Some("not done"), json!([])));
    stack.b2b_auth(&["user", "set-role", rep, "store-owner", "--store", STORE]).succeeds();
    let rest = with(&["--confirm", STORE]);
    rest.changes("token rotate");
    assert_eq!(rest.lines()[1]["details"]["ids"], "4,9");
    assert_eq!(records(&stack).await.len(), 59);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_takes_a_new_token_in_the_place_of_one_that_ends_at_once() {
    let stack = OperatedStack::start().await;
    fill_store(&stack, STORE, 1000, 1000, 0).await;
    let rotate = |arguments: &[&str]| stack.b2b_auth(&[&["token", "rotate", "--store", STORE], arguments].concat());
    let ended = rotate(&["1", "2"]);
    ended.fails(5, "The store already has 1000 tokens that have not ended");
    assert!(ended.stderr.contains("With --overlap 0s a new one takes the place of the old at once."), "{ended:?}");
    assert_eq!(ended.lines()[1]["result"], "not done");
    rotate(&["1", "2", "--overlap", "0s"]).changes("token rotate");
    assert_eq!(records(&stack).await.iter().filter(|token| token.replaced_by.is_some()).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_not_known_whether_a_token_was_replaced_that_is_told() {
    let stack = OperatedStack::start().await;
    let create = in_store(&["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "erp"]);
    stack.b2b_auth(&create).succeeds();
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.rule(|request| match (request.operation, request.earlier) {
        ("TransactWriteItems", 1..) => Fate::error("ThrottlingException"),
        _ => Fate::Forwarded,
    });
    let command = in_store(&["--output", "json", "token", "rotate", "1", "2"]);
    let ended = stack.start_tool(&proxy.url, &command).ended().await;
    ended.fails(7, "If the token 2 was replaced, `b2b-auth token show 2 --store demostore` says by which");
    assert_eq!(one_row(&ended)["replacesId"], 1);
    let end = &ended.lines()[1];
    assert_eq!(
        (&end["result"], &end["details"]["ids"], &end["details"]["done"]),
        (&json!("in doubt"), &json!("1"), &json!(1))
    );
    stack.b2b_auth(&command).changes("token rotate");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_token_meanwhile_keeps_no_other_from_being_replaced() {
    let stack = OperatedStack::start().await;
    for name in ["revoked", "replaced"] {
        stack.b2b_auth(&in_store(&["token", "create", "--email", demo::ADMIN_EMAIL, "--name", name])).succeeds();
    }
    let proxy = Proxy::start(stack.aws_url()).await;
    // Time for the others.
    proxy.rule(|request| match (request.operation, request.earlier) {
        ("TransactWriteItems", 0) => Fate::KeptOpen(Duration::from_millis(1500)),
        _ => Fate::Forwarded,
    });
    let running = stack.start_tool(&proxy.url, &in_store(&["--output", "json", "token", "rotate", "1", "2", "3"]));
    eventually(async || proxy.seen("TransactWriteItems") > 0).await;
    stack.run(&in_store(&["token", "revoke", "2"])).await.succeeds();
    stack.run(&in_store(&["token", "rotate", "3"])).await.succeeds();
    let ended = running.ended().await;
    ended.fails(8, "2 tokens were not replaced.");
    assert!(ended.stderr.contains("The token 2 was revoked meanwhile, or has ended.\n"), "{ended:?}");
    assert!(ended.stderr.contains("The token 3 was replaced meanwhile, by the token "), "{ended:?}");
    assert_eq!(one_row(&ended)["replacesId"], 1);
}
