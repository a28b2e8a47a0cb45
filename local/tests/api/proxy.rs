//! Stands between the functions and AWS, and makes things go wrong.

use crate::support::TestStack;
use aws_sdk_dynamodb::Client;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use local::{aws, server, server::Server};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Name of the keyring secret, in tests also what it begins with.
const KEYRING: &str = "keyring";

/// What is wrong with an AWS service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Every connection breaks while the answer is read.
    Unreachable,
    /// No answer comes.
    Hanging,
    /// Every request is throttled.
    Throttled,
    /// Every request fails inside AWS.
    Broken,
    /// Every transaction is crossed by another one; all else works.
    Conflict,
    /// Updates outside transactions fail inside AWS; all else works.
    BrokenUpdates,
    /// Updates outside transactions get no answer; all else works.
    HangingUpdates,
    /// The next so many writes are carried out, but their answers are lost.
    LosesAnswers(u32),
    /// The next so many transactions are crossed by another one.
    Conflicts(u32),
}

/// Stands between the functions and the local AWS.
#[derive(Clone)]
pub struct Proxy {
    target: String,
    dynamodb: Arc<Mutex<Fault>>,
    secrets: Arc<Mutex<Fault>>,
    /// By name, what is answered instead of the local AWS's secrets.
    replaced_secrets: Arc<Mutex<BTreeMap<&'static str, String>>>,
    /// Actions and the tables or secrets that they were for, as IAM names the actions.
    actions: Arc<Mutex<Vec<(String, String)>>>,
    /// How often the keyring was read.
    keyring_reads: Arc<AtomicU64>,
    http: reqwest::Client,
}

impl Proxy {
    async fn start(target: &str) -> (Self, Server) {
        let proxy = Self {
            target: target.into(),
            dynamodb: Arc::new(Mutex::new(Fault::None)),
            secrets: Arc::new(Mutex::new(Fault::None)),
            replaced_secrets: Arc::default(),
            actions: Arc::default(),
            keyring_reads: Arc::default(),
            http: reqwest::Client::new(),
        };
        let router = Router::new().fallback(answer).with_state(proxy.clone());
        let server = Server::start(server::bind(0, "").await.unwrap(), router).unwrap();
        (proxy, server)
    }

    pub fn set(&self, dynamodb: Fault, secrets: Fault) {
        *self.dynamodb.lock().unwrap() = dynamodb;
        *self.secrets.lock().unwrap() = secrets;
    }

    /// From now on the secret store has this keyring.
    pub fn set_keyring(&self, keyring: &Value) {
        self.replaced_secrets.lock().unwrap().insert(KEYRING, keyring.to_string());
    }

    /// From now on the secret store has this client id and secret of the app.
    pub fn set_app_secret(&self, text: &str) {
        self.replaced_secrets.lock().unwrap().insert("app", text.into());
    }

    /// What has been asked of AWS since the last call: actions, and the tables or secrets that they were for.
    pub fn take_actions(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.actions.lock().unwrap())
    }

    /// How often AWS has been asked for this action since they were last taken.
    pub fn count(&self, action: &str) -> usize {
        self.actions.lock().unwrap().iter().filter(|(done, _)| done == action).count()
    }

    pub fn keyring_reads(&self) -> u64 {
        self.keyring_reads.load(Ordering::Relaxed)
    }

    async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let mut request = self.http.post(&self.target).body(body);
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length") {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.headers().clone(), response.bytes().await.unwrap()).into_response()
    }
}

