//! What API Gateway does: an HTTP request becomes a REST-API proxy event, and the function's answer an HTTP response.

use crate::server::Server;
use aws_config::SdkConfig;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, Uri, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use create_backend_token::CreateBackendToken;
use delete_backend_token::DeleteBackendToken;
use exchange_customer_jwt::ExchangeCustomerJwt;
use http_body_util::LengthLimitError;
use issue_storefront_token::IssueStorefrontToken;
use list_backend_tokens::ListBackendTokens;
use login_customer::LoginCustomer;
use serde_json::{Map, Value, json};
use shared::{
    auth::last_uses::LastUses,
    clock::Clock,
    configuration::Configuration,
    http::{envelope::ProxyResponse, error::Error},
    lambda::{Function, answer},
    services::Services,
};
use std::{error::Error as StdError, io, sync::Arc};
use tokio::net::TcpListener;

/// Name of the API's stage, the first part of every path.
const STAGE: &str = "/api";
/// What every resource lies under, and its alias.
pub const PREFIXES: [&str; 2] = ["/io", "/v3/io"];
/// Largest request body that API Gateway takes, in bytes.
const MAX_PAYLOAD_BYTES: usize = 10 * 1024 * 1024;

/// Method, path below stage and prefix, and name of the function that answers.
pub const ROUTES: [(Method, &str, &str); 6] = [
    (Method::POST, "/auth/backend", CreateBackendToken::NAME),
    (Method::DELETE, "/auth/backend", DeleteBackendToken::NAME),
    (Method::GET, "/backend/tokens", ListBackendTokens::NAME),
    (Method::GET, "/auth/storefront", ExchangeCustomerJwt::NAME),
    (Method::POST, "/auth/customers", LoginCustomer::NAME),
    (Method::POST, "/auth/customers/storefront", IssueStorefrontToken::NAME),
];

/// The six functions.
pub struct Functions {
    create_backend_token: CreateBackendToken,
    delete_backend_token: DeleteBackendToken,
    list_backend_tokens: ListBackendTokens,
    exchange_customer_jwt: ExchangeCustomerJwt,
    login_customer: LoginCustomer,
    issue_storefront_token: IssueStorefrontToken,
    last_uses: Arc<LastUses>,
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
    ([("Content-Type", "application/yaml")], include_str!("../../openapi.yaml"))
}

async fn serve(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    let request_id = format!("{:016x}", fastrand::u64(..));
    let answer = functions.serve(request, &request_id).await;
    // As a function does once its answer is sent.
    tokio::spawn(async move { functions.last_uses.write().await });
    http_response(answer.unwrap_or_else(|error| ProxyResponse::from(&error)), &request_id)
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
        let new = || Services::new(dynamodb, secrets.clone(), configuration.clone(), clock.clone());
        let last_uses = new().last_uses;
        let services = || Services { last_uses: Arc::clone(&last_uses), ..new() };
        Self {
            create_backend_token: CreateBackendToken::new(services()),
            delete_backend_token: DeleteBackendToken::new(services()),
            list_backend_tokens: ListBackendTokens::new(services()),
            exchange_customer_jwt: ExchangeCustomerJwt::new(services()),
            login_customer: LoginCustomer::new(services()),
            issue_storefront_token: IssueStorefrontToken::new(services()),
            last_uses: Arc::clone(&last_uses),
        }
    }

    /// What the function of this name answers to an event.
    ///
    /// # Errors
    /// [`Error::NoSuchRoute`] if there is none of this name.
    pub async fn invoke(&self, name: &str, event: &str) -> Result<ProxyResponse, Error> {
        Ok(match name {
            CreateBackendToken::NAME => answer(&self.create_backend_token, event).await,
            DeleteBackendToken::NAME => answer(&self.delete_backend_token, event).await,
            ListBackendTokens::NAME => answer(&self.list_backend_tokens, event).await,
            ExchangeCustomerJwt::NAME => answer(&self.exchange_customer_jwt, event).await,
            LoginCustomer::NAME => answer(&self.login_customer, event).await,
            IssueStorefrontToken::NAME => answer(&self.issue_storefront_token, event).await,
            _ => return Err(Error::NoSuchRoute),
        })
    }

    async fn serve(&self, request: Request, request_id: &str) -> Result<ProxyResponse, Error> {
        let (parts, body) = request.into_parts();
        let path = path_below_prefix(&parts.uri).ok_or(Error::NoSuchRoute)?;
        let body = to_bytes(body, MAX_PAYLOAD_BYTES).await.map_err(|error| {
            if error.source().is_some_and(<dyn StdError>::is::<LengthLimitError>) {
                Error::TooLarge("The body is larger than 10 MiB.")
            } else {
                Error::BadRequest("The body cannot be read.")
            }
        })?;
        let route = ROUTES.iter().find(|route| route.0 == parts.method && route.1 == path);
        let (_, _, name) = route.ok_or(Error::NoSuchRoute)?;
        self.invoke(name, &event(&parts, &body, request_id)).await
    }
}

/// The event that API Gateway sends.
///
/// Source: API Gateway developer guide, "Input format of a Lambda function for proxy integration".
fn event(parts: &Parts, body: &[u8], request_id: &str) -> String {
    let path = parts.uri.path();
    let resource = path.strip_prefix(STAGE).unwrap_or(path);
    let (headers, multi_value_headers) = header_maps(&parts.headers);
    let (query, multi_value_query) = query_maps(&parts.uri);
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
            "identity": {"sourceIp": "127.0.0.1"},
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

fn http_response(proxy_response: ProxyResponse, request_id: &str) -> Response {
    let mut response = Response::builder().status(proxy_response.status_code).header("x-amzn-RequestId", request_id);
    for (name, value) in &proxy_response.headers {
        response = response.header(*name, value.as_ref());
    }
    #[expect(clippy::expect_used, reason = "our own statuses and headers are valid")]
    response.body(Body::from(proxy_response.body)).expect("a response")
}
