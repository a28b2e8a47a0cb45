//! `b2b-auth token list` and `token revoke`: of all stores, and by what tokens are chosen.

use crate::support::{OperatedStack, in_store};
use aws_sdk_dynamodb::types::AttributeValue;
use local::demo;
use serde_json::{Value, json};
use shared::tables::{
    items::{key, number, string},
    tokens::TOKENS,
};
use tests::{Fate, Proxy, fill_store};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Changes what is kept of a token; without a value the attribute goes.
pub async fn set(stack: &OperatedStack, store: &str, id: u64, attribute: &str, value: Option<AttributeValue>) {
    let update = stack
        .dynamodb
        .update_item()
        .table_name(&stack.configuration.tokens_table)
        .set_key(Some(key(store, format!("{TOKENS}{id:020}"))))
        .expression_attribute_names("#attribute", attribute);
    let update = match value {
        Some(value) => update.update_expression("SET #attribute = :value").expression_attribute_values(":value", value),
        None => update.update_expression("REMOVE #attribute"),
    };
    update.send().await.unwrap();
}

/// Two stores of three tokens each; three of the six were signed with a key that is not in the keyring.
async fn two_stores(stack: &OperatedStack) {
    for store in ["one", "two"] {
        fill_store(stack, store, 3, 3, 0).await;
    }
    for (store, id) in [("one", 1), ("one", 3), ("two", 2)] {
        set(stack, store, id, "kid", Some(string("gone"))).await;
    }
}

/// Store and id of each row, in their order.
fn chosen(rows: &Value) -> Vec<(String, u64)> {
    let row = |row: &Value| (row["store"].as_str().unwrap().to_owned(), row["id"].as_u64().unwrap());
    let mut chosen: Vec<_> = rows.as_array().unwrap().iter().map(row).collect();
    chosen.sort();
    chosen
}

fn of_gone_key() -> Vec<(String, u64)> {
    [("one", 1), ("one", 3), ("two", 2)].map(|(store, id)| (store.to_owned(), id)).into()
}

