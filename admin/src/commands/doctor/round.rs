//! A login and a token, from end to end, in a store that is made for it.

use super::Finding;
use crate::{
    Tool,
    audit::{Change, DONE, IN_DOUBT},
    commands::store,
    failure::{Failure, Kind},
    password,
};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::{
    auth::access_token,
    keys::keyring::MIN_KEY_BYTES,
    tables::directory::{ApiAccount, BackendUser, Customer, CustomerLogin, Role, Scope, Store},
};
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

/// The name of this check.
pub const ROUND: &str = "round";
/// The store that the round is made in. One name for all: what is left of an interrupted one is found again.
pub const DOCTORS_STORE: &str = "b2b-auth-doctor";
/// Seconds that a round may last; an older store is left over.
const LONGEST: u64 = 900;
const EMAIL: &str = "doctor@b2b-auth.invalid";
const CUSTOMER_ID: u64 = 1;
/// How long an answer may take: more than API Gateway waits for a function.
const PATIENCE: Duration = Duration::from_secs(35);

/// The app whose current-customer JWTs are exchanged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    client_id: String,
    client_secret: String,
}

/// The app, if the secret holds one.
pub fn app(secret: &str) -> Option<App> {
    let app: App = serde_json::from_str(secret).ok()?;
    (!app.client_id.is_empty() && app.client_secret.len() >= MIN_KEY_BYTES).then_some(app)
}

/// A call of the API.
pub struct Request {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None }
    }

    fn post(path: &str, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), headers: Vec::new(), body: Some(body) }
    }

    fn token(mut self, token: &str) -> Self {
        self.headers.push(("authToken", token.into()));
        self
    }
}

/// What came of a call.
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// The API's clock, in Unix seconds.
    pub date: Option<u64>,
}

/// Calls the API.
///
/// # Errors
/// Why there is no answer.
pub async fn call(tool: &Tool, request: Request) -> Result<Answer, String> {
    let described = |error: reqwest::Error| {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        text
    };
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(described)?;
    let mut builder = client.request(request.method, format!("{}{}", tool.stack.api_url, request.path));
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    if let Some(body) = request.body {
        builder = builder.json(&body);
    }
    let response = builder.send().await.map_err(described)?;
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
    let date = date.and_then(|date| u64::try_from(date.unix_timestamp()).ok());
    let status = response.status().as_u16();
    let text = response.text().await.map_err(described)?;
    Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), date })
}

/// What to do about an answer that should have been another.
pub fn wrong_answer(tool: &Tool, check: &str, called: &str, expected: u16, answer: &Answer) -> Finding {
    let function = called.split(',').next().unwrap_or_default();
    let said = answer.body["detail"].as_str().or(answer.body["message"].as_str()).unwrap_or("nothing of this API's");
    let says = format!("{called}: {} instead of {expected}; it said: {said}", answer.status);
    let log_group = format!("/aws/lambda/{}-{function}", tool.stack.name.split(' ').next().unwrap_or_default());
    let mend = match answer.status {
        500 => format!(
            "The log group {log_group} has the cause; look for \"level\":\"ERROR\". Mostly a permission, table or secret is \
             missing: deploy again with `sam deploy`."
        ),
        502 | 504 => format!("The function did not start or end. The log group {log_group} says why."),
        503 => {
            format!("DynamoDB or Secrets Manager did not answer the function. The log group {log_group} has the cause.")
        }
        429 => "The throttle of the API, or the login attempts, refused it. Try again in 15 minutes.".into(),
        403 | 404 => {
            "This is not the API of the stack, or its routes are not deployed. Check --api-url, or deploy again.".into()
        }
        _ => {
            format!("The functions and the data do not fit together. Deploy again; then see the log group {log_group}.")
        }
    };
    Finding::bad(check, says, mend)
}

/// Makes the round, and takes away what it has made.
pub async fn make(tool: &Tool) -> Vec<Finding> {
    match begin(tool).await {
        Ok(true) => {}
        Ok(false) => {
            let mend = "Try again in 15 minutes; what is left over then is removed.";
            return vec![Finding::doubtful(ROUND, "Another doctor is at work, or was interrupted.", mend)];
        }
        Err(failure) => return vec![Finding::failed(ROUND, &failure)],
    }
    let mut findings = match prepare(tool).await {
        Ok(credentials) => steps(tool, &credentials).await,
        Err(failure) => vec![Finding::failed(ROUND, &failure)],
    };
    let erased = store::erase(tool, DOCTORS_STORE).await;
    let result = if erased.is_ok() { DONE } else { IN_DOUBT };
    let details = json!({"then": "removed"});
    tool.note(Change { action: "doctor", store: Some(DOCTORS_STORE), details }, result).await;
    if let Err(failure) = erased {
        let mend = format!("{failure} Then `b2b-auth store remove {DOCTORS_STORE}`.");
        findings.push(Finding::doubtful(ROUND, "The store made for it is left over.", mend));
    }
    findings
}

/// Makes the store. Gives false if another doctor has.
async fn begin(tool: &Tool) -> Result<bool, Failure> {
    let now = tool.stack.services.clock.now();
    if let Some(store) = tool.stack.services.directory.store(DOCTORS_STORE).await? {
        if store.created_at + LONGEST > now {
            return Ok(false);
        }
        store::erase(tool, DOCTORS_STORE).await?;
    }
    tool.stack.add_store(DOCTORS_STORE, &Store { channels: vec![1], created_at: now }).await
}

