//! DynamoDB and Secrets Manager on one port, as far as the functions need them.

use crate::server::{self, Server, StartError};
use aws_config::{Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::config::Credentials;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, Uri, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use dynoxide::Database;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Secret id to secret.
pub type Secrets = BTreeMap<String, String>;

/// The region that local clients name; any would do.
pub const REGION: &str = "us-east-1";

/// Largest request to Secrets Manager that is read, in bytes.
const MAX_SECRETS_REQUEST_BYTES: usize = 64 * 1024;

/// The running local AWS.
pub struct LocalAws {
    /// What clients speak to.
    pub server: Server,
    dynamodb: Server,
}

struct Backend {
    secrets: Secrets,
    dynamodb_url: String,
    client: Client<HttpConnector, Body>,
}

/// Opens the database in the folder, which is made if need be, or in memory.
///
/// # Errors
/// If the folder cannot be written.
pub fn open_database(folder: Option<&Path>) -> Result<Database, StartError> {
    let Some(folder) = folder else {
        return Database::memory().map_err(|error| data_error(Path::new("memory"), &error));
    };
    fs::create_dir_all(folder).map_err(|error| data_error(folder, &error))?;
    let file = folder.join("dynamodb.sqlite");
    Database::new(&file.to_string_lossy()).map_err(|error| data_error(folder, &error))
}

fn data_error(folder: &Path, error: &dyn std::fmt::Display) -> StartError {
    StartError::Data { folder: folder.display().to_string(), cause: error.to_string() }
}

/// Configuration of SDK clients that speak to a local AWS at `url`. More patient than in production: everything shares the
/// cores of one machine, and nobody pays for the wait.
pub async fn sdk_config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local");
    let patience = Duration::from_secs(20);
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(patience).operation_timeout(patience * 3).build();
    let config = shared::aws::config().endpoint_url(url).region(Region::new(REGION)).credentials_provider(credentials);
    config.timeout_config(timeouts).load().await
}

impl LocalAws {
    /// Serves the database and the secrets.
    ///
    /// # Errors
    /// If no further port is free.
    pub async fn start(listener: TcpListener, database: Database, secrets: Secrets) -> Result<Self, StartError> {
        let dynamodb = Server::spawn(server::bind(0, "--aws-port").await?, |listener, stopped| async move {
            let serving = dynoxide::server::serve_with_shutdown(listener, database, stopped).await;
            serving.unwrap_or_else(|error| tracing::error!(%error, "DynamoDB failed"));
        })?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let backend = Arc::new(Backend { secrets, dynamodb_url: dynamodb.url.clone(), client });
        let server = Server::start(listener, Router::new().fallback(answer).with_state(backend))?;
        Ok(Self { server, dynamodb })
    }

    /// Lets open requests finish, and stops.
    pub async fn stop(self) {
        self.server.stop().await;
        self.dynamodb.stop().await;
    }
}

async fn answer(State(backend): State<Arc<Backend>>, request: Request) -> Response {
    match request.headers().get("X-Amz-Target").and_then(|target| target.to_str().ok()) {
        Some("secretsmanager.GetSecretValue") => {
            let body = axum::body::to_bytes(request.into_body(), MAX_SECRETS_REQUEST_BYTES).await;
            get_secret_value(&backend.secrets, &body.unwrap_or_default())
        }
        Some(target) if target.starts_with("secretsmanager.") => {
            aws_error("InvalidRequestException", "the local stack answers GetSecretValue only")
        }
        _ => forward(&backend, request).await,
    }
}

fn get_secret_value(secrets: &Secrets, body: &Bytes) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = request["SecretId"].as_str().unwrap_or_default();
    match secrets.get(id) {
        Some(secret) => json_response(
            StatusCode::OK,
            &json!({
                "ARN": format!("arn:aws:secretsmanager:{REGION}:000000000000:secret:{id}"),
                "Name": id,
                "SecretString": secret,
                "VersionStages": ["AWSCURRENT"],
            }),
        ),
        None => aws_error("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    }
}

fn aws_error(code: &str, message: &str) -> Response {
    json_response(StatusCode::BAD_REQUEST, &json!({"__type": code, "message": message}))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [("Content-Type", "application/x-amz-json-1.1")], body.to_string()).into_response()
}

async fn forward(backend: &Backend, mut request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let Ok(uri) = format!("{}{path}", backend.dynamodb_url).parse::<Uri>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    match backend.client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::error!(%error, "DynamoDB cannot be reached");
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}
