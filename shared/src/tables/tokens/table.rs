//! The table, and what all that is done with it needs.

use super::{create::Counter, record::TokenRecord};
use crate::tables::{
    items::{Item, key},
    reads::Read,
};
use aws_sdk_dynamodb::Client;

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

    /// The record of a token.
    pub fn record(&self, store_hash: &str, id: u64) -> Read<TokenRecord> {
        Read::new(&self.client, &self.table, store_hash, token_key(id))
    }

    /// The last id and what is known of deletions; none before the first token.
    pub fn counter(&self, store_hash: &str) -> Read<Counter> {
        Read::new(&self.client, &self.table, store_hash, COUNTER.into())
    }
}

pub(super) fn token_key(id: u64) -> String {
    format!("{TOKENS}{id:020}")
}

pub(super) fn counter_key(store_hash: &str) -> Item {
    key(store_hash, COUNTER.into())
}
