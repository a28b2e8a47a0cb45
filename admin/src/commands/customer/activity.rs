//! `b2b-auth customer disable` and `enable` for all customers of a file.

use super::{by_id::known, listed};
use crate::{
    audit::Change,
    failure::Failure,
    output::{count, ranges, say},
    tool::Tool,
    values::{StoreArgument, email, id},
};
use accounts::{CustomerChange, Edit};
use clap::Args;
use serde_json::json;
use shared::tables::directory::Customer;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Who is disabled or enabled.
#[derive(Args)]
pub struct ActivityArguments {
    #[command(flatten)]
    pub store: StoreArgument,
    /// The e-mail, in any case.
    #[arg(value_parser = email, required_unless_present_any = ["file", "id"], conflicts_with_all = ["file", "id"])]
    pub email: Option<String>,
    /// The platform's id of the customer, instead of the e-mail.
    #[arg(long, value_parser = id, conflicts_with = "file")]
    pub id: Option<u64>,
    /// Text file that lists many, on each line an e-mail or an id; `-` for standard input. One bad line, and nobody is changed.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only show who would be changed.
    #[arg(long, requires = "file", conflicts_with_all = ["email", "id"])]
    dry_run: bool,
    /// The store's hash again, instead of being asked for it.
    #[arg(long, value_name = "STORE", requires = "file", conflicts_with_all = ["email", "id"])]
    confirm: Option<String>,
}

/// As audit lines call it.
pub fn action(active: bool) -> &'static str {
    if active { "customer enable" } else { "customer disable" }
}

/// Disables or enables all of a file.
pub async fn of_file(tool: &Tool, file: &Path, arguments: &ActivityArguments, active: bool) -> Result<(), Failure> {
    let many = Many { tool, store: &arguments.store.hash, file, active };
    many.set(arguments.dry_run, arguments.confirm.as_deref()).await
}

struct Many<'a> {
    tool: &'a Tool,
    store: &'a str,
    file: &'a Path,
    active: bool,
}

impl Many<'_> {
    /// Those who are so already stay as they are: the same command goes on where it was interrupted, and nobody who was enabled all
    /// the time is logged out.
    async fn set(&self, is_dry_run: bool, given: Option<&str>) -> Result<(), Failure> {
        let Self { tool, store, file, .. } = *self;
        let listed = listed::customers(tool, store, &tool.store(store).await?, file).await?;
        let (already, chosen): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|customer| customer.active == self.active);
        let (verb, adjective) = if self.active { ("enable", "enabled") } else { ("disable", "disabled") };
        let are_already = match already.len() as u64 {
            0 => String::new(),
            1 => format!(" 1 customer is {adjective} already."),
            more => format!(" {more} customers are {adjective} already."),
        };
        let customers = count(chosen.len() as u64, "customer");
        if is_dry_run {
            let mut rows = tool.output.rows(&["customerId", "email"]);
            chosen.iter().try_for_each(|of| rows.push(vec![json!(of.customer_id), known(of, &of.email)]))?;
            rows.end()?;
            say(&format!("Would {verb} {customers}.{are_already} Nothing was changed."));
            return Ok(());
        }
        if chosen.is_empty() {
            say(&format!("{} There is nothing to do.", are_already.trim_start()));
            return Ok(());
        }
        let ends = if self.active { "" } else { " Their storefront tokens are void then, and they get no new ones." };
        tool.confirm(&format!("This {verb}s {customers} of the store {store}.{ends}{are_already}"), store, given)?;
        let gone = self.change(&chosen).await?;
        let changed = count(chosen.len() as u64 - gone, "customer");
        let gone = if gone == 0 { String::new() } else { format!(" Removed meanwhile: {}.", count(gone, "customer")) };
        say(&format!("Now {adjective}: {changed}.{are_already}{gone}"));
        Ok(())
    }

    /// Changes them, and says how many were removed meanwhile.
    async fn change(&self, chosen: &[Customer]) -> Result<u64, Failure> {
        let Self { tool, store, file, active } = *self;
        let ids: Vec<_> = chosen.iter().map(|customer| customer.customer_id).collect();
        let file = file.file_name().map(|name| name.to_string_lossy());
        let details = json!({"file": file, "count": ids.len(), "ids": ranges(&ids)});
        tool.change_in_steps(Change { action: action(active), store: Some(store), details }, async |steps| {
            steps.expect(Some(chosen.len() as u64), "customer");
            let (changed, gone) = (RefCell::new(BTreeSet::new()), Cell::new(0));
            let note = |customer: &Customer, edit| {
                match edit {
                    Edit::Done => {
                        changed.borrow_mut().insert(customer.customer_id);
                        steps.did(1);
                    }
                    Edit::NotFound => gone.set(gone.get() + 1),
                }
                if steps.done() + gone.get() < chosen.len() as u64 { steps.go_on() } else { Ok(()) }
            };
            let accounts = &tool.stack.accounts;
            let outcome = accounts.change_customers(store, chosen, &CustomerChange::Active(active), &note).await;
            steps.add("ids", ranges(&changed.into_inner().into_iter().collect::<Vec<_>>()));
            outcome.map(|()| gone.get())
        })
        .await
    }
}
