//! Connections to AWS, and hosts that are not there.

use aws_sdk_dynamodb::{
    config::{HttpClient, RuntimeComponents, SharedHttpClient, http::HttpRequest},
    error::ConnectorError,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use hyper_util::client::legacy;
use shared::fault::Chain;
use std::{
    collections::HashSet,
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// That no connection can be made to a host: its name does not resolve, or nobody listens there.
#[derive(Debug)]
pub struct Unreachable {
    /// The host, with the port where it is not the usual one.
    pub host: String,
    /// None for the local stack.
    pub region: Option<String>,
    source: ConnectorError,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no connection to {}", self.host)
    }
}

impl Error for Unreachable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// The HTTP client of the SDK, but for hosts that are not there: what was mistyped does not get better by trying again. A host that
/// has answered before is tried again as ever.
#[derive(Clone, Debug)]
pub struct Client {
    inner: SharedHttpClient,
    region: Option<String>,
    answered: Arc<Mutex<HashSet<String>>>,
}

impl Client {
    pub fn new(region: Option<String>) -> Self {
        Self { inner: shared::aws::http_client(), region, answered: Arc::default() }
    }
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            inner: self.inner.http_connector(settings, components),
            client: self.clone(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    client: Client,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = host(&request);
        let Client { region, answered, .. } = self.client.clone();
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(answer) => {
                    answered.insert(host);
                    Ok(answer)
                }
                Err(error) if is_unconnected(&error) && !answered.contains(&host) => {
                    Err(ConnectorError::other(Unreachable { host, region, source: error }.into(), None))
                }
                Err(error) => Err(error),
            }
        })
    }
}

/// Whether there was not even a connection, for another reason than lack of time.
fn is_unconnected(error: &ConnectorError) -> bool {
    let is_connect =
        |link: &(dyn Error + 'static)| link.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect);
    error.is_io() && Chain(error).links().any(is_connect)
}

/// The host, with the port where it is not the usual one.
pub fn host(request: &HttpRequest) -> String {
    let uri = request.uri();
    uri.split_once("://").map_or(uri, |(_, rest)| rest).split('/').next().unwrap_or_default().into()
}
