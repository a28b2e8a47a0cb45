//! Stands between the tool and AWS, and makes things go wrong.

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
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// What becomes of a request.
pub enum Answer {
    /// AWS answers it.
    Forward,
    /// This is answered instead.
    Instead(u16, Value),
    /// AWS carries it out, but its answer does not arrive.
    Lost,
}

impl Answer {
    /// An error of DynamoDB.
    pub fn error(code: &str) -> Self {
        let name = format!("com.amazonaws.dynamodb.v20120810#{code}");
        Self::Instead(400, json!({"__type": name, "message": "as the test wants it"}))
    }
}

/// Gives the answer to a request: the operation, how many of it there were before, and the body.
type Decide = dyn Fn(&str, u64, &Value) -> Answer + Send + Sync;

/// A running proxy.
pub struct Proxy {
    pub server: Server,
    seen: Arc<Mutex<BTreeMap<String, u64>>>,
}

#[derive(Clone)]
struct Between {
    target: String,
    decide: Arc<Decide>,
    seen: Arc<Mutex<BTreeMap<String, u64>>>,
    http: reqwest::Client,
}

impl Proxy {
    pub async fn start(target: &str, decide: impl Fn(&str, u64, &Value) -> Answer + Send + Sync + 'static) -> Self {
        let seen = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let between = Between {
            target: target.into(),
            decide: Arc::new(decide),
            seen: Arc::clone(&seen),
            http: reqwest::Client::new(),
        };
        let router = Router::new().fallback(answer).with_state(between);
        Self { server: Server::start(server::bind(0, "").await.unwrap(), router).unwrap(), seen }
    }

    /// How many requests of an operation there were.
    pub fn seen(&self, operation: &str) -> u64 {
        self.seen.lock().unwrap().get(operation).copied().unwrap_or(0)
    }
}

async fn answer(State(between): State<Between>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap().to_owned();
    let before = {
        let mut seen = between.seen.lock().unwrap();
        let count = seen.entry(operation.clone()).or_default();
        *count += 1;
        *count - 1
    };
    match (between.decide)(&operation, before, &serde_json::from_slice(&body).unwrap()) {
        Answer::Forward => forward(&between, &headers, body).await,
        Answer::Instead(status, body) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("Content-Type", "application/x-amz-json-1.0")], body.to_string()).into_response()
        }
        Answer::Lost => {
            forward(&between, &headers, body).await;
            let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut off")) });
            Body::from_stream(broken).into_response()
        }
    }
}

async fn forward(between: &Between, headers: &HeaderMap, body: Bytes) -> Response {
    let mut request = between.http.post(&between.target).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length") {
        request = request.header(name, value);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.headers().clone(), response.bytes().await.unwrap()).into_response()
}
