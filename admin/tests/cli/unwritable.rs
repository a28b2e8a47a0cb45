//! Standard output and standard error that cannot be written. Nothing is changed without its line, and no secret is lost.

use crate::support::{Ended, OperatedStack, PASSWORD, Running, command_at, in_store, program};
use local::demo;
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
    time::Duration,
};
use tests::{Fate, Proxy};

/// What cannot be written.
const UNWRITABLE: i32 = 9;

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// The end of a pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn with_stdout(mut command: Command, stdout: impl Into<Stdio>) -> Ended {
    let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let ended = child.wait_with_output().unwrap();
    Ended { code: ended.status.code(), stdout: String::new(), stderr: String::from_utf8(ended.stderr).unwrap() }
}

/// Runs a command whose standard error is full, with a password on its standard input.
fn with_full_stderr(mut command: Command) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(full()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(PASSWORD.as_bytes());
    let ended = child.wait_with_output().unwrap();
    Ended { code: ended.status.code(), stdout: String::from_utf8(ended.stdout).unwrap(), stderr: String::new() }
}

/// All that is stored.
async fn stored(stack: &OperatedStack) -> Vec<String> {
    let mut stored = Vec::new();
    for table in ["directory", "tokens"] {
        let items = stack.dynamodb.scan().table_name(table).send().await.unwrap().items.unwrap();
        stored.extend(items.iter().map(|item| {
            let attributes: std::collections::BTreeMap<_, _> = item.iter().collect();
            format!("{attributes:?}")
        }));
    }
    stored.sort();
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_line_nothing_is_changed() {
    let stack = OperatedStack::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("customers.csv");
    std::fs::write(&file, format!("customer_id,email,password\n9,nine@example.com,{PASSWORD}\n")).unwrap();
    let listed = folder.path().join("customers.txt");
    std::fs::write(&listed, demo::BUYER_EMAIL).unwrap();
    let before = (stored(&stack).await, stack.json(&["key", "list"]));
    for arguments in [
        ["store", "add", "mystore"].as_slice(),
        &["store", "set-channels", demo::STORE, "--channels", "1"],
        &["store", "remove", demo::STORE, "--confirm", demo::STORE],
        &in_store(&["user", "add", "a@example.com", "--role", "administrator", "--password-stdin"]),
        &in_store(&["user", "set-role", demo::ADMIN_EMAIL, "sales-rep"]),
        &in_store(&["user", "set-password", demo::ADMIN_EMAIL, "--password-stdin"]),
        &in_store(&["user", "disable", demo::ADMIN_EMAIL]),
        &in_store(&["user", "remove", demo::ADMIN_EMAIL]),
        &in_store(&["customer", "add", "a@example.com", "--id", "7", "--password-stdin"]),
        &in_store(&["customer", "import", file.to_str().unwrap()]),
        &in_store(&["customer", "disable", demo::BUYER_EMAIL]),
        &in_store(&["customer", "disable", "--file", listed.to_str().unwrap(), "--confirm", demo::STORE]),
        &in_store(&["customer", "remove", demo::BUYER_EMAIL]),
        &in_store(&["api-account", "create", "erp", "--scope", "read"]),
        &in_store(&["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "erp"]),
        &in_store(&["token", "rotate", "1"]),
        &in_store(&["token", "revoke", "1"]),
        &in_store(&["token", "revoke", "--all", "--confirm", demo::STORE]),
        &in_store(&["login", "unlock", demo::BUYER_EMAIL]),
        &["key", "rotate"],
        &["key", "retire", "demo", "--force"],
    ] {
        let ended = with_full_stderr(stack.command(arguments));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(UNWRITABLE), ""), "{arguments:?}");
    }
    assert_eq!((stored(&stack).await, stack.json(&["key", "list"])), before);
    // Nobody's line is missing where nothing is changed.
    assert_eq!(with_full_stderr(stack.command(&["store", "list"])).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_shown_is_not_good() {
    let stack = OperatedStack::start().await;
    let counted = |stack: &OperatedStack| {
        let listed = |what: &str| stack.json(&in_store(&[what, "list"])).as_array().unwrap().len();
        (listed("api-account"), listed("token"))
    };
    for (arguments, action) in [
        (in_store(&["api-account", "create", "erp", "--scope", "modify"]), "api-account create"),
        (in_store(&["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "erp"]), "token create"),
    ] {
        for format in ["table", "json"] {
            let command = || stack.command(&[&arguments[..], &["--output", format]].concat());
            let ended = with_stdout(command(), full());
            ended.fails(UNWRITABLE, "Standard output cannot be written: No space left on device");
            let results: Vec<_> = ended.lines().iter().map(|line| line["result"].clone()).collect();
            assert_eq!(results, ["begun", "not done"], "{ended:?}");
            assert!(ended.lines().iter().all(|line| line["audit"] == action));
            let ended = with_stdout(command(), closed_pipe());
            assert!(ended.code == Some(UNWRITABLE) && ended.lines()[1]["result"] == "not done", "{ended:?}");
            assert_eq!(counted(&stack), (0, 1), "{arguments:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_can_be_neither_shown_nor_revoked_is_named() {
    let stack = OperatedStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    let create = in_store(&["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "erp"]);
    for (id, code) in [(2, "ThrottlingException"), (3, "AccessDeniedException")] {
        proxy.rule(move |request| match (request.operation, request.earlier) {
            ("TransactWriteItems", 1..) => Fate::error(code),
            _ => Fate::Forwarded,
        });
        let command = command_at(&proxy.url, &stack.api_url(), &create);
        let ended = tokio::task::spawn_blocking(|| with_stdout(command, full())).await.unwrap();
        let says = format!("The token {id} is good, and was not shown. Revoke it: b2b-auth token revoke {id} --store");
        ended.fails(if id == 2 { 7 } else { 1 }, &says);
        let lines = ended.lines();
        assert_eq!((&lines[1]["result"], &lines[1]["details"]["id"]), (&json!("in doubt"), &json!(id)), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_replaced_where_nothing_can_be_shown() {
    let stack = OperatedStack::start().await;
    let rotate = in_store(&["token", "rotate", "1"]);
    for format in ["table", "json"] {
        for stdout in [full().into(), closed_pipe()] {
            let ended = with_stdout(stack.command(&[&rotate[..], &["--output", format]].concat()), stdout);
            let results: Vec<_> = ended.lines().iter().map(|line| line["result"].clone()).collect();
            assert_eq!((ended.code, results), (Some(UNWRITABLE), vec![json!("begun"), json!("not done")]), "{ended:?}");
        }
    }
    assert_eq!(stack.json(&in_store(&["token", "list"])).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_whose_reader_goes_away_stops_and_names_the_token_that_was_not_shown() {
    let stack = OperatedStack::start().await;
    stack.b2b_auth(&in_store(&["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "erp"])).succeeds();
    let proxy = Proxy::start(stack.aws_url()).await;
    // Time to go away.
    proxy.fault_in("TransactWriteItems", Fate::KeptOpen(Duration::from_secs(1)));
    let mut command = command_at(&proxy.url, &stack.api_url(), &in_store(&["token", "rotate", "1", "2"]));
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut head = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut head).unwrap();
        let ended = child.wait_with_output().unwrap();
        Ended { code: ended.status.code(), stdout: head, stderr: String::from_utf8(ended.stderr).unwrap() }
    });
    let ended = ended.await.unwrap();
    assert!(ended.stdout.starts_with("id  name") && !ended.stderr.contains("eyJ"), "{ended:?}");
    ended.fails(UNWRITABLE, "The token 3 was made in the place of the token 1, and not shown.");
    let end = &ended.lines()[1];
    assert_eq!(
        (&end["result"], &end["details"]["ids"], &end["details"]["newIds"], &end["details"]["done"]),
        (&json!("interrupted"), &json!("1"), &json!("3"), &json!(1))
    );
    let advice = "b2b-auth token rotate 3 --store demostore --overlap 0s";
    assert!(ended.stderr.contains(advice), "{ended:?}");
    let followed: Vec<&str> = advice.split(' ').skip(1).collect();
    let shown = stack.json(&followed);
    assert_eq!(stack.list(shown[0]["token"].as_str().unwrap(), "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_that_is_shown_and_not_made_is_called_void() {
    let stack = OperatedStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    let create = in_store(&["--output", "json", "api-account", "create", "erp", "--scope", "modify"]);
    for (fate, code, result, says) in [
        (Fate::error("AccessDeniedException"), 6, "not done", "The access token above is void."),
        (Fate::error("ThrottlingException"), 7, "in doubt", "Whether the access token above is good"),
    ] {
        proxy.fault_in("TransactWriteItems", fate);
        let ended = stack.start_tool(&proxy.url, &create).ended().await;
        ended.fails(code, says);
        let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert!(shown["accessToken"].is_string() && ended.lines()[1]["result"] == result, "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_and_cannot_be_printed_is_told() {
    let stack = OperatedStack::start().await;
    for arguments in [
        ["store", "list"].as_slice(),
        &["store", "show", demo::STORE],
        &["key", "list"],
        &in_store(&["token", "list"]),
        &in_store(&["user", "list"]),
        &in_store(&["customer", "list"]),
        &in_store(&["customer", "export"]),
        &in_store(&["customer", "show", demo::BUYER_EMAIL]),
        &in_store(&["login", "list"]),
        &["doctor", "--read-only"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["--version"],
        &["--help"],
        &["token", "revoke", "--help"],
    ] {
        for format in ["table", "json"] {
            let command = || stack.command(&[&["--output", format], arguments].concat());
            with_stdout(command(), full())
                .fails(UNWRITABLE, "Standard output cannot be written: No space left on device");
            let ended = with_stdout(command(), closed_pipe());
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(UNWRITABLE), ""), "{arguments:?}");
        }
    }
    let mut mistake = program();
    mistake.arg("stroe");
    assert_eq!(with_full_stderr(mistake).code, Some(2));
}

#[test]
fn completions_end_when_their_reader_does() {
    let mut command = program();
    command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    assert!([Some(0), Some(UNWRITABLE)].contains(&ended.status.code()), "{:?}", ended.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_bad_rows_cannot_be_printed_says_how_far_it_was() {
    let stack = OperatedStack::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("customers.csv");
    let rows = (1001..1101).map(|id| format!("{id},c{id}@example.com,{PASSWORD}\nx,y,z"));
    let rows: Vec<String> = std::iter::once("customer_id,email,password".into()).chain(rows).collect();
    std::fs::write(&file, rows.join("\n")).unwrap();
    let import = in_store(&["--output", "json", "customer", "import", file.to_str().unwrap()]);
    let ended = with_stdout(stack.command(&import), full());
    ended.fails(UNWRITABLE, "Standard output cannot be written");
    let end = &ended.lines()[1];
    let there = stack.accounts().contents(demo::STORE).await.unwrap().customers - 1;
    assert_eq!(end["details"]["added"], there, "{ended:?}");
    let again = Running::start(stack.command(&import), "").wait().with(8);
    assert_eq!(again.lines()[1]["details"]["alreadyThere"], there);
}
