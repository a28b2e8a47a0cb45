//! Cold and warm times of the functions' deployed binaries, against loopback, in clear and with TLS; and those of one of them as
//! it is written in other languages.
//!
//! `sam build && cargo bench -p tests --bench lambda`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program to look at")]

mod peers;

use local::{Options, Stack, demo};
use serde_json::{Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tests::{
    Lambda, Outcome, RuntimeApi, Setup, Terminator, admin_login, buyer_login, cpu_time, http_event, median,
    milliseconds, with,
};

const COLD_STARTS: usize = 51;
const COLD_STARTS_OF_PEERS: usize = 21;
const WARM_REQUESTS: u32 = 2000;

/// What the peers are compared with.
const COMPARED: &str = "issue-storefront-token";

struct Case {
    name: &'static str,
    status: u16,
    event: Value,
    warm_requests: u32,
}

/// How a function is started.
struct Program {
    path: PathBuf,
    arguments: &'static [&'static str],
    /// Where it is started, and all that is deployed of it.
    folder: PathBuf,
}

impl Program {
    fn ours(target: &Path, name: &str) -> Self {
        let folder = target.join("lambda").join(name);
        Self { path: folder.join("bootstrap"), arguments: &[], folder }
    }

    fn command(&self, runtime_api: &RuntimeApi, aws_url: &str) -> Command {
        let mut command = runtime_api.command(&self.path, aws_url);
        command.args(self.arguments).current_dir(&self.folder);
        command
    }

    async fn start(&self, aws_url: &str) -> Lambda {
        let runtime_api = RuntimeApi::start().await;
        let command = self.command(&runtime_api, aws_url);
        Lambda::spawn(runtime_api, command)
    }
}

#[tokio::main]
async fn main() {
    let Setup { configuration, clock } = Setup::in_real_time();
    // Not a TestStack, which would spend time on a log.
    let stack = Stack::start(Options::on_free_ports(configuration, clock.clone())).await.unwrap();
    let aws_url = &stack.aws.server.url;
    let target = target();
    let create = Program::ours(&target, "create-backend-token").start(aws_url).await;
    for _ in 0..9 {
        invoke(&create, &event(&admin_login("bench")), 200).await;
    }
    drop(create);
    let tls = Terminator::start(aws_url).await;

    print_heading("function");
    let cases = cases(clock.now());
    for case in &cases {
        print_times(case.name, &Program::ours(&target, case.name), case, COLD_STARTS, aws_url, &tls).await;
    }

    print_heading(COMPARED);
    let compared = cases.iter().find(|case| case.name == COMPARED).unwrap();
    let ours = Program::ours(&target, COMPARED).start(aws_url).await;
    for (name, peer) in [("Node", peers::node(&target)), ("Python", peers::python(&target))] {
        match peer {
            Ok(peer) => {
                peers::check(&peer.start(aws_url).await, &ours).await;
                print_times(name, &peer, compared, COLD_STARTS_OF_PEERS, aws_url, &tls).await;
            }
            Err(reason) => println!("{name} is left out: {reason}"),
        }
    }

    println!(
        "\nMiB: what is deployed. Cold: process start to first answer, median. Warm: one answer, the Runtime API and DynamoDB \
         included, median."
    );
    println!("CPU: the function's own time on the processor for one answer, mean.");
}

fn print_heading(first: &str) {
    println!("\n{first:<24} {:>6} {:>10} {:>10} {:>10} {:>10}", "MiB", "cold", "cold, TLS", "warm", "warm, CPU");
}

async fn print_times(name: &str, program: &Program, case: &Case, cold_starts: usize, aws_url: &str, tls: &Terminator) {
    let [clear, with_tls] = cold_times(program, case, cold_starts, aws_url, tls).await;
    let (warm, cpu) = warm_times(program, case, aws_url).await;
    let [clear, with_tls, warm, cpu] = [clear, with_tls, warm, cpu].map(milliseconds);
    #[expect(clippy::cast_precision_loss, reason = "a size to look at")]
    let mebibytes = size(&program.folder) as f64 / f64::from(1 << 20);
    println!("{name:<24} {mebibytes:>6.1} {clear:>10} {with_tls:>10} {warm:>10} {cpu:>10}");
}

