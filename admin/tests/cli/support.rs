//! The tool, and a stack that it works on.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use local::{demo, server, server::Server};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::{
    bigcommerce::Addresses,
    clock::Clock,
    tables::{
        directory::{Customer, CustomerLogin},
        items::{from_item, string},
    },
};
use std::{
    io::{Read, Write},
    ops::Deref,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};
use tests::{Setup, TestStack, Upstream, customer_login, with};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

/// A password that may be set.
pub const PASSWORD: &str = "correct horse battery staple";
/// Another.
pub const OTHER_PASSWORD: &str = "another correct horse";

/// The program, with an environment that knows no AWS.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_b2b-auth"));
    command.env_clear().env("USER", "operator").env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A command for a stack whose AWS and API are at these addresses.
pub fn command_at(aws_url: &str, api_url: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(["--aws-endpoint", aws_url, "--api-url", api_url]).args(arguments);
    command
}

/// Runs a command, with this on its standard input.
pub fn run(command: Command, stdin: &str) -> Ended {
    Running::start(command, stdin).wait()
}

/// All commands, such as `store add`, as the help lists them.
pub fn commands() -> Vec<String> {
    let listed = |command: &[&str]| -> Vec<String> {
        let mut help = program();
        help.args(command).arg("--help");
        let help = run(help, "").stdout;
        let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // What is wrapped stands further in.
        let lines = list.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
        let names = lines.map(|line| line.split(' ').next().unwrap().to_owned());
        names.filter(|name| name != "help").collect()
    };
    let of_noun = |noun: String| match listed(&[&noun]) {
        verbs if verbs.is_empty() => vec![noun],
        verbs => verbs.iter().map(|verb| format!("{noun} {verb}")).collect(),
    };
    listed(&[]).into_iter().flat_map(of_noun).collect()
}

/// The AWS at `target`, which also knows a deployed stack there, and whose clock is ahead.
pub async fn aws_with_clock_ahead(target: &str, seconds: u64) -> Server {
    aws_with_stack(target, seconds, Some(env!("CARGO_PKG_VERSION"))).await
}

/// The same, with a stack of this version.
pub async fn aws_with_stack(target: &str, seconds: u64, version: Option<&'static str>) -> Server {
    let target = target.to_owned();
    let answer = move |headers: HeaderMap, body: Bytes| async move {
        if headers.contains_key("x-amz-target") {
            let answer = reqwest::Client::new().post(target).headers(headers).body(body).send().await.unwrap();
            return (answer.status(), answer.headers().clone(), answer.bytes().await.unwrap()).into_response();
        }
        let now = i64::try_from(Clock::system().now() + seconds).unwrap();
        let date = OffsetDateTime::from_unix_timestamp(now).unwrap().format(&Rfc2822).unwrap();
        ([("Date", date.replace("+0000", "GMT")), ("Content-Type", "text/xml".into())], local_stack(version))
            .into_response()
    };
    Server::start(server::bind(0, "").await.unwrap(), Router::new().fallback(answer)).unwrap()
}

/// An AWS that answers everything with this.
pub async fn aws_that_answers(status: u16, content_type: &'static str, body: String) -> Server {
    let answer = move |State(()): State<()>| {
        let body = body.clone();
        async move { (StatusCode::from_u16(status).unwrap(), [("Content-Type", content_type)], body).into_response() }
    };
    let router = Router::new().fallback(answer).with_state(());
    Server::start(server::bind(0, "").await.unwrap(), router).unwrap()
}

/// The key of the stack that [`aws_with_clock_ahead`] knows as a deployed one.
pub const KMS_KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1";

/// What AWS would say of the local stack if it had been deployed.
fn local_stack(version: Option<&str>) -> String {
    let outputs = [
        ("TokensTableName", "tokens"),
        ("DirectoryTableName", "directory"),
        ("LoginAttemptsTableName", "login-attempts"),
        ("KeyringSecretArn", "keyring"),
        ("AppSecretArn", "app"),
        ("BigCommerceSecretPrefix", "bigcommerce/"),
        ("ApiUrl", "http://127.0.0.1:1"),
    ];
    let outputs = outputs.into_iter().chain(version.map(|version| ("Version", version)));
    let outputs = outputs
        .map(|(key, value)| format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"));
    let outputs = outputs.collect::<Vec<_>>().concat();
    let kms_key =
        format!("<member><ParameterKey>KmsKeyArn</ParameterKey><ParameterValue>{KMS_KEY}</ParameterValue></member>");
    format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>b2b-auth</StackName>\
         <StackId>arn:aws:cloudformation:eu-central-1:123456789012:stack/b2b-auth/1</StackId><StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
         <Parameters>{kms_key}</Parameters><Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )
}

/// Runs a command for the stack that [`aws_with_clock_ahead`] knows as a deployed one.
pub fn run_deployed(endpoint: &str, arguments: &[&str]) -> Ended {
    run(deployed_command(endpoint, arguments), "")
}

/// A command for the stack that [`aws_with_clock_ahead`] knows as a deployed one.
pub fn deployed_command(endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .args(["--stack-name", "b2b-auth", "--aws-endpoint", endpoint])
        .args(arguments)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b");
    command
}

