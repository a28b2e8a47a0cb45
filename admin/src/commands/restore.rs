//! `b2b-auth restore`.

use super::count;
use crate::{
    Tool,
    arguments::StoreArgument,
    audit::{Change, DONE, IN_DOUBT},
    failure::{Failure, Kind},
    output::say,
};
use clap::Args;
use serde_json::{Value, json};
use shared::tables::directory::{BackendUser, CUSTOMER_EMAILS, Customer, CustomerLogin, STORE, Store, USERS};

#[derive(Args)]
#[command(after_help = "Example:
  b2b-auth --stack-name b2b-auth restore --from-table b2b-auth-restored --store mystore --dry-run")]
pub struct RestoreArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// The table that DynamoDB has restored the directory into.
    #[arg(long, value_name = "TABLE")]
    from_table: String,
    /// Show what would be brought back, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Brings back what is missing in the directory and changes nothing that is there.
///
/// API accounts and server-to-server tokens are left out: they may have been revoked since, and are quickly made anew.
pub async fn run(
    tool: &Tool,
    RestoreArguments { store, from_table, dry_run }: RestoreArguments,
) -> Result<(), Failure> {
    let store = store.store.as_str();
    let mut restored = Vec::new();
    let outcome = bring_back(tool, store, &from_table, !dry_run, &mut restored).await;
    if outcome.is_err() && restored.is_empty() {
        return outcome;
    }
    if !dry_run {
        let details = json!({"fromTable": from_table, "restored": restored.len()});
        let result = if outcome.is_ok() { DONE } else { IN_DOUBT };
        tool.note(Change { action: "restore", store: Some(store), details }, result).await;
    }
    let did = if dry_run { "Would bring back" } else { "Brought back" };
    say(&format!("{did} {}.", count(restored.len() as u64, "item")));
    let mut rows = tool.output.rows(&["restored", "email", "customerId"]);
    restored.into_iter().try_for_each(|row| rows.push(row))?;
    rows.end()?;
    outcome.map_err(|failure| {
        Failure::new(Kind::Fault, format!("{failure}\nThe rest is missing. Run the same command again."))
    })
}

async fn bring_back(
    tool: &Tool,
    store: &str,
    from_table: &str,
    writes: bool,
    restored: &mut Vec<Vec<Value>>,
) -> Result<(), Failure> {
    let directory = &tool.stack.services.directory;
    let now = tool.stack.services.clock.now();
    let revoked = Some(tool.stack.revoked_until());
    let kept: Option<Store> = tool.stack.items(from_table, store, STORE).next_as().await.map_err(|failure| {
        if failure.message.contains("ResourceNotFoundException") {
            Failure::new(Kind::NotFound, format!("There is no table {from_table} in this account and region."))
        } else {
            failure
        }
    })?;
    if directory.store(store).await?.is_none() {
        let kept = kept.ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("Neither the stack nor the table {from_table} has a store {store}."))
        })?;
        if writes {
            // Storefront tokens from before its removal stay void.
            tool.stack.add_store(store, &Store { created_at: now, ..kept }).await?;
        }
        restored.push(vec![json!("store"), json!(null), json!(null)]);
    }
    let mut users = tool.stack.items(from_table, store, USERS);
    while let Some(user) = users.next_as::<BackendUser>().await? {
        let is_missing = directory.backend_user(store, &user.email).await?.is_none();
        if is_missing && (!writes || tool.stack.add_user(store, &user).await?) {
            restored.push(vec![json!("backend user"), json!(user.email), json!(null)]);
        }
    }
    let mut customers = tool.stack.items(from_table, store, CUSTOMER_EMAILS);
    while let Some(CustomerLogin { customer, password_hash }) = customers.next_as().await? {
        if directory.customer_login(store, &customer.email).await?.is_some()
            || directory.customer(store, customer.customer_id).await?.is_some_and(|present| !present.is_removed())
        {
            continue;
        }
        // Storefront tokens from before the restoration stay void.
        let customer = Customer { tokens_valid_after: revoked, ..customer };
        let row = vec![json!("customer"), json!(customer.email), json!(customer.customer_id)];
        let login = CustomerLogin { customer, password_hash };
        if !writes || tool.stack.add_customer(store, &login).await?.is_none() {
            restored.push(row);
        }
    }
    Ok(())
}
