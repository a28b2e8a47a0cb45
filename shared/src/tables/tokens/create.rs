//! Writing a new token under the next id.

use super::{
    blocks::total,
    record::TokenRecord,
    table::{TOKENS, TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::{
        items::{Item, email_key, from_item, key, number, string, to_item},
        reads::{Read, together},
        retries::Retries,
        transactions::{Outcome, Part, transact, was_refused},
    },
};
use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata,
    types::{CancellationReason, Put, ReturnValue, Select, TransactWriteItem, Update, builders::UpdateBuilder},
};
use serde::Deserialize;

const COUNTER: &str = "COUNTER";

/// A store's last id, and how many tokens it has at most.
///
/// A deletion is not noted here: it would keep all others in the store waiting. Deletions are counted where the store looks full.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Counter {
    /// The highest id that was given; 0 before the first.
    last_id: u64,
    /// How many tokens were ever made.
    made: u64,
    /// How many of them were deleted when they were last counted.
    deleted: u64,
}

/// What became of a new token.
#[derive(Debug)]
pub enum Creation {
    /// It is written.
    Created(TokenRecord),
    /// The maker is no more what it was when the token was decided on; what it is now, none if it is gone.
    MakerChanged(Option<Item>),
    /// The store has as many tokens that have not ended as it may have.
    Full,
}

/// How far the counter may go.
struct Room {
    deleted: u64,
    /// At most so many tokens may have been made, the next included.
    max_made: u64,
}

impl TokenTable {
    /// The counter; none before the first token.
    pub fn counter(&self, store_hash: &str) -> Read<Counter> {
        Read::new(&self.client, &self.table, store_hash, COUNTER.into())
    }

