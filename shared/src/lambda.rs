//! Runs functions as Lambda does.

use crate::{
    auth::credentials,
    aws,
    clock::Clock,
    configuration::{Configuration, ConfigurationError},
    fault::Fault,
    http::{
        cors,
        envelope::{Success, error_response, success_response},
        error::Error,
        guard::{self, Refusal},
    },
    logging,
    services::Services,
};
use futures_util::FutureExt;
use lambda_http::{
    Body, Request, RequestExt, Response,
    http::{HeaderValue, Method, header::STRICT_TRANSPORT_SECURITY},
    request::RequestContext,
    service_fn,
    tower::util::{MapFutureLayer, MapRequestLayer},
};
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Instant};

/// For a year no browser speaks to the host without TLS. It names no subdomains: the operator's may be others' than ours.
pub const STRICT_TRANSPORT: &str = "max-age=31536000";

pub trait Endpoint: 'static {
    /// The name of its function.
    const NAME: &'static str;

    /// The method by which pages of the deployment's allowed origins may call it, where they may.
    const BROWSER_METHOD: Option<&'static str> = None;

    /// Fetches what the first request will need, beyond what [`Services::warm_up`] fetches.
    fn warm_up(_services: &Services) -> impl Future<Output = Result<(), Fault>> + Send {
        async { Ok(()) }
    }

    /// Answers a request.
    fn handle(services: &Services, request: &Request) -> impl Future<Output = Result<Success, Error>> + Send;
}

/// Starts logging, makes what a function works with, and fetches what its first event will need before it comes.
///
/// # Errors
/// If a setting is missing.
pub async fn start() -> Result<Arc<Services>, ConfigurationError> {
    logging::start();
    let configuration = Configuration::from_env()?;
    let config = aws::config().load().await;
    let services = Services::new(
        &aws_sdk_dynamodb::Client::new(&config),
        &aws_sdk_secretsmanager::Client::new(&config),
        configuration,
        Clock::system(),
    );
    log_unready(services.warm_up().await);
    Ok(Arc::new(services))
}

fn log_unready(warm: Result<(), Fault>) {
    if let Err(fault) = warm {
        tracing::warn!(cause = %fault, "not ready yet; what failed is tried again when it is needed");
    }
}

/// Answers events until Lambda ends the process.
///
/// # Errors
/// If a setting is missing, or if the runtime cannot be reached.
pub async fn run<E: Endpoint>() -> Result<(), lambda_http::Error> {
    let services = start().await?;
    log_unready(E::warm_up(&services).await);
    let after_answer = Arc::clone(&services.after_answer);
    let runtime = lambda_http::runtime(service_fn(move |request: Request| {
        let services = Arc::clone(&services);
        async move {
            let mut response = answer::<E>(&services, &request).await;
            // Said here and not in `answer`: what Lambda runs is reached through TLS only, what `cargo run` runs is not.
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT));
            Ok::<_, Infallible>(response)
        }
    }));
    let finishing = MapFutureLayer::new(move |answering| Arc::clone(&after_answer).finish_after(answering));
    runtime.layer(MapRequestLayer::new(guard::invocation)).layer(finishing).run().await
}

/// Answers a request that went through the [guard](crate::http::guard), and writes one line about it to the log.
pub async fn answer<E: Endpoint>(services: &Services, request: &Request) -> Response<Body> {
    let started = Instant::now();
    let allowed_origin = services.configuration.allowed_origins.origin(request.headers());
    let page = E::BROWSER_METHOD.zip(allowed_origin);
    let handling = AssertUnwindSafe(handle::<E>(services, request, page.map(|(method, _)| method)));
    let handling = handling.catch_unwind().await;
    let result = handling.unwrap_or_else(|_| Err(Error::Internal("the function panicked".into())));
    let (mut response, error) = match result {
        Ok(response) => (response, None),
        Err(error) => (error_response(&error), Some(error)),
    };
    if let Some((_, origin)) = page {
        cors::share(response.headers_mut(), origin);
    }
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
    match &error {
        None => tracing::info!(function = E::NAME, request = id, route, status, milliseconds),
        Some(error) if status < 500 || matches!(error, Error::TooManyTokens { .. }) => {
            tracing::info!(function = E::NAME, request = id, route, status, milliseconds, %error, cause = error.cause());
        }
        Some(error) => {
            tracing::error!(function = E::NAME, request = id, route, status, milliseconds, %error, cause = error.cause());
        }
    }
    response
}

/// `browser_method` is there where the request comes from a page that may call the endpoint.
async fn handle<E: Endpoint>(
    services: &Services,
    request: &Request,
    browser_method: Option<&'static str>,
) -> Result<Response<Body>, Error> {
    if Refusal::of(request) == Some(Refusal::Event) {
        return Err(Error::BadRequest("The event is not an API Gateway proxy request."));
    }
    if request.method() == Method::OPTIONS {
        return browser_method.map(cors::preflight).ok_or(Error::NoSuchRoute);
    }
    credentials::check_repeated(request.headers())?;
    E::handle(services, request).await.map(|success| success_response(&success))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::StorefrontAccess;
    use aws_config::{BehaviorVersion, SdkConfig};

    struct Panics;

    impl Endpoint for Panics {
        const NAME: &'static str = "panics";
        const BROWSER_METHOD: Option<&'static str> = Some("GET");

        async fn handle(_: &Services, _: &Request) -> Result<Success, Error> {
            panic!("with a secret")
        }
    }

    fn services(allowed_origins: &str) -> Services {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::v2026_01_12()).build();
        let configuration = Configuration::local(StorefrontAccess::AuthToken);
        Services::new(
            &aws_sdk_dynamodb::Client::new(&config),
            &aws_sdk_secretsmanager::Client::new(&config),
            Configuration { allowed_origins: allowed_origins.parse().unwrap(), ..configuration },
            Clock::new(|| 0),
        )
    }

    #[tokio::test]
    async fn a_panic_is_answered_as_a_fault_of_ours_and_tells_nothing() {
        let response = answer::<Panics>(&services(""), &guard::request(b"{}").unwrap()).await;
        assert_eq!(response.status(), 500);
        assert_eq!(
            response.body().as_ref(),
            br#"{"code":500,"data":{"errMsg":"The request could not be completed because of an internal error."},"meta":{"message":"Internal Server Error"},"detail":"The request could not be completed because of an internal error."}"#
        );
    }

    #[tokio::test]
    async fn even_a_fault_of_ours_can_be_read_by_a_page_that_may_call() {
        let request = guard::request(br#"{"headers": {"Origin": "https://shop.example"}}"#).unwrap();
        for (allowed_origins, may_read) in
            [("https://shop.example", true), ("https://other.example", false), ("", false)]
        {
            let response = answer::<Panics>(&services(allowed_origins), &request).await;
            assert_eq!(response.status(), 500);
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header("Access-Control-Allow-Origin"), may_read.then_some("https://shop.example"));
            assert_eq!(header("Vary"), may_read.then_some("Origin"));
        }
    }
}
