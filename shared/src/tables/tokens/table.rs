//! The table, and what all that is done with it needs.

use super::record::TokenRecord;
use crate::{
    fault::Fault,
    tables::{
        items::{get, key, number},
        transactions::Part,
    },
};
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, TransactWriteItem, Update},
};

/// Ids that share one live-count.
pub(super) const BLOCK_SIZE: u64 = 256;

pub(super) const COUNTER: &str = "COUNTER";
/// What the sort keys of all live-counts begin with.
pub const BLOCKS: &str = "BLOCK#";
/// What the sort keys of all tokens begin with.
pub const TOKENS: &str = "TOKEN#";

#[derive(Clone)]
pub struct TokenTable {
    pub(super) client: Client,
    pub(super) table: String,
}

impl TokenTable {
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    pub async fn record(&self, store_hash: &str, id: u64) -> Result<Option<TokenRecord>, Fault> {
        get(&self.client, &self.table, key(store_hash, token_key(id))).await
    }

    /// In a transaction, that the block of an id has one live token more or less.
    pub(super) fn count_in_block(&self, store_hash: &str, id: u64, change: &str) -> Result<TransactWriteItem, Fault> {
        let block = (id - 1) / BLOCK_SIZE;
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, block_key(block))))
            .update_expression("SET #block = :block ADD live :change")
            .expression_attribute_names("#block", "block")
            .expression_attribute_values(":block", number(block))
            .expression_attribute_values(":change", AttributeValue::N(change.into()));
        update.build().part()
    }
}

pub(super) fn token_key(id: u64) -> String {
    format!("{TOKENS}{id:020}")
}

fn block_key(block: u64) -> String {
    format!("{BLOCKS}{block:020}")
}
