//! `b2b-auth token`.

use super::{api_account::ID_DIGITS, confirm, count};
use crate::{
    Tool,
    arguments::{StoreArgument, email, name, time},
    audit::Change,
    directory::no_user,
    failure::{Failure, Kind},
    output::say,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shared::{
    auth::{access_token, storefront_token},
    http::error::Error,
    keys::jwt::{self, SERVER, STOREFRONT},
    tables::{
        directory::STORES,
        dynamodb::email_key,
        tokens::{Deletion, EventChannel, TOKENS, TokenRecord},
    },
};
use std::io::{self, Read};

/// Longest token that is read, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

#[derive(Subcommand)]
pub enum Command {
    /// Creates a server-to-server token for a backend user, without the user's password, and prints it.
    #[command(
        after_help = "Example:\n  b2b-auth --local token create --store mystore --email admin@example.com --name erp"
    )]
    Create {
        #[command(flatten)]
        store: StoreArgument,
        /// E-mail of the backend user in whose name it is made.
        #[arg(long, value_parser = email)]
        email: String,
        /// A name to tell it by.
        #[arg(long, value_parser = name)]
        name: String,
        /// When it ends, such as 2030-12-31T00:00:00Z; without it, never.
        #[arg(long, value_parser = time, value_name = "TIME")]
        expires_at: Option<u64>,
    },
    /// Shows a store's server-to-server tokens; not the tokens themselves.
    List {
        #[command(flatten)]
        store: StoreArgument,
        #[command(flatten)]
        filter: Filter,
    },
    /// Shows what is kept of a server-to-server token.
    Show {
        #[command(flatten)]
        store: StoreArgument,
        /// The token's id.
        id: u64,
    },
    /// Revokes server-to-server tokens, from the next call on.
    #[command(after_help = "Examples:
  b2b-auth --local token revoke 3 --store mystore
  b2b-auth --local token revoke --store mystore --email admin@example.com
  b2b-auth --local token revoke --store mystore --issued-before 2026-01-01
  b2b-auth --local token revoke --store mystore --all --confirm mystore")]
    Revoke {
        #[command(flatten)]
        store: StoreArgument,
        /// Their ids.
        ids: Vec<u64>,
        /// All of the store.
        #[arg(long, conflicts_with_all = ["ids", "issued_before", "email", "key"])]
        all: bool,
        #[command(flatten)]
        filter: Filter,
        /// The store's hash again, instead of being asked for it.
        #[arg(long, value_name = "STORE")]
        confirm: Option<String>,
    },
    /// Says what a token is, whose, and whether it is good now, and if not, why. Exit code 8 if it is not.
    #[command(after_help = "Examples:
  pbpaste | b2b-auth --local token verify
  b2b-auth --local token verify eyJ...        # which the shell's history keeps, and other users can see")]
    Verify {
        /// A JWT or an access token; without it, the first line of standard input.
        token: Option<String>,
    },
}

/// Some of a store's tokens.
#[derive(Args)]
pub struct Filter {
    /// Only those issued before this time, such as 2026-01-01T00:00:00Z.
    #[arg(long, value_parser = time, value_name = "TIME")]
    issued_before: Option<u64>,
    /// Only those made by this backend user.
    #[arg(long, value_parser = email)]
    email: Option<String>,
    /// Only those signed with this key.
    #[arg(long, value_name = "KID")]
    key: Option<String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.issued_before.is_none() && self.email.is_none() && self.key.is_none()
    }

    fn matches(&self, token: &TokenRecord) -> bool {
        self.issued_before.is_none_or(|time| token.iat < time)
            && self.email.as_ref().is_none_or(|email| email_key(email) == email_key(&token.email))
            && self.key.as_ref().is_none_or(|kid| *kid == token.kid)
    }
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { store, email, name, expires_at } => {
            create(tool, &store.store, &email, name, expires_at).await
        }
        Command::List { store, filter } => list(tool, &store.store, &filter).await,
        Command::Show { store, id } => {
            tool.stack.store(&store.store).await?;
            let token = tool.stack.services.tokens.record(&store.store, id).await?;
            tool.output.object(&described(&token.ok_or_else(|| no_token(&store.store, id))?))
        }
        Command::Revoke { store, ids, all, filter, confirm } => {
            revoke(tool, &store.store, &ids, all, &filter, confirm.as_deref()).await
        }
        Command::Verify { token } => verify(tool, token).await,
    }
}

