//! `b2b-auth restore`.

use crate::{
    audit::{Change, Steps},
    commands::doctor::tables,
    failure::{Failure, Kind},
    output::{count, say},
    tool::{Tool, no_store},
    values::StoreArgument,
};
use accounts::{Accounts, Addition};
use aws_sdk_dynamodb::types::TableStatus;
use clap::Args;
use serde_json::{Value, json};
use shared::{
    configuration::Configuration,
    fault::Fault,
    tables::directory::{Customer, CustomerLogin, Directory, Store},
};

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
    let store = store.hash.as_str();
    let mut restored = Vec::new();
    let mut bring_back = async |steps: &Steps| {
        steps.expect(None, "item");
        let from_table = &from_table;
        let restoration = Restoration { tool, store, from_table, writes: !dry_run, steps, restored: &mut restored };
        let outcome = restoration.bring_back().await;
        steps.add("restored", steps.done());
        outcome
    };
    let outcome = if dry_run {
        bring_back(&Steps::begin().await?).await
    } else {
        let details = json!({"fromTable": from_table});
        tool.record(Change { action: "restore", store: Some(store), details }, bring_back).await
    };
    if outcome.is_err() && restored.is_empty() {
        return outcome;
    }
    let did = if dry_run { "Would bring back" } else { "Brought back" };
    say(&format!("{did} {}.", count(restored.len() as u64, "item")));
    let mut rows = tool.output.rows(&["restored", "email", "customerId"]);
    restored.into_iter().try_for_each(|row| rows.push(row))?;
    rows.end()?;
    outcome.map_err(|failure| {
        Failure::new(failure.kind, format!("{failure}\nThe rest is missing. Run the same command again."))
    })
}

struct Restoration<'a> {
    tool: &'a Tool,
    store: &'a str,
    from_table: &'a str,
    writes: bool,
    steps: &'a Steps,
    restored: &'a mut Vec<Vec<Value>>,
}

impl Restoration<'_> {
    async fn bring_back(mut self) -> Result<(), Failure> {
        let stack = &self.tool.stack;
        self.refuse_no_directory().await?;
        let kept = Directory::new(stack.dynamodb.clone(), self.from_table.into());
        let kept_store = kept.store(self.store).await?;
        let configuration = Configuration { directory_table: self.from_table.into(), ..stack.configuration().clone() };
        let kept = Accounts::new(&stack.dynamodb, &configuration, stack.services.clock.clone());
        if kept.stores().next().await?.is_none() {
            return Err(self.no_directory("there is no store in it"));
        }
        self.bring_back_store(kept_store).await?;
        self.bring_back_users(&kept).await?;
        self.bring_back_customers(&kept).await
    }

    /// Refuses a table that cannot be one that the directory was restored into, as its description tells.
    async fn refuse_no_directory(&self) -> Result<(), Failure> {
        let Self { tool, from_table, .. } = *self;
        if from_table == tool.stack.configuration().directory_table {
            return Err(self.no_directory("it is the stack's own directory, into which it would be brought back"));
        }
        let described = match tables::describe(tool, from_table).await {
            Ok(described) => described,
            Err(fault) if fault.code.as_deref() == Some("ResourceNotFoundException") => {
                return Err(Failure::new(
                    Kind::NotFound,
                    format!("There is no table {from_table} in this account and region."),
                ));
            }
            Err(fault) => return Err(fault.into()),
        };
        if described.table_status() == Some(&TableStatus::Creating) {
            return Err(Failure::new(
                Kind::NotFound,
                format!(
                    "The table {from_table} is still being restored. Run the same command again when it is ACTIVE."
                ),
            ));
        }
        if tables::key_attributes(&described) != ["pk", "sk"] {
            return Err(self.no_directory("it has other keys"));
        }
        Ok(())
    }

    fn no_directory(&self, because: &str) -> Failure {
        let Self { from_table, .. } = self;
        Failure::new(
            Kind::Invalid,
            format!(
                "The table {from_table} is none that the directory was restored into: {because}. docs/operating.md says under \
                 \"Accounts are lost\" how to restore it."
            ),
        )
    }

    async fn bring_back_store(&mut self, kept: Option<Store>) -> Result<(), Failure> {
        let Self { tool, store, from_table, .. } = *self;
        let is_there = tool.stack.services.directory.store(store).await?.is_some();
        // There may be some of its accounts all the same, if the moment lies within its removal, but not all.
        let kept = kept.ok_or_else(|| {
            let says = if is_there {
                format!("The table {from_table} has no store {store}, so nothing of it can be brought back. Restore the directory as it \
                         was when the store was there.")
            } else {
                format!("Neither the stack nor the table {from_table} has a store {store}.")
            };
            Failure::new(Kind::NotFound, says)
        })?;
        if is_there {
            return Ok(());
        }
        // It is one that is made now: storefront tokens from before its removal stay void.
        if self.adds(tool.stack.accounts.add_store(store, kept.channels)).await? {
            self.restored.push(vec![json!("store"), json!(null), json!(null)]);
        }
        Ok(())
    }

    async fn bring_back_users(&mut self, kept: &Accounts) -> Result<(), Failure> {
        let Self { tool, store, .. } = *self;
        let mut users = kept.users(store);
        while let Some(user) = users.next().await? {
            self.steps.go_on()?;
            if tool.stack.services.directory.backend_user(store, &user.email).await?.is_none()
                && self.adds(tool.stack.accounts.add_user(store, &user)).await?
            {
                self.restored.push(vec![json!("backend user"), json!(user.email), json!(null)]);
            }
        }
        Ok(())
    }

    async fn bring_back_customers(&mut self, kept: &Accounts) -> Result<(), Failure> {
        let Self { tool, store, .. } = *self;
        let accounts = &tool.stack.accounts;
        let mut customers = kept.customer_logins(store);
        while let Some(CustomerLogin { customer, password_hash }) = customers.next().await? {
            self.steps.go_on()?;
            let place = accounts.place(store, &customer.email, customer.customer_id).await?;
            if place.by_email.is_some() || place.by_id.is_some() {
                continue;
            }
            // Storefront tokens from before the restoration stay void.
            let tokens_valid_after = place.tokens_valid_after.max(Some(accounts.revoked_until()));
            let customer = Customer { tokens_valid_after, ..customer };
            let row = vec![json!("customer"), json!(customer.email), json!(customer.customer_id)];
            let login = CustomerLogin { customer, password_hash };
            if self.adds(accounts.add_customer(store, &login)).await? {
                self.restored.push(row);
            }
        }
        Ok(())
    }

    /// Writes it, unless it is only looked at. False if somebody else has just made it.
    async fn adds(&self, addition: impl Future<Output = Result<Addition, Fault>>) -> Result<bool, Failure> {
        if !self.writes {
            return Ok(true);
        }
        match addition.await? {
            Addition::Added => {
                self.steps.did(1);
                Ok(true)
            }
            Addition::Taken(_) => Ok(false),
            Addition::NoStore => Err(no_store(self.store)),
        }
    }
}
