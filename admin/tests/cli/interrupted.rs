//! Commands that are asked to end half way: each change has a line before it and one after it.

use crate::{
    rotate::{records, store_of},
    support::{Ended, OperatedStack, in_store},
};
use local::demo;
use serde_json::{Value, json};
use shared::tables::items::string;
use std::{collections::BTreeSet, time::Duration};
use tests::{Fate, Proxy, eventually, fill_store};

const STORE: &str = "bigstore";
const REVOKE: [&str; 7] = ["token", "revoke", "--all", "--store", STORE, "--confirm", STORE];
const REMOVE: [&str; 5] = ["store", "remove", STORE, "--confirm", STORE];

/// Runs a command, and sends it a signal once the operation was called so often.
async fn interrupted(stack: &OperatedStack, command: &[&str], signal: &str, operation: &str, calls: usize) -> Ended {
    let proxy = Proxy::start(stack.aws_url()).await;
    let running = stack.start_tool(&proxy.url, command);
    eventually(async || proxy.seen(operation) >= calls).await;
    running.signal(signal);
    let ended = running.ended().await.with(10);
    assert!(ended.stderr.contains("error: Interrupted.\n"), "{ended:?}");
    assert!(ended.stderr.contains("Stopping after what is under way."), "{ended:?}");
    ended
}

/// The details of the line before and of the line after a change that was interrupted.
fn details(ended: &Ended, action: &str) -> (Value, Value) {
    let lines = ended.lines();
    assert!(lines.len() == 2 && lines.iter().all(|line| line["audit"] == action), "{ended:?}");
    assert_eq!((&lines[0]["result"], &lines[1]["result"]), (&json!("begun"), &json!("interrupted")), "{ended:?}");
    (lines[0]["details"].clone(), lines[1]["details"].clone())
}

/// Ids of the tokens that are there.
async fn ids(stack: &OperatedStack) -> Vec<u64> {
    stack.accounts().tokens(STORE).all().await.unwrap().iter().map(|token| token.record.id).collect()
}

