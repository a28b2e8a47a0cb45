//! What API Gateway does: an HTTP request becomes a REST-API proxy event, and the function's answer an HTTP response.

use crate::server::Server;
use aws_config::SdkConfig;
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use create_backend_token::CreateBackendToken;
use delete_backend_token::DeleteBackendToken;
use exchange_customer_jwt::ExchangeCustomerJwt;
use futures_util::{FutureExt, future::BoxFuture};
use http_body_util::LengthLimitError;
use introspect_token::IntrospectToken;
use issue_storefront_token::IssueStorefrontToken;
use lambda_http::Body as LambdaBody;
use list_backend_tokens::ListBackendTokens;
use login_customer::LoginCustomer;
use serde_json::{Map, Value, json};
use shared::{
    clock::Clock,
    configuration::Configuration,
    http::{cors, envelope::error_response, error::Error, guard},
    lambda::{Endpoint, answer},
    services::Services,
};
use std::{error::Error as StdError, io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Name of the API's stage, the first part of every path.
const STAGE: &str = "/api";
/// What every resource lies under, and its alias.
pub const PREFIXES: [&str; 2] = ["/io", "/v3/io"];
/// Largest request body that API Gateway takes, in bytes.
const MAX_PAYLOAD_BYTES: usize = 10 * 1024 * 1024;

/// What leads to a function.
pub struct Route {
    /// The method.
    pub method: Method,
    /// What follows stage and prefix.
    pub path: &'static str,
    /// Name of the function that answers.
    pub function: &'static str,
    /// Whether pages may call it, and so the function gets `OPTIONS` too.
    pub is_for_browsers: bool,
    invoke: Invoke,
}

/// Gives a function an event, and what it works with.
type Invoke = for<'a> fn(&'a Services, &'a str) -> BoxFuture<'a, Response>;

/// All routes.
pub static ROUTES: [Route; 7] = [
    route::<CreateBackendToken>(Method::POST, "/auth/backend"),
    route::<DeleteBackendToken>(Method::DELETE, "/auth/backend"),
    route::<ListBackendTokens>(Method::GET, "/backend/tokens"),
    route::<ExchangeCustomerJwt>(Method::GET, "/auth/storefront"),
    route::<LoginCustomer>(Method::POST, "/auth/customers"),
    route::<IssueStorefrontToken>(Method::POST, "/auth/customers/storefront"),
    route::<IntrospectToken>(Method::POST, "/oauth/introspect"),
];

const fn route<E: Endpoint>(method: Method, path: &'static str) -> Route {
    Route {
        method,
        path,
        function: E::NAME,
        is_for_browsers: E::BROWSER_METHOD.is_some(),
        invoke: |services, event| invoke::<E>(services, event).boxed(),
    }
}

impl Route {
    fn leads_from(&self, method: &Method, path: &str) -> bool {
        self.path == path && (self.method == *method || self.is_for_browsers && *method == Method::OPTIONS)
    }
}

/// Answers an event as a deployed function does, once the runtime has handed it over.
async fn invoke<E: Endpoint>(services: &Services, event: &str) -> Response {
    let answer = match guard::request(event.as_bytes()) {
        Some(request) => answer::<E>(services, &request).await,
        None => error_response(&Error::BadRequest("The event is not JSON.")),
    };
    http_response(answer)
}

/// The functions, each with services of its own, as where each is a process: none waits for what another reads.
pub struct Functions {
    functions: Vec<(&'static Route, Services)>,
}

/// Serves the API, with functions that speak to the AWS of `sdk_config`.
///
/// # Errors
/// If the listener has no address.
pub fn start(
    listener: TcpListener,
    sdk_config: &SdkConfig,
    configuration: &Configuration,
    clock: &Clock,
) -> io::Result<Server> {
    let dynamodb = aws_sdk_dynamodb::Client::new(sdk_config);
    let secrets = aws_sdk_secretsmanager::Client::new(sdk_config);
    start_with_clients(listener, &dynamodb, &secrets, configuration, clock)
}

/// Serves the API, with functions that use these clients.
///
/// # Errors
/// If the listener has no address.
pub fn start_with_clients(
    listener: TcpListener,
    dynamodb: &aws_sdk_dynamodb::Client,
    secrets: &aws_sdk_secretsmanager::Client,
    configuration: &Configuration,
    clock: &Clock,
) -> io::Result<Server> {
    let functions = Functions::new(dynamodb, secrets, configuration, clock);
    let router = Router::new().route("/openapi.yaml", get(openapi)).fallback(serve).with_state(Arc::new(functions));
    Server::start(listener, router)
}

async fn openapi() -> impl IntoResponse {
    ([("Content-Type", "application/yaml"), ("X-Content-Type-Options", "nosniff")], include_str!("../../openapi.yaml"))
}

async fn serve(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    let request_id = format!("{:016x}", fastrand::u64(..));
    let answer = functions.serve(request, &request_id).await;
    let mut answer = answer.unwrap_or_else(|error| http_response(error_response(&error)));
    answer
        .headers_mut()
        .extend(HeaderValue::from_str(&request_id).map(|id| (HeaderName::from_static("x-amzn-requestid"), id)));
    answer
}

impl Functions {
    /// The functions with these clients and settings.
    #[must_use]
    pub fn new(
        dynamodb: &aws_sdk_dynamodb::Client,
        secrets: &aws_sdk_secretsmanager::Client,
        configuration: &Configuration,
        clock: &Clock,
    ) -> Self {
        let new = || Services::new(dynamodb, secrets, configuration.clone(), clock.clone());
        // Shared, so that a use which one has written is not written again by the next.
        let last_uses = new().auth.last_uses;
        let function = |route| {
            let mut services = new();
            services.auth.last_uses = Arc::clone(&last_uses);
            (route, services)
        };
        Self { functions: ROUTES.iter().map(function).collect() }
    }

    /// What the function of this name answers to an event, once all is done that it leaves to be done afterwards; none if there
    /// is none of this name.
    pub async fn invoke(&self, name: &str, event: &str) -> Option<Response> {
        let (route, services) = self.functions.iter().find(|(route, _)| route.function == name)?;
        let answer = (route.invoke)(services, event).await;
        services.after_answer.finish().await;
        Some(answer)
    }

    async fn serve(&self, request: Request, request_id: &str) -> Result<Response, Error> {
        let (parts, body) = request.into_parts();
        let path = path_below_prefix(&parts.uri).ok_or(Error::NoSuchRoute)?;
        let function = self.functions.iter().find(|(route, _)| route.leads_from(&parts.method, path));
        let (route, services) = function.ok_or(Error::NoSuchRoute)?;
        match read(body).await {
            Ok(body) => {
                let answer = (route.invoke)(services, &event(&parts, &body, request_id)).await;
                // As a function does once its answer is sent.
                let after_answer = Arc::clone(&services.after_answer);
                tokio::spawn(async move { after_answer.finish().await });
                Ok(answer)
            }
            Err(error) => {
                let mut answer = http_response(error_response(&error));
                let origin = services.configuration.allowed_origins.origin(&parts.headers);
                if let Some(origin) = origin.filter(|_| route.is_for_browsers) {
                    cors::share(answer.headers_mut(), origin);
                }
                Ok(answer)
            }
        }
    }
}

async fn read(body: Body) -> Result<Bytes, Error> {
    to_bytes(body, MAX_PAYLOAD_BYTES).await.map_err(|error| {
        if error.source().is_some_and(<dyn StdError>::is::<LengthLimitError>) {
            Error::TooLarge("The body is larger than 10 MiB.")
        } else {
            Error::BadRequest("The body cannot be read.")
        }
    })
}

/// The event that API Gateway sends.
///
/// Source: API Gateway developer guide, "Input format of a Lambda function for proxy integration".
fn event(parts: &Parts, body: &[u8], request_id: &str) -> String {
    let path = parts.uri.path();
    let resource = path.strip_prefix(STAGE).unwrap_or(path);
    let (headers, multi_value_headers) = header_maps(&parts.headers);
    let (query, multi_value_query) = query_maps(&parts.uri);
    let source_ip = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let text = str::from_utf8(body);
    json!({
        "resource": resource,
        "path": resource,
        "httpMethod": parts.method.as_str(),
        "headers": headers,
        "multiValueHeaders": multi_value_headers,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": multi_value_query,
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": parts.method.as_str(),
            "path": path,
            "stage": "api",
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "identity": {"sourceIp": source_ip},
        },
        "body": match text {
            Ok("") => Value::Null,
            Ok(text) => text.into(),
            Err(_) => STANDARD.encode(body).into(),
        },
        "isBase64Encoded": text.is_err(),
    })
    .to_string()
}

/// What follows the stage and a prefix, if the path starts with them.
fn path_below_prefix(uri: &Uri) -> Option<&str> {
    let path = uri.path().strip_prefix(STAGE)?;
    PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix))
}

fn header_maps(headers: &HeaderMap) -> (Map<String, Value>, Map<String, Value>) {
    let mut multi = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        multi.insert(name.to_string(), Value::Array(values.collect()));
    }
    (last_of_each(&multi), multi)
}

fn query_maps(uri: &Uri) -> (Map<String, Value>, Map<String, Value>) {
    let mut multi = Map::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let values = multi.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(value.into());
        }
    }
    (last_of_each(&multi), multi)
}

fn last_of_each(multi: &Map<String, Value>) -> Map<String, Value> {
    let last = |values: &Value| values.as_array().and_then(|values| values.last()).cloned().unwrap_or_default();
    multi.iter().map(|(name, values)| (name.clone(), last(values))).collect()
}

fn http_response(answer: lambda_http::Response<LambdaBody>) -> Response {
    answer.map(|body| match body {
        LambdaBody::Text(text) => Body::from(text),
        LambdaBody::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    })
}
