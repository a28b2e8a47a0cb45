//! The real binary under a Runtime API: what API Gateway is given, and what the log holds.

use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tests::{Lambda, Outcome, RuntimeApi, TestStack, http_event, rest_event, with};

const BINARY: &str = env!("CARGO_BIN_EXE_authorize-request");

fn shown(token: &str) -> Value {
    json!({"Authorization": format!("Bearer {token}")})
}

#[tokio::test]
async fn it_answers_and_notes_the_use_before_the_next_event() {
    let stack = TestStack::start_in_real_time().await;
    let lambda = Lambda::start(BINARY, stack.aws_url()).await;
    for (event, expected) in [
        (http_event(&shown(&stack.demo_token)), json!(true)),
        (http_event(&shown("x")), json!(false)),
        (http_event(&json!({})), json!(false)),
    ] {
        let Outcome::Response(answer) = lambda.invoke(&event.to_string()).await else { panic!("{event}") };
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["isAuthorized"], expected);
    }
    assert!(stack.token_last_used_at(1).await.is_some());
    let Outcome::Response(answer) = lambda.invoke(&rest_event(&shown(&stack.demo_token)).to_string()).await else {
        panic!("an error")
    };
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Allow");
    assert_eq!(answer["principalId"], "demostore/tokens/1");
}

#[tokio::test]
async fn a_refusal_is_the_one_error_that_api_gateway_makes_a_401_of_and_no_error_in_the_log() {
    let stack = TestStack::start_in_real_time().await;
    let runtime_api = RuntimeApi::start().await;
    let mut command = runtime_api.command(Path::new(BINARY), stack.aws_url());
    let mut function = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut errors = Vec::new();
    let wrongly = with(rest_event(&shown("x")), "type", "TOKEN").to_string();
    for event in [rest_event(&shown("x")).to_string(), wrongly, "{".into(), "[[".repeat(200)] {
        match runtime_api.invoke(event).await {
            Some(Outcome::Error(error)) => errors.push(serde_json::from_str::<Value>(&error).unwrap()),
            outcome => panic!("{outcome:?}"),
        }
    }
    function.kill().unwrap();
    assert_eq!(errors[0], json!({"errorType": "Unauthorized", "errorMessage": "Unauthorized"}));
    let wrongly = "The authorizer is attached wrongly.";
    assert_eq!(errors[1], json!({"errorType": "AuthorizerMisattached", "errorMessage": wrongly}));
    assert!(errors[2..].iter().all(|error| error["errorMessage"] != "Unauthorized"), "{errors:?}");

    let output = function.wait_with_output().unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours = lines.iter().filter(|line| line["function"] == "authorize-request");
    let levels: Vec<_> = ours.map(|line| (&line["level"], &line["status"])).collect();
    assert_eq!(levels, [(&json!("INFO"), &json!(401)), (&json!("WARN"), &json!(500))], "{log}");
}
