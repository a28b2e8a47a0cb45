//! The real binary under a Runtime API: it writes the last use once its answer is sent.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

use axum::{
    Router,
    body::Bytes,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use local::{
    Options, Stack, demo,
    runtime_api::{Outcome, RuntimeApi},
    server::{self, Server},
};
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
};
use std::{
    future::pending,
    path::Path,
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

struct Lambda {
    runtime_api: RuntimeApi,
    process: Child,
}

impl Lambda {
    async fn start(aws_url: &str) -> Self {
        let runtime_api = RuntimeApi::start().await.unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_list-backend-tokens"));
        let process = runtime_api.command(binary, aws_url).spawn().unwrap();
        Self { runtime_api, process }
    }

    /// The `lastUsedAt` of the demo token, as listed for itself.
    async fn last_used_at(&self) -> Value {
        let event = json!({"httpMethod": "GET", "headers": {"authToken": demo::token()}});
        let outcome = self.runtime_api.invoke(event.to_string());
        match tokio::time::timeout(Duration::from_secs(20), outcome).await.unwrap().unwrap() {
            Outcome::Response(response) => {
                let response: Value = serde_json::from_str(&response).unwrap();
                assert_eq!(response["statusCode"], 200, "{response}");
                let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
                body["data"][0]["lastUsedAt"].clone()
            }
            Outcome::Error(error) => panic!("{error}"),
        }
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn start_stack() -> Stack {
    let configuration = Configuration::local(StorefrontAccess::AuthToken);
    Stack::start(Options::on_free_ports(configuration, Clock::system())).await.unwrap()
}

/// Passes all on to the AWS at `target`, but never answers an update, only counts it.
async fn start_proxy(target: String, updates: Arc<AtomicU32>) -> Server {
    let http = reqwest::Client::new();
    let answer = async move |mut headers: HeaderMap, body: Bytes| -> Response {
        if headers["x-amz-target"].to_str().unwrap().ends_with(".UpdateItem") {
            updates.fetch_add(1, Ordering::Relaxed);
            pending::<()>().await;
        }
        headers.remove("host");
        let answer = http.post(target).headers(headers).body(body).send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap()).into_response()
    };
    Server::start(server::bind(0, "").await.unwrap(), Router::new().fallback(answer)).unwrap()
}

#[tokio::test]
async fn a_use_is_written_before_the_next_event_is_asked_for() {
    let stack = start_stack().await;
    let lambda = Lambda::start(&stack.aws.server.url).await;
    let before = Clock::system().now();
    assert_eq!(lambda.last_used_at().await, Value::Null);
    let used_at = lambda.last_used_at().await.as_u64().unwrap();
    assert!((before..=Clock::system().now()).contains(&used_at), "{used_at}");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_write() {
    let stack = start_stack().await;
    let updates = Arc::new(AtomicU32::new(0));
    let proxy = start_proxy(stack.aws.server.url.clone(), Arc::clone(&updates)).await;
    let lambda = Lambda::start(&proxy.url).await;
    assert_eq!(lambda.last_used_at().await, Value::Null);
    let attempts = updates.load(Ordering::Relaxed);
    assert!(attempts < 2, "{attempts} attempts to write came before the answer");
    assert_eq!(lambda.last_used_at().await, Value::Null);
    assert_ne!(updates.load(Ordering::Relaxed), 0);
}
