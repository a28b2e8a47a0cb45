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
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

/// Largest request to Secrets Manager that is read, in bytes.
const MAX_SECRETS_REQUEST_BYTES: usize = 256 * 1024;

/// Name of the file that keeps the tables.
const FILE: &str = "dynamodb.sqlite";
const FOREIGN: &str = " is no database of this stack";
const DAMAGED: &str = " is damaged";

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

/// Opens the database in the folder, or in memory. Only the owner may read it, as the secrets.
///
/// # Errors
/// If the folder cannot be written, or its file is damaged or another program's.
pub fn open_database(folder: Option<&Path>) -> Result<Database, StartError> {
    let Some(folder) = folder else {
        return Database::memory().map_err(|error| data_error(Path::new("memory"), &error));
    };
    let path = folder.join(FILE);
    make_private(&path).map_err(|error| data_error(folder, &format!("{FILE}: {error}")))?;
    look_at(&path).map_err(|problem| data_error(folder, &format!("{FILE}{problem}")))?;
    Database::new(&path.to_string_lossy()).map_err(|error| data_error(folder, &format!("{FILE}: {error}")))
}

/// Makes the file, if it is not there, and takes it away from all but its owner, with what the database keeps beside it. What is
/// made beside it later has its mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?;
    #[cfg(unix)]
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the database may be used. DynamoDB would put its own tables into another program's, and of a damaged page it would
/// only know when a request comes upon it.
fn look_at(path: &Path) -> Result<(), String> {
    let in_words = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => FOREIGN.to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => DAMAGED.to_owned(),
        _ => format!(": {error}"),
    };
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(in_words)?;
    let sql = "SELECT count(*), count(*) FILTER (WHERE name IN ('_config', '_tables')) FROM sqlite_schema";
    let counts = database.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let (all, of_dynamodb) = counts.map_err(in_words)?;
    if all > 0 && of_dynamodb < 2 {
        return Err(FOREIGN.into());
    }
    let found = database.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    if found.map_err(in_words)? == "ok" { Ok(()) } else { Err(DAMAGED.into()) }
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
