//! Stands between whatever is tested and AWS, and makes things go wrong.

use crate::TestStack;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use local::server::{self, Server};
use serde_json::{Value, json};
use std::{
    future::pending,
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Service {
    DynamoDb,
    SecretsManager,
}

/// A request to AWS.
pub struct Request<'a> {
    pub service: Service,
    pub operation: &'a str,
    pub body: &'a Value,
    /// How many of the same operation came before it under the same rule.
    pub earlier: usize,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Fate {
    /// AWS answers it.
    Forwarded,
    /// This is answered instead.
    Answered(u16, Value),
    /// A transaction: it stays open so long, then AWS answers it. Until then writes of its items are refused, as the real
    /// DynamoDB does and the embedded one does not.
    KeptOpen(Duration),
    /// AWS carries it out, but its answer does not arrive.
    AnswerLost,
    /// The connection breaks while the answer is read.
    CutOff,
    Unanswered,
}

impl Fate {
    /// An error of DynamoDB.
    pub fn error(code: &str) -> Self {
        Self::error_with(code, json!({}))
    }

    /// The service fails by itself.
    pub fn internal_error() -> Self {
        Self::Answered(500, json!({}))
    }

    /// DynamoDB cancels a transaction, for these reasons.
    fn cancelled(codes: &[&str]) -> Self {
        let reason = |code: &&str| match *code {
            "None" => json!({"Code": code}),
            _ => json!({"Code": code, "Message": "as the test wants it"}),
        };
        let reasons: Vec<_> = codes.iter().map(reason).collect();
        Self::error_with("TransactionCanceledException", json!({"CancellationReasons": reasons}))
    }

    fn error_with(code: &str, mut body: Value) -> Self {
        body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{code}"));
        body["message"] = json!("as the test wants it");
        Self::Answered(400, body)
    }
}

impl Request<'_> {
    /// DynamoDB cancels the transaction because of its last item.
    pub fn cancelled(&self, code: &str) -> Fate {
        let mut codes = vec!["None"; keys_in(self.body).len()];
        *codes.last_mut().unwrap() = code;
        Fate::cancelled(&codes)
    }
}

type Rule = dyn Fn(&Request) -> Fate + Send;

/// A running proxy.
pub struct Proxy {
    pub url: String,
    between: Arc<Between>,
    _server: Server,
}

struct Between {
    target: String,
    http: reqwest::Client,
    rule_and_requests: Mutex<RuleAndRequests>,
}

struct RuleAndRequests {
    rule: Box<Rule>,
    /// Operations and bodies, in the order of their coming.
    requests: Vec<(String, Value)>,
    /// The transactions that are kept open.
    open: Vec<Value>,
}

impl Proxy {
    /// Passes all on to the AWS at `target`, until a rule is set.
    pub async fn start(target: &str) -> Self {
        let state = RuleAndRequests { rule: Box::new(|_| Fate::Forwarded), requests: Vec::new(), open: Vec::new() };
        let between =
            Between { target: target.into(), http: reqwest::Client::new(), rule_and_requests: Mutex::new(state) };
        let between = Arc::new(between);
        let router = Router::new().fallback(answer).with_state(Arc::clone(&between));
        let server = Server::start(server::bind(0, "").await.unwrap(), router).unwrap();
        Self { url: server.url.clone(), between, _server: server }
    }

    /// What becomes of requests from now on; those from before are forgotten.
    pub fn rule(&self, rule: impl Fn(&Request) -> Fate + Send + 'static) {
        let mut state = self.between.rule_and_requests.lock().unwrap();
        state.rule = Box::new(rule);
        state.requests.clear();
    }

    pub fn forward_all(&self) {
        self.rule(|_| Fate::Forwarded);
    }

    /// All requests to the service meet this fate, and no others.
    pub fn fault_of(&self, service: Service, fate: Fate) {
        self.rule(move |request| if request.service == service { fate.clone() } else { Fate::Forwarded });
    }

    /// All requests of the operation meet this fate, and no others.
    pub fn fault_in(&self, operation: &'static str, fate: Fate) {
        self.rule(move |request| if request.operation == operation { fate.clone() } else { Fate::Forwarded });
    }

    /// The secret store has this keyring.
    pub fn set_keyring(&self, keyring: &Value) {
        self.set_secret("keyring", &keyring.to_string());
    }

    /// The secret store has this client id and secret of the app.
    pub fn set_app_secret(&self, text: &str) {
        self.set_secret("app", text);
    }

    /// A rule too, so another one ends it. The secret's own name begins with this one.
    fn set_secret(&self, name: &'static str, text: &str) {
        let secret = json!({"SecretString": text});
        self.rule(move |request| match (request.operation, request.body["SecretId"].as_str()) {
            ("GetSecretValue", Some(id)) if id.starts_with(name) => Fate::Answered(200, secret.clone()),
            _ => Fate::Forwarded,
        });
    }

    /// Operations and bodies of the requests since the rule was set or they were last taken.
    pub fn take_requests(&self) -> Vec<(String, Value)> {
        mem::take(&mut self.between.rule_and_requests.lock().unwrap().requests)
    }

