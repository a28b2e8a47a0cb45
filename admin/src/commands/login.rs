//! `b2b-auth login`.

use crate::{
    audit::Change,
    failure::{Failure, Kind},
    output::say,
    tool::Tool,
    values::{AccountArguments, StoreArgument},
};
use clap::Subcommand;
use serde_json::{Value, json};
use shared::tables::{
    login_attempts::{Account, OpenWindow, tried},
    reads::together,
};
use std::cmp::Reverse;

/// Stands where an address does, for attempts from all of them.
const ALL: &str = "all";

#[derive(Subcommand)]
pub enum Command {
    /// Shows whose logins have failed within 15 minutes, and who is locked out, from where and until when.
    #[command(after_help = "\
Those who are locked out come first. The address `all` stands for the attempts from all addresses; who is locked out there still
gets in from an address that the account has logged in from within 30 days. The table of login attempts is read whole: it has an
item for each account of any store that has logged in within 30 days.

Example:
  b2b-auth --local login list --store mystore")]
    List {
        #[command(flatten)]
        store: StoreArgument,
    },
    /// Clears the failed attempts of an e-mail, as backend user and as customer, from all addresses.
    #[command(after_help = "Example:\n  b2b-auth --local login unlock buyer@example.com --store mystore")]
    Unlock {
        #[command(flatten)]
        account: AccountArguments,
    },
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { store } => list(tool, &store.hash).await,
        Command::Unlock { account: AccountArguments { store, email } } => unlock(tool, &store.hash, &email).await,
    }
}

async fn list(tool: &Tool, store: &str) -> Result<(), Failure> {
    tool.store(store).await?;
    let (table, now) = (&tool.stack.configuration().login_attempts_table, tool.stack.services.clock.now());
    let tried = tried(&tool.stack.dynamodb, table, store, now).await?;
    let windows = tried.iter().flat_map(|tried| tried.windows.iter().map(move |window| (tried, window)));
    let mut windows: Vec<_> = windows.collect();
    windows
        .sort_by_key(|(tried, window)| (Reverse(window.is_full), &tried.email, name(tried.account), &window.address));
    let mut rows = tool.output.rows(&["email", "account", "address", "attempts", "lockedOut", "endsAt"]);
    for (tried, window) in windows {
        rows.push(vec![
            json!(tried.email),
            json!(name(tried.account)),
            json!(address(window)),
            json!(window.attempts),
            json!(window.is_full),
            json!(window.ends),
        ])?;
    }
    rows.end()
}

fn name(account: Account) -> &'static str {
    match account {
        Account::BackendUser => "backend user",
        Account::Customer => "customer",
    }
}

fn address(window: &OpenWindow) -> &str {
    window.address.as_deref().unwrap_or(ALL)
}

/// From which addresses an account is locked out, and until when at the latest.
pub fn lockout(attempts: &[OpenWindow]) -> (Value, Value) {
    let full = || attempts.iter().filter(|window| window.is_full);
    (full().map(address).collect(), json!(full().map(|window| window.ends).max()))
}

async fn unlock(tool: &Tool, store: &str, email: &str) -> Result<(), Failure> {
    tool.store(store).await?;
    refuse_nobody(tool, store, email).await?;
    let services = &tool.stack.services;
    let change = Change { action: "login unlock", store: Some(store), details: json!({"email": email}) };
    let cleared = tool
        .change_in_steps(change, async |steps| {
            let as_user = services.backend_user_attempts.forget(store, email, &services.clock).await?;
            steps.did(as_user);
            Ok((as_user, services.customer_attempts.forget(store, email, &services.clock).await?))
        })
        .await?;
    match cleared {
        (0, 0) => say(&format!("There was nothing to clear: no login as {email} has failed within 15 minutes.")),
        (as_user, as_customer) => {
            say(&format!("Cleared: {as_user} attempts as a backend user, {as_customer} as a customer."));
        }
    }
    Ok(())
}

/// Refuses an e-mail that nobody has, and that nobody has tried.
async fn refuse_nobody(tool: &Tool, store: &str, email: &str) -> Result<(), Failure> {
    let services = &tool.stack.services;
    let (user, customer) =
        together((services.directory.backend_user(store, email), services.directory.customer_login(store, email)))
            .await?;
    if user.is_some() || customer.is_some() {
        return Ok(());
    }
    for attempts in [&services.backend_user_attempts, &services.customer_attempts] {
        if !attempts.open(store, email, &services.clock).await?.is_empty() {
            return Ok(());
        }
    }
    Err(Failure::new(
        Kind::NotFound,
        format!(
            "The store {store} has neither a backend user nor a customer {email}, and nobody has tried to log in as one within 15 \
             minutes. Nothing was changed. `b2b-auth login list --store {store}` shows who is locked out."
        ),
    ))
}
