//! `b2b-auth token verify`.

use crate::{
    commands::api_account::ID_DIGITS,
    failure::{Failure, Kind},
    secret_input::{ask, first_line, is_at_terminal},
    tool::Tool,
};
use serde_json::{Value, json};
use shared::{
    auth::{access_token, denial::Denial},
    keys::claims::{SERVER, STOREFRONT},
    tables::reads::in_batches,
};
use std::borrow::Cow;

/// What the claims of a token are called here.
const CLAIMS: [(&str, &str); 10] = [
    ("store", "store_hash"),
    ("email", "email"),
    ("id", "jti"),
    ("customerId", "bc_customer_id"),
    ("channel", "bc_channel_id"),
    ("channels", "channel_ids"),
    ("name", "name"),
    ("issuedAt", "iat"),
    ("notBeforeAt", "nbf"),
    ("expiresAt", "exp"),
];

/// What is known of a token, and what is wrong with it.
struct Verdict {
    described: Value,
    problem: Option<Cow<'static, str>>,
}

impl Verdict {
    fn good(described: Value) -> Self {
        Self { described, problem: None }
    }

    fn bad(described: Value, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { described, problem: Some(problem.into()) }
    }
}

pub async fn run(tool: &Tool, token: Option<String>) -> Result<(), Failure> {
    let token = match token {
        Some(token) => token,
        None if is_at_terminal() => ask("Token: ").await?,
        None => first_line()?,
    };
    let token = token.trim();
    if token.is_empty() {
        return Err(Failure::new(Kind::Invalid, "There is no token in the first line of standard input."));
    }
    let Verdict { mut described, problem } = if token.starts_with(access_token::PREFIX) {
        verify_access_token(tool, token).await?
    } else {
        verify_jwt(tool, token).await?
    };
    described["good"] = json!(problem.is_none());
    described["problem"] = json!(problem);
    tool.output.object(&described)?;
    match problem {
        None => Ok(()),
        Some(problem) => Err(Failure::new(Kind::NotGood, format!("The token is not good: {problem}."))),
    }
}

async fn verify_access_token(tool: &Tool, token: &str) -> Result<Verdict, Failure> {
    let kind = "access token of an API account";
    let Some(sha256) = access_token::sha256(token) else {
        let problem = "its checksum is wrong: it was cut off or mistyped, or never issued";
        return Ok(Verdict::bad(json!({"kind": kind}), problem));
    };
    // Nothing in an access token says of which store it is.
    let stores = tool.stack.accounts.stores().all().await?;
    let reads = stores.iter().map(|listed| tool.stack.services.directory.api_account(&listed.store_hash, &sha256));
    let found = in_batches(reads.collect()).await?;
    let found = stores.iter().zip(found).find_map(|(listed, account)| Some((&listed.store_hash, account?)));
    let Some((store, account)) = found else {
        let problem = "no store has such an API account: it was revoked, or is of another deployment";
        return Ok(Verdict::bad(json!({"kind": kind}), problem));
    };
    let last_use = tool.stack.services.tokens.last_use_of_api_account(store, &sha256).await?;
    let described = json!({
        "kind": kind,
        "store": store,
        "id": sha256.get(..ID_DIGITS),
        "name": account.name,
        "scopes": account.scopes().names(),
        "createdAt": account.created_at,
        "lastUsedAt": last_use.map(|last_use| last_use.last_used_at),
    });
    Ok(Verdict::good(described))
}

async fn verify_jwt(tool: &Tool, token: &str) -> Result<Verdict, Failure> {
    let (kid, claims) = match tool.stack.services.auth.signed_claims(token).await {
        Ok(signed) => signed,
        Err(denial) => return Ok(Verdict::bad(json!({"kind": "unknown"}), problem(denial)?)),
    };
    let mut described = json!({"kind": "unknown", "key": kid});
    for (name, claim) in CLAIMS {
        if let Some(value) = claims.get(claim) {
            described[name] = value.clone();
        }
    }
    // Its own word for what it is: the signature says that the word is ours.
    match claims["aud"].as_str() {
        Some(SERVER) => verify_server_token(tool, token, described).await,
        Some(STOREFRONT) => verify_storefront_token(tool, token, described).await,
        _ => Ok(Verdict::bad(described, "its aud is neither server nor storefront")),
    }
}

async fn verify_server_token(tool: &Tool, token: &str, mut described: Value) -> Result<Verdict, Failure> {
    let auth = &tool.stack.services.auth;
    described["kind"] = json!("server-to-server token");
    let token = match auth.server_token(token).await {
        Ok(token) => token,
        Err(denial) => return Ok(Verdict::bad(described, problem(denial)?)),
    };
    described["lastUsedAt"] = json!(null);
    described["scopes"] = json!(token.identity.scopes.names());
    let services = &tool.stack.services;
    let record = services.tokens.record(&token.store_hash, token.identity.id).await?;
    let Some(record) = record.filter(|record| record.identity() == token.identity) else {
        return Ok(Verdict::bad(described, "it was revoked or deleted"));
    };
    described["lastUsedAt"] = json!(record.last_used_at);
    if let Some(end) = record.ends_at {
        described["expiresAt"] = json!(end);
    }
    let replaced_by = record.replaced_by;
    Ok(match (token.identity.check(Some(record), services.clock.now()), replaced_by) {
        (Ok(_), _) => Verdict::good(described),
        (Err(_), Some(by)) => {
            Verdict::bad(described, format!("it was replaced by the token {by}, and its overlap is over"))
        }
        (Err(problem), None) => Verdict::bad(described, problem),
    })
}

async fn verify_storefront_token(tool: &Tool, token: &str, mut described: Value) -> Result<Verdict, Failure> {
    described["kind"] = json!("storefront token");
    match tool.stack.services.auth.storefront_token(token).await {
        Ok(_) => Ok(Verdict::good(described)),
        Err(denial) => Ok(Verdict::bad(described, problem(denial)?)),
    }
}

/// What is wrong with a token that was denied.
fn problem(denial: Denial) -> Result<&'static str, Failure> {
    match denial {
        Denial::Invalid(problem) => Ok(problem),
        Denial::NoCredentials | Denial::NoStoreHash | Denial::ScopeTooNarrow(_) => Ok("it may not be used for this"),
        Denial::Fault(fault) => Err(fault.into()),
    }
}