    /// How many requests of the operation there were since the rule was set or they were last taken.
    pub fn seen(&self, operation: &str) -> usize {
        of_operation(&self.between.rule_and_requests.lock().unwrap().requests, operation).count()
    }

    /// How many of them read the keyring.
    pub fn keyring_reads(&self) -> usize {
        let state = self.between.rule_and_requests.lock().unwrap();
        let ids = of_operation(&state.requests, "GetSecretValue").map(|body| body["SecretId"].as_str().unwrap());
        ids.filter(|id| id.starts_with("keyring")).count()
    }
}

fn of_operation<'a>(requests: &'a [(String, Value)], operation: &str) -> impl Iterator<Item = &'a Value> {
    requests.iter().filter(move |(name, _)| name == operation).map(|(_, body)| body)
}

/// The keys of a transaction's items, each with its table.
fn keys_in(transaction: &Value) -> Vec<Value> {
    let items = transaction["TransactItems"].as_array().unwrap();
    items.iter().flat_map(|item| item.as_object().unwrap().values()).map(key_of).collect()
}

/// Table and key of the item that a write is about. Only what is put has its key among its attributes.
fn key_of(write: &Value) -> Value {
    let key = write.get("Key").unwrap_or(&write["Item"]);
    json!([write["TableName"], key["pk"], key["sk"]])
}

impl RuleAndRequests {
    /// How DynamoDB refuses a write, if an open transaction is in its way; reads pass. So says "Transaction conflict handling
    /// in DynamoDB" in AWS's developer guide; a condition check holds its item like a write.
    fn refused(&self, operation: &str, body: &Value) -> Option<Fate> {
        let is_held = |key: &Value| self.open.iter().any(|transaction| keys_in(transaction).contains(key));
        match operation {
            "TransactWriteItems" => {
                let token = &body["ClientRequestToken"];
                if self.open.iter().any(|transaction| transaction["ClientRequestToken"] == *token) {
                    return Some(Fate::error("TransactionInProgressException"));
                }
                let code = |key: &Value| if is_held(key) { "TransactionConflict" } else { "None" };
                let codes: Vec<_> = keys_in(body).iter().map(code).collect();
                codes.contains(&"TransactionConflict").then(|| Fate::cancelled(&codes))
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                is_held(&key_of(body)).then(|| Fate::error("TransactionConflictException"))
            }
            _ => None,
        }
    }
}

impl Between {
    fn fate(&self, target: &str, body: Value) -> Fate {
        let (service, operation) = target.split_once('.').unwrap();
        let service = if service == "secretsmanager" { Service::SecretsManager } else { Service::DynamoDb };
        let mut state = self.rule_and_requests.lock().unwrap();
        let earlier = of_operation(&state.requests, operation).count();
        let mut fate = (state.rule)(&Request { service, operation, body: &body, earlier });
        if let Fate::Forwarded | Fate::KeptOpen(_) | Fate::AnswerLost = fate {
            fate = state.refused(operation, &body).unwrap_or(fate);
        }
        if let Fate::KeptOpen(_) = fate {
            state.open.push(body.clone());
        }
        state.requests.push((operation.to_owned(), body));
        fate
    }

    /// Until the end reads find the items as they were before, as in the real one.
    async fn keep_open(&self, time: Duration, headers: HeaderMap, body: Bytes) -> Response {
        let transaction: Value = serde_json::from_slice(&body).unwrap();
        tokio::time::sleep(time).await;
        let response = self.forward(headers, body).await;
        self.rule_and_requests.lock().unwrap().open.retain(|open| *open != transaction);
        response
    }

    async fn forward(&self, mut headers: HeaderMap, body: Bytes) -> Response {
        headers.remove("host");
        headers.remove("content-length");
        let response = self.http.post(&self.target).headers(headers).body(body).send().await.unwrap();
        (response.status(), response.headers().clone(), response.bytes().await.unwrap()).into_response()
    }
}

async fn answer(State(between): State<Arc<Between>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    match between.fate(target, serde_json::from_slice(&body).unwrap()) {
        Fate::Forwarded => between.forward(headers, body).await,
        // It goes on where its sender does not wait for the answer.
        Fate::KeptOpen(time) => {
            tokio::spawn(async move { between.keep_open(time, headers, body).await }).await.unwrap()
        }
        Fate::Answered(status, body) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("Content-Type", "application/x-amz-json-1.0")], body.to_string()).into_response()
        }
        Fate::AnswerLost => {
            between.forward(headers, body).await;
            cut_off()
        }
        Fate::CutOff => cut_off(),
        Fate::Unanswered => pending().await,
    }
}

/// The body ends before it is complete: the connection is of no use any more.
fn cut_off() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut off")) });
    Body::from_stream(broken).into_response()
}

/// A stack, and the same behind functions that reach AWS only through the proxy.
pub async fn behind_proxy() -> (TestStack, TestStack, Proxy) {
    let direct = TestStack::start().await;
    let proxy = Proxy::start(direct.aws_url()).await;
    let stack = direct.fresh_functions(&proxy.url).await;
    (direct, stack, proxy)
}
