//! The commands of the documents for callers give the answers that stand below them.

use local::demo;
use serde_json::Value;
use std::process::Command;
use tests::TestStack;

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_leads_to_a_first_token() {
    assert_eq!(check(include_str!("../../README.md"), &[]).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_shows_what_is_answered() {
    let jwt = |stack: &TestStack| demo::current_customer_jwt(stack.clock.now());
    let printed: [Printed; 2] = [("TOKEN", |stack| stack.demo_token.clone()), ("JWT", jwt)];
    assert_eq!(check(include_str!("../../docs/reference.md"), &printed).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_migrates_is_shown_what_is_answered() {
    assert_eq!(check(include_str!("../../docs/migrating.md"), &[]).await, 1);
}

/// A variable that is set to what `cargo run` has printed.
type Printed = (&'static str, fn(&TestStack) -> String);

/// Runs a page's commands from top to bottom in one shell, as its reader does, against a new stack. Returns how many answers were
/// compared.
async fn check(page: &str, printed: &[Printed]) -> usize {
    let stack = TestStack::start().await;
    let examples = page.split("```sh\n").skip(1).map(|example| {
        let (command, rest) = example.split_once("```").unwrap();
        let shown = rest.trim_start().strip_prefix("```json\n").unwrap().split_once("```").unwrap().0;
        (command, serde_json::from_str::<Value>(shown).unwrap())
    });
    // The API of somebody else's is beside the local stack alone.
    let examples: Vec<_> =
        examples.filter(|(command, _)| !(stack.is_deployed() && command.contains("/example/"))).collect();
    let commands: Vec<_> = examples.iter().map(|(command, _)| *command).collect();
    let session = commands.join("printf '\\0'\n");
    let output = Command::new("sh")
        .args(["-c", &session.replace("http://127.0.0.1:3000", &stack.url).replace("curl ", "curl -sS ")])
        .envs(printed.iter().map(|(name, value)| (name, value(&stack))))
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = output.split('\0').collect();
    assert_eq!(answers.len(), examples.len());
    for ((command, shown), answer) in examples.iter().zip(answers) {
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(without_tokens(answer), *shown, "{command}");
    }
    page.matches("```sh\n").count()
}

fn without_tokens(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("eyJ") => "eyJ…".into(),
        Value::Array(values) => values.into_iter().map(without_tokens).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, without_tokens(value))).collect(),
        value => value,
    }
}
