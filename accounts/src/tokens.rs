//! Server-to-server tokens, as far as an operator deals with them.

use crate::{Accounts, Edit, Items};
use shared::{
    fault::Fault,
    tables::tokens::{Deletion, TOKENS, TokenRecord, Wanted},
};

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
}
