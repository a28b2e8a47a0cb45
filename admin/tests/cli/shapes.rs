//! What `--output json` prints: an array for a list, one object for what is shown or created.

use crate::support::{OperatedStack, PASSWORD, commands, in_store, run};
use local::demo;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a command prints.
#[derive(Debug, PartialEq)]
enum Shape {
    /// Objects with the same members.
    Array,
    Object,
    Nothing,
    /// No JSON, whatever `--output` says.
    Text,
}

fn shape(stdout: &str) -> Shape {
    match serde_json::from_str(stdout) {
        _ if stdout.is_empty() => Shape::Nothing,
        Ok(Value::Object(_)) => Shape::Object,
        Ok(Value::Array(rows)) => {
            let members = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert!(rows.iter().all(|row| members(row) == members(&rows[0])), "{stdout}");
            Shape::Array
        }
        _ => Shape::Text,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_the_shape_that_is_documented() {
    let stack = OperatedStack::start().await;
    crate::restore::restored_table(&stack).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let (csv, verified) = (format!("{folder}/customers.csv"), demo::token());
    std::fs::write(&csv, format!("customer_id,email,password\n8,eight@example.com,{PASSWORD}\n9,x,y\n")).unwrap();
    let listed = format!("{folder}/customers.txt");
    std::fs::write(&listed, "c@example.com\n").unwrap();
    let user = ["--role", "administrator", "--password-stdin"];
    let account = stack.json(&in_store(&["api-account", "create", "a", "--scope", "read"]));
    let account = account["id"].as_str().unwrap();
    let mut tried = BTreeSet::new();
    for (command, arguments, code, expected) in [
        ("store add", vec!["s"], 0, Shape::Nothing),
        ("store list", vec![], 0, Shape::Array),
        ("store show", vec![demo::STORE], 0, Shape::Object),
        ("store set-channels", vec!["s", "--channels", "1"], 0, Shape::Nothing),
        ("store set-directory", vec!["s", "table"], 0, Shape::Nothing),
        ("store remove", vec!["s", "--dry-run"], 0, Shape::Object),
        ("store remove", vec!["s", "--confirm", "s"], 0, Shape::Nothing),
        ("user add", in_store(&[&["u@example.com"], &user[..]].concat()), 0, Shape::Nothing),
        ("user list", in_store(&[]), 0, Shape::Array),
        ("user show", in_store(&["u@example.com"]), 0, Shape::Object),
        ("user set-role", in_store(&["u@example.com", "sales-rep"]), 0, Shape::Nothing),
        ("user set-password", in_store(&["u@example.com", "--password-stdin"]), 0, Shape::Nothing),
        ("user disable", in_store(&["u@example.com"]), 0, Shape::Nothing),
        ("user enable", in_store(&["u@example.com"]), 0, Shape::Nothing),
        ("user remove", in_store(&["u@example.com"]), 0, Shape::Nothing),
        ("customer add", in_store(&["c@example.com", "--id", "7", "--password-stdin"]), 0, Shape::Nothing),
        ("customer list", in_store(&[]), 0, Shape::Array),
        ("customer show", in_store(&["c@example.com"]), 0, Shape::Object),
        ("customer import", in_store(&[&csv]), 8, Shape::Array),
        ("customer export", in_store(&[]), 0, Shape::Text),
        ("customer set-channels", in_store(&["c@example.com", "--channels", "1"]), 0, Shape::Nothing),
        ("customer set-password", in_store(&["c@example.com", "--password-stdin"]), 0, Shape::Nothing),
        ("customer disable", in_store(&["c@example.com"]), 0, Shape::Nothing),
        ("customer enable", in_store(&["c@example.com"]), 0, Shape::Nothing),
        ("customer disable", in_store(&["--id", "7"]), 0, Shape::Nothing),
        ("customer enable", in_store(&["--file", &listed, "--dry-run"]), 0, Shape::Array),
        ("customer disable", in_store(&["--file", &csv, "--dry-run"]), 2, Shape::Array),
        ("customer remove", in_store(&["c@example.com"]), 0, Shape::Nothing),
        ("api-account create", in_store(&["erp", "--scope", "read"]), 0, Shape::Object),
        ("api-account list", in_store(&[]), 0, Shape::Array),
        ("api-account revoke", in_store(&[account]), 0, Shape::Nothing),
        ("token create", in_store(&["--email", demo::ADMIN_EMAIL, "--name", "erp"]), 0, Shape::Object),
        ("token list", in_store(&[]), 0, Shape::Array),
        ("token list", in_store(&["--key", "none"]), 0, Shape::Array),
        ("token list", vec!["--all-stores"], 0, Shape::Array),
        ("token show", in_store(&["1"]), 0, Shape::Object),
        ("token verify", vec![&verified], 0, Shape::Object),
        ("token verify", vec!["none"], 8, Shape::Object),
        ("token rotate", in_store(&["2", "--dry-run"]), 0, Shape::Array),
        ("token rotate", in_store(&["2"]), 0, Shape::Array),
        ("token revoke", in_store(&["2", "--dry-run"]), 0, Shape::Array),
        ("token revoke", in_store(&["2"]), 0, Shape::Nothing),
        ("login list", in_store(&[]), 0, Shape::Array),
        ("login unlock", in_store(&[demo::BUYER_EMAIL]), 0, Shape::Nothing),
        ("restore", in_store(&["--from-table", "restored"]), 0, Shape::Array),
        ("doctor", vec![], 0, Shape::Array),
        ("key list", vec![], 0, Shape::Array),
        ("key rotate", vec![], 0, Shape::Nothing),
        ("key retire", vec!["demo", "--force"], 0, Shape::Nothing),
        ("completions", vec!["bash"], 0, Shape::Text),
        ("man", vec![folder], 0, Shape::Nothing),
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let command_line = [&["--output", "json"], &words[..], &arguments].concat();
        let ended = run(stack.command(&command_line), PASSWORD).with(code);
        assert_eq!(shape(&ended.stdout), expected, "{command_line:?} {ended:?}");
        tried.insert(command.to_owned());
    }
    assert_eq!(tried, commands().into_iter().collect(), "a command is not tried here");
}
