//! Server-to-server tokens, as far as an operator deals with them.

use crate::{Accounts, Edit, Items, side_by_side::side_by_side};
use shared::{
    fault::Fault,
    tables::tokens::{Deletion, TOKENS, TokenRecord, Wanted, block_of},
};

/// Blocks whose tokens are revoked at the same time. A revocation costs four write units, of which a store begins with 1,000 a
/// second, and takes AWS some 15 ms.
const BLOCKS_AT_ONCE: usize = 4;

impl Accounts {
    /// A store's tokens.
    #[must_use]
    pub fn tokens(&self, store_hash: &str) -> Items<TokenRecord> {
        self.items(&self.tokens_table, store_hash, TOKENS)
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, store_hash: &str, id: u64) -> Result<Edit, Fault> {
        let deletion = self.tokens.delete(store_hash, &Wanted::by_id(id), None, Vec::new()).await?;
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
