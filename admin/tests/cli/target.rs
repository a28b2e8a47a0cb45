//! Which stack a command works on: never another than the one that was meant.

use crate::support::{
    Ended, OperatedStack, Running, aws_that_answers, aws_with_clock_ahead, program, run, run_deployed,
};
use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use local::{demo, server, server::Server};
use std::{
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// An AWS that has no stack, and keeps with which key and for which region it was asked.
async fn witness() -> (Server, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keeps = seen.clone();
    let answer = move |headers: HeaderMap| async move {
        let scope = headers["authorization"].to_str().unwrap().split_once("Credential=").unwrap().1;
        let [key, _, region] = scope.split('/').take(3).collect::<Vec<_>>()[..] else { panic!("{scope}") };
        keeps.lock().unwrap().push(format!("{key} {region}"));
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
                    <Message>Stack with id b2b-auth does not exist</Message></Error></ErrorResponse>";
        (StatusCode::BAD_REQUEST, [("Content-Type", "text/xml")], body).into_response()
    };
    (Server::start(server::bind(0, "").await.unwrap(), Router::new().fallback(answer)).unwrap(), seen)
}

/// The tool of somebody who is signed in to one account by the environment, and has profiles of others.
fn with_profiles(folder: &TempDir, arguments: &[&str]) -> Command {
    let config = folder.path().join("config");
    let profiles = "[profile prod]\nregion = eu-west-1\naws_access_key_id = PROD\naws_secret_access_key = b\n\
                    [profile nowhere]\naws_access_key_id = NOWHERE\naws_secret_access_key = b\n\
                    [profile empty]\nregion = eu-west-1\n";
    std::fs::write(&config, profiles).unwrap();
    let mut command = program();
    command
        .args(["--stack-name", "b2b-auth"])
        .args(arguments)
        .args(["store", "list"])
        .env("AWS_CONFIG_FILE", config)
        .env("AWS_SHARED_CREDENTIALS_FILE", folder.path().join("none"))
        .env("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
        .env("AWS_SECRET_ACCESS_KEY", "b")
        .env("AWS_REGION", "eu-central-1");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_named_wins_over_the_environment() {
    let folder = TempDir::new().unwrap();
    let (aws, seen) = witness().await;
    for (arguments, asked) in [
        ([].as_slice(), "ENVIRONMENT eu-central-1"),
        (&["--region", "eu-north-1"], "ENVIRONMENT eu-north-1"),
        (&["--profile", "prod"], "PROD eu-west-1"),
        (&["--profile", "prod", "--region", "eu-north-1"], "PROD eu-north-1"),
        (&["--profile", "nowhere"], "NOWHERE eu-central-1"),
    ] {
        let ended = run(with_profiles(&folder, &[arguments, &["--aws-endpoint", &aws.url]].concat()), "");
        ended.fails(6, "There is no stack b2b-auth in");
        assert_eq!(seen.lock().unwrap().drain(..).collect::<Vec<_>>(), [asked], "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_not_there_or_empty_is_told_and_nothing_is_asked() {
    let folder = TempDir::new().unwrap();
    let (aws, seen) = witness().await;
    let at = ["--aws-endpoint", &aws.url];
    run(with_profiles(&folder, &[&["--profile", "prdo"], &at[..]].concat()), "")
        .fails(6, "--profile names prdo, and there is no such profile");
    run(with_profiles(&folder, &[&["--profile", "empty"], &at[..]].concat()), "")
        .fails(6, "There are no AWS credentials.");
    let mut of_environment = with_profiles(&folder, &at);
    of_environment.env("AWS_PROFILE", "prdo");
    run(of_environment, "").fails(6, "AWS_PROFILE names prdo, and there is no such profile");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_ended_is_named_with_stack_region_and_account() {
    let stack = OperatedStack::start().await;
    let aws = aws_with_clock_ahead(stack.aws_url(), 0).await;
    let place = format!("b2b-auth in eu-central-1, account 123456789012, at {}", aws.url);
    for arguments in [
        ["store", "remove", demo::STORE].as_slice(),
        &["store", "remove", demo::STORE, "--confirm", "other"],
        &["token", "revoke", "--all", "--store", demo::STORE],
    ] {
        run_deployed(&aws.url, arguments).fails(5, &format!("\nStack: {place}\n"));
        stack.b2b_auth(arguments).fails(5, &format!("\nStack: local at {}\n", stack.aws_url()));
    }
    let ended = run_deployed(&aws.url, &["store", "add", "another"]);
    ended.changes("store add");
    assert_eq!(ended.audit()[0]["stack"], place);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_two_stacks_is_a_mistake() {
    let stack = OperatedStack::start().await;
    let aws = stack.aws_url();
    let named = |arguments: &[&str]| {
        let mut command = program();
        command.args(arguments).env("B2B_AUTH_STACK_NAME", "b2b-auth");
        run(command, "")
    };
    let unnamed = |arguments: &[&str]| {
        let mut command = program();
        command.args(arguments);
        run(command, "")
    };
    for option in [["--stack-name", "b2b-auth"], ["--profile", "prod"], ["--region", "eu-central-1"]] {
        let [name, value] = option;
        // Options may stand before the command, after it, or on both sides.
        unnamed(&["--local", name, value, "store", "list"]).fails(2, name);
        unnamed(&["--local", "store", "list", name, value]).fails(2, name);
        unnamed(&["store", "list", name, value, "--local"]).fails(2, name);
        if name != "--stack-name" {
            unnamed(&["--aws-endpoint", aws, name, value, "store", "list"]).fails(2, name);
        }
    }
    let says = format!("B2B_AUTH_STACK_NAME names the stack b2b-auth, and --aws-endpoint {aws}");
    named(&["--aws-endpoint", aws, "store", "list"]).fails(2, &says);
    named(&["--aws-endpoint", aws, "--local", "store", "list"]).succeeds();
    unnamed(&["--aws-endpoint", aws, "store", "list"]).succeeds();
    named(&["store", "list", "--stack-name", ""]).fails(2, "--stack-name");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_may_mean_the_local_stack() {
    let stack = OperatedStack::start().await;
    let aws = stack.aws_url();
    let folder = TempDir::new().unwrap();
    let run = |mut command: Command, arguments: &[&str]| {
        command.args(arguments).env("B2B_AUTH_STACK_NAME", "--local");
        run(command, "")
    };
    let local = |arguments: &[&str]| run(program(), arguments);
    local(&["--aws-endpoint", aws, "store", "show", demo::STORE]).succeeds();
    local(&["--aws-endpoint", aws, "--local", "store", "show", demo::STORE]).succeeds();
    for [name, value] in [["--profile", "prod"], ["--region", "eu-central-1"]] {
        local(&[name, value, "store", "list"]).fails(2, name);
    }
    local(&["--aws-endpoint", aws, "doctor"]).fails(2, "--api-url");
    // What is named on the command line wins.
    let (aws, seen) = witness().await;
    run(with_profiles(&folder, &["--aws-endpoint", &aws.url]), &[]).fails(6, "There is no stack b2b-auth in");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_or_a_region_that_is_none_is_a_mistake() {
    for url in ["", "localhost:8000", "ftp://127.0.0.1", "http://", "http://name:word@127.0.0.1:1"] {
        let mut command = program();
        command.args(["--aws-endpoint", url, "store", "list"]);
        let ended = run(command, "");
        assert_eq!(ended.code, Some(2), "{url}: {ended:?}");
        assert!(ended.stderr.contains("http://127.0.0.1:8000") && !ended.stderr.contains("TableName"), "{ended:?}");
        let folder = TempDir::new().unwrap();
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDFORMATION"] {
            let mut command = with_profiles(&folder, &[]);
            command.env(variable, url);
            run(command, "").fails(2, &format!("{variable} "));
        }
    }
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("other");
    std::fs::write(&config, "[default]\nendpoint_url = http://name:word@127.0.0.1:1\n").unwrap();
    let mut command = with_profiles(&folder, &[]);
    command.env("AWS_CONFIG_FILE", config);
    let ended = run(command, "");
    ended.fails(2, "The endpoint_url of the profile ");
    assert!(!ended.stderr.contains("word@"), "{ended:?}");
    for region in ["eu central 1", "eu-central-1.example.com/"] {
        run(with_profiles(&folder, &["--region", region]), "").fails(2, &format!("{region} is no AWS region"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_calls_no_api_that_it_only_guesses() {
    let stack = OperatedStack::start().await;
    for local in [[].as_slice(), &["--local"]] {
        let mut command = program();
        command.args(["--aws-endpoint", stack.aws_url(), "doctor"]).args(local);
        run(command, "").fails(2, "--api-url");
    }
}

/// Runs a command for a deployed stack, and says how long it took.
fn timed(command: Command) -> (Ended, Duration) {
    let start = Instant::now();
    let ended = Running::start(command, "").wait();
    (ended, start.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_at_once_with_host_and_region() {
    let folder = TempDir::new().unwrap();
    let refused = with_profiles(&folder, &["--aws-endpoint", "http://127.0.0.1:1"]);
    let unresolved = with_profiles(&folder, &["--region", "eu-centrall-1"]);
    let mut not_running = program();
    not_running.args(["--local", "--aws-endpoint", "http://127.0.0.1:1", "store", "list"]);
    for (command, says) in [
        (refused, "AWS cannot be reached at 127.0.0.1:1, region eu-central-1."),
        (unresolved, "AWS cannot be reached at cloudformation.eu-centrall-1.amazonaws.com, region eu-centrall-1."),
        (not_running, "AWS cannot be reached at 127.0.0.1:1. Start `cargo run` first"),
    ] {
        let (ended, took) = timed(command);
        ended.fails(7, says);
        assert!(took < Duration::from_secs(2), "{took:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_says_what_it_waits_for() {
    let folder = TempDir::new().unwrap();
    let slow = Router::new().fallback(|| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        (StatusCode::FORBIDDEN, "").into_response()
    });
    let slow = Server::start(server::bind(0, "").await.unwrap(), slow).unwrap();
    let host = slow.url.trim_start_matches("http://");
    let ended = run(with_profiles(&folder, &["--aws-endpoint", &slow.url]), "");
    let says = format!("Waiting for the answer of {host} to DescribeStacks.");
    assert_eq!(ended.stderr.matches(&says).count(), 1, "{ended:?}");

    // Three tables are looked at side by side.
    let mut doctor = program();
    doctor.args(["--aws-endpoint", &slow.url, "--api-url", "http://127.0.0.1:1", "doctor", "--read-only"]);
    let ended = run(doctor, "");
    assert_eq!(ended.stderr.matches("to DescribeTable.").count(), 1, "{ended:?}");

    // Each attempt is answered at once.
    let start = Instant::now();
    let throttled = Router::new().fallback(move || async move {
        let code = if start.elapsed() < Duration::from_secs(3) { "Throttling" } else { "AccessDenied" };
        let body = format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>");
        (StatusCode::BAD_REQUEST, [("Content-Type", "text/xml")], body).into_response()
    });
    let throttled = Server::start(server::bind(0, "").await.unwrap(), throttled).unwrap();
    let ended = run(with_profiles(&folder, &["--aws-endpoint", &throttled.url]), "");
    ended.fails(6, "to DescribeStacks.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_and_is_not_aws_is_told() {
    let stack = OperatedStack::start().await;
    let local = |url: &str| {
        let mut command = program();
        command.args(["--local", "--aws-endpoint", url, "store", "list"]);
        run(command, "")
    };
    let folder = TempDir::new().unwrap();
    let deployed = |url: &str| run(with_profiles(&folder, &["--aws-endpoint", url]), "");
    let page = aws_that_answers(200, "text/html", "<html></html>".into()).await;
    let lost = aws_that_answers(404, "text/html", "<html></html>".into()).await;
    for ended in
        [local(&stack.url), local(&lost.url), deployed(&stack.url), deployed(&lost.url), deployed(stack.aws_url())]
    {
        ended.fails(2, "Check --aws-endpoint");
        assert!(!ended.stderr.contains("should not happen"), "{ended:?}");
    }
    // It may be the answer to a change.
    for ended in [local(&page.url), deployed(&page.url)] {
        ended.fails(7, "Check --aws-endpoint");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_name_of_a_stack_is_told() {
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>1 validation error detected: \
        Value 'b2b_auth' at 'stackName' failed to satisfy constraint</Message></Error></ErrorResponse>";
    let aws = aws_that_answers(400, "text/xml", body.into()).await;
    let mut command = program();
    command
        .args(["store", "list"])
        .env("B2B_AUTH_STACK_NAME", "b2b_auth")
        .env("AWS_ENDPOINT_URL", &aws.url)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b");
    run(command, "").fails(2, "b2b_auth is no name of a stack");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_other_keys_is_told() {
    let stack = OperatedStack::start().await;
    let client = &stack.dynamodb;
    let described = client.describe_table().table_name("login-attempts").send().await.unwrap().table.unwrap();
    client.delete_table().table_name("directory").send().await.unwrap();
    let request = client.create_table().table_name("directory").billing_mode("PAY_PER_REQUEST".into());
    let request = request.set_key_schema(described.key_schema);
    request.set_attribute_definitions(described.attribute_definitions).send().await.unwrap();
    for arguments in [["store", "show", demo::STORE].as_slice(), &["user", "list", "--store", demo::STORE]] {
        stack.b2b_auth(arguments).fails(6, "A table has other keys than those of this service");
    }
}