fn cases(now: u64) -> [Case; 9] {
    let exchange = with(
        event(&Value::Null),
        "multiValueQueryStringParameters",
        json!({"jwtToken": [demo::current_customer_jwt(now)]}),
    );
    // A token is replaced once: the first answer writes, and the others are the same again.
    let mut rotate = event(&json!({"id": 2}));
    rotate["multiValueHeaders"]["Idempotency-Key"] = json!(["bench"]);
    [
        ("list-backend-tokens", 200, event(&Value::Null), WARM_REQUESTS),
        ("introspect-token", 200, event(&json!({"token": demo::token()})), WARM_REQUESTS),
        (
            "authorize-request",
            200,
            http_event(&json!({"authorization": format!("Bearer {}", demo::token())})),
            WARM_REQUESTS,
        ),
        (COMPARED, 200, event(&json!({"customerId": demo::BUYER_ID})), WARM_REQUESTS),
        ("exchange-customer-jwt", 200, exchange, WARM_REQUESTS),
        ("rotate-backend-token", 200, rotate, WARM_REQUESTS),
        ("delete-backend-token", 404, event(&json!({"id": 999})), WARM_REQUESTS),
        ("create-backend-token", 200, event(&admin_login("bench")), 50),
        ("login-customer", 200, event(&buyer_login()), 50),
    ]
    .map(|(name, status, event, warm_requests)| Case { name, status, event, warm_requests })
}

/// From process start to first answer, in clear and with TLS.
async fn cold_times(
    program: &Program,
    case: &Case,
    cold_starts: usize,
    aws_url: &str,
    tls: &Terminator,
) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    // In turn, so that whatever else the machine does hits both.
    for _ in 0..cold_starts {
        for (url, times) in [aws_url, &tls.url].into_iter().zip(&mut times) {
            let runtime_api = RuntimeApi::start().await;
            let mut command = program.command(&runtime_api, url);
            for variable in ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE"] {
                command.env(variable, &tls.certificates);
            }
            let started = Instant::now();
            let lambda = Lambda::spawn(runtime_api, command);
            invoke(&lambda, &case.event, case.status).await;
            times.push(started.elapsed());
            // It asks for the next event when it has done what it left for after the answer, such as to clear a count.
            lambda.invoke("{}").await;
        }
    }
    times.map(median)
}

/// One answer: its time, and the function's own on the processor.
async fn warm_times(program: &Program, case: &Case, aws_url: &str) -> (Duration, Duration) {
    let lambda = program.start(aws_url).await;
    invoke(&lambda, &case.event, case.status).await;
    let cpu_before = cpu_time(lambda.process_id(), None);
    let mut times = Vec::new();
    for _ in 0..case.warm_requests {
        let started = Instant::now();
        invoke(&lambda, &case.event, case.status).await;
        times.push(started.elapsed());
    }
    let cpu = cpu_time(lambda.process_id(), None).saturating_sub(cpu_before) / case.warm_requests;
    (median(times), cpu)
}

async fn invoke(lambda: &Lambda, event: &Value, status: u16) {
    if event["type"] == "REQUEST" {
        let outcome = lambda.invoke(&event.to_string()).await;
        assert!(
            matches!(&outcome, Outcome::Response(answer) if answer.contains(r#""isAuthorized":true"#)),
            "{outcome:?}"
        );
        return;
    }
    let (answered, body) = lambda.answer(event).await;
    assert_eq!(answered, status, "{body}");
}

fn target() -> PathBuf {
    let target = env::var("CARGO_TARGET_DIR").map_or_else(|_| Path::new("..").join("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target)
}

/// Bytes of all files in a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

fn event(body: &Value) -> Value {
    with_token(&demo::token(), body)
}

fn with_token(token: &str, body: &Value) -> Value {
    json!({
        "multiValueHeaders": {"Content-Type": ["application/json"], "authToken": [token]},
        "requestContext": {"requestId": "bench", "stage": "api"},
        "body": if body.is_null() { Value::Null } else { body.to_string().into() },
        "isBase64Encoded": false,
    })
}
