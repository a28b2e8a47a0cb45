//! From a Lambda event to a handler and back.

use crate::{
    aws,
    clock::Clock,
    configuration::Configuration,
    http::{envelope::ProxyResponse, envelope::Success, error::Error, request::Request},
    logging,
    services::Services,
};
use futures_util::FutureExt;
use lambda_runtime::{LambdaEvent, Runtime, service_fn, tower::util::MapFutureLayer};
use serde_json::value::RawValue;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

/// An endpoint.
pub trait Function: Send + Sync + 'static {
    /// Its name, for the log.
    const NAME: &'static str;

    /// Fetches what the first request will need, beyond what [`Services::warm_up`] fetches.
    fn warm_up(&self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Answers a request.
    fn handle(&self, request: &Request) -> impl Future<Output = Result<Success, Error>> + Send;
}

/// Starts logging, makes the clients and the function once, and answers events until Lambda ends the process.
///
/// What the first request needs is fetched before it comes.
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
    let last_uses = Arc::clone(&services.last_uses);
    let warm = services.warm_up().await;
    let function = Arc::new(new(services));
    if let Err(error) = warm.and(function.warm_up().await) {
        tracing::warn!(cause = error.cause(), "not ready yet; what failed is tried again when it is needed");
    }
    let runtime = Runtime::new(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let function = Arc::clone(&function);
        async move { Ok::<_, lambda_runtime::Error>(answer(&*function, event.payload.get()).await) }
    }));
    // The layer is around the sending of the answer too: the caller has it, and the process runs on until the next event is
    // asked for.
    let after_the_answer = MapFutureLayer::new(move |answering| {
        let last_uses = Arc::clone(&last_uses);
        async move {
            let answered = answering.await;
            last_uses.write().await;
            answered
        }
    });
    runtime.layer(after_the_answer).run().await
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
        Err(error) if !matches!(error, Error::Internal(_) | Error::AppNotSet(_) | Error::Unavailable(_)) => {
            tracing::info!(function = F::NAME, request = id, route, status, milliseconds, %error, cause = error.cause());
        }
        Err(error) => {
            tracing::error!(function = F::NAME, request = id, route, status, milliseconds, %error, cause = error.cause());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Panics;

    impl Function for Panics {
        const NAME: &'static str = "panics";

        async fn handle(&self, _: &Request) -> Result<Success, Error> {
            panic!("with a secret")
        }
    }

    #[tokio::test]
    async fn a_panic_is_answered_as_a_fault_of_ours_and_tells_nothing() {
        let response = answer(&Panics, "{}").await;
        assert_eq!(response.status_code, 500);
        assert_eq!(
            response.body,
            r#"{"code":500,"data":{"errMsg":"The request could not be completed because of an internal error."},"meta":{"message":"Internal Server Error"},"detail":"The request could not be completed because of an internal error."}"#
        );
    }
}
