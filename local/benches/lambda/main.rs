//! Cold and warm times of the functions' deployed binaries, against loopback, in clear and with TLS.
//!
//! `sam build && cargo bench -p local`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program to look at")]

mod tls;

use local::{
    Options, Stack, demo,
    runtime_api::{Outcome, RuntimeApi},
};
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const COLD_STARTS: usize = 51;
const WARM_REQUESTS: u32 = 2000;

#[tokio::main]
async fn main() {
    let configuration = Configuration::local(StorefrontAccess::AuthToken);
    let options = Options::on_free_ports(configuration, Clock::system());
    let stack = Stack::start(options).await.unwrap();
    let create = binary("create-backend-token");
    let runtime_api = RuntimeApi::start().await.unwrap();
    let mut process = runtime_api.command(&create, &stack.aws.server.url).spawn().unwrap();
    for _ in 0..9 {
        invoke(&runtime_api, create_event(), 200).await;
    }
    process.kill().unwrap();
    process.wait().unwrap();

    let tls = tls::Terminator::start(&stack.aws.server.url).await;
    println!("{:<24} {:>6} {:>10} {:>10} {:>10} {:>10}", "function", "MiB", "cold", "cold, TLS", "warm", "warm, CPU");
    for (name, status, event, warm_requests) in [
        ("list-backend-tokens", 200, event(&Value::Null), WARM_REQUESTS),
        ("issue-storefront-token", 200, event(&json!({"customerId": demo::BUYER_ID})), WARM_REQUESTS),
        ("exchange-customer-jwt", 200, exchange_event(), WARM_REQUESTS),
        ("delete-backend-token", 404, event(&json!({"id": 999})), WARM_REQUESTS),
        ("create-backend-token", 200, create_event(), 50),
        ("login-customer", 200, login_event(), 50),
    ] {
        let binary = binary(name);
        let mut cold = [Vec::new(), Vec::new()];
        // In turn, so that whatever else the machine does hits both.
        for _ in 0..COLD_STARTS {
            for (url, times) in [&stack.aws.server.url, &tls.url].into_iter().zip(&mut cold) {
                let runtime_api = RuntimeApi::start().await.unwrap();
                let mut command = runtime_api.command(&binary, url);
                command.env("SSL_CERT_FILE", &tls.certificates);
                let answer = invoke(&runtime_api, event.clone(), status);
                let started = Instant::now();
                let mut process = command.spawn().unwrap();
                answer.await;
                times.push(started.elapsed());
                process.kill().unwrap();
                process.wait().unwrap();
            }
        }
        let [clear, with_tls] = cold.map(|mut times| {
            times.sort();
            times[COLD_STARTS / 2]
        });

        let runtime_api = RuntimeApi::start().await.unwrap();
        let mut process = runtime_api.command(&binary, &stack.aws.server.url).spawn().unwrap();
        invoke(&runtime_api, event.clone(), status).await;
        let cpu_before = cpu_time(process.id());
        let mut warm = Vec::new();
        for _ in 0..warm_requests {
            let started = Instant::now();
            invoke(&runtime_api, event.clone(), status).await;
            warm.push(started.elapsed());
        }
        warm.sort();
        let cpu = cpu_time(process.id()).saturating_sub(cpu_before) / warm_requests;
        process.kill().unwrap();
        process.wait().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a size to look at")]
        let mebibytes = fs::metadata(&binary).unwrap().len() as f64 / f64::from(1 << 20);
        let [clear, with_tls, warm, cpu] = [clear, with_tls, warm[warm.len() / 2], cpu].map(show);
        println!("{name:<24} {mebibytes:>6.1} {clear:>10} {with_tls:>10} {warm:>10} {cpu:>10}");
    }
    println!(
        "Cold: process start to first answer, median. Warm: one answer, the Runtime API and DynamoDB included, median."
    );
    println!("CPU: the function's own time on the processor for one answer, mean.");
}

fn show(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn binary(name: &str) -> PathBuf {
    let target = env::var("CARGO_TARGET_DIR").map_or_else(|_| Path::new("..").join("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("lambda").join(name).join("bootstrap")
}

/// Hands the event over at once; the future ends with the answer.
fn invoke(runtime_api: &RuntimeApi, event: String, status: u16) -> impl Future<Output = ()> + use<> {
    let outcome = runtime_api.invoke(event);
    async move {
        match outcome.await.unwrap() {
            Outcome::Response(response) => {
                let response: Value = serde_json::from_str(&response).unwrap();
                assert_eq!(response["statusCode"], status, "{response}");
            }
            Outcome::Error(error) => panic!("{error}"),
        }
    }
}

/// Time on the processor, all threads together.
fn cpu_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let statistics = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap_or_default();
        statistics.split(' ').next().unwrap_or_default().parse().unwrap_or(0)
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn create_event() -> String {
    event(&json!({
        "storeHash": demo::STORE, "email": demo::ADMIN_EMAIL, "password": demo::ADMIN_PASSWORD, "name": "bench",
    }))
}

fn login_event() -> String {
    event(&json!({
        "storeHash": demo::STORE, "email": demo::BUYER_EMAIL, "password": demo::BUYER_PASSWORD, "channelId": 1,
        "name": "bench",
    }))
}

fn exchange_event() -> String {
    let mut event: Value = serde_json::from_str(&event(&Value::Null)).unwrap();
    let jwt = demo::current_customer_jwt(Clock::system().now());
    event["multiValueQueryStringParameters"] = json!({"jwtToken": [jwt]});
    event.to_string()
}

fn event(body: &Value) -> String {
    json!({
        "multiValueHeaders": {"Content-Type": ["application/json"], "authToken": [demo::token()]},
        "requestContext": {"requestId": "bench", "stage": "api"},
        "body": if body.is_null() { Value::Null } else { body.to_string().into() },
        "isBase64Encoded": false,
    })
    .to_string()
}
