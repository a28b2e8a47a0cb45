//! `b2b-auth store`.

use super::{confirm, count, doctor::DOCTORS_STORE};
use crate::{
    Tool,
    arguments::{id, store_hash},
    audit::Change,
    directory::sort_key,
    failure::{Failure, Kind},
};
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use clap::Subcommand;
use serde_json::json;
use shared::{
    aws,
    tables::{
        directory::{API_ACCOUNTS, CUSTOMER_EMAILS, STORE, STORES, Store, USERS},
        dynamodb::{Item, built, key},
        tokens::{BLOCKS, Deletion, TOKENS},
    },
};
use std::{collections::HashMap, time::Duration};

/// Items that one `BatchWriteItem` takes.
const BATCH: usize = 25;

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
    #[command(after_help = "Example:\n  b2b-auth --local store remove mystore --confirm mystore")]
    Remove {
        /// The store's hash.
        #[arg(value_parser = store_hash)]
        store: String,
        /// The store's hash again, instead of being asked for it.
        #[arg(long, value_name = "STORE")]
        confirm: Option<String>,
    },
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { store, .. } if store == DOCTORS_STORE => {
            Err(Failure::new(Kind::Invalid, format!("{store} is the store that `b2b-auth doctor` makes and removes.")))
        }
        Command::Add { store, channels } => add(tool, &store, channels).await,
        Command::List => list(tool).await,
        Command::Show { store } => show(tool, &store).await,
        Command::SetChannels { store, channels } => set_channels(tool, &store, &channels).await,
        Command::Remove { store, confirm } => remove(tool, &store, confirm.as_deref()).await,
    }
}

async fn add(tool: &Tool, hash: &str, channels: Vec<u64>) -> Result<(), Failure> {
    let store = Store { channels, created_at: tool.stack.services.clock.now() };
    let change = Change { action: "store add", store: Some(hash), details: json!({"channels": store.channels}) };
    tool.change(change, async {
        if tool.stack.add_store(hash, &store).await? {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Conflict,
            format!("There already is a store {hash}. `b2b-auth store set-channels` changes its channels."),
        ))
    })
    .await
}

async fn list(tool: &Tool) -> Result<(), Failure> {
    let mut rows = tool.output.rows(&["store", "channels", "createdAt"]);
    let mut stores = tool.stack.directory_items(STORES, "");
    while let Some(item) = stores.next().await? {
        let hash = sort_key(&item);
        // One that is being removed may be in the list alone.
        let store = tool.stack.services.directory.store(hash).await?;
        let (channels, created_at) = store.map_or((Vec::new(), 0), |store| (store.channels, store.created_at));
        rows.push(vec![json!(hash), json!(channels), json!(created_at)])?;
    }
    rows.end()
}

/// How much is in a store.
struct Contents {
    users: u64,
    customers: u64,
    api_accounts: u64,
    tokens: u64,
}

async fn contents(tool: &Tool, store: &str) -> Result<Contents, Failure> {
    let directory = &tool.stack.configuration().directory_table;
    let tokens = &tool.stack.configuration().tokens_table;
    let (users, customers, api_accounts, tokens) = tokio::join!(
        tool.stack.count_items(directory, store, USERS),
        tool.stack.count_items(directory, store, CUSTOMER_EMAILS),
        tool.stack.count_items(directory, store, API_ACCOUNTS),
        tool.stack.count_items(tokens, store, TOKENS),
    );
    Ok(Contents { users: users?, customers: customers?, api_accounts: api_accounts?, tokens: tokens? })
}

async fn show(tool: &Tool, hash: &str) -> Result<(), Failure> {
    let store = tool.stack.store(hash).await?;
    let contents = contents(tool, hash).await?;
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
    tool.change(change, tool.stack.set_store_channels(hash, channels)).await
}

