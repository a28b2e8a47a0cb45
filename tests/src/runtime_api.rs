//! A stand-in for the Lambda Runtime API, to run a function's real binary.
//!
//! Source: Lambda developer guide, "Using the Lambda runtime API for custom runtimes".

use crate::Setup;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use local::{
    secrets_manager::REGION,
    server::{self, Server},
};
use std::{
    collections::HashMap,
    path::Path as FilePath,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};
use tokio::sync::{mpsc, oneshot};

/// What a function made of an event.
#[derive(Debug)]
pub enum Outcome {
    /// Its answer.
    Response(String),
    /// The error that its runtime reported instead.
    Error(String),
}

/// The running stand-in, for one function.
pub struct RuntimeApi {
    server: Server,
    events: mpsc::UnboundedSender<Invocation>,
}

struct Invocation {
    event: String,
    outcome: oneshot::Sender<Outcome>,
}

struct Invocations {
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
}

impl RuntimeApi {
    pub async fn start() -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        let invocations = Invocations { queue: queue.into(), running: Mutex::default() };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(Arc::new(invocations));
        let server = Server::start(server::bind(0, "").await.unwrap(), router).unwrap();
        Self { server, events }
    }

    /// Hands the event to the function, and gives what it made of it; none if it has ended.
    pub fn invoke(&self, event: String) -> impl Future<Output = Option<Outcome>> + use<> {
        let (outcome, received) = oneshot::channel();
        let sent = self.events.send(Invocation { event, outcome });
        async move {
            sent.ok()?;
            received.await.ok()
        }
    }

    /// How to start a function's binary with the environment that Lambda gives it, and the local AWS at `aws_url`.
    pub fn command(&self, binary: &FilePath, aws_url: &str) -> Command {
        let configuration = Setup::default().configuration;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", self.server.url.trim_start_matches("http://")),
                ("AWS_LAMBDA_FUNCTION_NAME", "local"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_REGION", REGION),
                ("AWS_DEFAULT_REGION", REGION),
                ("AWS_ACCESS_KEY_ID", "local"),
                ("AWS_SECRET_ACCESS_KEY", "local"),
                ("AWS_ENDPOINT_URL", aws_url),
                ("TOKENS_TABLE", &configuration.tokens_table),
                ("DIRECTORY_TABLE", &configuration.directory_table),
                ("LOGIN_ATTEMPTS_TABLE", &configuration.login_attempts_table),
                ("KEYRING_SECRET_ID", &configuration.keyring_secret_id),
                ("APP_SECRET_ID", &configuration.app_secret_id),
                ("STOREFRONT_ACCESS", "authToken"),
                ("MAX_TOKENS_PER_STORE", &configuration.max_tokens_per_store.to_string()),
                ("ROTATION_DAYS", &configuration.rotation_days.to_string()),
                ("BIGCOMMERCE_SECRET_PREFIX", &configuration.bigcommerce.secret_prefix),
                ("BIGCOMMERCE_CALLS", &configuration.bigcommerce.calls_per_window.to_string()),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

async fn next(State(invocations): State<Arc<Invocations>>) -> impl IntoResponse {
    let Some(Invocation { event, outcome }) = invocations.queue.lock().await.recv().await else {
        return Err(StatusCode::GONE);
    };
    let id = format!("{:016x}", fastrand::u64(..));
    invocations.running.lock().unwrap().insert(id.clone(), outcome);
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", id),
        ("Lambda-Runtime-Deadline-Ms", "4102444800000".to_owned()),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:local:live".to_owned()),
    ];
    Ok((headers, event))
}

async fn response(State(invocations): State<Arc<Invocations>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    invocations.end(&id, Outcome::Response(String::from_utf8_lossy(&body).into()))
}

async fn error(State(invocations): State<Arc<Invocations>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    invocations.end(&id, Outcome::Error(String::from_utf8_lossy(&body).into()))
}

impl Invocations {
    fn end(&self, id: &str, outcome: Outcome) -> StatusCode {
        match self.running.lock().unwrap().remove(id) {
            // Whoever invoked it may have stopped waiting.
            Some(waiting) => waiting.send(outcome).map_or(StatusCode::ACCEPTED, |()| StatusCode::ACCEPTED),
            None => StatusCode::NOT_FOUND,
        }
    }
}
