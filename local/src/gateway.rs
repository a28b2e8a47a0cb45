//! What API Gateway does: an HTTP request becomes a REST-API proxy event, and the function's answer an HTTP response.

use crate::{
    protected_api,
    proxy_event::{new_request_id, proxy_event, request_id_header},
    recent_requests::{RecentRequest, RecentRequests, curl},
    server::Server,
};
use aws_config::SdkConfig;
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::Method,
    response::{IntoResponse, Response},
    routing::get,
};
use create_backend_token::CreateBackendToken;
use delete_backend_token::DeleteBackendToken;
use exchange_customer_jwt::ExchangeCustomerJwt;
use futures_util::{FutureExt, future::BoxFuture};
use http_body_util::LengthLimitError;
use introspect_token::IntrospectToken;
use issue_storefront_token::IssueStorefrontToken;
use lambda_http::Body as LambdaBody;
use list_backend_tokens::ListBackendTokens;
use login_customer::LoginCustomer;
use rotate_backend_token::RotateBackendToken;
use shared::{
    clock::Clock,
    configuration::Configuration,
    http::{cors, envelope::error_response, error::Error, guard},
    lambda::{Endpoint, answer},
    services::Services,
};
use std::{error::Error as StdError, io, sync::Arc, time::Instant};
use tokio::net::TcpListener;

/// Name of the API's stage, the first part of every path.
const STAGE: &str = "api";
/// What every resource lies under, and its alias.
pub const PREFIXES: [&str; 2] = ["/io", "/v3/io"];
/// Largest request body that API Gateway takes, in bytes.
const MAX_PAYLOAD_BYTES: usize = 10 * 1024 * 1024;

/// What leads to a function.
pub struct Route {
    /// The method.
    pub method: Method,
    /// What follows stage and prefix.
    pub path: &'static str,
    /// Name of the function that answers.
    pub function: &'static str,
    /// Whether pages may call it, and so the function gets `OPTIONS` too.
    pub is_for_browsers: bool,
    invoke: Invoke,
}

/// Gives a function an event, and what it works with.
type Invoke = for<'a> fn(&'a Services, &'a str) -> BoxFuture<'a, Response>;

/// All routes.
pub static ROUTES: [Route; 8] = [
    route::<CreateBackendToken>(Method::POST, "/auth/backend"),
    route::<DeleteBackendToken>(Method::DELETE, "/auth/backend"),
    route::<RotateBackendToken>(Method::POST, "/auth/backend/rotate"),
    route::<ListBackendTokens>(Method::GET, "/backend/tokens"),
    route::<ExchangeCustomerJwt>(Method::GET, "/auth/storefront"),
    route::<LoginCustomer>(Method::POST, "/auth/customers"),
    route::<IssueStorefrontToken>(Method::POST, "/auth/customers/storefront"),
    route::<IntrospectToken>(Method::POST, "/oauth/introspect"),
];

const fn route<E: Endpoint>(method: Method, path: &'static str) -> Route {
    Route {
        method,
        path,
        function: E::NAME,
        is_for_browsers: E::BROWSER_METHOD.is_some(),
        invoke: |services, event| invoke::<E>(services, event).boxed(),
    }
}

impl Route {
    fn leads_from(&self, method: &Method, path: &str) -> bool {
        self.path == path && (self.method == *method || self.is_for_browsers && *method == Method::OPTIONS)
    }
}

/// Answers an event as a deployed function does, once the runtime has handed it over.
async fn invoke<E: Endpoint>(services: &Services, event: &str) -> Response {
    let answer = match guard::request(event.as_bytes()) {
        Some(request) => answer::<E>(services, &request).await,
        None => error_response(&Error::BadRequest("The event is not JSON.")),
    };
    http_response(answer)
}

