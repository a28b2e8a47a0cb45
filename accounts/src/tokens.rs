//! Server-to-server tokens, as far as an operator deals with them.

use crate::{Accounts, Edit, Items, side_by_side::side_by_side};
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use serde::Deserialize;
use shared::{
    fault::Fault,
    tables::tokens::{Deletion, TOKENS, TokenRecord, Wanted, block_of},
};

/// Blocks whose tokens are revoked at the same time. A revocation costs four write units, of which a store begins with 1,000 a
/// second, and takes AWS some 15 ms.
const BLOCKS_AT_ONCE: usize = 4;

/// A token's record, and the store that it is of.
#[derive(Deserialize)]
pub struct StoredToken {
    /// The store's hash.
    #[serde(rename = "pk")]
    pub store_hash: String,
    /// What is kept of the token.
    #[serde(flatten)]
    pub record: TokenRecord,
}

/// What a token was signed with.
#[derive(Deserialize)]
pub struct Signature {
    /// The hash of its store.
    #[serde(rename = "pk")]
    pub store_hash: String,
    /// Id of the key.
    pub kid: String,
    /// From when the token is not valid any more, in Unix seconds.
    #[serde(default)]
    pub ends_at: Option<u64>,
}

impl Accounts {
    /// A store's tokens.
    #[must_use]
    pub fn tokens(&self, store_hash: &str) -> Items<StoredToken> {
        self.items(&self.tokens_table, store_hash, TOKENS)
    }

    /// The tokens of all stores, also of those that are being removed, store after store. It reads the whole table, which costs
    /// what that holds, however little of it is asked for.
    #[must_use]
    pub fn tokens_of_all_stores(&self) -> Items<StoredToken> {
        Items::scanned(self.scan_tokens())
    }

    /// What the tokens of all stores were signed with. It costs the same, but less comes over the network.
    #[must_use]
    pub fn signatures(&self) -> Items<Signature> {
        Items::scanned(self.scan_tokens().projection_expression("pk, kid, ends_at"))
    }

    /// Of all items of the table only tokens have the id of a key.
    fn scan_tokens(&self) -> ScanFluentBuilder {
        let scan = self.client.scan().table_name(&self.tokens_table).consistent_read(true);
        scan.filter_expression("attribute_exists(kid)")
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, store_hash: &str, id: u64) -> Result<Edit, Fault> {
        let deletion = self.tokens.delete(store_hash, &Wanted::by_id(id), None, self.clock.now(), Vec::new()).await?;
        Ok(if deletion == Deletion::Deleted { Edit::Done } else { Edit::NotFound })
    }

    /// Revokes tokens, given in the order of their ids. Those of a block come one after the other, because all of them write its
    /// item. `revoked` is told of each, and may end it there; what is under way beside it is waited for.
    ///
    /// # Errors
    /// The first of `revoked`, or if DynamoDB fails; some may have been revoked.
    pub async fn revoke_tokens<E: From<Fault>>(
        &self,
        store_hash: &str,
        ids: &[u64],
        revoked: &impl Fn(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let blocks = ids.chunk_by(|before, after| block_of(*before) == block_of(*after));
        side_by_side(blocks, BLOCKS_AT_ONCE, async |id| {
            // If it is gone, somebody else was faster.
            let _ = self.revoke_token(store_hash, *id).await?;
            revoked(*id)
        })
        .await
    }
}