async fn create(tool: &Tool, store: &str, email: &str, name: String, expires_at: Option<u64>) -> Result<(), Failure> {
    let services = &tool.stack.services;
    let now = services.clock.now();
    tool.stack.store(store).await?;
    let user = services.directory.backend_user(store, email).await?.ok_or_else(|| no_user(store, email))?;
    if !user.active || !user.role.may_create_tokens() {
        return Err(Failure::new(
            Kind::Refused,
            format!(
                "The backend user {email} is disabled, or neither administrator nor store owner, and so may have no token."
            ),
        ));
    }
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Failure::new(Kind::Invalid, "--expires-at must lie in the future."));
    }
    let keyring = services.keyring.get().await?;
    let key = keyring.signing_key(now);
    let token = TokenRecord {
        id: 0, // The table gives it one.
        name,
        email: user.email.clone(),
        event_channel: EventChannel::Admin,
        kid: key.kid.clone(),
        iat: now,
        nbf: None,
        exp: expires_at,
        last_used_at: None,
    };
    let mut details = json!({"email": token.email, "name": token.name, "expiresAt": expires_at});
    let maker = services.directory.backend_user_check(store, &user)?;
    let counter = services.tokens.counter(store).await?;
    let max = services.configuration.max_tokens_per_store;
    let created = services.tokens.create(store, token, counter, max, &maker).await.map_err(|error| match error {
        full @ Error::TooManyTokens { .. } => Failure::new(Kind::Refused, full.to_string()),
        Error::IncorrectCredentials => Failure::new(
            Kind::Conflict,
            format!("The backend user {email} was changed meanwhile. Run the same command again."),
        ),
        error => error.into(),
    });
    if let Ok(token) = &created {
        details["id"] = json!(token.id);
    }
    let change = Change { action: "token create", store: Some(store), details };
    let token = tool.change(change, async { created }).await?;
    let signed = jwt::sign(&token.claims(store), key);
    tool.output.object(&json!({"id": token.id, "name": token.name, "store": store, "token": signed}))
}

async fn list(tool: &Tool, store: &str, filter: &Filter) -> Result<(), Failure> {
    tool.stack.store(store).await?;
    let mut rows =
        tool.output.rows(&["id", "name", "email", "eventChannel", "key", "issuedAt", "expiresAt", "lastUsedAt"]);
    let mut tokens = tool.stack.items(&tool.stack.configuration().tokens_table, store, TOKENS);
    while let Some(token) = tokens.next_as::<TokenRecord>().await? {
        if filter.matches(&token) {
            rows.push(vec![
                json!(token.id),
                json!(token.name),
                json!(token.email),
                json!(token.event_channel),
                json!(token.kid),
                json!(token.iat),
                json!(token.exp),
                json!(token.last_used_at),
            ])?;
        }
    }
    rows.end()
}

fn described(token: &TokenRecord) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "email": token.email,
        "eventChannel": token.event_channel,
        "key": token.kid,
        "issuedAt": token.iat,
        "notBeforeAt": token.nbf,
        "expiresAt": token.exp,
        "lastUsedAt": token.last_used_at,
    })
}

fn no_token(store: &str, id: u64) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("The store {store} has no token {id}. `b2b-auth token list --store {store}` shows them all."),
    )
}

