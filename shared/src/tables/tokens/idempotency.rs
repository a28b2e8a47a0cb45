//! Requests that make a token, known again by their `Idempotency-Key`.
//!
//! What is kept of a request is written in the transaction that writes its token. So there either are both or none, and of two
//! requests at once one is refused by the other's key.

use super::table::TokenTable;
use crate::{
    fault::Fault,
    tables::{
        items::{key, number, to_item},
        reads::Read,
        transactions::Part,
    },
};
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What the sort keys of all requests with an `Idempotency-Key` begin with.
pub const IDEMPOTENCY_KEYS: &str = "IDEMPOTENCY_KEY#";

/// Seconds in which a request is known again.
pub const IDEMPOTENCY_KEY_LIFE: u64 = 24 * 3600;

/// The key of a request, and what the request was. Both are hashes.
#[derive(Debug)]
pub struct IdempotencyKey {
    sha256: String,
    fingerprint: String,
}

impl IdempotencyKey {
    /// `request` is all that makes two requests the same, and nothing secret: a password could be guessed by its hash.
    #[must_use]
    pub fn new(key: &str, request: &Value) -> Self {
        let [sha256, fingerprint] = [key, &request.to_string()].map(|text| hex::encode(Sha256::digest(text)));
        Self { sha256, fingerprint }
    }

    fn sort_key(&self) -> String {
        format!("{IDEMPOTENCY_KEYS}{}", self.sha256)
    }
}

/// What is kept of the first request with a key.
#[derive(Debug, Serialize, Deserialize)]
pub struct FirstRequest {
    fingerprint: String,
    /// The token that it made.
    pub(super) token_id: u64,
    /// Until when it counts, in Unix seconds. DynamoDB removes it then, or days later.
    expires_at: u64,
}

impl FirstRequest {
    pub(super) fn counts(&self, now: u64) -> bool {
        self.expires_at > now
    }

    pub(super) fn is_the_same(&self, idempotency_key: &IdempotencyKey) -> bool {
        self.fingerprint == idempotency_key.fingerprint
    }
}

impl TokenTable {
    /// The first request with this key.
    pub fn first_request(&self, store_hash: &str, idempotency_key: &IdempotencyKey) -> Read<FirstRequest> {
        Read::new(&self.client, &self.table, store_hash, idempotency_key.sort_key())
    }

    /// In a transaction, that this is the first request with its key, and has made this token.
    pub(super) fn remember(
        &self,
        store_hash: &str,
        idempotency_key: &IdempotencyKey,
        token_id: u64,
        now: u64,
    ) -> Result<TransactWriteItem, Fault> {
        let IdempotencyKey { fingerprint, .. } = idempotency_key;
        let first = FirstRequest { fingerprint: fingerprint.clone(), token_id, expires_at: now + IDEMPOTENCY_KEY_LIFE };
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(to_item(key(store_hash, idempotency_key.sort_key()), &first)?))
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
            .expression_attribute_values(":now", number(now));
        put.build().part()
    }
}
