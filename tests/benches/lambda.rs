//! Cold and warm times of the functions' deployed binaries, against loopback, in clear and with TLS.
//!
//! `sam build && cargo bench -p tests`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program to look at")]

use local::{Options, Stack, demo};
use serde_json::{Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tests::{Lambda, RuntimeApi, Setup, Terminator, admin_login, buyer_login, cpu_time, median, milliseconds, with};

const COLD_STARTS: usize = 51;
const WARM_REQUESTS: u32 = 2000;

struct Case {
    name: &'static str,
    status: u16,
    event: Value,
    warm_requests: u32,
}

#[tokio::main]
async fn main() {
    let Setup { configuration, clock } = Setup::in_real_time();
    // Not a TestStack, which would spend time on a log.
    let stack = Stack::start(Options::on_free_ports(configuration, clock.clone())).await.unwrap();
    let aws_url = &stack.aws.server.url;
    let create = Lambda::start(&binary("create-backend-token"), aws_url).await;
    for _ in 0..9 {
        invoke(&create, &event(&admin_login("bench")), 200).await;
    }
    drop(create);
    let tls = Terminator::start(aws_url).await;
    println!("{:<24} {:>6} {:>10} {:>10} {:>10} {:>10}", "function", "MiB", "cold", "cold, TLS", "warm", "warm, CPU");
    for case in cases(clock.now()) {
        let binary = binary(case.name);
        let [clear, with_tls] = cold_times(&binary, &case, aws_url, &tls).await;
        let (warm, cpu) = warm_times(&binary, &case, aws_url).await;
        #[expect(clippy::cast_precision_loss, reason = "a size to look at")]
        let mebibytes = fs::metadata(&binary).unwrap().len() as f64 / f64::from(1 << 20);
        let [clear, with_tls, warm, cpu] = [clear, with_tls, warm, cpu].map(milliseconds);
        println!("{:<24} {mebibytes:>6.1} {clear:>10} {with_tls:>10} {warm:>10} {cpu:>10}", case.name);
    }
    println!(
        "Cold: process start to first answer, median. Warm: one answer, the Runtime API and DynamoDB included, median."
    );
    println!("CPU: the function's own time on the processor for one answer, mean.");
}

fn cases(now: u64) -> [Case; 6] {
    let exchange = with(
        event(&Value::Null),
        "multiValueQueryStringParameters",
        json!({"jwtToken": [demo::current_customer_jwt(now)]}),
    );
    [
        ("list-backend-tokens", 200, event(&Value::Null), WARM_REQUESTS),
        ("issue-storefront-token", 200, event(&json!({"customerId": demo::BUYER_ID})), WARM_REQUESTS),
        ("exchange-customer-jwt", 200, exchange, WARM_REQUESTS),
        ("delete-backend-token", 404, event(&json!({"id": 999})), WARM_REQUESTS),
        ("create-backend-token", 200, event(&admin_login("bench")), 50),
        ("login-customer", 200, event(&buyer_login()), 50),
    ]
    .map(|(name, status, event, warm_requests)| Case { name, status, event, warm_requests })
}

/// From process start to first answer, in clear and with TLS.
async fn cold_times(binary: &str, case: &Case, aws_url: &str, tls: &Terminator) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    // In turn, so that whatever else the machine does hits both.
    for _ in 0..COLD_STARTS {
        for (url, times) in [aws_url, &tls.url].into_iter().zip(&mut times) {
            let runtime_api = RuntimeApi::start().await;
            let mut command = runtime_api.command(Path::new(binary), url);
            command.env("SSL_CERT_FILE", &tls.certificates);
            let started = Instant::now();
            let lambda = Lambda::spawn(runtime_api, command);
            invoke(&lambda, &case.event, case.status).await;
            times.push(started.elapsed());
        }
    }
    times.map(median)
}

/// One answer: its time, and the function's own on the processor.
async fn warm_times(binary: &str, case: &Case, aws_url: &str) -> (Duration, Duration) {
    let lambda = Lambda::start(binary, aws_url).await;
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
    let (answered, body) = lambda.answer(event).await;
    assert_eq!(answered, status, "{body}");
}

fn binary(name: &str) -> String {
    let target = env::var("CARGO_TARGET_DIR").map_or_else(|_| Path::new("..").join("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(target)
        .join("lambda")
        .join(name)
        .join("bootstrap")
        .to_str()
        .unwrap()
        .into()
}

fn event(body: &Value) -> Value {
    json!({
        "multiValueHeaders": {"Content-Type": ["application/json"], "authToken": [demo::token()]},
        "requestContext": {"requestId": "bench", "stage": "api"},
        "body": if body.is_null() { Value::Null } else { body.to_string().into() },
        "isBase64Encoded": false,
    })
}
