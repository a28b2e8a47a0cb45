//! What stands for BigCommerce: the calls that the functions make, answered as its documentation says (bigcommerce/docs at
//! commit 24f580c: `reference/customers.v3.yml`, `reference/storefront_tokens.v3.yml`,
//! `docs/start/authentication/graphql-storefront.mdx`, `docs/api-docs/getting-started/api-rate-limits.mdx`).

use crate::demo;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{AppendHeaders, Html, IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};
use shared::clock::Clock;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The scope of an API account that may do all with customers.
pub const CUSTOMERS: &str = "store_v2_customers";
/// The scope of an API account that may read customers.
pub const CUSTOMERS_READ_ONLY: &str = "store_v2_customers_read_only";
/// The scope of an API account that may make tokens for the GraphQL Storefront API.
pub const STOREFRONT_TOKENS: &str = "store_storefront_api";

/// How many calls a store may have in a window: the smaller plans' quota.
pub const QUOTA: u64 = 150;
/// Length of a window, in seconds.
pub const WINDOW: u64 = 30;

/// The channel that everybody may log in at unless told otherwise.
const DEFAULT_CHANNEL: u64 = 1;
/// The one query that is answered.
const QUERY: &str = "query { customer { entityId } }";
/// What a private token must have for it.
const CUSTOMER_SCOPE: &str = "Customer";
const PRIVATE_TOKEN_SCOPES: [&str; 3] = ["Unauthenticated", CUSTOMER_SCOPE, "B2B"];

/// The stores at BigCommerce; clones share them.
#[derive(Clone)]
pub struct BigCommerce {
    stores: Arc<Mutex<BTreeMap<String, Store>>>,
    clock: Clock,
}

/// A store at BigCommerce.
pub struct Store {
    /// Access token of its API account.
    pub access_token: String,
    /// What the API account may do.
    pub scopes: BTreeSet<&'static str>,
    /// By id.
    pub customers: BTreeMap<u64, Customer>,
    /// Its channels, each with whether customers of no particular channel may log in there; `None` where that is inherited.
    pub allow_global_logins: BTreeMap<u64, Option<bool>>,
    /// The customer access tokens that have not ended, each with its customer's id.
    pub customer_access_tokens: BTreeMap<String, u64>,
    private_tokens: BTreeMap<String, PrivateToken>,
    /// The calls of all apps in the window that began last.
    calls: u64,
    window: u64,
}

/// A customer at BigCommerce.
pub struct Customer {
    /// In the spelling of whoever wrote it.
    pub email: String,
    /// As typed.
    pub password: String,
    /// Where they may log in; `None` is at every channel that allows global logins.
    pub channel_ids: Option<Vec<u64>>,
}

struct PrivateToken {
    scopes: Vec<String>,
    expires_at: u64,
}

/// An answer other than 200.
struct Refusal {
    status: StatusCode,
    title: &'static str,
    errors: Map<String, Value>,
}

impl Refusal {
    fn new(status: StatusCode, title: &'static str) -> Self {
        Self { status, title, errors: Map::new() }
    }

    fn invalid(field: &str, problem: &str) -> Self {
        let errors = Map::from_iter([(field.to_owned(), problem.into())]);
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "JSON data is missing or invalid") }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let kind = "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes";
        let status = self.status;
        let body = json!({"status": status.as_u16(), "title": self.title, "type": kind, "errors": self.errors});
        (status, [("Content-Type", "application/problem+json")], body.to_string()).into_response()
    }
}

impl Store {
    /// With nobody and nothing in it but an API account that may do all that the functions need, and channels 1 and 2.
    #[must_use]
    pub fn new(access_token: &str) -> Self {
        Self {
            access_token: access_token.into(),
            scopes: BTreeSet::from([CUSTOMERS, STOREFRONT_TOKENS]),
            customers: BTreeMap::new(),
            allow_global_logins: BTreeMap::from([(DEFAULT_CHANNEL, None), (2, None)]),
            customer_access_tokens: BTreeMap::new(),
            private_tokens: BTreeMap::new(),
            calls: 0,
            window: 0,
        }
    }

