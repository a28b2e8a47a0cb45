//! Listing a store's tokens, page by page.

use super::{
    record::TokenRecord,
    table::{BLOCK_SIZE, BLOCKS, TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::items::{from_item, string},
};
use serde::Deserialize;

/// How many live tokens a block of ids has.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct BlockCount {
    block: u64,
    live: u64,
}

impl TokenTable {
    /// The live-counts of a store's blocks, in ascending order.
    pub async fn block_counts(&self, store_hash: &str) -> Result<Vec<BlockCount>, Fault> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :blocks)")
            .expression_attribute_values(":pk", string(store_hash))
            .expression_attribute_values(":blocks", string(BLOCKS));
        let mut pages = request.into_paginator().items().send();
        let mut counts = Vec::new();
        while let Some(item) = pages.next().await {
            counts.push(from_item(item.map_err(|error| Fault::of_aws("Query", error))?)?);
        }
        Ok(counts)
    }

    /// At most `limit` tokens after the first `offset`, in ascending order of their ids.
    pub async fn page(
        &self,
        store_hash: &str,
        counts: &[BlockCount],
        offset: u64,
        limit: u64,
    ) -> Result<Vec<TokenRecord>, Fault> {
        let Some((block, skip)) = first_block(counts, offset) else {
            return Ok(Vec::new());
        };
        let wanted = usize::try_from(skip + limit).map_err(|error| Fault::of_ours("page", error))?;
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", string(store_hash))
            .expression_attribute_values(":first", string(token_key(block * BLOCK_SIZE + 1)))
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

/// The number of all live tokens.
#[must_use]
pub fn total(counts: &[BlockCount]) -> u64 {
    counts.iter().map(|count| count.live).sum()
}

/// The block in which the entry at `offset` lies, and how many of the block's entries come before it.
fn first_block(counts: &[BlockCount], offset: u64) -> Option<(u64, u64)> {
    let mut before = 0;
    for count in counts {
        if offset < before + count.live {
            return Some((count.block, offset - before));
        }
        before += count.live;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_starts_in_the_block_that_holds_its_offset() {
        let counts = [(0, 3), (1, 0), (2, 256), (5, 1)].map(|(block, live)| BlockCount { block, live });
        for (offset, expected) in [
            (0, Some((0, 0))),
            (2, Some((0, 2))),
            (3, Some((2, 0))),
            (258, Some((2, 255))),
            (259, Some((5, 0))),
            (260, None),
            (u64::MAX, None),
        ] {
            assert_eq!(first_block(&counts, offset), expected, "{offset}");
        }
        assert_eq!(first_block(&[], 0), None);
    }
}
