//! Writing a new token under the next id.

use super::{
    record::TokenRecord,
    table::{COUNTER, TOKENS, TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::{
        items::{Item, email_key, from_item, get, key, number, string, to_item},
        transactions::{Attempt, CONFLICT_RETRIES, Outcome, Part, retry_crossed, transact, was_refused},
    },
};
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValue, Select, TransactWriteItem, Update, builders::UpdateBuilder,
};
use serde::Deserialize;

/// A store's last id and its number of live tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Counter {
    /// The highest id that was given; 0 before the first.
    pub last_id: u64,
    /// How many tokens there are, those that have ended included.
    pub live: u64,
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

impl TokenTable {
    /// The last id and the number of live tokens.
    pub async fn counter(&self, store_hash: &str) -> Result<Counter, Fault> {
        Ok(get(&self.client, &self.table, key(store_hash, COUNTER.into())).await?.unwrap_or_default())
    }

    /// Writes a token, if at the same moment `maker` holds: it may be a while since the maker's password was looked at.
    /// `record` makes the record once its id is known. `counter` may be out of date: where another token has taken the next id,
    /// one is reserved first. `max` is how many tokens a store may have that have not ended by `now`, in Unix seconds; those
    /// that have are counted only where there would be too many with them.
    pub async fn create(
        &self,
        store_hash: &str,
        counter: Counter,
        max: u64,
        now: u64,
        maker: &TransactWriteItem,
        record: impl Fn(u64) -> TokenRecord,
    ) -> Result<Creation, Fault> {
        let mut max_with_ended = max;
        if counter.live >= max {
            max_with_ended = max.saturating_add(self.ended(store_hash, now).await?);
        }
        if counter.live >= max_with_ended {
            return Ok(Creation::Full);
        }
        let token = record(counter.last_id + 1);
        let take_next_id = Update::builder()
            .update_expression("SET last_id = :id ADD live :one")
            .expression_attribute_values(":id", number(token.id));
        let take_next_id = if counter.last_id == 0 {
            take_next_id.condition_expression("attribute_not_exists(pk)")
        } else {
            take_next_id
                .condition_expression("last_id = :last_id AND live < :max")
                .expression_attribute_values(":last_id", number(counter.last_id))
                .expression_attribute_values(":max", number(max_with_ended))
        };
        let creation = self.creation(store_hash, &token, take_next_id, maker)?;
        match transact(&self.client, creation, CONFLICT_RETRIES).await? {
            Outcome::Done => return Ok(Creation::Created(token)),
            Outcome::Refused(reasons) if was_refused(&reasons[0]) => return Ok(maker_changed(reasons)),
            Outcome::Refused(_) => {}
        }

        let token = record(self.reserve_id(store_hash).await?);
        loop {
            let count = Update::builder()
                .update_expression("ADD live :one")
                .condition_expression("attribute_not_exists(live) OR live < :max")
                .expression_attribute_values(":max", number(max_with_ended));
            let creation = self.creation(store_hash, &token, count, maker)?;
            match transact(&self.client, creation, CONFLICT_RETRIES).await? {
                Outcome::Done => return Ok(Creation::Created(token)),
                Outcome::Refused(reasons) if was_refused(&reasons[0]) => return Ok(maker_changed(reasons)),
                Outcome::Refused(_) => {}
            }
            // Others have filled it, perhaps only together with tokens that have ended and were not counted yet.
            let with_ended = max.saturating_add(self.ended(store_hash, now).await?);
            if with_ended <= max_with_ended {
                return Ok(Creation::Full);
            }
            max_with_ended = with_ended;
        }
    }

    /// How many tokens have ended.
    async fn ended(&self, store_hash: &str, now: u64) -> Result<u64, Fault> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .select(Select::Count)
            .key_condition_expression("pk = :pk AND begins_with(sk, :tokens)")
            .filter_expression("exp <= :now")
            .expression_attribute_values(":pk", string(store_hash))
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

    /// The items of a transaction that writes a token, first `maker`; `counting` is what becomes of the counter.
    fn creation(
        &self,
        store_hash: &str,
        token: &TokenRecord,
        counting: UpdateBuilder,
        maker: &TransactWriteItem,
    ) -> Result<Vec<TransactWriteItem>, Fault> {
        let counting = counting
            .table_name(&self.table)
            .set_key(Some(key(store_hash, COUNTER.into())))
            .expression_attribute_values(":one", number(1));
        let mut item = to_item(key(store_hash, token_key(token.id)), token)?;
        item.insert("email_key".into(), string(email_key(&token.email)));
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)");
        Ok(vec![
            maker.clone(),
            counting.build().part()?,
            put.build().part()?,
            self.count_in_block(store_hash, token.id, "1")?,
        ])
    }

    /// The next id, which nobody else gets.
    async fn reserve_id(&self, store_hash: &str) -> Result<u64, Fault> {
        let attributes = retry_crossed(CONFLICT_RETRIES, || async {
            let request = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key(store_hash, COUNTER.into())))
                .update_expression("ADD last_id :one")
                .expression_attribute_values(":one", number(1))
                .return_values(ReturnValue::AllNew);
            match request.send().await {
                Ok(answer) => Ok(Attempt::Ended(answer.attributes.unwrap_or_default())),
                Err(error) => Attempt::of_failed("UpdateItem", error),
            }
        });
        Ok(from_item::<Counter>(attributes.await?)?.last_id)
    }
}

/// Of the reasons against a creation, in which the maker comes first.
fn maker_changed(reasons: Vec<CancellationReason>) -> Creation {
    Creation::MakerChanged(reasons.into_iter().next().and_then(|reason| reason.item))
}
