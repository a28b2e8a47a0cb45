//! A login and a token, from end to end, in a store that is made for it.

use super::{
    api::{Request, SET_THE_CLOCK, call, wrong_answer},
    finding::Finding,
    secrets,
};
use crate::{
    audit::Change,
    commands::key::keyring,
    failure::{Failure, Kind},
    tool::{Tool, added},
};
use accounts::{ListedStore, passwords::Hashing};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::{
    auth::access_token,
    keys::{
        jwt::{self, LEEWAY},
        secret_cache::RELOAD_AFTER,
    },
    scopes::{Scope, Scopes},
    tables::directory::{ApiAccount, BackendUser, Customer, CustomerLogin, Role},
};

/// The name of this check.
pub const ROUND: &str = "round";
/// How the stores begin that rounds are made in. Each has its own, so that none is in another's way, even if it was killed; what
/// one has left over, a later one finds by its name.
pub const DOCTORS_STORES: &str = "b2b-auth-doctor";
/// Seconds that a round may last; an older store is left over.
const LONGEST: u64 = 900;
const EMAIL: &str = "doctor@b2b-auth.invalid";
const CUSTOMER_ID: u64 = 1;
const CHANNEL: u64 = 1;

/// Makes the round, and takes away what it has made, also where a signal has come meanwhile, and what others have left over.
pub async fn make(tool: &Tool) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    if let Err(failure) = remove_left_over(tool).await {
        if ends_it(&failure) {
            return Err(failure);
        }
        let mend = format!("{failure} The next doctor tries again.");
        findings.push(Finding::doubtful(ROUND, "What an interrupted doctor has left over could not be removed.", mend));
    }
    let store = format!("{DOCTORS_STORES}-{}", keyring::random_id()?);
    let mut of_the_round = Vec::new();
    let outcome = tool.record(removal(&store), async |_| {
        match prepare(tool, store.clone()).await {
            Ok(patient) => of_the_round.extend(steps(tool, &patient).await),
            Err(failure) => of_the_round.push(Finding::failed(ROUND, &failure)),
        }
        tool.stack.accounts.erase_store_for_ever(&store).await.map_err(|fault| {
            let failure = Failure::from(fault);
            let mend = format!(
                "{failure} Then `b2b-auth store remove {store}`, or let a doctor do it in {} minutes.",
                LONGEST / 60
            );
            of_the_round.push(Finding::doubtful(ROUND, "The store made for it is left over.", mend));
            failure
        })
    });
    match outcome.await {
        Err(failure) if ends_it(&failure) => return Err(failure),
        Err(failure) if of_the_round.is_empty() => of_the_round.push(Finding::failed(ROUND, &failure)),
        _ => {}
    }
    findings.extend(of_the_round);
    Ok(findings)
}

/// Whether nothing more is to be done, or can be told.
fn ends_it(failure: &Failure) -> bool {
    matches!(failure.kind, Kind::Unwritable | Kind::Interrupted)
}

fn removal(store: &str) -> Change<'_> {
    Change { action: "doctor", store: Some(store), details: json!({"then": "removed"}) }
}

/// Removes the stores of doctors that were interrupted.
async fn remove_left_over(tool: &Tool) -> Result<(), Failure> {
    let mut listed = tool.stack.accounts.stores_beginning_with(DOCTORS_STORES);
    while let Some(ListedStore { store_hash }) = listed.next().await? {
        // One that is in the list alone is being removed, and takes no harm if another does it too.
        let store = tool.stack.services.directory.store(&store_hash).await?;
        if store.is_none_or(|store| store.created_at + LONGEST <= tool.stack.services.clock.now()) {
            let erase = async |_: &_| Ok(tool.stack.accounts.erase_store_for_ever(&store_hash).await?);
            tool.record(removal(&store_hash), erase).await?;
        }
    }
    Ok(())
}

/// The round's store, and what it calls with.
struct Patient {
    store: String,
    password: SecretString,
    access_token: SecretString,
}

async fn prepare(tool: &Tool, store: String) -> Result<Patient, Failure> {
    let accounts = &tool.stack.accounts;
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
    let account =
        ApiAccount::new("doctor".into(), &Scopes::only(&[Scope::TokensRead]), tool.stack.services.clock.now());
    for addition in [
        accounts.add_store(&store, vec![CHANNEL]).await?,
        accounts.add_user(&store, &user).await?,
        accounts.add_customer(&store, &customer).await?,
        accounts.add_api_account(&store, &sha256, &account).await?,
    ] {
        added(addition, &store, |_| Failure::new(Kind::Conflict, "Somebody else works in the store of the round."))?;
    }
    Ok(Patient { store, password, access_token })
}

