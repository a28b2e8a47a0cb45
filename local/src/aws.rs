//! DynamoDB and Secrets Manager on one port, as far as the functions and their operator need them.

use crate::{
    secrets_manager::{REGION, SecretsManager},
    server::{self, Server, StartError},
};
use aws_config::{Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::config::Credentials;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, Uri, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use dynoxide::Database;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    fs::{self, File, TryLockError},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

/// Largest request to Secrets Manager that is read, in bytes.
const MAX_SECRETS_REQUEST_BYTES: usize = 256 * 1024;

/// The running local AWS.
pub struct LocalAws {
    /// What clients speak to.
    pub server: Server,
    dynamodb: Server,
}

struct Backend {
    secrets_manager: SecretsManager,
    dynamodb_url: String,
    client: Client<HttpConnector, Body>,
}

/// Takes the folder, which is made if need be, until the file is closed or the process ends, however it ends: whoever uses it
/// has the secrets in memory, and would write them over another's.
///
/// # Errors
/// If the folder cannot be written, or is taken.
pub fn take_folder(folder: &Path) -> Result<File, StartError> {
    fs::create_dir_all(folder).map_err(|error| data_error(folder, &error))?;
    let file = File::create(folder.join("lock")).map_err(|error| data_error(folder, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse { folder: folder.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(data_error(folder, &error)),
    }
}

/// Opens the database in the folder, or in memory.
///
/// # Errors
/// If the folder cannot be written.
pub fn open_database(folder: Option<&Path>) -> Result<Database, StartError> {
    let Some(folder) = folder else {
        return Database::memory().map_err(|error| data_error(Path::new("memory"), &error));
    };
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
    pub async fn start(
        listener: TcpListener,
        database: Database,
        secrets_manager: SecretsManager,
    ) -> Result<Self, StartError> {
        let dynamodb = Server::spawn(server::bind(0, "--aws-port").await?, |listener, stopped| async move {
            let serving = dynoxide::server::serve_with_shutdown(listener, database, stopped).await;
            serving.unwrap_or_else(|error| tracing::error!(%error, "DynamoDB failed"));
        })?;
        let mut connector = HttpConnector::new();
        // Many clients, boto3 for one, send head and body apart: the body must not wait until the head is acknowledged.
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let backend = Arc::new(Backend { secrets_manager, dynamodb_url: dynamodb.url.clone(), client });
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
    let target = request.headers().get("X-Amz-Target").and_then(|target| target.to_str().ok());
    match target.and_then(|target| target.strip_prefix("secretsmanager.")).map(str::to_owned) {
        Some(operation) => {
            let body = axum::body::to_bytes(request.into_body(), MAX_SECRETS_REQUEST_BYTES).await;
            backend.secrets_manager.answer(&operation, &body.unwrap_or_default())
        }
        None => forward(&backend, request).await,
    }
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
