//! A stack for each test, and the tool that works on it.

use aws_config::SdkConfig;
use local::{Options, Stack, aws, demo};
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
};
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// A password that may be set.
pub const PASSWORD: &str = "correct horse battery staple";
/// Another.
pub const OTHER_PASSWORD: &str = "another correct horse";

/// A running stack.
pub struct TestStack {
    pub stack: Stack,
}

/// What a command ended with.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program, with an environment that knows no AWS.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_b2b-auth"));
    command.env_clear().env("USER", "operator").env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Runs a command, with this on its standard input.
pub fn run(mut command: Command, stdin: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end without having read it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl TestStack {
    pub async fn start() -> Self {
        let configuration = Configuration::local(StorefrontAccess::AuthToken);
        Self { stack: Stack::start(Options::on_free_ports(configuration, Clock::system())).await.unwrap() }
    }

    /// A command for this stack.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_at(&format!("{}/api/io", self.stack.api.url), arguments)
    }

    /// A command for this stack, whose API it takes to be elsewhere.
    pub fn command_at(&self, api_url: &str, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(["--aws-endpoint", &self.stack.aws.server.url, "--api-url", api_url]).args(arguments);
        command
    }

    /// Runs `b2b-auth` with these arguments.
    pub fn b2b_auth(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments), "")
    }

    /// Runs `b2b-auth` with these arguments and `--password-stdin`.
    pub fn with_password(&self, password: &str, arguments: &[&str]) -> Ended {
        run(self.command(&[arguments, &["--password-stdin"]].concat()), &format!("{password}\n"))
    }

    /// What a command prints with `--output json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.b2b_auth(&[&["--output", "json"], arguments].concat());
        ended.succeeds();
        serde_json::from_str(&ended.stdout).unwrap()
    }

    pub async fn sdk_config(&self) -> SdkConfig {
        aws::sdk_config(&self.stack.aws.server.url).await
    }

    /// Status and body of a call of the API.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> (u16, Value) {
        let url = format!("{}/api/io{path}", self.stack.api.url);
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Status of a list with this token.
    pub async fn list(&self, token: &str) -> u16 {
        self.call("GET", "/backend/tokens", &[("authToken", token)], Value::Null).await.0
    }

    /// What `POST /auth/backend` answers.
    pub async fn create_token(&self, store: &str, email: &str, password: &str) -> (u16, Value) {
        let body = json!({"storeHash": store, "email": email, "password": password, "name": "n"});
        self.call("POST", "/auth/backend", &[], body).await
    }

    /// What `POST /auth/customers` answers in the demo store.
    pub async fn log_in(&self, email: &str, password: &str) -> (u16, Value) {
        let body = json!({
            "storeHash": demo::STORE, "email": email, "password": password, "channelId": 1, "name": "web",
        });
        self.call("POST", "/auth/customers", &[("authToken", &demo::token())], body).await
    }
}

impl Ended {
    #[track_caller]
    pub fn succeeds(&self) {
        assert_eq!(self.code, 0, "{self:?}");
    }

    /// That it ended with this code and one sentence that holds the text.
    #[track_caller]
    pub fn fails(&self, code: i32, says: &str) {
        let errors: Vec<_> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(self.code == code && errors.len() == 1 && self.stderr.contains(says), "{code} {says}: {self:?}");
    }

    /// The audit lines.
    pub fn audit(&self) -> Vec<Value> {
        let lines = self.stderr.lines().filter(|line| line.starts_with("{\"audit\""));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// That it succeeded, and wrote one audit line, of this action.
    #[track_caller]
    pub fn changes(&self, action: &str) {
        self.succeeds();
        let audit = self.audit();
        assert!(audit.len() == 1 && audit[0]["audit"] == action && audit[0]["result"] == "done", "{self:?}");
        for member in ["time", "actor", "stack"] {
            assert!(audit[0][member].is_string(), "{member}: {self:?}");
        }
    }
}