/// A call of the round: what is called, what it must answer, and the call.
type Step = (&'static str, u16, Request);

/// The first step that goes wrong, or that all went well.
async fn steps(tool: &Tool, patient: &Patient) -> Vec<Finding> {
    let before = tool.stack.services.clock.now();
    let created = call(tool, Request::post("/auth/backend", login(patient))).await;
    let after = tool.stack.services.clock.now();
    let token = match created {
        Err(problem) => return vec![unanswered(&problem)],
        Ok(answer) if answer.status != 200 => {
            return vec![wrong_answer(tool, ROUND, "create-backend-token, the right password", 200, &answer)];
        }
        Ok(answer) => answer.body["data"][0]["token"].as_str().unwrap_or_default().to_owned(),
    };
    if let Some(finding) = signed_otherwise(tool, &token).await {
        return vec![finding];
    }
    let issued_at = claim(&token, "iat").as_u64().unwrap_or(after);
    let seconds_apart = before.saturating_sub(issued_at).max(issued_at.saturating_sub(after));
    let steps = steps_with(patient, &token, current_customer_jwt(tool, &patient.store).await);
    let count = steps.len() + 1;
    for (called, expected, request) in steps {
        match call(tool, request).await {
            Err(problem) => return vec![unanswered(&problem)],
            Ok(answer) if answer.status != expected => {
                let finding = wrong_answer(tool, ROUND, called, expected, &answer);
                return vec![if answer.status == 401 { finding.with_mend(refused(seconds_apart)) } else { finding }];
            }
            Ok(_) => {}
        }
    }
    vec![Finding::good(
        ROUND,
        format!("{count} calls of the API, from a login to a deleted token, went as they should."),
    )]
}

/// That the functions have signed a new token with a key that the keyring as it is now does not have.
async fn signed_otherwise(tool: &Tool, token: &str) -> Option<Finding> {
    let keyring = match keyring::current(tool).await.and_then(|current| keyring::usable(&current.secret)) {
        Ok(keyring) => keyring,
        Err(failure) => return Some(Finding::failed(ROUND, &failure)),
    };
    let kid = match jwt::kid(token) {
        Ok(kid) => kid,
        Err(problem) => {
            let says = format!("create-backend-token, the right password: what it gave is no token ({problem}).");
            return Some(Finding::bad(
                ROUND,
                says,
                "This is not the API of the stack. Check --api-url, or deploy again.",
            ));
        }
    };
    let says = match jwt::signed_claims::<Value>(token, &kid, &keyring) {
        Ok(_) => return None,
        Err(jwt::WRONG_SIGNATURE) => format!("create-backend-token signs with another key {kid} than the keyring has."),
        Err(_) => format!("create-backend-token signs with the key {kid}, which the keyring does not have."),
    };
    Some(Finding::bad(
        ROUND,
        says,
        format!("{} Else it was changed by hand. {}", looked_at_again(), secrets::move_back(tool)),
    ))
}

/// What to do where something good is refused.
fn refused(seconds_apart: u64) -> String {
    if seconds_apart > LEEWAY {
        return format!("The functions' clock and this machine's are {seconds_apart} seconds apart. {SET_THE_CLOCK}");
    }
    format!("{} Else deploy again.", looked_at_again())
}

fn looked_at_again() -> String {
    let minutes = RELOAD_AFTER / 60;
    format!(
        "Functions go on with the secrets that they have read for {minutes} minutes: if one was changed on purpose a moment ago, as \
         `b2b-auth key retire --force` does, look again in {minutes} minutes."
    )
}

/// The calls with a server-to-server token. The exchange is left out where there is nothing to exchange.
fn steps_with(patient: &Patient, token: &str, current_customer_jwt: Option<String>) -> Vec<Step> {
    let list = || Request::get("/backend/tokens");
    let mut customer_login = login(patient);
    customer_login["channelId"] = json!(CHANNEL);
    let mut steps = vec![
        ("list-backend-tokens, a good token", 200, list().token(token)),
        (
            "list-backend-tokens, a good access token",
            200,
            list().header("X-Auth-Token", patient.access_token.expose_secret()).header("X-Store-Hash", &patient.store),
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
    let delete = Request::delete(
        "/auth/backend",
        json!({"id": claim(token, "jti").as_str().and_then(|id| id.parse::<u64>().ok())}),
    )
    .token(token);
    steps.push(("delete-backend-token, its own token", 200, delete));
    steps.push(("list-backend-tokens, a deleted token", 401, list().token(token)));
    steps
}

fn login(Patient { store, password, .. }: &Patient) -> Value {
    json!({"storeHash": store, "email": EMAIL, "password": password.expose_secret(), "name": "doctor"})
}

fn unanswered(problem: &str) -> Finding {
    Finding::bad(ROUND, format!("The API did not answer: {problem}."), "Check the network, and --api-url.")
}

/// A claim of a token that was just issued.
fn claim(token: &str, name: &str) -> Value {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).map(|decoded| decoded.claims);
    claims.map(|claims| claims[name].clone()).unwrap_or_default()
}

/// None if there is no app to make one for.
async fn current_customer_jwt(tool: &Tool, store: &str) -> Option<String> {
    let app = secrets::app(tool).await.ok()??.ok()?;
    let now = tool.stack.services.clock.now();
    Some(accounts::current_customer_jwt(&app, store, CUSTOMER_ID, EMAIL, now, LONGEST))
}