/// The ids of `1-3,5`.
fn of_ranges(ranges: &str) -> Vec<u64> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse().unwrap()..=last.parse().unwrap()
    };
    ranges.split(',').flat_map(range).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_stops_between_tokens_and_says_which_are_revoked() {
    for signal in ["-INT", "-TERM"] {
        let stack = OperatedStack::start().await;
        fill_store(&stack, STORE, 600, 600, 0).await;
        let ended = interrupted(&stack, &REVOKE, signal, "TransactWriteItems", 50).await;
        let (begun, end) = details(&ended, "token revoke");
        assert_eq!(begun, json!({"all": true, "count": 600, "ids": "1-600"}));
        let left = ids(&stack).await;
        let revoked: Vec<u64> = (1..=600).filter(|id| !left.contains(id)).collect();
        assert_eq!(of_ranges(end["ids"].as_str().unwrap()), revoked);
        let revoked = revoked.len();
        assert!((40..600).contains(&revoked) && end["count"] == 600 && end["done"] == revoked, "{end}");
        assert!(ended.stderr.contains(&format!("Done: {revoked} of 600 tokens.")), "{ended:?}");
        stack.b2b_auth(&REVOKE).changes("token revoke");
        assert!(ids(&stack).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_stops_between_tokens_and_goes_on_with_those_that_are_not_replaced() {
    let stack = OperatedStack::start().await;
    store_of(&stack, 300).await;
    let now = stack.clock.now().to_string();
    let rotate = ["--output", "json", "token", "rotate", "--all", "--issued-before", &now, "--store", STORE];
    let rotate = [&rotate[..], &["--confirm", STORE]].concat();
    let ended = interrupted(&stack, &rotate, "-INT", "TransactWriteItems", 50).await;
    let (begun, end) = details(&ended, "token rotate");
    assert_eq!((&begun["count"], &begun["ids"]), (&json!(300), &json!("1-300")));
    let replaced = end["done"].as_u64().unwrap();
    assert!((40..300).contains(&replaced), "{end}");
    assert_eq!(
        (&end["ids"], &end["newIds"]),
        (&json!(format!("1-{replaced}")), &json!(format!("301-{}", 300 + replaced)))
    );
    assert!(ended.stderr.contains(&format!("Done: {replaced} of 300 tokens. The same command goes on")), "{ended:?}");
    let rest = stack.b2b_auth(&rotate);
    rest.changes("token rotate");
    assert!(rest.stderr.contains(&format!("good until their overlap is over: {replaced} tokens.")), "{rest:?}");
    let (shown, records) = ([ended.json(), rest.json()], records(&stack).await);
    let shown: BTreeSet<_> =
        shown.iter().flat_map(|rows| rows.as_array().unwrap()).map(|row| row["id"].as_u64()).collect();
    assert_eq!((shown.len(), records.len()), (300, 600), "each new one is shown, and none of them is replaced again");
    let in_their_places: BTreeSet<_> = records.iter().filter_map(|token| token.replaced_by).map(Some).collect();
    assert_eq!(in_their_places, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_across_stores_stops_and_says_how_far_it_is_in_all() {
    let stack = OperatedStack::start().await;
    for n in 1..=5 {
        fill_store(&stack, &format!("store{n}"), 20, 20, 0).await;
    }
    // With the demo's token, whose store comes first.
    let revoke = ["token", "revoke", "--all-stores", "--key", "demo", "--confirm", "local"];
    let ended = interrupted(&stack, &revoke, "-INT", "TransactWriteItems", 50).await;
    let lines = ended.lines();
    let ends: Vec<_> = lines.iter().skip(1).step_by(2).map(|line| line["result"].as_str().unwrap()).collect();
    let (last, earlier) = ends.split_last().unwrap();
    assert!((2..6).contains(&earlier.len()) && earlier.iter().all(|result| *result == "done"), "{ended:?}");
    assert_eq!(*last, "interrupted");
    let left = stack.json(&["token", "list", "--all-stores"]).as_array().unwrap().len();
    let done = 101 - left;
    assert!(ended.stderr.contains(&format!("In all: {done} of 101 tokens.")), "{left} left: {ended:?}");
    stack.b2b_auth(&revoke).succeeds();
    assert_eq!(stack.json(&["token", "list", "--all-stores"]), json!([]));
}

/// How many items the store has, but for those that count its tokens.
async fn items_of(stack: &OperatedStack) -> u64 {
    let mut number = 0;
    for table in [&stack.configuration.directory_table, &stack.configuration.tokens_table] {
        let query = stack.dynamodb.query().table_name(table).key_condition_expression("pk = :pk");
        let answer = query.expression_attribute_values(":pk", string(STORE)).send().await.unwrap();
        assert!(answer.last_evaluated_key.is_none(), "there is more");
        let keys = answer.items().iter().map(|item| item["sk"].as_s().unwrap());
        number += keys.filter(|sk| *sk != "COUNTER" && !sk.starts_with("BLOCK#")).count() as u64;
    }
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_stops_between_writes_and_says_how_much_is_gone() {
    let stack = OperatedStack::start().await;
    fill_store(&stack, STORE, 30, 30, 300).await;
    for (operation, calls) in [("TransactWriteItems", 10), ("BatchWriteItem", 5)] {
        let before = stack.accounts().contents(STORE).await.unwrap();
        let items = items_of(&stack).await;
        let ended = interrupted(&stack, &REMOVE, "-TERM", operation, calls).await;
        let (begun, end) = details(&ended, "store remove");
        assert_eq!(
            begun,
            json!({
                "users": before.users, "customers": before.customers, "apiAccounts": 0, "tokens": before.tokens,
            })
        );
        let done = end["done"].as_u64().unwrap();
        assert_eq!(done, items - items_of(&stack).await, "{ended:?}");
        assert!(ended.stderr.contains("The same command goes on from there."), "{ended:?}");
    }
    stack.b2b_auth(&REMOVE).changes("store remove");
    stack.b2b_auth(&["store", "show", STORE]).fails(3, "There is no store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restoration_stops_between_accounts() {
    let stack = OperatedStack::start().await;
    fill_store(&stack, STORE, 1, 1, 40).await;
    crate::restore::restored_table(&stack).await;
    stack.b2b_auth(&REMOVE).succeeds();
    let restore = ["restore", "--from-table", "restored", "--store", STORE];
    let ended = interrupted(&stack, &restore, "-INT", "TransactWriteItems", 5).await;
    let (_, end) = details(&ended, "restore");
    let there = stack.accounts().contents(STORE).await.unwrap();
    // The store is one too.
    assert_eq!(end["done"], 1 + there.users + there.customers);
    assert_eq!(end["restored"], end["done"]);
    stack.b2b_auth(&restore).changes("restore");
    assert_eq!(stack.accounts().contents(STORE).await.unwrap().customers, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_write_that_does_not_end() {
    let stack = OperatedStack::start().await;
    fill_store(&stack, STORE, 9, 9, 0).await;
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.rule(|request| match (request.operation, request.earlier) {
        ("TransactWriteItems", 5..) => Fate::Unanswered,
        _ => Fate::Forwarded,
    });
    let running = stack.start_tool(&proxy.url, &REVOKE);
    eventually(async || proxy.seen("TransactWriteItems") > 5).await;
    running.signal("-INT");
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.signal("-TERM");
    let ended = running.ended().await.with(10);
    let lines = ended.lines();
    assert_eq!((&lines[0]["result"], &lines[1]["result"]), (&json!("begun"), &json!("in doubt")), "{ended:?}");
    assert_eq!(lines[1]["details"]["done"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_write_is_waited_for() {
    let stack = OperatedStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.fault_in("TransactWriteItems", Fate::KeptOpen(Duration::from_millis(500)));
    let running = stack.start_tool(&proxy.url, &in_store(&["user", "disable", demo::REP_EMAIL]));
    eventually(async || proxy.seen("TransactWriteItems") > 0).await;
    running.signal("-TERM");
    running.ended().await.changes("user disable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_that_is_interrupted_takes_its_store_away() {
    let stack = OperatedStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    let running = stack.start_tool(&proxy.url, &["doctor"]);
    eventually(async || proxy.seen("TransactWriteItems") > 1).await;
    running.signal("-TERM");
    running.ended().await.changes("doctor");
    assert!(stack.directory().store("b2b-auth-doctor").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_killed_has_its_line() {
    let stack = OperatedStack::start().await;
    fill_store(&stack, STORE, 600, 600, 0).await;
    let proxy = Proxy::start(stack.aws_url()).await;
    let running = stack.start_tool(&proxy.url, &REVOKE);
    eventually(async || proxy.seen("TransactWriteItems") > 0).await;
    running.signal("-KILL");
    let ended = running.ended().await;
    assert!(ended.lines().len() == 1 && ended.lines()[0]["result"] == "begun", "{ended:?}");
}
