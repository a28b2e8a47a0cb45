//! Removing tokens that have ended.
//!
//! Those that end are in an index, by when they do, so that it costs what ends and not what lives. Which of them are deleted the
//! transaction decides that lowers the counts too.

use super::{
    blocks::{Remaining, block_of},
    table::{TOKENS, TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::{
        items::{from_item, key, number},
        retries::Retries,
        transactions::{Outcome, Part, transact, was_refused},
    },
};
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::query::{QueryError, QueryOutput},
    types::{Delete, TransactWriteItem},
};
use aws_smithy_async::future::pagination_stream::PaginationStream;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The index of the tokens that end, by [`EXPIRY_SHARD`] and [`ENDS_AT`].
pub const EXPIRING_TOKENS: &str = "expiring-tokens";
/// Partition key of the index: a number below [`EXPIRY_SHARDS`].
pub const EXPIRY_SHARD: &str = "expiry_shard";
/// Sort key of the index.
pub const ENDS_AT: &str = "ends_at";

/// Partitions of the index. Each takes 1,000 writes a second; to look into one where nothing has ended costs half a read unit.
pub const EXPIRY_SHARDS: u64 = 8;

/// Seconds for which a token stays that has ended: clocks differ.
pub const EXPIRY_MARGIN: u64 = 300;

/// Tokens that one transaction deletes. It may have 100 items; fewer are crossed more seldom.
const DELETIONS: usize = 50;

/// Tokens of a store that have ended, all in one block.
#[derive(Debug, PartialEq, Eq)]
pub struct EndedTokens {
    pub store_hash: String,
    ids: Vec<u64>,
}

/// The tokens of a part of the index that have ended.
pub struct Ended {
    pages: PaginationStream<Result<QueryOutput, SdkError<QueryError>>>,
}

#[derive(Deserialize)]
struct IndexKey {
    pk: String,
    sk: String,
}

impl Ended {
    /// Some more of them, those together that one transaction can delete.
    ///
    /// # Errors
    /// If DynamoDB fails.
    pub async fn next(&mut self) -> Result<Option<Vec<EndedTokens>>, Fault> {
        let Some(page) = self.pages.next().await else { return Ok(None) };
        let page = page.map_err(|error| Fault::of_aws("Query", error))?;
        let mut by_store = BTreeMap::<_, Vec<_>>::new();
        for item in page.items.unwrap_or_default() {
            let IndexKey { pk, sk } = from_item(item)?;
            if let Some(id) = sk.strip_prefix(TOKENS).and_then(|id| id.parse().ok()) {
                by_store.entry(pk).or_default().push(id);
            } else {
                // A run that failed for it would fail each time, before it had removed what is a token.
                tracing::warn!("what is no token is in the index of those that end");
            }
        }
        Ok(Some(by_store.into_iter().flat_map(|(store_hash, ids)| in_transactions(&store_hash, ids)).collect()))
    }
}

/// Parts of these tokens that one transaction each can delete.
pub(super) fn in_transactions(store_hash: &str, mut ids: Vec<u64>) -> Vec<EndedTokens> {
    ids.sort_unstable();
    let blocks = ids.chunk_by(|one, other| block_of(*one) == block_of(*other));
    let parts = blocks.flat_map(|ids| ids.chunks(DELETIONS));
    parts.map(|ids| EndedTokens { store_hash: store_hash.into(), ids: ids.to_vec() }).collect()
}

impl TokenTable {
    /// The tokens of all stores in a part of the index that had ended by `until`, in Unix seconds. What is read may be out of date.
    #[must_use]
    pub fn ended(&self, shard: u64, until: u64) -> Ended {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(EXPIRING_TOKENS)
            .key_condition_expression(format!("{EXPIRY_SHARD} = :shard AND {ENDS_AT} <= :until"))
            .expression_attribute_values(":shard", number(shard))
            .expression_attribute_values(":until", number(until));
        Ended { pages: query.into_paginator().send() }
    }

    /// Deletes those of these tokens that are there and had ended by `until`, in Unix seconds. Gives how many.
    ///
    /// # Errors
    /// If DynamoDB fails, or others are in the way for too long. Then none are deleted, or nobody can say.
    pub async fn delete_ended(&self, ended: &EndedTokens, until: u64) -> Result<u64, Fault> {
        let EndedTokens { store_hash, ids } = ended;
        let mut left = ids.clone();
        let mut retries = Retries::within(self.patience);
        let mut remaining = Remaining::Some;
        while !left.is_empty() {
            let deletions = left.iter().map(|id| self.deletion_of_ended(store_hash, *id, until));
            let mut items = deletions.collect::<Result<Vec<_>, _>>()?;
            items.push(self.discount_in_block(store_hash, &left, remaining)?);
            let fault = match transact(&self.client, items).await? {
                Outcome::Done => return Ok(left.len() as u64),
                Outcome::Refused(reasons) => {
                    let before = left.len();
                    let mut reasons = reasons.iter();
                    left.retain(|_| !reasons.next().is_some_and(was_refused));
                    if left.len() < before {
                        continue;
                    }
                    match remaining.refused() {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    }
                }
                Outcome::Crossed(fault) => fault,
            };
            retries.wait(fault).await?;
        }
        Ok(0)
    }

    /// In a transaction, that a token is deleted that had ended.
    fn deletion_of_ended(&self, store_hash: &str, id: u64, until: u64) -> Result<TransactWriteItem, Fault> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, token_key(id))))
            .condition_expression(format!("{ENDS_AT} <= :until"))
            .expression_attribute_values(":until", number(until));
        delete.build().part()
    }
}

/// The part of the index in which a store's tokens are.
pub(super) fn shard_of(store_hash: &str) -> u64 {
    store_hash.bytes().map(u64::from).sum::<u64>() % EXPIRY_SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_deletes_fifty_at_most_and_of_one_block() {
        for (ids, expected) in [
            (vec![], vec![]),
            (vec![513, 257, 256, 1], vec![vec![1, 256], vec![257], vec![513]]),
            ((207..=256).collect(), vec![(207..=256).collect()]),
            ((200..=257).collect(), vec![(200..=249).collect(), (250..=256).collect(), vec![257]]),
        ] {
            let parts = in_transactions("store", ids).into_iter().map(|part| part.ids);
            assert_eq!(parts.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn stores_are_spread_over_the_index() {
        let mut stores = BTreeMap::<_, u64>::new();
        for n in 0..8000_u64 {
            // As the platform's: letters and digits that look random.
            let hash = format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24);
            *stores.entry(shard_of(&hash)).or_default() += 1;
        }
        assert!(stores.keys().copied().eq(0..EXPIRY_SHARDS), "{stores:?}");
        assert!(stores.values().all(|count| (800..1200).contains(count)), "{stores:?}");
    }
}