/// The functions, each with services of its own, as where each is a process: none waits for what another reads.
pub struct Functions {
    by_route: Vec<(&'static Route, Services)>,
    authorizer: Arc<Services>,
    recent_requests: Arc<RecentRequests>,
}

/// The API, and what the pages of the stack show of it.
pub struct Api {
    pub router: Router,
    pub authorizer: Arc<Services>,
    pub recent_requests: Arc<RecentRequests>,
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
    Server::start(listener, api(dynamodb, secrets, configuration, clock).router)
}

/// The API, with functions that use these clients.
#[must_use]
pub fn api(
    dynamodb: &aws_sdk_dynamodb::Client,
    secrets: &aws_sdk_secretsmanager::Client,
    configuration: &Configuration,
    clock: &Clock,
) -> Api {
    let functions = Functions::new(dynamodb, secrets, configuration, clock);
    let (authorizer, recent_requests) = (Arc::clone(&functions.authorizer), Arc::clone(&functions.recent_requests));
    let router = Router::new().route("/openapi.yaml", get(openapi)).fallback(serve).with_state(Arc::new(functions));
    Api { router: router.merge(protected_api::router(Arc::clone(&authorizer))), authorizer, recent_requests }
}

async fn openapi() -> impl IntoResponse {
    ([("Content-Type", "application/yaml"), ("X-Content-Type-Options", "nosniff")], include_str!("../../openapi.yaml"))
}

async fn serve(State(functions): State<Arc<Functions>>, request: Request) -> Response {
    let request_id = new_request_id();
    let answer = functions.serve(request, &request_id).await;
    (request_id_header(&request_id), answer.unwrap_or_else(|error| http_response(error_response(&error))))
        .into_response()
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
        let new = || Services::new(dynamodb, secrets, configuration.clone(), clock.clone());
        let authorizer = new();
        let services = || {
            let mut services = new();
            // Shared, so that a use which one has written is not written again by the next.
            services.auth.last_uses = Arc::clone(&authorizer.auth.last_uses);
            services
        };
        Self {
            by_route: ROUTES.iter().map(|route| (route, services())).collect(),
            authorizer: Arc::new(authorizer),
            recent_requests: Arc::default(),
        }
    }

    /// What the function of this name answers to an event, once all is done that it leaves to be done afterwards; none if there
    /// is none of this name.
    pub async fn invoke(&self, name: &str, event: &str) -> Option<Response> {
        let (route, services) = self.by_route.iter().find(|(route, _)| route.function == name)?;
        let answer = (route.invoke)(services, event).await;
        services.after_answer.finish().await;
        Some(answer)
    }

    async fn serve(&self, request: Request, request_id: &str) -> Result<Response, Error> {
        let (parts, body) = request.into_parts();
        let path = path_below_prefix(parts.uri.path()).ok_or(Error::NoSuchRoute)?;
        let function = self.by_route.iter().find(|(route, _)| route.leads_from(&parts.method, path));
        let (route, services) = function.ok_or(Error::NoSuchRoute)?;
        match read(body).await {
            Ok(body) => {
                let started = Instant::now();
                let event = proxy_event(&parts, &body, request_id, STAGE).to_string();
                let answer = (route.invoke)(services, &event).await;
                self.recent_requests.add(RecentRequest {
                    at: services.clock.now(),
                    method: parts.method.to_string(),
                    path: parts.uri.path().into(),
                    status: answer.status().as_u16(),
                    milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    curl: curl(&parts, &body),
                });
                // As a function does once its answer is sent.
                let after_answer = Arc::clone(&services.after_answer);
                tokio::spawn(async move { after_answer.finish().await });
                Ok(answer)
            }
            Err(error) => {
                let mut answer = http_response(error_response(&error));
                let origin = services.configuration.allowed_origins.origin(&parts.headers);
                if let Some(origin) = origin.filter(|_| route.is_for_browsers) {
                    cors::share(answer.headers_mut(), origin);
                }
                Ok(answer)
            }
        }
    }
}

async fn read(body: Body) -> Result<Bytes, Error> {
    to_bytes(body, MAX_PAYLOAD_BYTES).await.map_err(|error| {
        if error.source().is_some_and(<dyn StdError>::is::<LengthLimitError>) {
            Error::TooLarge("The body is larger than 10 MiB.")
        } else {
            Error::BadRequest("The body cannot be read.")
        }
    })
}

/// What follows the stage and a prefix, if the path starts with them.
#[must_use]
pub fn path_below_prefix(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?.strip_prefix(STAGE)?;
    PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix))
}

fn http_response(answer: lambda_http::Response<LambdaBody>) -> Response {
    answer.map(|body| match body {
        LambdaBody::Text(text) => Body::from(text),
        LambdaBody::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    })
}