    /// The store that the examples use.
    fn demo() -> Self {
        let customer = |email: &str, channel_ids| Customer {
            email: email.into(),
            password: demo::BUYER_PASSWORD.into(),
            channel_ids,
        };
        Self {
            customers: BTreeMap::from([
                (demo::BUYER_ID, customer(demo::BUYER_EMAIL, None)),
                (demo::CHANNEL_2_BUYER_ID, customer(demo::CHANNEL_2_BUYER_EMAIL, Some(vec![2]))),
            ]),
            customer_access_tokens: BTreeMap::from([(demo::BUYER_ACCESS_TOKEN.into(), demo::BUYER_ID)]),
            ..Self::new(demo::BIGCOMMERCE_ACCESS_TOKEN)
        }
    }

    /// Makes all private tokens void, as if the merchant had revoked them.
    pub fn revoke_private_tokens(&mut self) {
        self.private_tokens.clear();
    }

    /// Whether the customer may log in at the channel.
    fn lets_in(&self, customer: &Customer, channel: u64) -> bool {
        match (&customer.channel_ids, self.allow_global_logins.get(&channel)) {
            (Some(channels), _) => channels.contains(&channel),
            (None, Some(allowed)) => allowed.unwrap_or(channel == DEFAULT_CHANNEL),
            (None, None) => false,
        }
    }

    /// Counts calls, of this app or another; gives how many are left, or `None` where there were none left.
    fn count(&mut self, calls: u64, now: u64) -> Option<u64> {
        if self.window != now / WINDOW {
            (self.window, self.calls) = (now / WINDOW, 0);
        }
        if self.calls >= QUOTA {
            return None;
        }
        self.calls = QUOTA.min(self.calls + calls);
        Some(QUOTA - self.calls)
    }

    fn validate_credentials(&self, body: &Value) -> Result<Value, Refusal> {
        let text = |field: &str| {
            let value = body[field].as_str().filter(|value| !value.is_empty());
            value.ok_or_else(|| Refusal::invalid(field, "error.path.missing"))
        };
        let (email, password) = (text("email")?, text("password")?);
        let channel = match &body["channel_id"] {
            Value::Null => DEFAULT_CHANNEL,
            channel => channel.as_u64().ok_or_else(|| Refusal::invalid("channel_id", "error.expected.integer"))?,
        };
        let valid = self.customers.iter().find(|(_, customer)| {
            customer.email.eq_ignore_ascii_case(email)
                && customer.password == password
                && self.lets_in(customer, channel)
        });
        Ok(json!({"is_valid": valid.is_some(), "customer_id": valid.map(|(id, _)| id)}))
    }

