//! What tests put where BigCommerce is: it notes what is asked, and answers or makes things go wrong.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, StatusCode, request::Parts},
    response::Response,
};
use futures_util::{StreamExt, stream};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use local::{
    bigcommerce::BigCommerce,
    server::{self, Server},
};
use serde_json::Value;
use std::{
    future::pending,
    io, mem,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{select, task::JoinSet};

/// A request to BigCommerce.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    pub method: String,
    /// With the query, as sent.
    pub path: String,
    pub headers: HeaderMap,
    /// Text where it is no JSON, null where there is none.
    pub body: Value,
    /// How many of the same method and path came before it under the same rule.
    pub earlier: usize,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum UpstreamFate {
    /// The stand-in answers it.
    Forwarded,
    /// This is answered instead: status, headers, body.
    Answered(u16, Vec<(&'static str, String)>, Bytes),
    /// The stand-in answers it, but late.
    AfterDelay(Duration),
    /// The stand-in answers it, but the connection closes when half of the body is sent.
    CutOff,
    /// The stand-in carries it out, but the connection closes without its answer.
    AnswerLost,
    /// The connection closes without an answer, and nothing is carried out.
    ClosedUnanswered,
    Unanswered,
}

impl UpstreamFate {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answered(status, vec![("Content-Type", "application/json".into())], body.to_string().into())
    }

    pub fn status(status: u16) -> Self {
        Self::Answered(status, Vec::new(), Bytes::new())
    }
}

type Rule = dyn Fn(&UpstreamRequest) -> UpstreamFate + Send;

/// A running server before the stand-in.
pub struct Upstream {
    pub url: String,
    /// What it forwards to.
    pub bigcommerce: BigCommerce,
    state: Arc<Mutex<State>>,
    _server: Server,
}

struct State {
    rule: Box<Rule>,
    /// In the order of their coming.
    requests: Vec<UpstreamRequest>,
}

impl Upstream {
    /// Forwards all, until a rule is set.
    pub async fn start(bigcommerce: BigCommerce) -> Self {
        let state = State { rule: Box::new(|_| UpstreamFate::Forwarded), requests: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let (router, noting) = (bigcommerce.router(), Arc::clone(&state));
        let server = Server::spawn(server::bind(0, "").await.unwrap(), |listener, mut stopped| async move {
            // They end with the server.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = &mut stopped => break,
                };
                stream.set_nodelay(true).unwrap();
                let (router, state) = (router.clone(), Arc::clone(&noting));
                let service = service_fn(move |request| answer(router.clone(), Arc::clone(&state), request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        let server = server.unwrap();
        Self { url: server.url.clone(), bigcommerce, state, _server: server }
    }

    /// What becomes of requests from now on; those from before are forgotten.
    pub fn rule(&self, rule: impl Fn(&UpstreamRequest) -> UpstreamFate + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.rule = Box::new(rule);
        state.requests.clear();
    }

    pub fn forward_all(&self) {
        self.rule(|_| UpstreamFate::Forwarded);
    }

    /// All requests whose path contains this meet this fate, and no others.
    pub fn fault_in(&self, path_part: &'static str, fate: UpstreamFate) {
        self.rule(move |request| if request.path.contains(path_part) { fate.clone() } else { UpstreamFate::Forwarded });
    }

    /// The requests since the rule was set or they were last taken.
    pub fn take_requests(&self) -> Vec<UpstreamRequest> {
        mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// How many requests whose path contains this there were since the rule was set or they were last taken.
    pub fn seen(&self, path_part: &str) -> usize {
        self.state.lock().unwrap().requests.iter().filter(|request| request.path.contains(path_part)).count()
    }
}

impl State {
    fn fate(&mut self, parts: &Parts, body: &Bytes) -> UpstreamFate {
        let (method, path) = (parts.method.to_string(), parts.uri.to_string());
        let is_same = |earlier: &&UpstreamRequest| (&earlier.method, &earlier.path) == (&method, &path);
        let earlier = self.requests.iter().filter(is_same).count();
        let body = match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(_) if body.is_empty() => Value::Null,
            Err(_) => String::from_utf8_lossy(body).into(),
        };
        let request = UpstreamRequest { method, path, headers: parts.headers.clone(), body, earlier };
        let fate = (self.rule)(&request);
        self.requests.push(request);
        fate
    }
}

/// An error closes the connection without an answer.
async fn answer(router: Router, state: Arc<Mutex<State>>, request: Request<Incoming>) -> io::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.map_err(io::Error::other)?;
    let fate = state.lock().unwrap().fate(&parts, &body);
    let forward = async || {
        let request = Request::from_parts(parts, Body::from(body));
        TowerToHyperService::new(router).call(request).await.unwrap()
    };
    match fate {
        UpstreamFate::Forwarded => Ok(forward().await),
        UpstreamFate::Answered(status, headers, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().append(name, value.parse().unwrap());
            }
            Ok(response)
        }
        UpstreamFate::AfterDelay(time) => {
            tokio::time::sleep(time).await;
            Ok(forward().await)
        }
        UpstreamFate::CutOff => Ok(cut_off(forward().await).await),
        UpstreamFate::AnswerLost => {
            forward().await;
            Err(io::Error::other("the answer is lost"))
        }
        UpstreamFate::ClosedUnanswered => Err(io::Error::other("closed unanswered")),
        UpstreamFate::Unanswered => pending().await,
    }
}

/// The length is the whole body's.
async fn cut_off(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut body = to_bytes(body, usize::MAX).await.unwrap();
    parts.headers.insert("Content-Length", body.len().into());
    body.truncate(body.len() / 2);
    let broken = stream::once(async {
        // What is there is sent before the connection closes.
        tokio::task::yield_now().await;
        Err(io::Error::other("cut off"))
    });
    Response::from_parts(parts, Body::from_stream(stream::once(async { Ok(body) }).chain(broken)))
}
