//! `b2b-auth token`.

mod verify;

use crate::{
    audit::Change,
    failure::{Failure, Kind},
    output::{count, ranges, say},
    tool::Tool,
    values::{StoreArgument, email, name, time},
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shared::{
    keys::jwt,
    tables::{
        items::email_key,
        reads::together,
        tokens::{Creation, EventChannel, TokenRecord},
    },
};
use std::{cell::RefCell, collections::BTreeSet};

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
  b2b-auth --local token verify               # asks for it, and does not show it
  pbpaste | b2b-auth --local token verify
  b2b-auth --local token verify eyJ...        # which the shell's history keeps, and other users can see")]
    Verify {
        /// A JWT or an access token; without it, the first line of standard input, or what is entered at the terminal.
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

    /// As an audit line names them.
    fn described(&self) -> Value {
        let mut described = json!({});
        for (name, value) in
            [("issuedBefore", json!(self.issued_before)), ("email", json!(self.email)), ("key", json!(self.key))]
        {
            if !value.is_null() {
                described[name] = value;
            }
        }
        described
    }

    fn matches(&self, token: &TokenRecord) -> bool {
        self.issued_before.is_none_or(|time| token.iat < time)
            && self.email.as_ref().is_none_or(|email| email_key(email) == email_key(&token.email))
            && self.key.as_ref().is_none_or(|kid| *kid == token.kid)
    }
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { store, email, name, expires_at } => create(tool, &store.hash, &email, name, expires_at).await,
        Command::List { store, filter } => list(tool, &store.hash, &filter).await,
        Command::Show { store, id } => {
            tool.store(&store.hash).await?;
            let token = tool.stack.services.tokens.record(&store.hash, id).await?;
            tool.output.object(&described(&token.ok_or_else(|| no_token(&store.hash, id))?))
        }
        Command::Revoke { store, ids, all, filter, confirm } => {
            revoke(tool, &store.hash, &ids, all, &filter, confirm.as_deref()).await
        }
        Command::Verify { token } => verify::run(tool, token).await,
    }
}

async fn create(tool: &Tool, store: &str, email: &str, name: String, expires_at: Option<u64>) -> Result<(), Failure> {
    let services = &tool.stack.services;
    let now = services.clock.now();
    tool.store(store).await?;
    let user = tool.user(store, email).await?;
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
    let record = |id| TokenRecord {
        id,
        name: name.clone(),
        email: user.email.clone(),
        event_channel: EventChannel::Admin,
        kid: key.kid.clone(),
        iat: now,
        nbf: None,
        exp: expires_at,
        last_used_at: None,
    };
    let details = json!({"email": user.email, "name": name, "expiresAt": expires_at});
    let maker = services.directory.token_maker_check(store, &user)?;
    let counter = together(services.tokens.counter(store)).await?;
    let max = services.configuration.max_tokens_per_store;
    tool.record(Change { action: "token create", store: Some(store), details }, async |steps| {
        let token = match services.tokens.create(store, counter, max, now, &maker, record).await? {
            Creation::Created(token) => token,
            Creation::MakerChanged(_) => {
                return Err(Failure::new(
                    Kind::Conflict,
                    format!("The backend user {email} was changed meanwhile. Run the same command again."),
                ));
            }
            Creation::Full => {
                return Err(Failure::new(
                    Kind::Refused,
                    format!(
                        "The store already has {max} tokens that have not ended, which is as many as it may have. Delete one that is no \
                         longer used."
                    ),
                ));
            }
        };
        steps.add("id", token.id);
        let signed = jwt::sign(&token.claims(store), key);
        // It cannot be shown before: its id shows when it is made.
        let shown = tool.output.object(&json!({"id": token.id, "name": token.name, "store": store, "token": signed}));
        let Err(failure) = shown else { return Ok(()) };
        if let Err(fault) = tool.stack.accounts.revoke_token(store, token.id).await {
            steps.did(1);
            let fault = Failure::from(fault);
            let message = format!(
                "{failure}\nThe token {id} is good, and was not shown. Revoke it: b2b-auth token revoke {id} --store {store}\n{fault}",
                id = token.id
            );
            return Err(Failure::new(fault.kind, message));
        }
        Err(failure)
    })
    .await
}

async fn list(tool: &Tool, store: &str, filter: &Filter) -> Result<(), Failure> {
    tool.store(store).await?;
    let mut rows =
        tool.output.rows(&["id", "name", "email", "eventChannel", "key", "issuedAt", "expiresAt", "lastUsedAt"]);
    let mut tokens = tool.stack.accounts.tokens(store);
    while let Some(token) = tokens.next().await? {
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
    tool.store(store).await?;
    let chosen = if !ids.is_empty() {
        of_ids(tool, store, ids, filter).await?
    } else if all || !filter.is_empty() {
        let chosen = that_match(tool, store, filter).await?;
        if chosen.is_empty() {
            say("There is no such token.");
            return Ok(());
        }
        let consequences = format!(
            "This revokes {} of the store {store}. Whoever calls with one is refused.",
            count(chosen.len() as u64, "token")
        );
        tool.confirm(&consequences, store, given)?;
        chosen
    } else {
        return Err(Failure::new(Kind::Invalid, "Which tokens? Give ids, --issued-before, --email, --key or --all."));
    };
    let mut details = filter.described();
    if all {
        details["all"] = json!(true);
    }
    details["count"] = json!(chosen.len());
    details["ids"] = json!(ranges(&chosen));
    tool.change_in_steps(Change { action: "token revoke", store: Some(store), details }, async |steps| {
        steps.expect(Some(chosen.len() as u64), "token");
        let revoked = RefCell::new(BTreeSet::new());
        let note = |id| {
            revoked.borrow_mut().insert(id);
            steps.did(1);
            if revoked.borrow().len() < chosen.len() { steps.go_on() } else { Ok(()) }
        };
        let outcome = tool.stack.accounts.revoke_tokens(store, &chosen, &note).await;
        steps.add("ids", ranges(&revoked.into_inner().into_iter().collect::<Vec<_>>()));
        outcome
    })
    .await?;
    say(&format!("Revoked: {}.", count(chosen.len() as u64, "token")));
    Ok(())
}

/// Those of these ids that are there.
async fn of_ids(tool: &Tool, store: &str, ids: &[u64], filter: &Filter) -> Result<Vec<u64>, Failure> {
    let mut chosen = Vec::new();
    for id in ids {
        match tool.stack.services.tokens.record(store, *id).await? {
            Some(token) if filter.matches(&token) => chosen.push(*id),
            Some(_) => return Err(Failure::new(Kind::Invalid, format!("The options do not fit the token {id}."))),
            // It may have been revoked by an earlier attempt at the same.
            None => say(&format!("The store {store} has no token {id}.")),
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    if chosen.is_empty() { Err(no_token(store, ids[0])) } else { Ok(chosen) }
}

async fn that_match(tool: &Tool, store: &str, filter: &Filter) -> Result<Vec<u64>, Failure> {
    let mut tokens = tool.stack.accounts.tokens(store);
    let mut chosen = Vec::new();
    while let Some(token) = tokens.next().await? {
        if filter.matches(&token) {
            chosen.push(token.id);
        }
    }
    Ok(chosen)
}
