//! Runs an endpoint as a Lambda function.

use crate::{
    auth::credentials,
    aws,
    clock::Clock,
    configuration::Configuration,
    fault::Fault,
    http::{
        envelope::{Success, response},
        error::Error,
        guard::{self, Refusal},
    },
    logging,
    services::Services,
};
use futures_util::FutureExt;
use lambda_http::{
    Body, Request, RequestExt, Response,
    http::{HeaderValue, header},
    request::RequestContext,
    service_fn,
    tower::util::{MapFutureLayer, MapRequestLayer},
};
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Instant};

/// RFC 6797. A deployed function is reached over TLS only; the stack on a laptop, which does not come through [`run`], without.
const TLS_FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

pub trait Endpoint: 'static {
    /// The name of its function.
    const NAME: &'static str;

    /// Fetches what the first request will need, beyond what [`Services::warm_up`] fetches.
    fn warm_up(_services: &Services) -> impl Future<Output = Result<(), Fault>> + Send {
        async { Ok(()) }
    }

    /// Answers a request.
    fn handle(services: &Services, request: &Request) -> impl Future<Output = Result<Success, Error>> + Send;
}

/// Starts logging, makes the clients once, and answers events until Lambda ends the process.
///
/// What the first request needs is fetched before it comes.
///
/// # Errors
/// If a setting is missing, or if the runtime cannot be reached.
pub async fn run<E: Endpoint>() -> Result<(), lambda_http::Error> {
    logging::start();
    let configuration = Configuration::from_env()?;
    let config = aws::config().load().await;
    let services = Arc::new(Services::new(
        &aws_sdk_dynamodb::Client::new(&config),
        &aws_sdk_secretsmanager::Client::new(&config),
        configuration,
        Clock::system(),
    ));
    let warm = services.warm_up().await;
    if let Err(fault) = warm.and(E::warm_up(&services).await) {
        tracing::warn!(cause = %fault, "not ready yet; what failed is tried again when it is needed");
    }
    let last_uses = Arc::clone(&services.auth.last_uses);
    let runtime = lambda_http::runtime(service_fn(move |request: Request| {
        let services = Arc::clone(&services);
        async move {
            let mut response = answer::<E>(&services, &request).await;
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, TLS_FOR_A_YEAR);
            Ok::<_, Infallible>(response)
        }
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
    runtime.layer(MapRequestLayer::new(guard::invocation)).layer(after_the_answer).run().await
}

/// Answers a request that went through the [guard](crate::http::guard), and writes one line about it to the log.
pub async fn answer<E: Endpoint>(services: &Services, request: &Request) -> Response<Body> {
    let started = Instant::now();
    let handling = AssertUnwindSafe(handle::<E>(services, request)).catch_unwind().await;
    let result = handling.unwrap_or_else(|_| Err(Error::Internal("the function panicked".into())));
    let response = response(&result);
    let (id, resource) = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => {
            (context.request_id.as_deref(), context.resource_path.as_deref())
        }
        _ => (None, None),
    };
    let id = id.unwrap_or_default();
    let route = resource.map(|resource| format!("{} {resource}", request.method())).unwrap_or_default();
    let status = response.status().as_u16();
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &result {
        Ok(_) => tracing::info!(function = E::NAME, request = id, route, status, milliseconds),
        Err(error) if !matches!(error, Error::Internal(_) | Error::AppUnusable(_) | Error::Unavailable(_)) => {
            tracing::info!(function = E::NAME, request = id, route, status, milliseconds, %error, cause = error.cause());
        }
        Err(error) => {
            tracing::error!(function = E::NAME, request = id, route, status, milliseconds, %error, cause = error.cause());
        }
    }
    response
}

async fn handle<E: Endpoint>(services: &Services, request: &Request) -> Result<Success, Error> {
    if Refusal::of(request) == Some(Refusal::Event) {
        return Err(Error::BadRequest("The event is not an API Gateway proxy request."));
    }
    credentials::check_repeated(request.headers())?;
    E::handle(services, request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::StorefrontAccess;
    use aws_config::{BehaviorVersion, SdkConfig};

    struct Panics;

    impl Endpoint for Panics {
        const NAME: &'static str = "panics";

        async fn handle(_: &Services, _: &Request) -> Result<Success, Error> {
            panic!("with a secret")
        }
    }

    #[tokio::test]
    async fn a_panic_is_answered_as_a_fault_of_ours_and_tells_nothing() {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12()).build();
        let services = Services::new(
            &aws_sdk_dynamodb::Client::new(&config),
            &aws_sdk_secretsmanager::Client::new(&config),
            Configuration::local(StorefrontAccess::AuthToken),
            Clock::new(|| 0),
        );
        let response = answer::<Panics>(&services, &guard::request(b"{}").unwrap()).await;
        assert_eq!(response.status(), 500);
        assert_eq!(
            response.body().as_ref(),
            br#"{"code":500,"data":{"errMsg":"The request could not be completed because of an internal error."},"meta":{"message":"Internal Server Error"},"detail":"The request could not be completed because of an internal error."}"#
        );
    }
}
