//! The table, and what all that is done with it needs.

use super::record::TokenRecord;
use crate::tables::{items::string, reads::Read, retries::PATIENCE};
use aws_sdk_dynamodb::{Client, operation::query::builders::QueryFluentBuilder};
use std::time::Duration;

/// What the sort keys of all live-counts begin with.
pub const BLOCKS: &str = "BLOCK#";
/// What the sort keys of all tokens begin with.
pub const TOKENS: &str = "TOKEN#";

#[derive(Clone)]
pub struct TokenTable {
    pub(super) client: Client,
    pub(super) table: String,
    /// How long a write is tried again that others cross.
    pub(super) patience: Duration,
}

impl TokenTable {
    /// The table, as those use it who keep a caller waiting.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table, patience: PATIENCE }
    }

    /// The table, for who may take longer.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// A consistent query of a store's items, whose `pk` is named `:pk`.
    pub(super) fn query(&self, store_hash: &str) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        query.expression_attribute_values(":pk", string(store_hash))
    }

    /// The record of a token.
    pub fn record(&self, store_hash: &str, id: u64) -> Read<TokenRecord> {
        Read::new(&self.client, &self.table, store_hash, token_key(id))
    }
}

pub(super) fn token_key(id: u64) -> String {
    format!("{TOKENS}{id:020}")
}