    /// All customers, or those whose ids the query names.
    fn customers(&self, query: &str) -> Result<Value, Refusal> {
        let ids = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "id:in");
        let ids: Option<Vec<u64>> = match &ids {
            Some((_, ids)) => {
                let parsed = ids.split(',').map(str::parse).collect::<Result<_, _>>();
                Some(parsed.map_err(|_| Refusal::invalid("id:in", "must be integers, separated by commas"))?)
            }
            None => None,
        };
        let asked_for = |id: &u64| ids.as_ref().is_none_or(|ids| ids.contains(id));
        let found: Vec<_> = self.customers.iter().filter(|(id, _)| asked_for(id)).map(as_json).collect();
        let count = found.len();
        let pagination = json!({"total": count, "count": count, "per_page": 50, "current_page": 1, "total_pages": 1});
        Ok(json!({"data": found, "meta": {"pagination": pagination}}))
    }

    fn channel_settings(&self, channel: &str) -> Result<Value, Refusal> {
        let settings = channel.parse().ok().and_then(|channel| self.allow_global_logins.get(&channel));
        let allow_global_logins =
            settings.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "The channel does not exist"))?;
        let data = json!({
            "privacy_settings": {"ask_shopper_for_tracking_consent": null, "policy_url": null},
            "customer_group_settings": {"guest_customer_group_id": null, "default_customer_group_id": null},
            "allow_global_logins": allow_global_logins,
        });
        Ok(json!({"data": data, "meta": {}}))
    }

    fn create_private_token(&mut self, body: &Value) -> Result<Value, Refusal> {
        let channels = match (body["channel_id"].as_u64(), body["channel_ids"].as_array()) {
            (Some(channel), None) => Some(vec![Some(channel)]),
            (None, Some(channels)) => Some(channels.iter().map(Value::as_u64).collect()),
            _ => None,
        };
        let is_known = |channel: &Option<u64>| channel.is_some_and(|id| self.allow_global_logins.contains_key(&id));
        if !channels.is_some_and(|channels| !channels.is_empty() && channels.iter().all(is_known)) {
            return Err(Refusal::invalid("channel_ids", "must name channels of the store, or channel_id one"));
        }
        let expires_at = body["expires_at"].as_u64();
        let expires_at = expires_at.ok_or_else(|| Refusal::invalid("expires_at", "error.expected.integer"))?;
        let scopes: Option<Vec<String>> = body["scopes"].as_array().and_then(|scopes| {
            let scopes = scopes.iter().map(|scope| scope.as_str().filter(|scope| PRIVATE_TOKEN_SCOPES.contains(scope)));
            scopes.map(|scope| scope.map(str::to_owned)).collect()
        });
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        let scopes = scopes.ok_or_else(|| Refusal::invalid("scopes", "must be of Unauthenticated, Customer, B2B"))?;
        let token = format!("private-token-{:032x}", fastrand::u128(..));
        self.private_tokens.insert(token.clone(), PrivateToken { scopes, expires_at });
        Ok(json!({"data": {"token": token}, "meta": {}}))
    }

    /// The one query, of whoever's the customer access token is.
    fn graphql(&self, private_token: &PrivateToken, headers: &HeaderMap, body: &Value) -> Value {
        let query = body["query"].as_str().unwrap_or_default();
        if query.split_whitespace().ne(QUERY.split_whitespace()) {
            return json!({"errors": [{"message": "This stand-in knows another query alone."}]});
        }
        if !private_token.scopes.iter().any(|scope| scope == CUSTOMER_SCOPE) {
            let message = "The provided token does not include the scopes required to resolve this field.";
            let extensions = json!({"code": "INSUFFICIENT_ACCESS_SCOPE", "requiredScopes": [CUSTOMER_SCOPE]});
            let error = json!({"message": message, "path": ["customer"], "extensions": extensions});
            return json!({"data": null, "errors": [error]});
        }
        let Some(customer_access_token) = header(headers, "X-Bc-Customer-Access-Token") else {
            return json!({"data": {"customer": null}});
        };
        let id = self.customer_access_tokens.get(customer_access_token);
        match id.filter(|id| self.customers.contains_key(id)) {
            Some(id) => json!({"data": {"customer": {"entityId": id}}}),
            None if header(headers, "X-Bc-Error-On-Invalid-Customer-Access-Token") == Some("true") => {
                let extensions = json!({"code": "INVALID_CUSTOMER_ACCESS_TOKEN"});
                let error = json!({"message": "Invalid customer access token.", "extensions": extensions});
                json!({"data": null, "errors": [error]})
            }
            None => json!({"data": {"customer": null}}),
        }
    }
}

fn as_json((id, customer): (&u64, &Customer)) -> Value {
    json!({
        "id": id,
        "email": customer.email,
        "first_name": "Jane",
        "last_name": "Smith",
        "customer_group_id": 0,
        "origin_channel_id": DEFAULT_CHANNEL,
        "channel_ids": customer.channel_ids,
    })
}

