//! `b2b-auth store`.

use super::doctor::round::DOCTORS_STORES;
use crate::{
    audit::Change,
    bigcommerce,
    failure::{Failure, Kind},
    output::{count, say},
    secret_input::{ask, first_line, is_at_terminal},
    tool::{Tool, added, done, no_store},
    values::{id, once, store_hash},
    waiting::patiently,
};
use accounts::{Edit, StoreChange};
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use shared::{
    bigcommerce::AccountSecret,
    keys::secret_cache::RELOAD_AFTER,
    tables::directory::{CustomerDirectory, Store},
};

/// Where a store's customers are, as it is named on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub enum DirectoryArgument {
    /// At BigCommerce, with their passwords.
    #[value(name = "bigcommerce")]
    BigCommerce,
    /// In the table of this deployment, as `b2b-auth customer` adds them.
    Table,
}

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
    /// Sets where the customers of a store are: in the table, as those of a new store, or at BigCommerce.
    #[command(after_help = "\
For bigcommerce it asks for the access token of an API account of the store, or takes the first line of standard input. The account
needs the scopes Customers: modify and Storefront API Tokens: manage, which is tried on the spot. The same command replaces the
access token. For table the access token is deleted.

Examples:
  b2b-auth --local store set-directory mystore bigcommerce
  b2b-auth --local store set-directory mystore table")]
    SetDirectory {
        /// The store's hash; for bigcommerce, the one that it has there.
        #[arg(value_parser = store_hash)]
        store: String,
        /// Where its customers are.
        #[arg(value_enum)]
        directory: DirectoryArgument,
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
        Command::SetDirectory { store, directory: DirectoryArgument::BigCommerce } => {
            to_bigcommerce(tool, &store).await
        }
        Command::SetDirectory { store, directory: DirectoryArgument::Table } => to_table(tool, &store).await,
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
    let mut rows = tool.output.rows(&["store", "channels", "directory", "createdAt"]);
    for (hash, store) in tool.stores().await? {
        let Store { channels, customer_directory, created_at } = store.unwrap_or_default();
        rows.push(vec![json!(hash), json!(channels), json!(customer_directory), json!(created_at)])?;
    }
    rows.end()
}

async fn show(tool: &Tool, hash: &str) -> Result<(), Failure> {
    let store = tool.store(hash).await?;
    let contents = tool.stack.accounts.contents(hash).await?;
    tool.output.object(&json!({
        "store": hash,
        "channels": store.channels,
        "directory": store.customer_directory,
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

fn set_directory(hash: &str, directory: CustomerDirectory) -> Change<'_> {
    Change { action: "store set-directory", store: Some(hash), details: json!({"directory": directory}) }
}

async fn to_bigcommerce(tool: &Tool, hash: &str) -> Result<(), Failure> {
    let store = tool.store(hash).await?;
    // Before an access token is asked for in vain.
    bigcommerce::check_hash(hash)?;
    let secret = access_token(hash).await?;
    patiently("BigCommerce", bigcommerce::check(&tool.stack, hash, &store, &secret)).await?;
    let directory = CustomerDirectory::BigCommerce;
    tool.change_in_steps(set_directory(hash, directory), async |steps| {
        // First: functions that looked for it in vain would refuse logins.
        bigcommerce::put_secret(&tool.stack, hash, &secret).await?;
        steps.did(1);
        match tool.stack.accounts.change_store(hash, &StoreChange::CustomerDirectory(directory)).await? {
            Edit::Done => Ok(()),
            Edit::NotFound => {
                bigcommerce::delete_secret(&tool.stack, hash).await?;
                Err(no_store(hash))
            }
        }
    })
    .await?;
    if store.customer_directory == directory {
        say(&format!(
            "Functions take up the new access token within seconds where BigCommerce refuses the old one, and within {} minutes \
             otherwise.",
            RELOAD_AFTER / 60
        ));
    } else {
        say(
            "Customers log in with their passwords at BigCommerce from now on; with those in the table nobody can any more.",
        );
        say("Storefront tokens from before stay good until they end.");
    }
    Ok(())
}

async fn to_table(tool: &Tool, hash: &str) -> Result<(), Failure> {
    let store = tool.store(hash).await?;
    let directory = CustomerDirectory::Table;
    tool.change_in_steps(set_directory(hash, directory), async |steps| {
        let set = StoreChange::CustomerDirectory(directory);
        done(tool.stack.accounts.change_store(hash, &set).await?, || no_store(hash))?;
        steps.did(1);
        bigcommerce::delete_secret(&tool.stack, hash).await
    })
    .await?;
    if store.customer_directory != directory {
        say(
            "Customers log in with their passwords in the table from now on; with those at BigCommerce nobody can any more.",
        );
        say("Storefront tokens from before stay good until they end.");
        say("The access token is deleted here. At BigCommerce its account is still good: delete it there.");
    }
    Ok(())
}

/// Asks for the access token of a store's API account at BigCommerce.
async fn access_token(hash: &str) -> Result<AccountSecret, Failure> {
    let text = if is_at_terminal() {
        ask(&format!("Access token of the API account of {hash} at BigCommerce: ")).await?
    } else {
        first_line()?
    };
    AccountSecret::of(text.trim())
        .map_err(|problem| Failure::new(Kind::Invalid, format!("This cannot be it: {problem}. Nothing was changed.")))
}

async fn remove(tool: &Tool, hash: &str, is_dry_run: bool, given: Option<&str>) -> Result<(), Failure> {
    let store = tool.stack.services.directory.store(hash).await?;
    // Of one whose removal was interrupted only the entry in the list may be left.
    if store.is_none() && !tool.stack.accounts.is_listed(hash).await? {
        return Err(no_store(hash));
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
         too.{}",
        count(contents.users, "backend user"),
        count(contents.customers, "customer"),
        count(contents.api_accounts, "API account"),
        count(contents.tokens, "server-to-server token"),
        if store.as_ref().is_some_and(Store::is_at_bigcommerce) {
            " The access token that is kept of its account at BigCommerce is deleted; its customers there stay."
        } else {
            ""
        },
    );
    tool.confirm(&consequences, hash, given)?;
    let change = Change { action: "store remove", store: Some(hash), details };
    tool.change_in_steps(change, async |steps| {
        steps.expect(None, "item");
        let removed = |items| {
            steps.did(items);
            steps.go_on()
        };
        tool.stack.accounts.erase_store(hash, &removed).await?;
        // Also where the store did not use one any more: its record, which said so, may have gone in an earlier run.
        bigcommerce::delete_secret(&tool.stack, hash).await?;
        Ok(tool.stack.accounts.unlist_store(hash).await?)
    })
    .await
}