async fn answer(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    proxy.actions.lock().unwrap().extend(actions(&target, &serde_json::from_slice(&body).unwrap()));
    let fault = if target.starts_with("secretsmanager") { &proxy.secrets } else { &proxy.dynamodb };
    let is_transaction = target.ends_with("TransactWriteItems");
    let is_update = target.ends_with(".UpdateItem");
    let now = {
        let mut fault = fault.lock().unwrap();
        let now = *fault;
        match &mut *fault {
            Fault::LosesAnswers(left) | Fault::Conflicts(left) if is_transaction => *left = left.saturating_sub(1),
            _ => {}
        }
        now
    };
    match now {
        Fault::BrokenUpdates | Fault::HangingUpdates if !is_update => proxy.forward(&headers, body).await,
        Fault::Unreachable => broken_connection(),
        Fault::Hanging | Fault::HangingUpdates => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            broken_connection()
        }
        Fault::Throttled => aws_error("ThrottlingException", &json!({})),
        Fault::Broken | Fault::BrokenUpdates => (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response(),
        Fault::Conflict if is_transaction => conflict(&body),
        Fault::Conflicts(left) if is_transaction && left > 0 => conflict(&body),
        Fault::LosesAnswers(left) if is_transaction && left > 0 => {
            proxy.forward(&headers, body).await;
            broken_connection()
        }
        _ if target == "secretsmanager.GetSecretValue" => {
            let id = serde_json::from_slice::<Value>(&body).unwrap()["SecretId"].as_str().unwrap().to_owned();
            if id.starts_with(KEYRING) {
                proxy.keyring_reads.fetch_add(1, Ordering::Relaxed);
            }
            let replaced = proxy.replaced_secrets.lock().unwrap().clone();
            match replaced.iter().find(|(name, _)| id.starts_with(**name)) {
                Some((_, secret)) => (StatusCode::OK, json!({"SecretString": secret}).to_string()).into_response(),
                None => proxy.forward(&headers, body).await,
            }
        }
        _ => proxy.forward(&headers, body).await,
    }
}

/// The actions that a caller must be allowed, and on what.
fn actions(target: &str, request: &Value) -> Vec<(String, String)> {
    let operation = target.rsplit('.').next().unwrap();
    let on = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    match operation {
        "GetSecretValue" => vec![(format!("secretsmanager:{operation}"), on(request, "SecretId"))],
        "TransactWriteItems" => {
            let items = request["TransactItems"].as_array().unwrap().iter().flat_map(|item| item.as_object().unwrap());
            let action = |name: &str| match name {
                "ConditionCheck" | "Delete" | "Put" | "Update" => format!("dynamodb:{name}Item"),
                other => panic!("{other}"),
            };
            items.map(|(name, item)| (action(name), on(item, "TableName"))).collect()
        }
        _ => vec![(format!("dynamodb:{operation}"), on(request, "TableName"))],
    }
}

/// The body ends before it is complete: the connection is of no use any more.
fn broken_connection() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut off")) });
    Body::from_stream(broken).into_response()
}

fn conflict(body: &Bytes) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap();
    let items = request["TransactItems"].as_array().unwrap().len();
    let mut reasons = vec![json!({"Code": "None"}); items];
    reasons[items - 1] = json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"});
    aws_error("TransactionCanceledException", &json!({"CancellationReasons": reasons}))
}

fn aws_error(code: &str, more: &Value) -> Response {
    let mut body = more.clone();
    body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{code}"));
    body["message"] = json!("as the test wants it");
    (StatusCode::BAD_REQUEST, [("Content-Type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}

/// A stack whose functions reach AWS only through the proxy.
pub async fn behind_proxy() -> (TestStack, TestStack, Proxy, Server) {
    let direct = TestStack::start().await;
    let (proxy, server) = Proxy::start(direct.sdk_config.endpoint_url().unwrap()).await;
    let stack = fresh_functions(&direct, &server.url).await;
    (direct, stack, proxy, server)
}

/// Functions as after a cold start in production: nothing is cached yet, and time-outs are short.
pub async fn fresh_functions(direct: &TestStack, aws_url: &str) -> TestStack {
    let timeouts = shared::aws::timeouts();
    let sdk_config = aws::sdk_config(aws_url).await.into_builder().timeout_config(timeouts).build();
    let secrets = aws_sdk_secretsmanager::Client::new(&sdk_config);
    direct.with_clients(&Client::new(&sdk_config), &secrets, server::bind(0, "").await.unwrap())
}