async fn revoke(
    tool: &Tool,
    store: &str,
    ids: &[u64],
    all: bool,
    filter: &Filter,
    given: Option<&str>,
) -> Result<(), Failure> {
    tool.stack.store(store).await?;
    if ids.is_empty() && !all && filter.is_empty() {
        return Err(Failure::new(Kind::Invalid, "Which tokens? Give ids, --issued-before, --email, --key or --all."));
    }
    let mut chosen = Vec::new();
    if ids.is_empty() {
        let mut tokens = tool.stack.items(&tool.stack.configuration().tokens_table, store, TOKENS);
        while let Some(token) = tokens.next_as::<TokenRecord>().await? {
            if filter.matches(&token) {
                chosen.push(token.id);
            }
        }
        if chosen.is_empty() {
            say("There is no such token.");
            return Ok(());
        }
        let consequences = format!(
            "This revokes {} of the store {store}. Whoever calls with one is refused.",
            count(chosen.len() as u64, "token")
        );
        confirm(&consequences, store, given)?;
    } else {
        for id in ids {
            match tool.stack.services.tokens.record(store, *id).await? {
                Some(token) if filter.matches(&token) => chosen.push(*id),
                Some(_) => return Err(Failure::new(Kind::Invalid, format!("The options do not fit the token {id}."))),
                // It may have been revoked by an earlier attempt at the same.
                None => say(&format!("The store {store} has no token {id}.")),
            }
        }
        if chosen.is_empty() {
            return Err(no_token(store, ids[0]));
        }
        chosen.sort_unstable();
        chosen.dedup();
    }
    let details = json!({"ids": chosen});
    tool.change_in_steps(Change { action: "token revoke", store: Some(store), details }, async {
        for id in &chosen {
            let deletion = Deletion { id: *id, name: None, email: None };
            match tool.stack.services.tokens.revoke(store, &deletion).await {
                // Somebody else was faster.
                Ok(()) | Err(Error::NoSuchToken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })
    .await?;
    say(&format!("Revoked: {}.", count(chosen.len() as u64, "token")));
    Ok(())
}

async fn verify(tool: &Tool, token: Option<String>) -> Result<(), Failure> {
    let token = token.map_or_else(read_token, Ok)?;
    let token = token.trim();
    let (mut described, problem) = if token.starts_with(access_token::PREFIX) {
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

fn read_token() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MAX_TOKEN_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::new(Kind::Invalid, format!("Standard input cannot be read: {error}")))?;
    Ok(text)
}

/// What is known of it, and what is wrong with it.
type Verdict = (Value, Option<String>);

async fn verify_access_token(tool: &Tool, token: &str) -> Result<Verdict, Failure> {
    let described = json!({"kind": "access token of an API account"});
    let Some(sha256) = access_token::sha256(token) else {
        return Ok((described, Some("its checksum is wrong: it was cut off or mistyped, or never issued".into())));
    };
    let mut stores = tool.stack.directory_items(STORES, "");
    while let Some(item) = stores.next().await? {
        let store = crate::directory::sort_key(&item);
        if let Some(account) = tool.stack.services.directory.api_account(store, &sha256).await? {
            let last_used_at = tool.stack.services.tokens.api_account_last_used_at(store, &sha256).await?;
            let described = json!({
                "kind": "access token of an API account",
                "store": store,
                "id": sha256.get(..ID_DIGITS),
                "name": account.name,
                "scope": account.scope,
                "createdAt": account.created_at,
                "lastUsedAt": last_used_at,
            });
            return Ok((described, None));
        }
    }
    Ok((described, Some("no store has such an API account: it was revoked, or is of another deployment".into())))
}

async fn verify_jwt(tool: &Tool, token: &str) -> Result<Verdict, Failure> {
    let services = &tool.stack.services;
    let now = services.clock.now();
    let unknown = |problem: &str| Ok((json!({"kind": "unknown"}), Some(problem.to_owned())));
    let kid = match jwt::kid(token) {
        Ok(kid) => kid,
        Err(problem) => return unknown(problem),
    };
    let keyring = services.keyring_with([kid.as_str()].into_iter()).await?;
    // Its own word for what it is, once the signature says that the word is ours.
    let claims: Value = match jwt::signed_claims(token, &kid, &keyring) {
        Ok(claims) => claims,
        Err(problem) => return unknown(problem),
    };
    let mut described = json!({"kind": "unknown", "key": kid});
    for (name, claim) in [
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
    ] {
        if let Some(value) = claims.get(claim) {
            described[name] = value.clone();
        }
    }
    let problem = match claims["aud"].as_str() {
        Some(SERVER) => {
            described["kind"] = json!("server-to-server token");
            match jwt::verify_server_token(token, &kid, &keyring, now) {
                Err(problem) => Some(problem.to_owned()),
                Ok(claims) => {
                    let record = services.tokens.record(&claims.store_hash, claims.jti.parse().unwrap_or(0)).await?;
                    let record = record.filter(|record| record.iat == claims.iat && record.kid == kid);
                    described["lastUsedAt"] = json!(record.as_ref().and_then(|record| record.last_used_at));
                    if record.is_none() { Some("it was revoked or deleted".into()) } else { None }
                }
            }
        }
        Some(STOREFRONT) => {
            described["kind"] = json!("storefront token");
            match storefront_token::verify(token, services).await {
                Ok(_) => None,
                Err(Error::InvalidToken(problem)) => Some(problem.to_owned()),
                Err(error) => return Err(error.into()),
            }
        }
        _ => Some("its aud is neither server nor storefront".into()),
    };
    Ok((described, problem))
}
