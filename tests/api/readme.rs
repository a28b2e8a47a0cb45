//! The README's commands give the README's answers.

use local::demo;
use serde_json::Value;
use std::process::Command;
use tests::TestStack;

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_give_the_answers_that_stand_below_them() {
    let stack = TestStack::start().await;
    let readme = include_str!("../../README.md");
    let mut examples = 0;
    for example in readme.split("```sh\n").skip(1) {
        let (command, rest) = example.split_once("```").unwrap();
        examples += 1;
        // The API of somebody else's is beside the local stack alone.
        if command.contains("/example/") && stack.is_deployed() {
            continue;
        }
        let shown = rest.trim_start().strip_prefix("```json\n").unwrap().split_once("```").unwrap().0;
        let output = Command::new("sh")
            .args(["-c", &command.replace("http://127.0.0.1:3000", &stack.url).replace("curl ", "curl -sS ")])
            .env("TOKEN", &stack.demo_token)
            .env("JWT", demo::current_customer_jwt(stack.clock.now()))
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let shown: Value = serde_json::from_str(shown).unwrap();
        assert_eq!(without_tokens(answer), shown, "{command}");
    }
    assert_eq!(examples, 10);
}

fn without_tokens(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("eyJ") => "eyJ…".into(),
        Value::Array(values) => values.into_iter().map(without_tokens).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, without_tokens(value))).collect(),
        value => value,
    }
}