    /// Deletes the counter of a store that is gone, and whose hash nobody will use again: the next would give the same ids.
    ///
    /// # Errors
    /// If DynamoDB fails.
    pub async fn delete_counter(&self, store_hash: &str) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key(store_hash, COUNTER.into())));
        delete.send().await.map_err(|error| Fault::of_aws("DeleteItem", error))?;
        Ok(())
    }

    /// Writes a token, if at the same moment `maker` holds: it may be a while since the maker's password was looked at.
    /// `record` makes the record once its id is known. `counter` may be out of date. `max` is how many tokens a store may have
    /// that have not ended by `now`, in Unix seconds; those that have are counted only where there would be too many with them.
    pub async fn create(
        &self,
        store_hash: &str,
        counter: Option<Counter>,
        max: u64,
        now: u64,
        maker: &TransactWriteItem,
        record: impl Fn(u64) -> TokenRecord,
    ) -> Result<Creation, Fault> {
        let counter = counter.unwrap_or_default();
        let Some(mut room) = self.room(store_hash, counter, max, now).await? else {
            return Ok(Creation::Full);
        };
        // Mostly nobody else is making one.
        let token = record(counter.last_id + 1);
        let update = Update::builder()
            .update_expression("SET last_id = :id, deleted = :deleted ADD made :one")
            .expression_attribute_values(":id", number(token.id))
            .expression_attribute_values(":deleted", number(room.deleted));
        let update = if counter.last_id == 0 {
            update.condition_expression("attribute_not_exists(pk)")
        } else {
            update
                .condition_expression("last_id = :last_id AND made < :max_made")
                .expression_attribute_values(":last_id", number(counter.last_id))
                .expression_attribute_values(":max_made", number(room.max_made))
        };
        match transact(&self.client, self.creation(store_hash, &token, update, maker)?).await? {
            Outcome::Done => return Ok(Creation::Created(token)),
            Outcome::Refused(reasons) if was_refused(&reasons[0]) => return Ok(maker_changed(reasons)),
            Outcome::Refused(_) | Outcome::Crossed(_) => {}
        }

        let mut retries = Retries::within(self.patience);
        let token = record(self.reserve_id(store_hash, &mut retries).await?);
        loop {
            let update = Update::builder()
                .update_expression("ADD made :one")
                .condition_expression("attribute_not_exists(made) OR made < :max_made")
                .expression_attribute_values(":max_made", number(room.max_made));
            match transact(&self.client, self.creation(store_hash, &token, update, maker)?).await? {
                Outcome::Done => return Ok(Creation::Created(token)),
                Outcome::Refused(reasons) if was_refused(&reasons[0]) => {
                    return Ok(maker_changed(reasons));
                }
                Outcome::Refused(_) => {
                    let fault = Fault::of_contention("TransactWriteItems", "others keep filling the store", None);
                    retries.wait(fault).await?;
                    let counter = together(self.counter(store_hash)).await?.unwrap_or_default();
                    room = match self.room(store_hash, counter, max, now).await? {
                        Some(room) => room,
                        None => return Ok(Creation::Full),
                    };
                }
                Outcome::Crossed(fault) => retries.wait(fault).await?,
            }
        }
    }

    /// How many tokens there may ever be made without counting again; none if there is no room for one more.
    ///
    /// What is counted here is newer than the counter, so that at least as many have been deleted.
    async fn room(&self, store_hash: &str, counter: Counter, max: u64, now: u64) -> Result<Option<Room>, Fault> {
        let Counter { made, mut deleted, .. } = counter;
        let mut max_live = max;
        if made.saturating_sub(deleted) >= max_live {
            let live = total(&self.blocks(store_hash).await?);
            deleted = deleted.max(made.saturating_sub(live));
            if live >= max_live {
                max_live = max_live.saturating_add(self.ended(store_hash, now).await?);
            }
            if live >= max_live {
                return Ok(None);
            }
        }
        Ok(Some(Room { deleted, max_made: deleted.saturating_add(max_live) }))
    }

    /// How many tokens have ended.
    async fn ended(&self, store_hash: &str, now: u64) -> Result<u64, Fault> {
        let request = self
            .query(store_hash)
            .select(Select::Count)
            .key_condition_expression("pk = :pk AND begins_with(sk, :tokens)")
            .filter_expression("exp <= :now")
            .expression_attribute_values(":tokens", string(TOKENS))
            .expression_attribute_values(":now", number(now));
        let mut pages = request.into_paginator().send();
        let mut ended = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Fault::of_aws("Query", error))?;
            ended += u64::try_from(page.count()).unwrap_or(0);
        }
        Ok(ended)
    }

    /// The items of a transaction that writes a token, first `maker`; `update` is what becomes of the counter.
    fn creation(
        &self,
        store_hash: &str,
        token: &TokenRecord,
        update: UpdateBuilder,
        maker: &TransactWriteItem,
    ) -> Result<Vec<TransactWriteItem>, Fault> {
        let update = update
            .table_name(&self.table)
            .set_key(Some(key(store_hash, COUNTER.into())))
            .expression_attribute_values(":one", number(1));
        let mut item = to_item(key(store_hash, token_key(token.id)), token)?;
        item.insert("email_key".into(), string(email_key(&token.email)));
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)");
        Ok(vec![maker.clone(), update.build().part()?, put.build().part()?, self.count_in_block(store_hash, token.id)?])
    }

    /// The next id, which nobody else gets. It is lost if no token is made of it.
    async fn reserve_id(&self, store_hash: &str, retries: &mut Retries) -> Result<u64, Fault> {
        loop {
            let request = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key(store_hash, COUNTER.into())))
                .update_expression("ADD last_id :one")
                .expression_attribute_values(":one", number(1))
                .return_values(ReturnValue::AllNew);
            match request.send().await {
                Ok(answer) => return Ok(from_item::<Counter>(answer.attributes.unwrap_or_default())?.last_id),
                Err(error) => {
                    let is_crossed = error.code() == Some("TransactionConflictException");
                    let fault = Fault::of_aws("UpdateItem", error);
                    if !is_crossed {
                        return Err(fault);
                    }
                    retries.wait(fault).await?;
                }
            }
        }
    }
}

/// Of the reasons against a creation, in which the maker comes first.
fn maker_changed(reasons: Vec<CancellationReason>) -> Creation {
    Creation::MakerChanged(reasons.into_iter().next().and_then(|reason| reason.item))
}
