//! A login and a token, from end to end, in a store that is made for it.

use super::{
    api::{Request, call, wrong_answer},
    finding::Finding,
    secrets,
};
use crate::{
    audit::Change,
    failure::{Failure, Kind},
    tool::{Tool, added},
};
use accounts::{Addition, passwords::Hashing};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::{
    auth::access_token,
    tables::directory::{ApiAccount, BackendUser, Customer, CustomerLogin, Role, Scope},
};

/// The name of this check.
pub const ROUND: &str = "round";
/// The store that the round is made in. One name for all: what is left of an interrupted one is found again.
pub const DOCTORS_STORE: &str = "b2b-auth-doctor";
/// Seconds that a round may last; an older store is left over.
const LONGEST: u64 = 900;
const EMAIL: &str = "doctor@b2b-auth.invalid";
const CUSTOMER_ID: u64 = 1;
const CHANNEL: u64 = 1;

/// Makes the round, and takes away what it has made, also where a signal has come meanwhile.
pub async fn make(tool: &Tool) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let change = Change { action: "doctor", store: Some(DOCTORS_STORE), details: json!({"then": "removed"}) };
    let outcome = tool.record(change, async |_| {
        if !begin(tool).await? {
            let mend = "Try again in 15 minutes; what is left over then is removed.";
            findings.push(Finding::doubtful(ROUND, "Another doctor is at work, or was interrupted.", mend));
            return Err(Failure::new(Kind::Conflict, "Another doctor is at work."));
        }
        match prepare(tool).await {
            Ok(credentials) => findings.extend(steps(tool, &credentials).await),
            Err(failure) => findings.push(Finding::failed(ROUND, &failure)),
        }
        tool.stack.accounts.erase_store(DOCTORS_STORE).await.map_err(|fault| {
            let failure = Failure::from(fault);
            let mend = format!("{failure} Then `b2b-auth store remove {DOCTORS_STORE}`.");
            findings.push(Finding::doubtful(ROUND, "The store made for it is left over.", mend));
            failure
        })
    });
    match outcome.await {
        Err(failure) if matches!(failure.kind, Kind::Unwritable | Kind::Interrupted) => return Err(failure),
        Err(failure) if findings.is_empty() => findings.push(Finding::failed(ROUND, &failure)),
        _ => {}
    }
    Ok(findings)
}

/// Makes the store. Gives false if another doctor has.
async fn begin(tool: &Tool) -> Result<bool, Failure> {
    let accounts = &tool.stack.accounts;
    if let Some(store) = tool.stack.services.directory.store(DOCTORS_STORE).await? {
        if store.created_at + LONGEST > tool.stack.services.clock.now() {
            return Ok(false);
        }
        accounts.erase_store(DOCTORS_STORE).await?;
    }
    Ok(accounts.add_store(DOCTORS_STORE, vec![CHANNEL]).await? == Addition::Added)
}

/// What the round calls with.
struct Credentials {
    password: SecretString,
    access_token: SecretString,
}

async fn prepare(tool: &Tool) -> Result<Credentials, Failure> {
    let accounts = &tool.stack.accounts;
    // What an interrupted removal has left.
    accounts.empty_store(DOCTORS_STORE).await?;
    let new_secret = || access_token::generate().map_err(Failure::no_random_bytes);
    let (password, access_token) = (new_secret()?, new_secret()?);
    let password_hash = Hashing::default().hash(password.clone()).await?;
    let user = BackendUser {
        email: EMAIL.into(),
        password_hash: password_hash.clone(),
        role: Role::Administrator,
        active: true,
    };
    let customer = Customer {
        customer_id: CUSTOMER_ID,
        email: EMAIL.into(),
        channels: vec![CHANNEL],
        active: true,
        tokens_valid_after: None,
    };
    let customer = CustomerLogin { customer, password_hash };
    let sha256 = access_token::sha256(access_token.expose_secret()).unwrap_or_default();
    let account = ApiAccount { name: "doctor".into(), scope: Scope::Read, created_at: tool.stack.services.clock.now() };
    for addition in [
        accounts.add_user(DOCTORS_STORE, &user).await?,
        accounts.add_customer(DOCTORS_STORE, &customer).await?,
        accounts.add_api_account(DOCTORS_STORE, &sha256, &account).await?,
    ] {
        added(addition, DOCTORS_STORE, |_| Failure::new(Kind::Conflict, "Another doctor is at work."))?;
    }
    Ok(Credentials { password, access_token })
}

/// A call of the round: what is called, what it must answer, and the call.
type Step = (&'static str, u16, Request);

/// The first step that goes wrong, or that all went well.
async fn steps(tool: &Tool, credentials: &Credentials) -> Vec<Finding> {
    let created = call(tool, Request::post("/auth/backend", login(credentials))).await;
    let token = match created {
        Err(problem) => return vec![unanswered(&problem)],
        Ok(answer) if answer.status != 200 => {
            return vec![wrong_answer(tool, ROUND, "create-backend-token, the right password", 200, &answer)];
        }
        Ok(answer) => answer.body["data"][0]["token"].as_str().unwrap_or_default().to_owned(),
    };
    let steps = steps_with(credentials, &token, current_customer_jwt(tool).await);
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

/// The calls with a server-to-server token. The exchange is left out where there is nothing to exchange.
fn steps_with(credentials: &Credentials, token: &str, current_customer_jwt: Option<String>) -> Vec<Step> {
    let list = || Request::get("/backend/tokens");
    let mut customer_login = login(credentials);
    customer_login["channelId"] = json!(CHANNEL);
    let mut steps = vec![
        ("list-backend-tokens, a good token", 200, list().token(token)),
        (
            "list-backend-tokens, a good access token",
            200,
            list()
                .header("X-Auth-Token", credentials.access_token.expose_secret())
                .header("X-Store-Hash", DOCTORS_STORE),
        ),
        ("login-customer, the right password", 200, Request::post("/auth/customers", customer_login).token(token)),
        (
            "issue-storefront-token, a customer of the store",
            200,
            Request::post("/auth/customers/storefront", json!({"customerId": CUSTOMER_ID})).token(token),
        ),
    ];
    if let Some(jwt) = current_customer_jwt {
        let path = format!("/auth/storefront?jwtToken={jwt}");
        steps.push(("exchange-customer-jwt, a good JWT", 200, Request::get(path).token(token)));
    }
    let delete = Request::delete("/auth/backend", json!({"id": own_id(token)})).token(token);
    steps.push(("delete-backend-token, its own token", 200, delete));
    steps.push(("list-backend-tokens, a deleted token", 401, list().token(token)));
    steps
}

fn login(Credentials { password, .. }: &Credentials) -> Value {
    json!({"storeHash": DOCTORS_STORE, "email": EMAIL, "password": password.expose_secret(), "name": "doctor"})
}

fn unanswered(problem: &str) -> Finding {
    Finding::bad(ROUND, format!("The API did not answer: {problem}."), "Check the network, and --api-url.")
}

/// The id in a token that was just issued.
fn own_id(token: &str) -> u64 {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).map(|decoded| decoded.claims);
    claims.ok().and_then(|claims| claims["jti"].as_str()?.parse().ok()).unwrap_or(0)
}

/// None if there is no app to make one for.
async fn current_customer_jwt(tool: &Tool) -> Option<String> {
    let app = secrets::app(tool).await.ok()??.ok()?;
    let now = tool.stack.services.clock.now();
    Some(accounts::current_customer_jwt(&app, DOCTORS_STORE, CUSTOMER_ID, EMAIL, now, LONGEST))
}