pub fn in_store<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--store", demo::STORE]].concat()
}

/// A stack with an operator.
pub struct OperatedStack(TestStack);

impl Deref for OperatedStack {
    type Target = TestStack;

    fn deref(&self) -> &TestStack {
        &self.0
    }
}

impl OperatedStack {
    pub async fn start() -> Self {
        Self(TestStack::start_in_real_time().await)
    }

    /// Starts one whose functions find BigCommerce there.
    pub async fn start_before(upstream: &Upstream) -> Self {
        let mut setup = Setup::in_real_time();
        setup.configuration.bigcommerce.addresses = Addresses::of_stand_in(&upstream.url);
        Self(TestStack::start_with(setup).await)
    }

    /// A command for this stack.
    pub fn command(&self, arguments: &[&str]) -> Command {
        command_at(self.aws_url(), &self.api_url(), arguments)
    }

    /// Starts `b2b-auth` with these arguments, with its AWS at this address.
    pub fn start_tool(&self, aws_url: &str, arguments: &[&str]) -> Running {
        Running::start(command_at(aws_url, &self.api_url(), arguments), "")
    }

    /// Runs `b2b-auth` with these arguments, while a test whose thread the stack shares goes on.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.start_tool(self.aws_url(), arguments).ended().await
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
        ended.json()
    }

    /// Whether the customer of the demo store gets a token.
    pub async fn logs_in(&self, email: &str, password: &str, channel_id: u64) -> bool {
        let body = with(customer_login(email, password), "channelId", channel_id);
        self.post("/auth/customers", &body).token(&self.demo_token).send().await.status == 200
    }

    /// The customer of the demo store with this e-mail, of whom both items must agree.
    pub async fn customer(&self, email: &str) -> Option<CustomerLogin> {
        let login = self.directory().customer_login(demo::STORE, email).await.unwrap()?;
        let by_id = self.customer_by_id(login.customer.customer_id).await;
        assert_eq!(json!(by_id.unwrap()), json!(login.customer));
        Some(login)
    }

    /// What the demo store has of the customer with this id, without the password hash.
    pub async fn customer_by_id(&self, id: u64) -> Option<Customer> {
        self.directory().customer(demo::STORE, id).await.unwrap()
    }

    /// What the demo store has in the directory under sort keys that begin so.
    pub async fn items<T: DeserializeOwned>(&self, prefix: &str) -> Vec<T> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.configuration.directory_table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", string(demo::STORE))
            .expression_attribute_values(":prefix", string(prefix));
        let items = query.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
        items.into_iter().map(|item| from_item(item).unwrap()).collect()
    }
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

/// The tool, while it runs.
pub struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

impl Running {
    /// Starts a command, with this on its standard input.
    pub fn start(mut command: Command, stdin: &str) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut to, input) = (child.stdin.take().unwrap(), stdin.to_owned());
        // It may end without having read it.
        std::thread::spawn(move || to.write_all(input.as_bytes()));
        let (stdout, stderr) = (read(child.stdout.take().unwrap()), read(child.stderr.take().unwrap()));
        Self { child, stdout, stderr }
    }

    /// Sends it a signal, such as `-INT`.
    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout: self.stdout.join().unwrap(), stderr: self.stderr.join().unwrap() }
    }

    /// Waits for its end, while a test whose thread the stack shares goes on.
    pub async fn ended(self) -> Ended {
        tokio::task::spawn_blocking(|| self.wait()).await.unwrap()
    }
}

/// What a command ended with.
#[derive(Debug)]
pub struct Ended {
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// That it ended with this exit code.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    #[track_caller]
    pub fn succeeds(&self) {
        assert_eq!(self.code, Some(0), "{self:?}");
    }

    /// That it ended with this code and one sentence that holds the text.
    #[track_caller]
    pub fn fails(&self, code: i32, says: &str) {
        let errors: Vec<_> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(self.code == Some(code) && errors.len() == 1 && self.stderr.contains(says), "{code} {says}: {self:?}");
    }

    /// The audit lines.
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.stderr.lines().filter(|line| line.starts_with("{\"audit\""));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The audit lines of what was changed, or may have been, each of which another one announces.
    pub fn audit(&self) -> Vec<Value> {
        let (begun, ends): (Vec<_>, Vec<_>) = self.lines().into_iter().partition(|line| line["result"] == "begun");
        assert_eq!(begun.len(), ends.len(), "{self:?}");
        ends.into_iter().filter(|line| line["result"] != "not done").collect()
    }

    /// That it succeeded, and wrote two audit lines of this action: one before the change and one after it.
    #[track_caller]
    pub fn changes(&self, action: &str) {
        self.succeeds();
        let results: Vec<_> = self.lines().iter().map(|line| line["result"].clone()).collect();
        assert_eq!(results, ["begun", "done"], "{self:?}");
        for line in self.lines() {
            assert_eq!(line["audit"], action, "{self:?}");
            for member in ["time", "actor", "stack"] {
                assert!(line[member].is_string(), "{member}: {self:?}");
            }
        }
    }
}
