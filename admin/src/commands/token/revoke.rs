//! `b2b-auth token revoke`.

use super::{
    filter::{Filter, for_each_chosen},
    list::{row, rows},
};
use crate::{
    audit::{Change, Steps},
    failure::{Failure, Kind},
    output::{count, named, ranges, say},
    tool::Tool,
    values::StoresArgument,
};
use clap::Args;
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

#[derive(Args)]
pub struct RevokeArguments {
    #[command(flatten)]
    stores: StoresArgument,
    /// Their ids.
    #[arg(conflicts_with = "all_stores")]
    ids: Vec<u64>,
    /// All of the store.
    #[arg(long, conflicts_with_all = ["ids", "all_stores", "Filter"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Show what would be revoked, and revoke nothing.
    #[arg(long)]
    dry_run: bool,
    /// The store's hash again, or for all stores the name of the stack (`local` for that of `cargo run`), instead of being asked
    /// for it.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

/// Ids of tokens, in their order, by store.
type Chosen = BTreeMap<String, Vec<u64>>;

pub async fn run(tool: &Tool, arguments: &RevokeArguments) -> Result<(), Failure> {
    let RevokeArguments { stores, ids, all, filter, dry_run, confirm } = arguments;
    let store = stores.one();
    if ids.is_empty() && !all && filter.is_empty() {
        let of_one = if store.is_some() { "ids, --all, " } else { "" };
        let says = format!(
            "Which tokens? Give {of_one}--key, --email, --issued-before, --expired, --expiring-within or --unused-since."
        );
        return Err(Failure::new(Kind::Invalid, says));
    }
    let mut rows = dry_run.then(|| rows(tool, store));
    let mut chosen = Chosen::new();
    for_each_chosen(tool, store, ids, filter, |token| {
        if let Some(rows) = &mut rows {
            rows.push(row(&token, store))?;
        }
        chosen.entry(token.store_hash).or_default().push(token.record.id);
        Ok(())
    })
    .await?;
    let number = number_in(&chosen);
    let in_all = match store {
        Some(_) => count(number, "token"),
        None => format!("{} of {}", count(number, "token"), count(chosen.len() as u64, "store")),
    };
    if let Some(rows) = rows {
        rows.end()?;
        say(&format!("Would revoke: {in_all}."));
        return Ok(());
    }
    if chosen.is_empty() {
        say("There is no such token.");
        return Ok(());
    }
    if ids.is_empty() {
        let (whose, word) = match store {
            Some(store) => (format!("{in_all} of the store {store}"), store),
            None => (format!("{in_all}: {}", named(chosen.keys())), tool.stack.short_name.as_str()),
        };
        tool.confirm(&format!("This revokes {whose}. Whoever calls with one is refused."), word, confirm.as_deref())?;
    }
    let mut details = filter.described();
    for (name, is_given) in [("all", *all), ("allStores", store.is_none())] {
        if is_given {
            details[name] = json!(true);
        }
    }
    revoke(tool, &chosen, &details).await?;
    say(&format!("Revoked: {in_all}."));
    Ok(())
}

fn number_in(chosen: &Chosen) -> u64 {
    chosen.values().map(|ids| ids.len() as u64).sum()
}

/// Revokes them, store after store.
async fn revoke(tool: &Tool, chosen: &Chosen, details: &Value) -> Result<(), Failure> {
    // Between two stores, too, a signal must not end it without a word.
    let whole = Steps::begin().await?;
    for (store, ids) in chosen {
        let outcome = match whole.go_on() {
            Ok(()) => revoke_in(tool, store, ids, details.clone(), &whole).await,
            Err(failure) => Err(failure),
        };
        outcome.map_err(|failure| {
            let message = if chosen.len() == 1 {
                failure.message
            } else {
                let of = count(number_in(chosen), "token");
                format!("{}\nIn all: {} of {of}.", failure.message, whole.done())
            };
            whole.ended_in(Failure::new(failure.kind, message)).1
        })?;
    }
    Ok(())
}

async fn revoke_in(tool: &Tool, store: &str, ids: &[u64], mut details: Value, whole: &Steps) -> Result<(), Failure> {
    details["count"] = json!(ids.len());
    details["ids"] = json!(ranges(ids));
    tool.change_in_steps(Change { action: "token revoke", store: Some(store), details }, async |steps| {
        steps.expect(Some(ids.len() as u64), "token");
        let revoked = RefCell::new(BTreeSet::new());
        let note = |id| {
            revoked.borrow_mut().insert(id);
            steps.did(1);
            whole.did(1);
            if revoked.borrow().len() < ids.len() { steps.go_on() } else { Ok(()) }
        };
        let outcome = tool.stack.accounts.revoke_tokens(store, ids, &note).await;
        steps.add("ids", ranges(&revoked.into_inner().into_iter().collect::<Vec<_>>()));
        outcome
    })
    .await
}
