//! From a Lambda event to a handler and back.

use crate::{
    aws, clock::Clock, configuration::Configuration, envelope::ProxyResponse, envelope::Success, error::Error, logging,
    request::Request, services::Services,
};
use futures_util::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

/// An endpoint.
pub trait Function: Send + Sync + 'static {
    /// Its name, for the log.
    const NAME: &'static str;

    /// Answers a request.
    fn handle(&self, request: &Request) -> impl Future<Output = Result<Success, Error>> + Send;
}

/// Starts logging, makes the clients and the function once, and answers events until Lambda ends the process.
///
/// What the first request needs is fetched before it comes: the keyring, and a connection to the database.
///
/// # Errors
/// If a setting is missing, or if the runtime cannot be reached.
pub async fn run<F: Function>(new: impl FnOnce(Services) -> F) -> Result<(), lambda_runtime::Error> {
    logging::start();
    let configuration = Configuration::from_env()?;
    let config = aws::config().load().await;
    let services = Services::new(
        &aws_sdk_dynamodb::Client::new(&config),
        aws_sdk_secretsmanager::Client::new(&config),
        configuration,
        Clock::system(),
    );
    services.warm_up().await;
    let function = Arc::new(new(services));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let function = Arc::clone(&function);
        async move { Ok::<_, lambda_runtime::Error>(answer(&*function, event.payload.get()).await) }
    }))
    .await
}

/// Answers one event, whatever it is, and writes one line about it to the log.
pub async fn answer<F: Function>(function: &F, event: &str) -> ProxyResponse {
    let started = Instant::now();
    let request = Request::from_event(event);
    let result = match &request {
        None => Err(Error::BadRequest("The event is not an API Gateway proxy request.")),
        Some(request) if request.repeats_identity() => Err(Error::InvalidToken("more than one header of a kind")),
        Some(request) => {
            let handled = AssertUnwindSafe(function.handle(request)).catch_unwind().await;
            handled.unwrap_or_else(|_| Err(Error::Internal("the function panicked".into())))
        }
    };
    let response = match &result {
        Ok(success) => ProxyResponse::from(success),
        Err(error) => ProxyResponse::from(error),
    };
    let (id, route) = request.as_ref().map_or(("", ""), |request| (&request.id, &request.route));
    let status = response.status_code;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &result {
        Ok(_) => tracing::info!(function = F::NAME, request = id, route, status, milliseconds),
        Err(error) if status < 500 => {
            tracing::info!(function = F::NAME, request = id, route, status, milliseconds, %error, cause = error.cause());
        }
        Err(error) => {
            tracing::error!(function = F::NAME, request = id, route, status, milliseconds, %error, cause = error.cause());
        }
    }
    response
}