impl BigCommerce {
    /// With the demo store alone.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let stores = BTreeMap::from([(demo::STORE.into(), Store::demo())]);
        Self { stores: Arc::new(Mutex::new(stores)), clock }
    }

    /// Adds the store.
    pub fn put_store(&self, store_hash: &str, store: Store) {
        self.stores().insert(store_hash.into(), store);
    }

    /// Changes the demo store.
    pub fn change(&self, change: impl FnOnce(&mut Store)) {
        if let Some(store) = self.stores().get_mut(demo::STORE) {
            change(store);
        }
    }

    /// As if the demo store's other apps had made so many calls just now.
    pub fn use_up(&self, calls: u64) {
        let now = self.clock.now();
        self.change(|store| _ = store.count(calls, now));
    }

    fn stores(&self) -> MutexGuard<'_, BTreeMap<String, Store>> {
        // A change that panicked has failed its test.
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The REST API below `/stores` and the GraphQL Storefront API of all stores at `/graphql`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/stores/{store}/v3/customers/validate-credentials", post(validate_credentials))
            .route("/stores/{store}/v3/customers", get(customers))
            .route("/stores/{store}/v3/customers/settings/channels/{channel}", get(channel_settings))
            .route("/stores/{store}/v3/storefront/api-token-private", post(create_private_token))
            .route("/graphql", post(graphql))
            .with_state(self.clone())
    }

    /// Answers a call of the REST API, if its caller has one of the scopes.
    fn rest(
        &self,
        store_hash: &str,
        headers: &HeaderMap,
        scopes: &[&str],
        answer: impl FnOnce(&mut Store) -> Result<Value, Refusal>,
    ) -> Response {
        let mut stores = self.stores();
        let Some(store) = stores.get_mut(store_hash) else {
            return (StatusCode::NOT_FOUND, Html("<html><body>Not found</body></html>")).into_response();
        };
        let now = self.clock.now();
        let left = store.count(1, now);
        let answer = if left.is_none() {
            Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests"))
        } else if header(headers, "X-Auth-Token") != Some(store.access_token.as_str()) {
            Err(Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized"))
        } else if !scopes.iter().any(|scope| store.scopes.contains(*scope)) {
            Err(Refusal::new(StatusCode::FORBIDDEN, "You don't have a required scope to access the endpoint"))
        } else {
            answer(store)
        };
        let seconds = WINDOW - now % WINDOW;
        let rate_limit = [
            ("X-Rate-Limit-Time-Window-Ms", (WINDOW * 1000).to_string()),
            ("X-Rate-Limit-Time-Reset-Ms", (seconds * 1000).to_string()),
            ("X-Rate-Limit-Requests-Quota", QUOTA.to_string()),
            ("X-Rate-Limit-Requests-Left", left.unwrap_or_default().to_string()),
        ];
        let retry_after = left.is_none().then(|| [("X-Retry-After", seconds.to_string())]);
        match answer {
            Ok(body) => (rate_limit, json_response(&body)).into_response(),
            Err(refusal) => (rate_limit, retry_after.map(AppendHeaders), refusal).into_response(),
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn json_response(body: &Value) -> Response {
    ([("Content-Type", "application/json")], body.to_string()).into_response()
}

/// The JSON of a request's body.
fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
    if header(headers, "Content-Type") != Some("application/json") {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type"));
    }
    serde_json::from_slice(body).map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "Input is invalid"))
}

async fn validate_credentials(
    State(bigcommerce): State<BigCommerce>,
    Path(store): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    bigcommerce.rest(&store, &headers, &[CUSTOMERS], |store| store.validate_credentials(&parse(&headers, &body)?))
}

async fn customers(
    State(bigcommerce): State<BigCommerce>,
    Path(store): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let query = uri.query().unwrap_or_default();
    bigcommerce.rest(&store, &headers, &[CUSTOMERS, CUSTOMERS_READ_ONLY], |store| store.customers(query))
}

