//! `b2b-auth api-account`.

use crate::{
    Tool,
    arguments::{StoreArgument, name},
    audit::Change,
    directory::sort_key,
    failure::{Failure, Kind},
    output::say,
};
use clap::{Subcommand, ValueEnum};
use secrecy::ExposeSecret;
use serde_json::json;
use shared::{
    auth::access_token,
    tables::{
        directory::{API_ACCOUNTS, ApiAccount, Scope},
        dynamodb::from_item,
    },
};

/// Digits of the SHA-256 that name an account.
pub const ID_DIGITS: usize = 12;

/// What an API account may do.
#[derive(Clone, Copy, ValueEnum)]
pub enum ScopeArgument {
    /// List the server-to-server tokens, which shows them.
    Read,
    /// Everything that a server-to-server token may.
    Modify,
}

#[derive(Subcommand)]
pub enum Command {
    /// Creates an API account, and prints its access token, which nobody can see again.
    #[command(after_help = "Example:\n  b2b-auth --local api-account create erp --store mystore --scope modify")]
    Create {
        #[command(flatten)]
        store: StoreArgument,
        /// A name to tell it by.
        #[arg(value_parser = name)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum)]
        scope: ScopeArgument,
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
        Command::Create { store, name, scope } => create(tool, &store.store, name, scope).await,
        Command::List { store } => list(tool, &store.store).await,
        Command::Revoke { store, id } => revoke(tool, &store.store, &id).await,
    }
}

async fn create(tool: &Tool, store: &str, name: String, scope: ScopeArgument) -> Result<(), Failure> {
    tool.stack.store(store).await?;
    let scope = match scope {
        ScopeArgument::Read => Scope::Read,
        ScopeArgument::Modify => Scope::Modify,
    };
    let no_random = |error| Failure::new(Kind::Fault, format!("This machine gives no random bytes: {error}"));
    let token = access_token::generate().map_err(no_random)?;
    let sha256 = access_token::sha256(token.expose_secret()).unwrap_or_default();
    let account = ApiAccount { name, scope, created_at: tool.stack.services.clock.now() };
    let id = &sha256[..ID_DIGITS];
    let details = json!({"id": id, "name": account.name, "scope": scope});
    let change = Change { action: "api-account create", store: Some(store), details };
    tool.change(change, tool.stack.add_api_account(store, &sha256, &account)).await?;
    say("The access token is shown this once. Callers send it as X-Auth-Token, with the store as X-Store-Hash.");
    tool.output.object(&json!({
        "id": id, "name": account.name, "scope": scope, "store": store, "accessToken": token.expose_secret(),
    }))
}

async fn list(tool: &Tool, store: &str) -> Result<(), Failure> {
    tool.stack.store(store).await?;
    let mut rows = tool.output.rows(&["id", "name", "scope", "createdAt", "lastUsedAt"]);
    let mut accounts = tool.stack.directory_items(store, API_ACCOUNTS);
    while let Some(item) = accounts.next().await? {
        let sha256 = sort_key(&item).trim_start_matches(API_ACCOUNTS).to_owned();
        let last_used_at = tool.stack.services.tokens.api_account_last_used_at(store, &sha256).await?;
        let account: ApiAccount = from_item(item)?;
        rows.push(vec![
            json!(sha256.get(..ID_DIGITS)),
            json!(account.name),
            json!(account.scope),
            json!(account.created_at),
            json!(last_used_at),
        ])?;
    }
    rows.end()
}

async fn revoke(tool: &Tool, store: &str, id: &str) -> Result<(), Failure> {
    tool.stack.store(store).await?;
    let none = || {
        Failure::new(
            Kind::NotFound,
            format!(
                "The store {store} has no API account {id}. `b2b-auth api-account list --store {store}` shows them all."
            ),
        )
    };
    let item = tool.stack.directory_items(store, &format!("{API_ACCOUNTS}{id}")).next().await?.ok_or_else(none)?;
    let sha256 = sort_key(&item).trim_start_matches(API_ACCOUNTS).to_owned();
    let account: ApiAccount = from_item(item)?;
    let details = json!({"id": id, "name": account.name});
    tool.change(Change { action: "api-account revoke", store: Some(store), details }, async {
        if tool.stack.remove_api_account(store, &sha256).await? { Ok(()) } else { Err(none()) }
    })
    .await
}