async fn remove(tool: &Tool, hash: &str, given: Option<&str>) -> Result<(), Failure> {
    // Of one whose removal was interrupted only the entry in the list may be left.
    if tool.stack.directory_items(STORES, hash).next().await?.is_none_or(|entry| sort_key(&entry) != hash) {
        tool.stack.store(hash).await?;
    }
    let contents = contents(tool, hash).await?;
    let consequences = format!(
        "This removes the store {hash} for good, and with it {}, {}, {} and {}. All of their tokens are void then, storefront tokens \
         too.",
        count(contents.users, "backend user"),
        count(contents.customers, "customer"),
        count(contents.api_accounts, "API account"),
        count(contents.tokens, "server-to-server token"),
    );
    confirm(&consequences, hash, given)?;
    let details = json!({
        "users": contents.users, "customers": contents.customers, "apiAccounts": contents.api_accounts, "tokens": contents.tokens,
    });
    let change = Change { action: "store remove", store: Some(hash), details };
    tool.change_in_steps(change, erase(tool, hash)).await
}

/// Removes a store and all that is in it. To be interrupted and begun again does no harm.
pub async fn erase(tool: &Tool, hash: &str) -> Result<(), Failure> {
    let directory_table = &tool.stack.configuration().directory_table;
    empty(tool, hash).await?;
    // From here on nothing can be added. What was added meanwhile is found now; the list shows the store until then.
    delete_batch(tool, directory_table, vec![key(hash, STORE.into())]).await?;
    empty(tool, hash).await?;
    delete_batch(tool, directory_table, vec![key(STORES, hash.into())]).await
}

/// Removes all that is in a store.
pub async fn empty(tool: &Tool, hash: &str) -> Result<(), Failure> {
    revoke_tokens(tool, hash).await?;
    let directory_table = &tool.stack.configuration().directory_table;
    // Backend users and API accounts first: they make tokens.
    for prefix in [USERS, API_ACCOUNTS, "CUSTOMER"] {
        delete_all(tool, directory_table, tool.stack.directory_items(hash, prefix)).await?;
    }
    Ok(())
}

async fn revoke_tokens(tool: &Tool, hash: &str) -> Result<(), Failure> {
    let tokens_table = &tool.stack.configuration().tokens_table;
    let mut tokens = tool.stack.items(tokens_table, hash, TOKENS);
    while let Some(token) = tokens.next_as::<shared::tables::tokens::TokenRecord>().await? {
        let deletion = Deletion { id: token.id, name: None, email: None };
        match tool.stack.services.tokens.revoke(hash, &deletion).await {
            Ok(()) | Err(shared::http::error::Error::NoSuchToken) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The counter stays: a store that is made anew must not give the same ids again.
    for prefix in [BLOCKS, API_ACCOUNTS] {
        delete_all(tool, tokens_table, tool.stack.items(tokens_table, hash, prefix)).await?;
    }
    Ok(())
}

async fn delete_all(tool: &Tool, table: &str, mut items: crate::directory::Items) -> Result<(), Failure> {
    let mut batch = Vec::new();
    while let Some(mut item) = items.next().await? {
        item.retain(|name, _| name == "pk" || name == "sk");
        batch.push(item);
        if batch.len() == BATCH {
            delete_batch(tool, table, std::mem::take(&mut batch)).await?;
        }
    }
    if batch.is_empty() { Ok(()) } else { delete_batch(tool, table, batch).await }
}

async fn delete_batch(tool: &Tool, table: &str, keys: Vec<Item>) -> Result<(), Failure> {
    let mut requests = Vec::new();
    for key in keys {
        let delete = built(DeleteRequest::builder().set_key(Some(key)).build())?;
        requests.push(WriteRequest::builder().delete_request(delete).build());
    }
    let mut left = HashMap::from([(table.to_owned(), requests)]);
    while !left.is_empty() {
        let request = tool.stack.dynamodb.batch_write_item().set_request_items(Some(left));
        let answer = request.send().await.map_err(|fault| aws::error("BatchWriteItem", &fault))?;
        left = answer.unprocessed_items.unwrap_or_default();
        if !left.is_empty() {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(100..500))).await;
        }
    }
    Ok(())
}
