//! `b2b-auth store`.

use super::doctor::round::DOCTORS_STORES;
use crate::{
    audit::Change,
    failure::{Failure, Kind},
    output::{count, say},
    tool::{Tool, added, done, no_store},
    values::{id, once, store_hash},
};
use accounts::StoreChange;
use clap::Subcommand;
use serde_json::json;
use shared::tables::reads::in_batches;

#[derive(Subcommand)]
pub enum Command {
    /// Adds a store.
    #[command(after_help = "Example:\n  b2b-auth --local store add mystore --channels 1,2")]
    Add {
        /// The store's hash, which callers send as storeHash.
        #[arg(value_parser = store_hash)]
        store: String,
        /// Ids of its channels.
        #[arg(long, value_delimiter = ',', value_parser = id, default_value = "1", value_name = "IDS")]
        channels: Vec<u64>,
    },
    /// Shows all stores.
    List,
    /// Shows a store, and how much is in it.
    Show {
        /// The store's hash.
        #[arg(value_parser = store_hash)]
        store: String,
    },
    /// Sets the channels of a store.
    #[command(after_help = "Example:\n  b2b-auth --local store set-channels mystore --channels 1,2,3")]
    SetChannels {
        /// The store's hash.
        #[arg(value_parser = store_hash)]
        store: String,
        /// Ids of all its channels.
        #[arg(long, required = true, value_delimiter = ',', value_parser = id, value_name = "IDS")]
        channels: Vec<u64>,
    },
    /// Removes a store, with everything in it.
    #[command(after_help = "Examples:
  b2b-auth --local store remove mystore --dry-run
  b2b-auth --local store remove mystore --confirm mystore")]
    Remove {
        /// The store's hash.
        #[arg(value_parser = store_hash)]
        store: String,
        /// Only show how much would be removed.
        #[arg(long)]
        dry_run: bool,
        /// The store's hash again, instead of being asked for it.
        #[arg(long, value_name = "STORE")]
        confirm: Option<String>,
    },
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { store, .. } if store.starts_with(DOCTORS_STORES) => {
            let stores = format!(
                "Stores whose hashes begin with {DOCTORS_STORES} are those that `b2b-auth doctor` makes and removes."
            );
            Err(Failure::new(Kind::Invalid, stores))
        }
        Command::Add { store, channels } => add(tool, &store, once(channels)).await,
        Command::List => list(tool).await,
        Command::Show { store } => show(tool, &store).await,
        Command::SetChannels { store, channels } => set_channels(tool, &store, &once(channels)).await,
        Command::Remove { store, dry_run, confirm } => remove(tool, &store, dry_run, confirm.as_deref()).await,
    }
}

async fn add(tool: &Tool, hash: &str, channels: Vec<u64>) -> Result<(), Failure> {
    let change = Change { action: "store add", store: Some(hash), details: json!({"channels": channels}) };
    tool.change(change, async {
        added(tool.stack.accounts.add_store(hash, channels).await?, hash, |_| {
            Failure::new(
                Kind::Conflict,
                format!("There already is a store {hash}. `b2b-auth store set-channels` changes its channels."),
            )
        })
    })
    .await
}

async fn list(tool: &Tool) -> Result<(), Failure> {
    let mut rows = tool.output.rows(&["store", "channels", "createdAt"]);
    let listed = tool.stack.accounts.stores().all().await?;
    let reads = listed.iter().map(|listed| tool.stack.services.directory.store(&listed.store_hash)).collect();
    for (listed, store) in listed.iter().zip(in_batches(reads).await?) {
        // One that is being removed may be in the list alone.
        let (channels, created_at) = store.map_or((Vec::new(), 0), |store| (store.channels, store.created_at));
        rows.push(vec![json!(listed.store_hash), json!(channels), json!(created_at)])?;
    }
    rows.end()
}

async fn show(tool: &Tool, hash: &str) -> Result<(), Failure> {
    let store = tool.store(hash).await?;
    let contents = tool.stack.accounts.contents(hash).await?;
    tool.output.object(&json!({
        "store": hash,
        "channels": store.channels,
        "createdAt": store.created_at,
        "users": contents.users,
        "customers": contents.customers,
        "apiAccounts": contents.api_accounts,
        "tokens": contents.tokens,
    }))
}

async fn set_channels(tool: &Tool, hash: &str, channels: &[u64]) -> Result<(), Failure> {
    let change = Change { action: "store set-channels", store: Some(hash), details: json!({"channels": channels}) };
    let set = StoreChange::Channels(channels.into());
    tool.change(change, async { done(tool.stack.accounts.change_store(hash, &set).await?, || no_store(hash)) }).await
}

async fn remove(tool: &Tool, hash: &str, is_dry_run: bool, given: Option<&str>) -> Result<(), Failure> {
    // Of one whose removal was interrupted only the entry in the list may be left.
    if !tool.stack.accounts.is_listed(hash).await? {
        tool.store(hash).await?;
    }
    let contents = tool.stack.accounts.contents(hash).await?;
    let details = json!({
        "users": contents.users, "customers": contents.customers, "apiAccounts": contents.api_accounts, "tokens": contents.tokens,
    });
    if is_dry_run {
        tool.output.object(&details)?;
        say(&format!("All of this would be removed with the store {hash}. Nothing was changed."));
        return Ok(());
    }
    let consequences = format!(
        "This removes the store {hash} for good, and with it {}, {}, {} and {}. All of their tokens are void then, storefront tokens \
         too.",
        count(contents.users, "backend user"),
        count(contents.customers, "customer"),
        count(contents.api_accounts, "API account"),
        count(contents.tokens, "server-to-server token"),
    );
    tool.confirm(&consequences, hash, given)?;
    let change = Change { action: "store remove", store: Some(hash), details };
    tool.change_in_steps(change, async |steps| {
        steps.expect(None, "item");
        let removed = |items| {
            steps.did(items);
            steps.go_on()
        };
        tool.stack.accounts.erase_store(hash, &removed).await
    })
    .await
}
