//! `b2b-auth api-account`.

use crate::{
    audit::Change,
    failure::{Failure, Kind},
    output::say,
    tool::{Tool, added, done},
    values::{StoreArgument, name, scope},
};
use clap::{ArgGroup, Subcommand, ValueEnum};
use secrecy::ExposeSecret;
use serde_json::json;
use shared::{
    auth::access_token,
    scopes::{Scope, Scopes},
    tables::{directory::ApiAccount, reads::in_batches},
};

/// Digits of the SHA-256 that name an account.
pub const ID_DIGITS: usize = 12;

/// What an API account may do.
#[derive(Clone, Copy, ValueEnum)]
pub enum ScopeArgument {
    /// Only list the server-to-server tokens, without the tokens themselves: the same as --scopes tokens:read.
    Read,
    /// Everything that a server-to-server token may.
    Modify,
}

#[derive(Subcommand)]
pub enum Command {
    /// Creates an API account, and prints its access token, which nobody can see again.
    #[command(after_help = "Examples:
  b2b-auth --local api-account create erp --store mystore --scope modify
  b2b-auth --local api-account create shop --store mystore --scopes storefront,introspect",
        group = ArgGroup::new("allowed").required(true))]
    Create {
        #[command(flatten)]
        store: StoreArgument,
        /// A name to tell it by.
        #[arg(value_parser = name)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum, group = "allowed")]
        scope: Option<ScopeArgument>,
        /// What it may do, one by one, such as tokens:read,storefront.
        #[arg(long, value_delimiter = ',', value_parser = scope, value_name = "SCOPES", group = "allowed")]
        scopes: Vec<Scope>,
    },
    /// Shows a store's API accounts.
    List {
        #[command(flatten)]
        store: StoreArgument,
    },
    /// Makes an access token void, from the next call on.
    #[command(after_help = "Example:\n  b2b-auth --local api-account revoke 0f5c9e0a7d21 --store mystore")]
    Revoke {
        #[command(flatten)]
        store: StoreArgument,
        /// The id that `list` shows.
        #[arg(value_parser = account_id)]
        id: String,
    },
}

fn account_id(text: &str) -> Result<String, String> {
    let is_id = text.len() == ID_DIGITS && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    if is_id { Ok(text.into()) } else { Err(format!("must be {ID_DIGITS} hexadecimal digits, as `list` shows them")) }
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { store, name, scope, scopes } => {
            let scopes = match scope {
                Some(ScopeArgument::Modify) => Scopes::ALL,
                Some(ScopeArgument::Read) => Scopes::only(&[Scope::TokensRead]),
                None => Scopes::only(&scopes),
            };
            create(tool, &store.hash, name, &scopes).await
        }
        Command::List { store } => list(tool, &store.hash).await,
        Command::Revoke { store, id } => revoke(tool, &store.hash, &id).await,
    }
}

async fn create(tool: &Tool, store: &str, name: String, scopes: &Scopes) -> Result<(), Failure> {
    tool.store(store).await?;
    let token = access_token::generate().map_err(Failure::no_random_bytes)?;
    let sha256 = access_token::sha256(token.expose_secret()).unwrap_or_default();
    let account = ApiAccount::new(name, scopes, tool.stack.services.clock.now());
    let id = &sha256[..ID_DIGITS];
    let details = json!({"id": id, "name": account.name, "scopes": scopes.names()});
    tool.change(Change { action: "api-account create", store: Some(store), details }, async {
        // Before it is good for anything: an account whose access token was lost would stay.
        say("The access token is shown this once. Callers send it as X-Auth-Token, with the store as X-Store-Hash.");
        tool.output.object(&json!({
            "id": id, "name": account.name, "scopes": scopes.names(), "store": store, "accessToken": token.expose_secret(),
        }))?;
        add(tool, store, &sha256, &account).await.map_err(|failure| {
            let shown = if failure.leaves_doubt() {
                "Whether the access token above is good, `b2b-auth token verify` says."
            } else {
                "The access token above is void."
            };
            Failure::new(failure.kind, format!("{failure}\n{shown}"))
        })
    })
    .await
}

async fn add(tool: &Tool, store: &str, sha256: &str, account: &ApiAccount) -> Result<(), Failure> {
    added(tool.stack.accounts.add_api_account(store, sha256, account).await?, store, |_| {
        let id = &sha256[..ID_DIGITS];
        Failure::new(Kind::Conflict, format!("The store {store} already has an API account {id}."))
    })
}

async fn list(tool: &Tool, store: &str) -> Result<(), Failure> {
    tool.store(store).await?;
    let mut rows = tool.output.rows(&["id", "name", "scopes", "createdAt", "lastUsedAt"]);
    let accounts = tool.stack.accounts.api_accounts(store, "").all().await?;
    let tokens = &tool.stack.services.tokens;
    let reads = accounts.iter().map(|listed| tokens.last_use_of_api_account(store, listed.sha256())).collect();
    for (listed, last_use) in accounts.iter().zip(in_batches(reads).await?) {
        rows.push(vec![
            json!(listed.sha256().get(..ID_DIGITS)),
            json!(listed.account.name),
            json!(listed.account.scopes().names()),
            json!(listed.account.created_at),
            json!(last_use.map(|last_use| last_use.last_used_at)),
        ])?;
    }
    rows.end()
}

async fn revoke(tool: &Tool, store: &str, id: &str) -> Result<(), Failure> {
    tool.store(store).await?;
    let none = || {
        Failure::new(
            Kind::NotFound,
            format!(
                "The store {store} has no API account {id}. `b2b-auth api-account list --store {store}` shows them all."
            ),
        )
    };
    let listed = tool.stack.accounts.api_accounts(store, id).next().await?.ok_or_else(none)?;
    let details = json!({"id": id, "name": listed.account.name});
    tool.change(Change { action: "api-account revoke", store: Some(store), details }, async {
        done(tool.stack.accounts.remove_api_account(store, listed.sha256()).await?, none)
    })
    .await
}
