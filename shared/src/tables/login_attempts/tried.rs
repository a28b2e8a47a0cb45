//! Who has been tried, for those who look after a store. Nothing that answers requests asks for it.

use super::{
    account::Account,
    counts::{Counts, OpenWindow},
};
use crate::{
    fault::Fault,
    tables::items::{Item, string},
};
use aws_sdk_dynamodb::Client;

/// An account with attempts that still count. It need not exist.
#[derive(Debug)]
pub struct Tried {
    /// Whose password was tried.
    pub account: Account,
    /// In lower case.
    pub email: String,
    /// The attempts.
    pub windows: Vec<OpenWindow>,
}

/// Those of a store. The whole table is read, as its key has store and e-mail in one, and at half the price of a strongly
/// consistent read: what was counted within the last moment may be missing.
///
/// # Errors
/// If DynamoDB fails, or an item is not as it should be.
pub async fn tried(client: &Client, table: &str, store_hash: &str, now: u64) -> Result<Vec<Tried>, Fault> {
    let accounts = [Account::BackendUser, Account::Customer];
    let [users, customers] = accounts.map(|account| account.keys_of_store(store_hash));
    let request = client
        .scan()
        .table_name(table)
        .filter_expression("begins_with(pk, :users) OR begins_with(pk, :customers)")
        .expression_attribute_values(":users", string(&users))
        .expression_attribute_values(":customers", string(&customers));
    let mut items = request.into_paginator().items().send();
    let mut tried = Vec::new();
    while let Some(item) = items.next().await {
        let item = item.map_err(|error| Fault::of_aws("Scan", error))?;
        let found = accounts
            .into_iter()
            .zip([&users, &customers])
            .find_map(|(account, keys)| Some((account, email(&item, keys)?)));
        // Others are of a store whose hash goes on after a space.
        if let Some((account, email)) = found {
            let windows = Counts::of_item(&item)?.open(now);
            tried.push(Tried { account, email, windows });
        }
    }
    tried.retain(|tried| !tried.windows.is_empty());
    Ok(tried)
}

fn email(item: &Item, keys: &str) -> Option<String> {
    let email = item.get("pk")?.as_s().ok()?.strip_prefix(keys)?;
    (!email.contains(' ')).then(|| email.into())
}
