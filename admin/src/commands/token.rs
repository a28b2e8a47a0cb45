//! `b2b-auth token`.

mod filter;
mod list;
mod revoke;
mod rotate;
mod verify;

use crate::{
    audit::Change,
    failure::{Failure, Kind},
    tool::{Tool, no_token},
    values::{StoreArgument, StoresArgument, email, name, scope, time},
};
use clap::Subcommand;
use filter::Filter;
use revoke::RevokeArguments;
use rotate::RotateArguments;
use serde_json::{Value, json};
use shared::{
    keys::jwt,
    scopes::{Scope, Scopes},
    tables::{
        reads::together,
        tokens::{Creation, EventChannel, NewToken, TokenRecord},
    },
};

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
        /// What it may do, such as tokens:read,storefront; without it, everything.
        #[arg(long, value_delimiter = ',', value_parser = scope, value_name = "SCOPES")]
        scopes: Option<Vec<Scope>>,
    },
    /// Shows server-to-server tokens of a store or of all; not the tokens themselves.
    #[command(after_help = "Examples:
  b2b-auth --local token list --store mystore --expiring-within 7d
  b2b-auth --local token list --all-stores --key initial")]
    List {
        #[command(flatten)]
        stores: StoresArgument,
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
    /// Makes a new token in the place of each chosen one, which ends after an overlap, and prints the new ones, this once. They have
    /// the name, e-mail, scopes and end of the old ones.
    #[command(after_help = "Examples:
  b2b-auth --local token rotate 3 --store mystore
  b2b-auth --local token rotate 3 --store mystore --overlap 7d
  b2b-auth --local token rotate --store mystore --all --issued-before 2026-01-31T14:00:00Z --overlap 0s")]
    Rotate(RotateArguments),
    /// Revokes server-to-server tokens, from the next call on.
    #[command(after_help = "Examples:
  b2b-auth --local token revoke 3 --store mystore
  b2b-auth --local token revoke --store mystore --email admin@example.com
  b2b-auth --local token revoke --store mystore --issued-before 2026-01-01
  b2b-auth --local token revoke --store mystore --all --confirm mystore
  b2b-auth --local token revoke --all-stores --key initial --dry-run")]
    Revoke(RevokeArguments),
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

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { store, email, name, expires_at, scopes } => {
            let scopes = scopes.map_or(Scopes::ALL, |scopes| Scopes::only(&scopes));
            create(tool, &store.hash, &email, name, expires_at, scopes).await
        }
        Command::List { stores, filter } => list::run(tool, stores.one(), &filter).await,
        Command::Show { store, id } => {
            tool.store(&store.hash).await?;
            let token = tool.stack.services.tokens.record(&store.hash, id).await?;
            tool.output.object(&described(&token.ok_or_else(|| no_token(&store.hash, id))?))
        }
        Command::Rotate(arguments) => rotate::run(tool, &arguments).await,
        Command::Revoke(arguments) => revoke::run(tool, &arguments).await,
        Command::Verify { token } => verify::run(tool, token).await,
    }
}

async fn create(
    tool: &Tool,
    store: &str,
    email: &str,
    name: String,
    expires_at: Option<u64>,
    scopes: Scopes,
) -> Result<(), Failure> {
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
    let new = NewToken {
        name: name.clone(),
        email: user.email.clone(),
        event_channel: EventChannel::Admin,
        kid: key.kid.clone(),
        iat: now,
        nbf: None,
        exp: expires_at,
        scopes: scopes.clone(),
        replaces: None,
    };
    let details = json!({"email": user.email, "name": name, "expiresAt": expires_at, "scopes": scopes.names()});
    let maker = services.directory.token_maker_check(store, &user.email, Some(&user.password_hash))?;
    let counter = together(services.tokens.counter(store)).await?;
    let max = services.configuration.max_tokens_per_store;
    let creation = Creation { store_hash: store, token: &new, idempotency_key: None, counter, max, now };
    tool.record(Change { action: "token create", store: Some(store), details }, async |steps| {
        let token = services.tokens.create(&creation, |_| Ok(vec![maker.clone()])).await?;
        let token = token.map_err(|_| {
            let message = format!("The backend user {email} was changed meanwhile. Run the same command again.");
            Failure::new(Kind::Conflict, message)
        })?;
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

fn described(token: &TokenRecord) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "email": token.email,
        "eventChannel": token.event_channel,
        "key": token.kid,
        "issuedAt": token.iat,
        "notBeforeAt": token.nbf,
        "expiresAt": token.ends_at,
        "lastUsedAt": token.last_used_at,
        "scopes": token.scopes.names(),
        "replacedById": token.replaced_by,
        "replacesId": token.replaces.map(|replaced| replaced.id),
    })
}
