//! HTTP to BigCommerce: through TLS, without redirects, with bounds on time and size.

use crate::fault::Chain;
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    client::{
        connection::CaptureSmithyConnection,
        http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::HttpRequest,
    },
    http::Headers,
};
use aws_smithy_types::retry::ErrorKind;
use http_body_util::{BodyExt, Limited};
use std::{sync::OnceLock, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for one answer, to its end.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer that is read, in bytes. A customer with all that belongs to him is some 2,000.
const MAX_ANSWER: usize = 256 * 1024;

/// An answer, whatever it says.
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// Why there is no answer.
pub struct Unanswered {
    pub cause: String,
    /// Whether the connection failed before anything of an answer came, as one does that was kept for too long.
    pub is_disconnected: bool,
}

/// Connections, kept from one invocation to the next. Nothing is made before the first request: to read the system's certificates
/// takes a millisecond.
#[derive(Default)]
pub struct Connection(OnceLock<SharedHttpConnector>);

impl Connection {
    /// Sends a request, and waits for the whole answer, not beyond the deadline.
    pub async fn send(&self, mut request: HttpRequest, deadline: Instant) -> Result<Answer, Unanswered> {
        let connection = CaptureSmithyConnection::new();
        request.add_extension(connection.clone());
        let attempt = async {
            let mut answer = self.0.get_or_init(connector).call(request).await.map_err(|error| Unanswered {
                cause: Chain(&error).to_string(),
                // There is no time-out in it but that of connecting. The last is its word for a connection that closes without an
                // answer.
                is_disconnected: error.is_io()
                    || error.is_timeout()
                    || error.as_other() == Some(ErrorKind::TransientError),
            })?;
            let (status, headers) = (answer.status().as_u16(), std::mem::take(answer.headers_mut()));
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|error| Unanswered {
                cause: format!("the answer of {status} ends too soon, or is too large: {}", Chain(&*error)),
                is_disconnected: false,
            })?;
            Ok(Answer { status, headers, body: body.to_bytes().into() })
        };
        let until = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
        timeout_at(until, attempt).await.unwrap_or_else(|_| {
            // One of HTTP/2 would be used on, be the other end there or not.
            if let Some(connection) = connection.get() {
                connection.poison();
            }
            Err(Unanswered { cause: "no answer in time".into(), is_disconnected: false })
        })
    }
}

fn connector() -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
    let connector = Connector::builder().connector_settings(settings).tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    SharedHttpConnector::new(connector.build())
}
