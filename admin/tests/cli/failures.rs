//! What stands between an operator and the stack, and other things that concern every command.

use crate::support::{
    Ended, OperatedStack, aws_that_answers, aws_with_clock_ahead, commands, program, run, run_deployed,
};
use local::demo;
use shared::clock::Clock;
use std::path::Path;

fn deployed(endpoint: &str) -> Ended {
    run_deployed(endpoint, &["store", "list"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_an_operator_from_a_stack_is_one_sentence_that_says_what_to_do() {
    for (code, message, says) in [
        (
            "ExpiredToken",
            "The security token included in the request is expired",
            "The AWS credentials have expired. Sign in again",
        ),
        ("InvalidClientTokenId", "The security token is invalid", "AWS does not know these credentials."),
        (
            "AccessDenied",
            "User: arn:x is not authorized to perform: cloudformation:DescribeStacks",
            "not allowed to do this",
        ),
        ("ValidationError", "Stack with id b2b-auth does not exist", "There is no stack b2b-auth in eu-central-1"),
    ] {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        );
        let aws = aws_that_answers(if code == "ValidationError" { 400 } else { 403 }, "text/xml", body).await;
        deployed(&aws.url).fails(6, says);
    }
    let other_stack = "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>b2b-auth</StackName>\
        <StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime></member></Stacks>\
        </DescribeStacksResult></DescribeStacksResponse>";
    let aws = aws_that_answers(200, "text/xml", other_stack.into()).await;
    deployed(&aws.url).fails(6, "has no output TokensTableName, so it is not one of b2b-auth");

    let mut without_credentials = program();
    without_credentials.args(["--stack-name", "b2b-auth", "--region", "eu-central-1", "store", "list"]);
    run(without_credentials, "").fails(6, "There are no AWS credentials.");
    let mut without_region = program();
    without_region.args(["--stack-name", "b2b-auth", "store", "list"]);
    run(without_region, "").fails(6, "Which AWS region?");
    let mut without_stack = program();
    without_stack.args(["store", "list"]);
    run(without_stack, "").fails(2, "Which stack?");
    let mut not_running = program();
    not_running.args(["--aws-endpoint", "http://127.0.0.1:1", "store", "list"]);
    run(not_running, "").fails(7, "AWS cannot be reached at 127.0.0.1:1. Start `cargo run` first");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tables_and_secrets_refuse_is_one_sentence_that_says_what_to_do() {
    for (status, code, exit_code, says) in [
        (400, "ExpiredTokenException", 6, "The AWS credentials have expired."),
        (400, "UnrecognizedClientException", 6, "AWS does not know these credentials."),
        (400, "AccessDeniedException", 6, "not allowed to do this"),
        (400, "ResourceNotFoundException", 6, "does not exist in this account and region"),
        (400, "ThrottlingException", 7, "run the same command again"),
        (500, "InternalServerError", 7, "run the same command again"),
        (400, "ValidationException", 1, "`b2b-auth doctor` says what of the stack is not in order"),
    ] {
        let body =
            format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"as the test wants it"}}"#);
        let aws = aws_that_answers(status, "application/x-amz-json-1.0", body).await;
        for arguments in [["store", "list"].as_slice(), &["store", "add", "s"], &["key", "list"]] {
            let mut command = program();
            command.args(["--aws-endpoint", &aws.url]).args(arguments);
            let ended = run(command, "");
            ended.fails(exit_code, says);
            // Whether something was changed is only in doubt where AWS did not say no.
            let in_doubt = arguments[1] == "add" && [1, 7].contains(&exit_code);
            let results: Vec<_> = ended.audit().iter().map(|line| line["result"].clone()).collect();
            assert_eq!(results, vec!["in doubt"; usize::from(in_doubt)], "{ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_goes_by_the_clock_of_aws() {
    let stack = OperatedStack::start().await;
    let disable = ["customer", "disable", demo::BUYER_EMAIL, "--store", demo::STORE];
    for (ahead, told) in [(0, false), (3600, true)] {
        let aws = aws_with_clock_ahead(stack.aws_url(), ahead).await;
        let before = Clock::system().now();
        let ended = run_deployed(&aws.url, &disable);
        ended.changes("customer disable");
        assert_eq!(ended.stderr.contains("seconds ahead of this machine's; the time is taken from AWS."), told);
        let revoked = stack.customer_by_id(demo::BUYER_ID).await.unwrap().tokens_valid_after.unwrap();
        assert!((before + ahead..before + ahead + 60).contains(&revoked), "{ahead}: {}", revoked - before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_looked_at_writes_no_audit_line() {
    let stack = OperatedStack::start().await;
    for arguments in [
        ["store", "list"].as_slice(),
        &["store", "show", demo::STORE],
        &["user", "list", "--store", demo::STORE],
        &["customer", "list", "--store", demo::STORE],
        &["api-account", "list", "--store", demo::STORE],
        &["token", "list", "--store", demo::STORE],
        &["key", "list"],
        &["doctor", "--read-only"],
    ] {
        let ended = stack.b2b_auth(arguments);
        ended.succeeds();
        assert_eq!(ended.stderr, "", "{arguments:?}");
        assert!(!ended.stdout.contains("$argon2id$") && !ended.stdout.contains("demo-signing-key"), "{arguments:?}");
    }
}

#[test]
fn help_has_examples_and_completions_know_all_commands() {
    let help = |arguments: &[&str]| {
        let mut command = program();
        command.args(arguments).arg("--help");
        run(command, "").stdout
    };
    for command in [
        ["store", "add"],
        ["store", "remove"],
        ["user", "add"],
        ["user", "set-role"],
        ["customer", "add"],
        ["api-account", "create"],
        ["api-account", "revoke"],
        ["token", "create"],
        ["token", "revoke"],
        ["token", "verify"],
        ["login", "unlock"],
        ["key", "retire"],
    ] {
        assert!(help(&command).contains("b2b-auth --local "), "{command:?}");
    }
    assert!(help(&[]).contains("Exit codes:"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let mut command = program();
        command.args(["completions", shell]);
        let ended = run(command, "");
        ended.succeeds();
        assert!(ended.stdout.contains("set-password") && ended.stdout.contains("api-account"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page_with_what_its_help_says() {
    let folder = tempfile::tempdir().unwrap();
    let man = |folder: &Path| {
        let mut command = program();
        command.arg("man").arg(folder);
        run(command, "")
    };
    man(folder.path()).succeeds();
    let page = |name: &str| std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
    for command in commands() {
        assert!(page(&format!("b2b-auth-{}", command.replace(' ', "-"))).contains("OPTIONS"), "{command}");
    }
    assert!(page("b2b-auth").contains("Exit codes:") && page("b2b-auth").contains("b2b\\-auth\\-store(1)"));
    assert!(page("b2b-auth-token-revoke").contains("\\-\\-issued\\-before"));
    man(&folder.path().join("none")).fails(2, "none: No such file or directory");
}
