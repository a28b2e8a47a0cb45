//! Requests that make a token, known again by their `Idempotency-Key`.
//!
//! What is kept of a request is written in the transaction that writes its token. So there either are both or none, and of two
//! requests at once one is refused by the other's key.

use super::{create::NotCreated, record::TokenRecord, table::TokenTable};
use crate::{
    fault::Fault,
    tables::{
        items::{key, number, to_item},
        reads::{Read, together},
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
    token_id: u64,
    /// Until when it counts, in Unix seconds. DynamoDB removes it then, or days later.
    expires_at: u64,
}

impl TokenTable {
    /// The first request with this key.
    pub fn first_request(&self, store_hash: &str, idempotency_key: &IdempotencyKey) -> Read<FirstRequest> {
        Read::new(&self.client, &self.table, store_hash, idempotency_key.sort_key())
    }

    /// The token that was made by the first request with the same key, as it was read; none if this is the first.
    ///
    /// # Errors
    /// [`NotCreated::KeyOfAnotherRequest`], [`NotCreated::KeyUsedUp`], or a fault.
    pub async fn made_before(
        &self,
        store_hash: &str,
        idempotency_key: Option<&IdempotencyKey>,
        first_request: Option<FirstRequest>,
        now: u64,
    ) -> Result<Option<TokenRecord>, NotCreated> {
        let first_request = first_request.filter(|first| first.expires_at > now);
        let Some((idempotency_key, first)) = idempotency_key.zip(first_request) else { return Ok(None) };
        if first.fingerprint != idempotency_key.fingerprint {
            return Err(NotCreated::KeyOfAnotherRequest);
        }
        let made = together(self.record(store_hash, first.token_id)).await?;
        made.map(Some).ok_or(NotCreated::KeyUsedUp)
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
