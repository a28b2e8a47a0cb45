//! Writing a new token under the next id.

use super::{
    record::TokenRecord,
    table::{COUNTER, TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::{
        items::{email_key, from_item, get, key, number, string, to_item},
        transactions::{Attempt, CONFLICT_RETRIES, Outcome, Part, retry_crossed, transact, was_refused},
    },
};
use aws_sdk_dynamodb::types::{Put, ReturnValue, TransactWriteItem, Update, builders::UpdateBuilder};
use serde::Deserialize;

/// A store's last id and its number of live tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Counter {
    /// The highest id that was given; 0 before the first.
    pub last_id: u64,
    /// How many tokens there are.
    pub live: u64,
}

/// What became of a new token.
#[derive(Debug)]
pub enum Creation {
    /// It is written.
    Created(TokenRecord),
    /// The maker is no more what it was when the token was decided on.
    MakerChanged,
    /// The store has as many tokens as it may have.
    Full,
}

impl TokenTable {
    /// The last id and the number of live tokens.
    pub async fn counter(&self, store_hash: &str) -> Result<Counter, Fault> {
        Ok(get(&self.client, &self.table, key(store_hash, COUNTER.into())).await?.unwrap_or_default())
    }

    /// Writes a token, if at the same moment `maker` holds: it may be a while since the maker's password was looked at.
    /// `record` makes the record once its id is known. `counter` may be out of date: where another token has taken the next id,
    /// one is reserved first.
    pub async fn create(
        &self,
        store_hash: &str,
        counter: Counter,
        max: u64,
        maker: &TransactWriteItem,
        record: impl Fn(u64) -> TokenRecord,
    ) -> Result<Creation, Fault> {
        if counter.live >= max {
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
                .expression_attribute_values(":max", number(max))
        };
        let creation = self.creation(store_hash, &token, take_next_id, maker)?;
        match transact(&self.client, creation, CONFLICT_RETRIES).await? {
            Outcome::Done => return Ok(Creation::Created(token)),
            Outcome::Refused(reasons) if was_refused(&reasons[0]) => return Ok(Creation::MakerChanged),
            Outcome::Refused(_) => {}
        }

        let token = record(self.reserve_id(store_hash).await?);
        let count = Update::builder()
            .update_expression("ADD live :one")
            .condition_expression("attribute_not_exists(live) OR live < :max")
            .expression_attribute_values(":max", number(max));
        let creation = self.creation(store_hash, &token, count, maker)?;
        Ok(match transact(&self.client, creation, CONFLICT_RETRIES).await? {
            Outcome::Done => Creation::Created(token),
            Outcome::Refused(reasons) if was_refused(&reasons[0]) => Creation::MakerChanged,
            Outcome::Refused(_) => Creation::Full,
        })
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
