//! How many live tokens each block of 256 ids has, and each 16 ids in it.
//!
//! They tell where in the table the entry at an offset lies. The counts change in the transaction that writes or deletes a token,
//! so they cannot drift. A block without live tokens has no item, so what a list costs follows what lives now.

use super::table::{BLOCKS, TokenTable};
use crate::{
    fault::Fault,
    tables::{
        items::{Item, key, number, string},
        transactions::Part,
    },
};
use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};

/// Ids that share an item.
const BLOCK: u64 = 256;
/// Ids that share a count within it.
const GROUP: u64 = 16;
/// The attributes with the counts of the groups.
const GROUPS: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

/// How many live tokens each group of ids of a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    block: u64,
    groups: [u64; GROUPS.len()],
}

/// What an item of a block is to become in a transaction that deletes some of its tokens.
#[derive(Clone, Copy)]
pub(super) enum Remaining {
    /// Others are left.
    Some,
    /// They were the last ones.
    None,
}

impl Remaining {
    /// After a transaction that was refused for its block alone: it is the other way round.
    ///
    /// # Errors
    /// What it comes to if that was tried already.
    pub(super) fn refused(&mut self) -> Result<(), Fault> {
        match self {
            Self::Some => {
                *self = Self::None;
                Ok(())
            }
            Self::None => {
                *self = Self::Some;
                Err(Fault::of_contention("TransactWriteItems", "others in the block come and go", None))
            }
        }
    }
}

impl Block {
    fn of_item(item: &Item) -> Result<Self, Fault> {
        let block = item.get("sk").and_then(|sk| sk.as_s().ok()?.strip_prefix(BLOCKS)?.parse().ok());
        let block = block.ok_or_else(|| Fault::in_words("an item of a block has another key"))?;
        let live = |name| match item.get(name) {
            Some(live) => live.as_n().ok().and_then(|live| live.parse().ok()),
            None => Some(0),
        };
        let mut groups = [0; GROUPS.len()];
        for (group, name) in groups.iter_mut().zip(GROUPS) {
            *group = live(name).ok_or_else(|| Fault::in_words("an item of a block has no number in a count"))?;
        }
        Ok(Self { block, groups })
    }
}

/// The number of all live tokens.
pub(super) fn total(blocks: &[Block]) -> u64 {
    blocks.iter().flat_map(|block| block.groups).sum()
}

/// The first id of the group in which the entry at `offset` lies, and how many of the group's entries come before it.
pub(super) fn group_at(blocks: &[Block], offset: u64) -> Option<(u64, u64)> {
    let mut before = 0;
    for Block { block, groups } in blocks {
        for (group, live) in (0..).zip(groups) {
            if offset < before + live {
                return Some((block * BLOCK + group * GROUP + 1, offset - before));
            }
            before += live;
        }
    }
    None
}

impl TokenTable {
    /// A store's blocks, in ascending order.
    pub(super) async fn blocks(&self, store_hash: &str) -> Result<Vec<Block>, Fault> {
        let request = self
            .query(store_hash)
            .key_condition_expression("pk = :pk AND begins_with(sk, :blocks)")
            .expression_attribute_values(":blocks", string(BLOCKS));
        let mut pages = request.into_paginator().items().send();
        let mut blocks = Vec::new();
        while let Some(item) = pages.next().await {
            blocks.push(Block::of_item(&item.map_err(|error| Fault::of_aws("Query", error))?)?);
        }
        Ok(blocks)
    }

    /// In a transaction, that a block has one live token more.
    pub(super) fn count_in_block(&self, store_hash: &str, id: u64) -> Result<TransactWriteItem, Fault> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(block_key(store_hash, id)))
            .update_expression("ADD live :one, #group :one")
            .expression_attribute_names("#group", group_of(id))
            .expression_attribute_values(":one", number(1));
        update.build().part()
    }

    /// In a transaction, that the block of these ids, of which there is one at least, has as many live tokens less. Its conditions
    /// are opposites: one of them holds.
    pub(super) fn discount_in_block(
        &self,
        store_hash: &str,
        ids: &[u64],
        remaining: Remaining,
    ) -> Result<TransactWriteItem, Fault> {
        let key = block_key(store_hash, ids.first().copied().unwrap_or(1));
        match remaining {
            Remaining::Some => {
                let mut update = Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(key))
                    .condition_expression("live > :count")
                    .expression_attribute_values(":count", number(ids.len() as u64))
                    .expression_attribute_values(":all", minus(ids.len()));
                let mut additions = vec!["live :all".to_owned()];
                for group in GROUPS {
                    let of_group = ids.iter().filter(|id| group_of(**id) == group).count();
                    if of_group > 0 {
                        additions.push(format!("#g{group} :g{group}"));
                        update = update
                            .expression_attribute_names(format!("#g{group}"), group)
                            .expression_attribute_values(format!(":g{group}"), minus(of_group));
                    }
                }
                update.update_expression(format!("ADD {}", additions.join(", "))).build().part()
            }
            Remaining::None => {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(key))
                    .condition_expression("attribute_not_exists(live) OR live <= :count")
                    .expression_attribute_values(":count", number(ids.len() as u64));
                delete.build().part()
            }
        }
    }
}

fn minus(count: usize) -> AttributeValue {
    AttributeValue::N(format!("-{count}"))
}

/// The block of an id. All tokens of a block write its item.
#[must_use]
pub fn block_of(id: u64) -> u64 {
    (id - 1) / BLOCK
}

fn block_key(store_hash: &str, id: u64) -> Item {
    key(store_hash, format!("{BLOCKS}{:020}", block_of(id)))
}

fn group_of(id: u64) -> &'static str {
    let group = ((id - 1) % BLOCK / GROUP) as usize;
    GROUPS[group]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(block: u64, live: &[(usize, u64)]) -> Block {
        let mut groups = [0; GROUPS.len()];
        for (group, live) in live {
            groups[*group] = *live;
        }
        Block { block, groups }
    }

    #[test]
    fn an_offset_lies_in_a_group() {
        let blocks = [block(0, &[(0, 3)]), block(2, &[(0, 16), (1, 16), (15, 2)]), block(5, &[(7, 1)])];
        for (offset, expected) in [
            (0, Some((1, 0))),
            (2, Some((1, 2))),
            (3, Some((513, 0))),
            (18, Some((513, 15))),
            (19, Some((529, 0))),
            (35, Some((753, 0))),
            (36, Some((753, 1))),
            (37, Some((1393, 0))),
            (38, None),
            (u64::MAX, None),
        ] {
            assert_eq!(group_at(&blocks, offset), expected, "{offset}");
        }
        assert_eq!(group_at(&[], 0), None);
        assert_eq!(total(&blocks), 38);
    }
}
