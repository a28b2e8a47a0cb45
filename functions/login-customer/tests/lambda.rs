//! The real binary under a Runtime API: what it makes of `ALLOWED_ORIGINS`, and whom it takes for BigCommerce.

use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tests::{Lambda, Outcome, RuntimeApi, Setup, Terminator, TestStack};

const BINARY: &str = env!("CARGO_BIN_EXE_login-customer");

#[tokio::test]
async fn a_preflight_is_answered_as_the_settings_allow() {
    let stack = TestStack::start_in_real_time().await;
    let preflight = include_str!("../../../events/login-customer-preflight.json");
    for (allowed_origins, status) in
        [(Some("http://localhost,https://shop.example"), 204), (Some(""), 404), (None, 404)]
    {
        let runtime_api = RuntimeApi::start().await;
        let mut command = runtime_api.command(Path::new(BINARY), stack.aws_url());
        command.envs(allowed_origins.map(|origins| ("ALLOWED_ORIGINS", origins)));
        let lambda = Lambda::spawn(runtime_api, command);
        let Outcome::Response(answer) = lambda.invoke(preflight).await else { panic!("{allowed_origins:?}") };
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["statusCode"], status, "{answer}");
        let headers = &answer["multiValueHeaders"];
        assert_eq!(headers["strict-transport-security"], json!(["max-age=31536000"]), "{answer}");
        let allowed = if status == 204 { json!(["https://shop.example"]) } else { Value::Null };
        assert_eq!(headers["access-control-allow-origin"], allowed, "{answer}");
    }
}

#[tokio::test]
async fn badly_written_origins_end_it_at_start_and_it_says_why() {
    let runtime_api = RuntimeApi::start().await;
    let mut command = runtime_api.command(Path::new(BINARY), "http://127.0.0.1:1");
    let output = command.env("ALLOWED_ORIGINS", "https://*.shop.example").stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("ALLOWED_ORIGINS") && said.contains("must be one exact origin"), "{said}");
}

#[tokio::test]
async fn a_password_goes_only_to_whom_a_known_authority_vouches_for() {
    let (stack, upstream) = TestStack::start_on_bigcommerce_with(Setup::in_real_time()).await;
    let bigcommerce = Terminator::start(&upstream.url).await;
    let login = include_str!("../../../events/login-customer.json");
    let by_ip = bigcommerce.url.replace("localhost", "127.0.0.1");
    for (url, knows_authority, status) in
        [(&bigcommerce.url, true, 200), (&bigcommerce.url, false, 503), (&by_ip, true, 503)]
    {
        upstream.forward_all();
        let runtime_api = RuntimeApi::start().await;
        let mut command = runtime_api.command(Path::new(BINARY), stack.aws_url());
        command.env("BIGCOMMERCE_API_URL", url);
        if knows_authority {
            command.env("SSL_CERT_FILE", &bigcommerce.certificates);
        }
        let lambda = Lambda::spawn(runtime_api, command);
        let Outcome::Response(answer) = lambda.invoke(login).await else { panic!("{url}") };
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["statusCode"], status, "{url} {knows_authority}: {answer}");
        assert_eq!(upstream.seen("/validate-credentials"), usize::from(status == 200), "{url} {knows_authority}");
    }
}

#[tokio::test]
async fn an_address_without_tls_ends_it_at_start_and_it_says_why() {
    let runtime_api = RuntimeApi::start().await;
    let mut command = runtime_api.command(Path::new(BINARY), "http://127.0.0.1:1");
    let output =
        command.env("BIGCOMMERCE_API_URL", "http://api.bigcommerce.com").stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("BIGCOMMERCE_API_URL") && said.contains("must be https://"), "{said}");
}