async fn channel_settings(
    State(bigcommerce): State<BigCommerce>,
    Path((store, channel)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    bigcommerce.rest(&store, &headers, &[CUSTOMERS, CUSTOMERS_READ_ONLY], |store| store.channel_settings(&channel))
}

async fn create_private_token(
    State(bigcommerce): State<BigCommerce>,
    Path(store): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let create = |store: &mut Store| store.create_private_token(&parse(&headers, &body)?);
    bigcommerce.rest(&store, &headers, &[STOREFRONT_TOKENS], create)
}

/// The private token says which store it is: the real ones have a domain each.
async fn graphql(State(bigcommerce): State<BigCommerce>, headers: HeaderMap, body: Bytes) -> Response {
    let stores = bigcommerce.stores();
    let bearer = header(&headers, "Authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let found = stores.values().find_map(|store| Some((store, store.private_tokens.get(bearer)?)));
    match found.filter(|(_, token)| bigcommerce.clock.now() < token.expires_at) {
        None => Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized").into_response(),
        Some((store, private_token)) => match parse(&headers, &body) {
            Ok(body) => json_response(&store.graphql(private_token, &headers, &body)),
            Err(refusal) => refusal.into_response(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{self, Server};
    use reqwest::{RequestBuilder, StatusCode};
    use std::sync::atomic::{AtomicU64, Ordering};

    const NOW: u64 = 1_800_000_000;
    const BUYER: u64 = demo::BUYER_ID;

    /// The stand-in behind HTTP, with a clock that the test sets.
    struct Running {
        bigcommerce: BigCommerce,
        now: Arc<AtomicU64>,
        server: Server,
        http: reqwest::Client,
    }

    impl Running {
        async fn start() -> Self {
            let now = Arc::new(AtomicU64::new(NOW));
            let clock = Arc::clone(&now);
            let bigcommerce = BigCommerce::new(Clock::new(move || clock.load(Ordering::Relaxed)));
            let server = Server::start(server::bind(0, "").await.unwrap(), bigcommerce.router()).unwrap();
            Self { bigcommerce, now, server, http: reqwest::Client::new() }
        }

        fn call(&self, method: &str, store: &str, path: &str) -> RequestBuilder {
            let url = format!("{}/stores/{store}/v3{path}", self.server.url);
            self.http.request(method.parse().unwrap(), url).header("X-Auth-Token", demo::BIGCOMMERCE_ACCESS_TOKEN)
        }

        fn get(&self, path: &str) -> RequestBuilder {
            self.call("GET", demo::STORE, path)
        }

        fn post(&self, path: &str, body: &Value) -> RequestBuilder {
            self.call("POST", demo::STORE, path).json(body)
        }

        async fn is_valid(&self, email: &str, password: &str, channel: impl Into<Value>) -> Value {
            let body = json!({"email": email, "password": password, "channel_id": channel.into()});
            json(self.post("/customers/validate-credentials", &body)).await
        }

        async fn private_token(&self, scopes: &[&str], expires_at: u64) -> String {
            let body = json!({"channel_ids": [1], "expires_at": expires_at, "scopes": scopes});
            let answer = json(self.post("/storefront/api-token-private", &body)).await;
            answer["data"]["token"].as_str().unwrap().into()
        }

        fn graphql(&self, private_token: &str, query: &str) -> RequestBuilder {
            let request = self.http.post(format!("{}/graphql", self.server.url)).bearer_auth(private_token);
            request.json(&json!({"query": query}))
        }

        /// What the one query answers, and the code of its error.
        async fn who(&self, private_token: &str, customer_access_token: &str, errors: &str) -> (Value, Value) {
            let request = self.graphql(private_token, QUERY);
            let request = request.header("X-Bc-Customer-Access-Token", customer_access_token);
            let answer = json(request.header("X-Bc-Error-On-Invalid-Customer-Access-Token", errors)).await;
            (answer["data"].clone(), answer["errors"][0]["extensions"]["code"].clone())
        }
    }

    async fn json(request: RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn status(request: RequestBuilder) -> StatusCode {
        request.send().await.unwrap().status()
    }

    #[tokio::test]
    async fn credentials_are_valid_where_the_customer_may_log_in() {
        let running = Running::start().await;
        let (good, outlet) = (demo::BUYER_PASSWORD, demo::CHANNEL_2_BUYER_ID);
        let capitals = demo::BUYER_EMAIL.to_uppercase();
        for (email, password, channel, customer_id) in [
            (demo::BUYER_EMAIL, good, json!(1), Some(BUYER)),
            (&capitals, good, json!(1), Some(BUYER)),
            (demo::BUYER_EMAIL, good, Value::Null, Some(BUYER)),
            (demo::BUYER_EMAIL, "wrong", json!(1), None),
            ("nobody@example.com", good, json!(1), None),
            (demo::BUYER_EMAIL, good, json!(2), None),
            (demo::BUYER_EMAIL, good, json!(3), None),
            (demo::CHANNEL_2_BUYER_EMAIL, good, json!(2), Some(outlet)),
            (demo::CHANNEL_2_BUYER_EMAIL, good, json!(1), None),
        ] {
            let expected = json!({"is_valid": customer_id.is_some(), "customer_id": customer_id});
            assert_eq!(running.is_valid(email, password, channel.clone()).await, expected, "{email} {channel}");
        }
        for allowed in [true, false] {
            let everywhere = BTreeMap::from([(1, Some(allowed)), (2, Some(allowed))]);
            running.bigcommerce.change(|store| store.allow_global_logins = everywhere);
            for channel in [1, 2] {
                let answer = running.is_valid(demo::BUYER_EMAIL, good, channel).await;
                assert_eq!(answer["is_valid"], allowed, "{channel}");
            }
        }
        running.bigcommerce.change(|store| _ = store.customers.remove(&outlet));
        assert_eq!(running.is_valid(demo::CHANNEL_2_BUYER_EMAIL, good, 2).await["is_valid"], false);
    }

    #[tokio::test]
    async fn customers_are_found_by_id() {
        let running = Running::start().await;
        for (query, ids) in [
            ("?id:in=313", vec![313]),
            ("?id%3Ain=313", vec![313]),
            ("?id:in=314,313,1", vec![313, 314]),
            ("?id:in=1", vec![]),
            ("", vec![313, 314]),
        ] {
            let answer = json(running.get(&format!("/customers{query}"))).await;
            let found: Vec<_> = answer["data"].as_array().unwrap().iter().map(|entry| &entry["id"]).collect();
            assert_eq!(found, ids, "{query}");
            assert_eq!(answer["meta"]["pagination"]["total"], ids.len(), "{query}");
        }
        let answer = json(running.get("/customers?id:in=313,314")).await;
        assert_eq!(answer["data"][0]["email"], demo::BUYER_EMAIL);
        assert_eq!(answer["data"][0]["channel_ids"], Value::Null);
        assert_eq!(answer["data"][1]["channel_ids"], json!([2]));
    }

    #[tokio::test]
    async fn a_channel_says_whether_it_allows_global_logins() {
        let running = Running::start().await;
        let settings = || json(running.get("/customers/settings/channels/2"));
        assert_eq!(settings().await["data"]["allow_global_logins"], Value::Null);
        for allowed in [true, false] {
            running.bigcommerce.change(|store| _ = store.allow_global_logins.insert(2, Some(allowed)));
            assert_eq!(settings().await["data"]["allow_global_logins"], allowed);
        }
    }

    #[tokio::test]
    async fn requests_that_make_no_sense_are_refused() {
        let running = Running::start().await;
        let credentials = json!({"email": "a@example.com", "password": "p", "channel_id": 1});
        let token = json!({"channel_ids": [1, 2], "expires_at": NOW, "scopes": ["Customer"]});
        let (validate, make) = ("/customers/validate-credentials", "/storefront/api-token-private");
        for (path, good, field, value) in [
            (validate, &credentials, "email", Value::Null),
            (validate, &credentials, "password", Value::Null),
            (validate, &credentials, "password", json!("")),
            (validate, &credentials, "channel_id", json!("1")),
            (make, &token, "channel_ids", Value::Null),
            (make, &token, "channel_ids", json!([])),
            (make, &token, "channel_ids", json!([3])),
            (make, &token, "channel_id", json!(1)),
            (make, &token, "expires_at", Value::Null),
            (make, &token, "expires_at", json!("1800000000")),
            (make, &token, "scopes", Value::Null),
            (make, &token, "scopes", json!([])),
            (make, &token, "scopes", json!(["Anything"])),
        ] {
            assert_eq!(status(running.post(path, good)).await, 200, "{path}");
            let mut body = good.clone();
            body[field] = value;
            let answer = running.post(path, &body).send().await.unwrap();
            assert_eq!(answer.status(), 422, "{body}");
            let answer: Value = answer.json().await.unwrap();
            assert_eq!((&answer["status"], answer["errors"].as_object().unwrap().len()), (&json!(422), 1), "{body}");
        }
        for path in [validate, make] {
            let request = || running.call("POST", demo::STORE, path);
            assert_eq!(status(request().body("{}")).await, 415, "{path}");
            assert_eq!(status(request().header("Content-Type", "application/json").body("{")).await, 400, "{path}");
        }
        assert_eq!(status(running.get("/customers?id:in=all")).await, 422);
        assert_eq!(status(running.get("/customers/settings/channels/3")).await, 404);
    }

    #[tokio::test]
    async fn only_the_stores_own_api_account_with_the_scope_is_answered() {
        let running = Running::start().await;
        running.bigcommerce.put_store("other", Store::new("other-access-token"));
        let credentials = json!({"email": "a@example.com", "password": "p"});
        let token = json!({"channel_id": 1, "expires_at": NOW, "scopes": ["Customer"]});
        let (reading, customers) = ([CUSTOMERS, CUSTOMERS_READ_ONLY].as_slice(), [CUSTOMERS].as_slice());
        for (method, path, body, scopes) in [
            ("POST", "/customers/validate-credentials", credentials, customers),
            ("GET", "/customers", Value::Null, reading),
            ("GET", "/customers/settings/channels/1", Value::Null, reading),
            ("POST", "/storefront/api-token-private", token, &[STOREFRONT_TOKENS]),
        ] {
            let call = |store| status(running.call(method, store, path).json(&body));
            for granted in [CUSTOMERS, CUSTOMERS_READ_ONLY, STOREFRONT_TOKENS] {
                running.bigcommerce.change(|store| store.scopes = BTreeSet::from([granted]));
                let expected = if scopes.contains(&granted) { 200 } else { 403 };
                assert_eq!(call(demo::STORE).await, expected, "{path} {granted}");
            }
            assert_eq!(call("other").await, 401, "{path}");
            assert_eq!(call("nostore").await, 404, "{path}");
            running.bigcommerce.change(|store| store.access_token = "another".into());
            assert_eq!(call(demo::STORE).await, 401, "{path}");
            running.bigcommerce.change(|store| store.access_token = demo::BIGCOMMERCE_ACCESS_TOKEN.into());
        }
    }

    #[tokio::test]
    async fn a_store_has_its_quota_in_each_window() {
        let running = Running::start().await;
        running.now.store(NOW + 10, Ordering::Relaxed);
        let call = async || {
            let answer = running.get("/customers").send().await.unwrap();
            let number = |name: &str| Some(answer.headers().get(name)?.to_str().unwrap().parse::<u64>().unwrap());
            assert_eq!(number("X-Rate-Limit-Requests-Quota"), Some(150));
            assert_eq!(number("X-Rate-Limit-Time-Window-Ms"), Some(30_000));
            let reset = number("X-Rate-Limit-Time-Reset-Ms").unwrap();
            (answer.status().as_u16(), number("X-Rate-Limit-Requests-Left").unwrap(), reset, number("X-Retry-After"))
        };
        assert_eq!(call().await, (200, 149, 20_000, None));
        running.bigcommerce.use_up(147);
        assert_eq!(call().await, (200, 1, 20_000, None));
        assert_eq!(call().await, (200, 0, 20_000, None));
        running.now.store(NOW + 29, Ordering::Relaxed);
        assert_eq!(call().await, (429, 0, 1_000, Some(1)));
        running.now.store(NOW + 30, Ordering::Relaxed);
        assert_eq!(call().await, (200, 149, 30_000, None));
        // The next call comes to what others have left.
        running.bigcommerce.use_up(1000);
        assert_eq!(call().await, (429, 0, 30_000, Some(30)));
    }

    #[tokio::test]
    async fn a_customer_access_token_says_whose_it_is_until_it_ends() {
        let running = Running::start().await;
        let token = running.private_token(&[CUSTOMER_SCOPE], NOW + 60).await;
        let dead = |code: &str| (Value::Null, json!(code));
        let buyer = (json!({"customer": {"entityId": BUYER}}), Value::Null);
        let nobody = (json!({"customer": null}), Value::Null);
        assert_eq!(running.who(&token, demo::BUYER_ACCESS_TOKEN, "true").await, buyer);
        assert_eq!(running.who(&token, demo::BUYER_ACCESS_TOKEN, "false").await, buyer);
        assert_eq!(running.who(&token, "made up", "true").await, dead("INVALID_CUSTOMER_ACCESS_TOKEN"));
        assert_eq!(running.who(&token, "made up", "false").await, nobody);
        assert_eq!(json(running.graphql(&token, QUERY)).await, json!({"data": {"customer": null}}));
        let unscoped = running.private_token(&["Unauthenticated", "B2B"], NOW + 60).await;
        let answer = running.who(&unscoped, demo::BUYER_ACCESS_TOKEN, "true").await;
        assert_eq!(answer, dead("INSUFFICIENT_ACCESS_SCOPE"));
        let another = json(running.graphql(&token, "query { site { settings { storeName } } }")).await;
        assert_eq!(another["errors"].as_array().unwrap().len(), 1);
        running.bigcommerce.change(|store| _ = store.customers.remove(&BUYER));
        let answer = running.who(&token, demo::BUYER_ACCESS_TOKEN, "true").await;
        assert_eq!(answer, dead("INVALID_CUSTOMER_ACCESS_TOKEN"));
    }

    #[tokio::test]
    async fn a_session_ends() {
        let running = Running::start().await;
        let token = running.private_token(&[CUSTOMER_SCOPE], NOW + 60).await;
        running.bigcommerce.change(|store| store.customer_access_tokens.clear());
        let answer = running.who(&token, demo::BUYER_ACCESS_TOKEN, "true").await;
        assert_eq!(answer, (Value::Null, json!("INVALID_CUSTOMER_ACCESS_TOKEN")));
    }

    #[tokio::test]
    async fn a_private_token_is_good_for_its_store_until_it_expires() {
        let running = Running::start().await;
        let token = running.private_token(&[CUSTOMER_SCOPE], NOW + 60).await;
        assert_eq!(status(running.graphql(&token, QUERY)).await, 200);
        assert_eq!(status(running.graphql(demo::BIGCOMMERCE_ACCESS_TOKEN, QUERY)).await, 401);
        let without = running.http.post(format!("{}/graphql", running.server.url)).json(&json!({"query": QUERY}));
        assert_eq!(status(without).await, 401);
        running.now.store(NOW + 60, Ordering::Relaxed);
        assert_eq!(status(running.graphql(&token, QUERY)).await, 401);
        running.bigcommerce.put_store("other", Store::new(demo::BIGCOMMERCE_ACCESS_TOKEN));
        let body = json!({"channel_id": 1, "expires_at": NOW + 90, "scopes": [CUSTOMER_SCOPE]});
        let others = json(running.call("POST", "other", "/storefront/api-token-private").json(&body)).await;
        let (_, code) = running.who(others["data"]["token"].as_str().unwrap(), demo::BUYER_ACCESS_TOKEN, "true").await;
        assert_eq!(code, "INVALID_CUSTOMER_ACCESS_TOKEN");
    }
}
