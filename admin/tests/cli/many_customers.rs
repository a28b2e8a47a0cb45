//! `customer disable --file` and `customer enable --file`.

use crate::support::{Ended, OperatedStack, Running, in_store};
use local::demo;
use serde_json::{Value, json};
use std::{fs, time::Duration};
use tempfile::TempDir;
use tests::{Fate, Proxy, eventually, fill_store};

const STORE: &str = "bigstore";

/// A file of lines.
struct Lines(TempDir);

impl Lines {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("customers.txt"), text).unwrap();
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.path().join("customers.txt").to_str().unwrap().to_owned()
    }
}

fn of_file<'a>(action: &'a str, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["customer", action, "--store", STORE, "--file", file], more].concat()
}

/// A store with the customers of ids from 1 on, with e-mails as `c1@example.com`.
async fn store_of(customers: u64) -> OperatedStack {
    let stack = OperatedStack::start().await;
    fill_store(&stack, STORE, 1, 1, customers).await;
    stack
}

/// Ids of those who are not active.
fn disabled(stack: &OperatedStack) -> Vec<u64> {
    let customers = stack.json(&["customer", "list", "--store", STORE]);
    let disabled = customers.as_array().unwrap().iter().filter(|customer| customer["active"] == false);
    disabled.map(|customer| customer["customerId"].as_u64().unwrap()).collect()
}

