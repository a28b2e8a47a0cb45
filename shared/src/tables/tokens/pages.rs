//! Listing a store's tokens, page by page.

use super::{
    blocks::{group_at, total},
    record::TokenRecord,
    table::{TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::items::{from_item, string},
};

/// A part of a store's tokens, in ascending order of their ids.
pub struct TokenPage {
    pub tokens: Vec<TokenRecord>,
    /// How many live tokens the store has, those that have ended included.
    pub total_count: u64,
}

impl TokenTable {
    /// At most `limit` tokens after the first `offset`.
    pub async fn page(&self, store_hash: &str, offset: u64, limit: u64) -> Result<TokenPage, Fault> {
        if offset == 0 {
            // Where it begins need not be looked up.
            let (blocks, tokens) = tokio::join!(self.blocks(store_hash), self.tokens_from(store_hash, 1, 0, limit));
            return Ok(TokenPage { tokens: tokens?, total_count: total(&blocks?) });
        }
        let blocks = self.blocks(store_hash).await?;
        let tokens = match group_at(&blocks, offset) {
            Some((id, skip)) => self.tokens_from(store_hash, id, skip, limit).await?,
            None => Vec::new(),
        };
        Ok(TokenPage { tokens, total_count: total(&blocks) })
    }

    /// Of the tokens from this id on, at most `limit` after the first `skip`.
    async fn tokens_from(&self, store_hash: &str, id: u64, skip: u64, limit: u64) -> Result<Vec<TokenRecord>, Fault> {
        let wanted = usize::try_from(skip + limit).map_err(|error| Fault::of_ours("page", error))?;
        let request = self
            .query(store_hash)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":first", string(token_key(id)))
            .expression_attribute_values(":last", string(token_key(u64::MAX)));
        let mut pages = request.into_paginator().page_size(i32::try_from(wanted).unwrap_or(i32::MAX)).items().send();
        let mut tokens = Vec::new();
        for position in 0..wanted {
            let Some(item) = pages.next().await else { break };
            let item = item.map_err(|error| Fault::of_aws("Query", error))?;
            if position as u64 >= skip {
                tokens.push(from_item(item)?);
            }
        }
        Ok(tokens)
    }
}
