//! What the three tables have in common: keys, and items to and from Rust.

use crate::fault::Fault;
use aws_sdk_dynamodb::{error::BuildError, types::AttributeValue};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::HashMap;

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

/// A Rust value as an attribute.
///
/// # Errors
/// If the value is not plain data.
pub fn attribute<T: Serialize>(value: &T) -> Result<AttributeValue, Fault> {
    serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(value).map_err(|error| Fault::of_ours("attribute", error))
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

/// An item as a Rust value; attributes that it does not have are ignored.
///
/// # Errors
/// If an attribute is missing or mistyped.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, Fault> {
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|error| Fault::of_ours("item", error))
}

/// A Rust value as an item, under its key.
///
/// # Errors
/// If the value is not a struct of plain data.
pub fn to_item<T: Serialize>(key: Item, value: &T) -> Result<Item, Fault> {
    let item = serde_dynamo::aws_sdk_dynamodb_1::to_item(value);
    let mut item: Item = item.map_err(|error| Fault::of_ours("item", error))?;
    item.extend(key);
    Ok(item)
}

/// What a builder of the SDK made.
///
/// # Errors
/// If a member was left out.
pub fn built<T>(result: Result<T, BuildError>) -> Result<T, Fault> {
    result.map_err(|error| Fault::of_ours("request to DynamoDB", error))
}