/// Line and reason of each bad line.
fn bad_lines(ended: &Ended) -> Vec<(u64, String)> {
    let rows = ended.json();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customers_of_a_file_are_disabled_and_enabled_again() {
    let stack = store_of(300).await;
    // Of an export: the byte order mark and line ends are what spreadsheets write.
    let file = Lines::new("\u{feff}email\r\nC2@example.com\r\n\r\n3\r\n c4@example.com \r\n3\r\nc3@example.com\r\n250");
    let path = file.path();
    let disable = of_file("disable", &path, &["--confirm", STORE]);
    let ended = stack.b2b_auth(&disable);
    ended.changes("customer disable");
    assert_eq!(ended.lines()[0]["details"], json!({"file": "customers.txt", "count": 4, "ids": "2-4,250"}));
    assert_eq!(ended.lines()[0]["details"], ended.lines()[1]["details"]);
    assert!(ended.stderr.contains("Now disabled: 4 customers."), "{ended:?}");
    assert_eq!(disabled(&stack), [2, 3, 4, 250]);
    let revoked = stack.json(&["customer", "show", "--id", "3", "--store", STORE])["tokensRevokedAt"].clone();
    assert!(revoked.is_u64());

    // Who is disabled already stays as he is.
    let again = stack.b2b_auth(&of_file("disable", &path, &[]));
    again.succeeds();
    assert_eq!(again.lines(), [] as [Value; 0]);
    assert!(again.stderr.contains("4 customers are disabled already. There is nothing to do."), "{again:?}");

    let enable = of_file("enable", "-", &["--confirm", STORE]);
    let enabled = Running::start(stack.command(&enable), "3\nc250@example.com\nc100@example.com\n").wait();
    enabled.changes("customer enable");
    assert!(enabled.stderr.contains("Now enabled: 2 customers. 1 customer is enabled already."), "{enabled:?}");
    assert_eq!(disabled(&stack), [2, 4]);
    // One who was enabled all the time is not logged out.
    assert_eq!(stack.json(&["customer", "show", "--id", "100", "--store", STORE])["tokensRevokedAt"], Value::Null);
    let stdin = of_file("disable", "/dev/stdin", &["--confirm", STORE]);
    Running::start(stack.command(&stdin), "3\n").wait().changes("customer disable");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_line_and_nobody_is_changed() {
    let stack = store_of(3).await;
    let mut text = b"c1@example.com\n99\nnobody@example.com\n\nno-mail s3cret\n0\n1,c1@example.com,1,true\n".to_vec();
    text.extend(b"c2@example.com\n\xff\xfe\n");
    let file = Lines::new(text);
    let path = file.path();
    let neither = "It is neither an e-mail nor the id of a customer.";
    let nobody = "The store has no such customer.";
    for more in [&["--dry-run"][..], &["--confirm", STORE], &["--confirm", STORE, "--dry-run"], &[]] {
        let arguments = [&["--output", "json"], &of_file("disable", &path, more)[..]].concat();
        let ended = stack.b2b_auth(&arguments);
        ended.fails(2, "6 lines are bad, as listed. Nothing was changed.");
        assert_eq!(ended.lines(), [] as [Value; 0]);
        let bad: Vec<_> = [(2, nobody), (3, nobody), (5, neither), (6, neither), (7, nobody), (9, neither)]
            .map(|(line, reason)| (line, reason.to_owned()))
            .into();
        assert_eq!(bad_lines(&ended), bad);
    }
    assert_eq!(disabled(&stack), [] as [u64; 0]);
    // One who was removed is none.
    stack.b2b_auth(&["customer", "remove", "c1@example.com", "--store", STORE]).succeeds();
    stack.b2b_auth(&of_file("disable", &Lines::new("1").path(), &[])).fails(2, "One line is bad, as listed.");

    for (arguments, code, says) in [
        (of_file("disable", &Lines::new("\n").path(), &[]), 2, "names no customer."),
        (of_file("disable", "/nowhere", &[]), 2, "/nowhere cannot be read: No such file"),
        (of_file("disable", "/", &[]), 2, "/ cannot be read: Is a directory"),
        (of_file("disable", &path, &["c1@example.com"]), 2, "cannot be used with"),
        (vec!["customer", "disable", "--store", STORE], 2, "required arguments were not provided"),
        (in_store(&["customer", "disable", demo::BUYER_EMAIL, "--dry-run"]), 2, "cannot be used with"),
        (in_store(&["customer", "disable", demo::BUYER_EMAIL, "--confirm", demo::STORE]), 2, "cannot be used with"),
        (vec!["customer", "disable", "--store", "nostore", "--file", &path], 3, "There is no store nostore."),
        (of_file("enable", &Lines::new("2").path(), &["--dry-run"]), 0, "1 customer is enabled already."),
        (of_file("disable", &Lines::new("2\n3").path(), &[]), 5, "This disables 2 customers of the store bigstore"),
        (of_file("disable", &Lines::new("2\n3").path(), &["--confirm", "other"]), 5, "--confirm names other"),
    ] {
        let ended = stack.b2b_auth(&arguments).with(code);
        assert!(ended.stderr.contains(says) && ended.lines().is_empty(), "{says}: {ended:?}");
    }
    assert_eq!(disabled(&stack), [] as [u64; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_who_would_be_changed() {
    let stack = store_of(9).await;
    stack.b2b_auth(&["customer", "disable", "c3@example.com", "--store", STORE]).succeeds();
    let file = Lines::new("5\nc3@example.com\nc4@example.com\n");
    let path = file.path();
    let arguments = of_file("disable", &path, &["--dry-run", "--output", "json"]);
    let ended = stack.b2b_auth(&arguments);
    ended.succeeds();
    let row = |id: u64| json!({"customerId": id, "email": format!("c{id}@example.com")});
    assert_eq!(ended.json(), json!([row(4), row(5)]));
    let says = "Would disable 2 customers. 1 customer is disabled already. Nothing was changed.";
    assert!(ended.stderr.contains(says), "{ended:?}");
    assert_eq!((ended.lines(), disabled(&stack)), (vec![], vec![3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_between_customers_and_goes_on_from_there() {
    let stack = store_of(600).await;
    let file = Lines::new((1..=600).map(|id| id.to_string()).collect::<Vec<_>>().join("\n"));
    let path = file.path();
    let disable = of_file("disable", &path, &["--confirm", STORE]);
    let proxy = Proxy::start(stack.aws_url()).await;
    let running = stack.start_tool(&proxy.url, &disable);
    eventually(async || proxy.seen("TransactWriteItems") >= 50).await;
    running.signal("-TERM");
    let ended = running.ended().await.with(10);
    let lines = ended.lines();
    assert_eq!((&lines[0]["result"], &lines[1]["result"]), (&json!("begun"), &json!("interrupted")), "{ended:?}");
    assert_eq!(lines[0]["details"]["ids"], "1-600");
    let there = disabled(&stack);
    assert!((40..600).contains(&there.len()) && lines[1]["details"]["done"] == there.len(), "{ended:?}");
    let says = format!("Done: {} of 600 customers. The same command goes on from there.", there.len());
    assert!(ended.stderr.contains(&says), "{ended:?}");
    let again = stack.b2b_auth(&disable);
    again.changes("customer disable");
    assert_eq!(again.lines()[0]["details"]["count"], 600 - there.len());
    assert_eq!(disabled(&stack).len(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_removed_meanwhile_keeps_nobody_waiting() {
    let stack = store_of(3).await;
    let file = Lines::new("1\n2\n3\n");
    let path = file.path();
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.rule(|request| match request.operation {
        "TransactWriteItems" => Fate::KeptOpen(Duration::from_secs(2)),
        _ => Fate::Forwarded,
    });
    let running = stack.start_tool(&proxy.url, &of_file("disable", &path, &["--confirm", STORE]));
    eventually(async || proxy.seen("TransactWriteItems") > 0).await;
    stack.run(&["customer", "remove", "c2@example.com", "--store", STORE]).await.succeeds();
    let ended = running.ended().await;
    ended.changes("customer disable");
    assert!(ended.stderr.contains("Now disabled: 2 customers. Removed meanwhile: 1 customer."), "{ended:?}");
    assert_eq!(ended.lines()[1]["details"]["ids"], "1,3");
}