const LIST: [&str; 5] = ["token", "list", "--all-stores", "--key", "gone"];
const REVOKE: [&str; 5] = ["token", "revoke", "--all-stores", "--key", "gone"];

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_key_are_listed_and_revoked_in_all_stores_and_no_others() {
    let stack = OperatedStack::start().await;
    two_stores(&stack).await;
    let created = stack.json(&["token", "create", "--store", "two", "--email", demo::ADMIN_EMAIL, "--name", "erp"]);
    assert_eq!(chosen(&stack.json(&LIST)), of_gone_key());
    assert!(stack.b2b_auth(&LIST).stdout.starts_with("store  id  name"));
    assert_eq!(chosen(&stack.json(&["token", "list", "--all-stores"])).len(), 8, "with the demo's");

    let asked = stack.b2b_auth(&REVOKE);
    asked.fails(5, "This revokes 3 tokens of 2 stores: one, two.");
    assert!(asked.stderr.contains("To go on, add --confirm local. Nothing was changed."), "{asked:?}");
    stack.b2b_auth(&[&REVOKE[..], &["--confirm", "gone"]].concat()).fails(5, "--confirm names gone, not local.");
    assert_eq!(chosen(&stack.json(&LIST)), of_gone_key());

    let confirmed = [&REVOKE[..], &["--confirm", "local"]].concat();
    let ended = stack.b2b_auth(&confirmed);
    ended.succeeds();
    assert!(ended.stderr.contains("Revoked: 3 tokens of 2 stores."), "{ended:?}");
    let lines = ended.lines().into_iter().map(|line| (line["store"].clone(), line["result"].clone()));
    let expected = [("one", "begun"), ("one", "done"), ("two", "begun"), ("two", "done")];
    assert_eq!(lines.collect::<Vec<_>>(), expected.map(|(store, result)| (json!(store), json!(result))));
    let details = json!({"key": "gone", "allStores": true, "count": 2, "ids": "1,3"});
    assert_eq!(ended.audit()[0]["details"], details);
    assert_eq!(chosen(&stack.json(&LIST)), []);
    let left = [(demo::STORE, 1), ("one", 2), ("two", 1), ("two", 3), ("two", 4)];
    let left = left.map(|(store, id)| (store.to_owned(), id));
    assert_eq!(chosen(&stack.json(&["token", "list", "--all-stores"])), left);
    for token in [created["token"].as_str().unwrap(), &demo::token()] {
        assert_eq!(stack.list(token, "").await.status, 200, "signed with another key");
    }

    let again = stack.b2b_auth(&confirmed);
    again.succeeds();
    assert!(again.lines().is_empty() && again.stderr.contains("There is no such token."), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_what_would_be_revoked_and_changes_nothing() {
    let stack = OperatedStack::start().await;
    two_stores(&stack).await;
    let before = stack.json(&["token", "list", "--all-stores"]);
    let of_one = |ids: &[u64]| ids.iter().map(|id| json!(id)).collect::<Vec<_>>();
    let ids = |rows: &Value| rows.as_array().unwrap().iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    let dry = |arguments: &[&str]| {
        let ended = stack.b2b_auth(&[&["--output", "json", "token", "revoke", "--dry-run"], arguments].concat());
        ended.succeeds();
        assert!(ended.lines().is_empty(), "{ended:?}");
        ended
    };
    let everywhere = dry(&REVOKE[2..]);
    assert_eq!(chosen(&everywhere.json()), of_gone_key());
    assert!(everywhere.stderr.contains("Would revoke: 3 tokens of 2 stores."), "{everywhere:?}");
    assert_eq!(ids(&dry(&["--store", "one", "--all"]).json()), of_one(&[1, 2, 3]));
    assert_eq!(ids(&dry(&["--store", "one", "--key", "gone"]).json()), of_one(&[1, 3]));
    let named = dry(&["--store", "one", "3", "2", "9", "3"]);
    assert_eq!(ids(&named.json()), of_one(&[2, 3]));
    assert!(named.stderr.contains("The store one has no token 9."), "{named:?}");
    assert_eq!(dry(&["--store", "one", "--key", "x"]).json(), json!([]));
    let listed = stack.json(&["token", "list", "--store", "one"]);
    assert_eq!(dry(&["--store", "one", "--all"]).json(), listed, "the same rows");
    assert_eq!(stack.json(&["token", "list", "--all-stores"]), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_chosen_by_their_end_and_their_last_use() {
    let stack = OperatedStack::start().await;
    let now = stack.clock.now();
    fill_store(&stack, "one", 6, 6, 0).await;
    for id in 1..=6 {
        set(&stack, "one", id, "iat", Some(number(now - 20 * DAY))).await;
        set(&stack, "one", id, "last_used_at", Some(number(now))).await;
    }
    set(&stack, "one", 1, "ends_at", Some(number(now - 10))).await;
    set(&stack, "one", 2, "ends_at", Some(number(now + HOUR))).await;
    set(&stack, "one", 3, "ends_at", Some(number(now + 5 * DAY))).await;
    set(&stack, "one", 4, "last_used_at", Some(number(now - 3 * HOUR))).await;
    set(&stack, "one", 5, "last_used_at", None).await;
    let before = |seconds: u64| (now - seconds).to_string();
    let (just_now, hours, days) = (before(HOUR), before(2 * HOUR + HOUR / 2), before(21 * DAY));
    let ids = |filter: &[&str]| {
        let rows = stack.json(&[&["token", "list", "--store", "one"], filter].concat());
        rows.as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    for (filter, expected) in [
        (vec!["--expired"], vec![1]),
        (vec!["--expiring-within", "12h"], vec![2]),
        (vec!["--expiring-within", "7d"], vec![2, 3]),
        (vec!["--unused-since", &just_now], vec![4, 5]),
        // It may have been used up to an hour after what was noted.
        (vec!["--unused-since", &hours], vec![5]),
        // It was not made yet.
        (vec!["--unused-since", &days], vec![]),
        (vec!["--unused-since", &just_now, "--expired"], vec![]),
        (vec!["--expiring-within", "7d", "--email", demo::ADMIN_EMAIL, "--key", "demo"], vec![2, 3]),
        (vec!["--expiring-within", "7d", "--email", demo::REP_EMAIL], vec![]),
    ] {
        assert_eq!(ids(&filter), expected, "{filter:?}");
    }
    stack.b2b_auth(&["token", "revoke", "--store", "one", "2", "--expired"]).fails(2, "do not fit the token 2.");
    let ended = stack.b2b_auth(&["token", "revoke", "--store", "one", "--expired", "--confirm", "one"]);
    ended.changes("token revoke");
    assert_eq!(ended.audit()[0]["details"], json!({"expired": true, "count": 1, "ids": "1"}));
    let unused = ["token", "revoke", "--store", "one", "--unused-since", &just_now, "--confirm", "one"];
    stack.b2b_auth(&unused).changes("token revoke");
    assert_eq!(ids(&[]), [2, 3, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_must_be_said_which_tokens_of_which_stores() {
    let stack = OperatedStack::start().await;
    for (arguments, says) in [
        (vec!["list"], "--all-stores"),
        (vec!["list", "--all-stores", "--store", demo::STORE], "cannot be used with"),
        (vec!["revoke", "--key", "demo"], "--all-stores"),
        (vec!["revoke", "--all-stores"], "Which tokens?"),
        (vec!["revoke", "--all-stores", "--dry-run"], "Which tokens?"),
        (vec!["revoke", "--all-stores", "--all"], "cannot be used with"),
        (vec!["revoke", "--all-stores", "1"], "cannot be used with"),
        (vec!["revoke", "--store", demo::STORE, "--all", "--unused-since", "2026-01-01"], "cannot be used with"),
        (vec!["list", "--all-stores", "--expired", "--expiring-within", "7d"], "cannot be used with"),
        (vec!["list", "--all-stores", "--expiring-within", "7"], "such as 7d or 12h"),
        (vec!["list", "--all-stores", "--expiring-within", "é"], "such as 7d or 12h"),
        (vec!["list", "--all-stores", "--expiring-within", "99999999999999999d"], "such as 7d or 12h"),
        (vec!["list", "--all-stores", "--unused-since", "2999-01-01"], "--unused-since lies in the future."),
        (vec!["revoke", "--all-stores", "--unused-since", "2999-01-01"], "--unused-since lies in the future."),
    ] {
        let ended = stack.b2b_auth(&[&["token"], &arguments[..]].concat());
        ended.fails(2, says);
        assert!(ended.lines().is_empty(), "{ended:?}");
    }
    assert_eq!(stack.json(&in_store(&["token", "list"])).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_a_later_store_says_that_earlier_ones_were_changed() {
    let stack = OperatedStack::start().await;
    two_stores(&stack).await;
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.rule(|request| match (request.operation, request.earlier) {
        ("TransactWriteItems", 2..) => Fate::error("AccessDeniedException"),
        _ => Fate::Forwarded,
    });
    let ended = stack.start_tool(&proxy.url, &[&REVOKE[..], &["--confirm", "local"]].concat()).ended().await;
    ended.fails(1, "In all: 2 of 3 tokens.");
    let results = ended.lines().into_iter().map(|line| line["result"].as_str().unwrap().to_owned());
    assert_eq!(results.collect::<Vec<_>>(), ["begun", "done", "begun", "not done"]);
    assert_eq!(chosen(&stack.json(&LIST)), [("two".to_owned(), 2)]);
}
