//! What the three tables have in common: keys, and items to and from Rust.

use crate::{aws, http::error::Error};
use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, CancellationReason, TransactWriteItem},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, time::Duration};

/// How often a write is tried again that another transaction has crossed.
pub const CONFLICT_RETRIES: u32 = 3;
const CONDITION_FAILED: &str = "ConditionalCheckFailed";

/// An item of a table, attribute name to value.
pub type Item = HashMap<String, AttributeValue>;

/// A string attribute.
pub fn string(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number attribute.
#[must_use]
pub fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The key of an item of a store.
#[must_use]
pub fn key(store_hash: &str, sk: String) -> Item {
    HashMap::from([("pk".into(), string(store_hash)), ("sk".into(), string(sk))])
}

/// An e-mail as keys hold it: e-mails compare without regard to case.
#[must_use]
pub fn email_key(email: &str) -> String {
    email.to_lowercase()
}

/// Reads one item, strongly consistent.
///
/// # Errors
/// Only faults.
pub async fn get<T: DeserializeOwned>(client: &Client, table: &str, key: Item) -> Result<Option<T>, Error> {
    let request = client.get_item().table_name(table).set_key(Some(key)).consistent_read(true);
    let answer = request.send().await.map_err(|fault| aws::error("GetItem", &fault))?;
    answer.item.map(from_item).transpose()
}

/// An item as a Rust value; attributes that it does not have are ignored.
///
/// # Errors
/// [`Error::Internal`] if an attribute is missing or mistyped.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|error| not_convertible(&error))
}

/// A Rust value as an item, under its key.
///
/// # Errors
/// [`Error::Internal`] if the value is not a struct of plain data.
pub fn to_item<T: Serialize>(key: Item, value: &T) -> Result<Item, Error> {
    let mut item: Item = serde_dynamo::aws_sdk_dynamodb_1::to_item(value).map_err(|error| not_convertible(&error))?;
    item.extend(key);
    Ok(item)
}

/// What became of a transaction.
pub enum Outcome {
    /// All was written.
    Done,
    /// A condition did not hold, so nothing was; one reason for each item of the transaction.
    Refused(Vec<CancellationReason>),
}

/// Writes all or nothing. The SDK gives each call a `ClientRequestToken`, so an attempt that timed out after it had succeeded
/// is recognised when the SDK tries again.
///
/// # Errors
/// Only faults.
pub async fn transact(client: &Client, items: Vec<TransactWriteItem>) -> Result<Outcome, Error> {
    transact_patiently(client, items, CONFLICT_RETRIES).await
}

/// The same, tried again so often that another transaction has crossed it or the table was throttled.
///
/// # Errors
/// Only faults.
pub async fn transact_patiently(
    client: &Client,
    items: Vec<TransactWriteItem>,
    retries: u32,
) -> Result<Outcome, Error> {
    let mut conflicts = 0;
    loop {
        let request = client.transact_write_items().set_transact_items(Some(items.clone()));
        let Err(fault) = request.send().await else {
            return Ok(Outcome::Done);
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = fault.as_service_error() else {
            return Err(aws::error("TransactWriteItems", &fault));
        };
        let reasons = cancelled.cancellation_reasons();
        if let Some(code) = reasons.iter().filter_map(CancellationReason::code).find(|code| aws::is_passing(code)) {
            if conflicts == retries {
                return Err(Error::Unavailable(format!("TransactWriteItems: cancelled again and again ({code})")));
            }
            conflicts += 1;
            step_aside(conflicts).await;
        } else if reasons.iter().any(was_refused) {
            return Ok(Outcome::Refused(reasons.to_vec()));
        } else {
            return Err(aws::error("TransactWriteItems", &fault));
        }
    }
}

/// Whether it was this item's condition that did not hold.
#[must_use]
pub fn was_refused(reason: &CancellationReason) -> bool {
    reason.code() == Some(CONDITION_FAILED)
}

/// Waits a little longer with each conflict, never the same time as those it collided with. The SDK leaves this retry to its
/// caller.
pub async fn step_aside(conflicts: u32) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=20 << conflicts))).await;
}

/// What a builder of the SDK made.
///
/// # Errors
/// [`Error::Internal`] if a member was left out.
pub fn built<T>(result: Result<T, BuildError>) -> Result<T, Error> {
    result.map_err(|error| Error::Internal(error.to_string()))
}

fn not_convertible(error: &serde_dynamo::Error) -> Error {
    Error::Internal(format!("item: {error}"))
}
