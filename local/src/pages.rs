//! Pages for whoever runs the stack on a laptop: a console at `/`, and the API's reference at `/docs`. No deployed function has
//! them, and nothing of them comes from the network.

use crate::{demo, recent_requests::RecentRequests};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use shared::{auth::denial::Denial, configuration::StorefrontAccess, services::Services, tables::reads::together};
use std::{net::IpAddr, sync::Arc};

/// Nothing but what the stack serves itself. The reference sets styles of elements.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'";

/// What the pages need of the stack.
pub struct Pages {
    pub services: Arc<Services>,
    pub recent_requests: Arc<RecentRequests>,
    /// Where DynamoDB and Secrets Manager are.
    pub aws_url: String,
    /// What stands for BigCommerce, where it does.
    pub bigcommerce_url: Option<String>,
}

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", include_str!("../pages/console.html")) }))
        .route("/console.css", get(|| async { file("text/css", include_str!("../pages/console.css")) }))
        .route("/console.js", get(|| async { file("text/javascript", include_str!("../pages/console.js")) }))
        .route("/console/stack", get(stack))
        .route("/console/requests", get(requests))
        .route("/console/token", post(token))
        .route("/docs", get(|| async { file("text/html; charset=utf-8", include_str!("../pages/docs.html")) }))
        .route("/docs.js", get(|| async { file("text/javascript", include_str!("../pages/docs.js")) }))
        .route("/scalar.js", get(scalar))
        .route_layer(from_fn(of_this_machine))
        .with_state(Arc::new(pages))
}

/// Refuses a page of another site that had its name point to this machine: it would read the demo's credentials, and a developer's.
async fn of_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    if name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "Open this page as http://127.0.0.1, with the port.\n").into_response()
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    served(content_type, text.as_bytes().to_vec())
}

fn served(content_type: &'static str, bytes: Vec<u8>) -> Response {
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, bytes).into_response()
}

async fn scalar() -> Response {
    scalar_api_reference::get_asset("scalar.js")
        .map_or_else(|| StatusCode::NOT_FOUND.into_response(), |script| served("text/javascript", script))
}

/// What is running, and the demo data that it began with.
async fn stack(State(pages): State<Arc<Pages>>) -> Response {
    let admin = |email| json!({"email": email, "password": demo::ADMIN_PASSWORD});
    let buyer = |id, email| json!({"id": id, "email": email, "password": demo::BUYER_PASSWORD});
    json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "awsUrl": pages.aws_url,
        "bigcommerceUrl": pages.bigcommerce_url,
        "storefrontIsPublic": pages.services.configuration.storefront_access == StorefrontAccess::Public,
        "stores": [
            {
                "storeHash": demo::STORE,
                "administrator": admin(demo::ADMIN_EMAIL),
                "customer": buyer(demo::BUYER_ID, demo::BUYER_EMAIL),
            },
            {
                "storeHash": demo::OTHER_STORE,
                "administrator": admin(demo::OTHER_ADMIN_EMAIL),
                "customer": buyer(demo::OTHER_BUYER_ID, demo::OTHER_BUYER_EMAIL),
            },
        ],
        "app": {"clientId": demo::APP_CLIENT_ID, "clientSecret": demo::APP_CLIENT_SECRET},
        "token": demo::token(),
        "jwt": demo::current_customer_jwt(pages.services.clock.now()),
    }))
}

async fn requests(State(pages): State<Arc<Pages>>) -> Response {
    json(&json!(pages.recent_requests.all()))
}

/// What a token says, and whether it is good now, and if not, why: more than introspection tells anybody.
async fn token(State(pages): State<Arc<Pages>>, token: String) -> Response {
    let auth = &pages.services.auth;
    let token = token.trim();
    let signed = auth.signed_claims(token).await.ok().map(|(kid, claims)| json!({"key": kid, "claims": claims}));
    let problem = match auth.genuine_token(token).await {
        Ok(genuine) => match together(auth.standing(&genuine)).await {
            Ok(standing) => standing.err().map(Into::into),
            Err(fault) => Some(fault.to_string()),
        },
        Err(Denial::Invalid(problem)) => Some(problem.into()),
        Err(Denial::Fault(fault)) => Some(fault.to_string()),
        Err(_) => Some("it may not be used for this".into()),
    };
    json(&json!({"signed": signed, "good": problem.is_none(), "problem": problem}))
}

fn json(value: &Value) -> Response {
    served("application/json", value.to_string().into_bytes())
}