/// What the round calls with.
struct Credentials {
    password: SecretString,
    access_token: SecretString,
}

async fn prepare(tool: &Tool) -> Result<Credentials, Failure> {
    // What an interrupted removal has left.
    store::empty(tool, DOCTORS_STORE).await?;
    let no_random = |error| Failure::new(Kind::Fault, format!("This machine gives no random bytes: {error}"));
    let (password, access_token) =
        (access_token::generate().map_err(no_random)?, access_token::generate().map_err(no_random)?);
    let password_hash = password::hash(password.clone()).await?;
    let role = Role::Administrator;
    let user = BackendUser { email: EMAIL.into(), password_hash: password_hash.clone(), role, active: true };
    tool.stack.add_user(DOCTORS_STORE, &user).await?;
    let customer = Customer {
        customer_id: CUSTOMER_ID,
        email: EMAIL.into(),
        channels: vec![1],
        active: true,
        tokens_valid_after: None,
    };
    tool.stack.add_customer(DOCTORS_STORE, &CustomerLogin { customer, password_hash }).await?;
    let sha256 = access_token::sha256(access_token.expose_secret()).unwrap_or_default();
    let account = ApiAccount { name: "doctor".into(), scope: Scope::Read, created_at: tool.stack.services.clock.now() };
    tool.stack.add_api_account(DOCTORS_STORE, &sha256, &account).await?;
    Ok(Credentials { password, access_token })
}

/// The first step that goes wrong, or that all went well.
async fn steps(tool: &Tool, Credentials { password, access_token }: &Credentials) -> Vec<Finding> {
    let login =
        json!({"storeHash": DOCTORS_STORE, "email": EMAIL, "password": password.expose_secret(), "name": "doctor"});
    let created = call(tool, Request::post("/auth/backend", login.clone())).await;
    let token = match created {
        Err(problem) => return vec![unanswered(&problem)],
        Ok(answer) if answer.status != 200 => {
            return vec![wrong_answer(tool, ROUND, "create-backend-token, the right password", 200, &answer)];
        }
        Ok(answer) => answer.body["data"][0]["token"].as_str().unwrap_or_default().to_owned(),
    };
    let mut customer_login = login;
    customer_login["channelId"] = json!(1);
    let list = || Request::get("/backend/tokens");
    let mut with_access_token = list();
    with_access_token.headers =
        vec![("X-Auth-Token", access_token.expose_secret().into()), ("X-Store-Hash", DOCTORS_STORE.into())];
    let mut delete = Request::post("/auth/backend", json!({"id": own_id(&token)})).token(&token);
    delete.method = Method::DELETE;
    let mut steps = vec![
        ("list-backend-tokens, a good token", 200, list().token(&token)),
        ("list-backend-tokens, a good access token", 200, with_access_token),
        ("login-customer, the right password", 200, Request::post("/auth/customers", customer_login).token(&token)),
        (
            "issue-storefront-token, a customer of the store",
            200,
            Request::post("/auth/customers/storefront", json!({"customerId": CUSTOMER_ID})).token(&token),
        ),
    ];
    if let Some(jwt) = current_customer_jwt(tool).await {
        let path = format!("/auth/storefront?jwtToken={jwt}");
        steps.push(("exchange-customer-jwt, a good JWT", 200, Request::get(path).token(&token)));
    }
    steps.push(("delete-backend-token, its own token", 200, delete));
    steps.push(("list-backend-tokens, a deleted token", 401, list().token(&token)));
    let count = steps.len() + 1;
    for (called, expected, request) in steps {
        match call(tool, request).await {
            Err(problem) => return vec![unanswered(&problem)],
            Ok(answer) if answer.status != expected => {
                return vec![wrong_answer(tool, ROUND, called, expected, &answer)];
            }
            Ok(_) => {}
        }
    }
    vec![Finding::good(
        ROUND,
        format!("{count} calls of the API, from a login to a deleted token, went as they should."),
    )]
}

fn unanswered(problem: &str) -> Finding {
    Finding::bad(ROUND, format!("The API did not answer: {problem}."), "Check the network, and --api-url.")
}

/// The id in a token that was just issued.
fn own_id(token: &str) -> u64 {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).map(|decoded| decoded.claims);
    claims.ok().and_then(|claims| claims["jti"].as_str()?.parse().ok()).unwrap_or(0)
}

/// A current-customer JWT, as the platform makes them; none if the app is not set.
async fn current_customer_jwt(tool: &Tool) -> Option<String> {
    let secret = super::secret_text(tool, &tool.stack.configuration().app_secret_id).await.ok()?;
    let app = app(&secret)?;
    let now = tool.stack.services.clock.now();
    let claims = json!({
        "customer": {"id": CUSTOMER_ID, "email": EMAIL, "group_id": "1"},
        "iss": "bc/apps",
        "sub": DOCTORS_STORE,
        "store_hash": DOCTORS_STORE,
        "aud": app.client_id,
        "operation": "current_customer",
        "iat": now,
        "exp": now + LONGEST,
    });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(app.client_secret.as_bytes())).ok()
}
