//! Writing a new token under the next id.

use super::{
    blocks::total,
    expiry::{EXPIRY_MARGIN, EXPIRY_SHARD, in_transactions, shard_of},
    idempotency::{FirstRequest, IdempotencyKey},
    record::{NewToken, TokenRecord},
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
    types::{CancellationReason, Put, ReturnValue, TransactWriteItem, Update, builders::UpdateBuilder},
};
use serde::Deserialize;
use std::time::Duration;

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

/// Why no token was made.
#[derive(Debug)]
pub enum NotCreated {
    /// The store has as many tokens that have not ended as it may have.
    Full {
        /// So many.
        max: u64,
    },
    /// An earlier request with the same key was another one.
    KeyOfAnotherRequest,
    /// An earlier request with the same key made a token that is gone.
    KeyUsedUp,
    /// Nobody can say.
    Fault(Fault),
}

impl From<Fault> for NotCreated {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What was to be written with a token, and its condition did not hold.
#[derive(Debug)]
pub struct Refused {
    /// Its position.
    pub position: usize,
    /// What is there in its place, if it was to be given back.
    pub item: Option<Item>,
}

/// What is to be made of what was read.
pub struct Creation<'a> {
    pub store_hash: &'a str,
    pub token: &'a NewToken,
    /// By which the request is known again.
    pub idempotency_key: Option<&'a IdempotencyKey>,
    /// May be out of date.
    pub counter: Option<Counter>,
    /// How many tokens the store may have that have not ended by `now`.
    pub max: u64,
    /// In Unix seconds.
    pub now: u64,
}

/// A token that has ended.
#[derive(Deserialize)]
struct EndedToken {
    id: u64,
    ends_at: u64,
}

/// How far the counter may go.
struct Room {
    deleted: u64,
    /// At most so many tokens may have been made, the next included.
    max_made: u64,
}

impl Counter {
    /// As it must be where there is a token of this id: it may have been read a moment before the token was made.
    pub(super) fn after(self, id: u64) -> Self {
        Self { last_id: self.last_id.max(id), ..self }
    }
}

impl Room {
    fn new(deleted: u64, max_live: u64) -> Self {
        Self { deleted, max_made: deleted.saturating_add(max_live) }
    }

    /// What becomes of the counter with a token under the next id, if it is that still.
    fn counting_next(&self, counter: Counter, id: u64) -> UpdateBuilder {
        let update = Update::builder()
            .update_expression("SET last_id = :id, deleted = :deleted ADD made :one")
            .expression_attribute_values(":id", number(id))
            .expression_attribute_values(":deleted", number(self.deleted));
        if counter.last_id == 0 {
            return update.condition_expression("attribute_not_exists(pk)");
        }
        update
            .condition_expression("last_id = :last_id AND made < :max_made")
            .expression_attribute_values(":last_id", number(counter.last_id))
            .expression_attribute_values(":max_made", number(self.max_made))
    }

    /// What becomes of it with a token whose id is reserved.
    fn counting(&self) -> UpdateBuilder {
        Update::builder()
            .update_expression("ADD made :one")
            .condition_expression("attribute_not_exists(made) OR made < :max_made")
            .expression_attribute_values(":max_made", number(self.max_made))
    }
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

    /// Writes a token under the next id, if at the same moment all holds that `beside` gives for this id, and writes that too.
    ///
    /// # Errors
    /// [`NotCreated`]; [`NotCreated::KeyOfAnotherRequest`] and [`NotCreated::KeyUsedUp`] if another request with the same key was
    /// faster. If that was the same request, its token is given.
    pub async fn create(
        &self,
        creation: &Creation<'_>,
        beside: impl Fn(u64) -> Result<Vec<TransactWriteItem>, Fault>,
    ) -> Result<Result<TokenRecord, Refused>, NotCreated> {
        let created = self.create_first(creation, beside).await;
        if let Err(NotCreated::Full { .. } | NotCreated::KeyUsedUp) = created
            && let Some(token) = self.made_meanwhile(creation).await?
        {
            return Ok(Ok(token));
        }
        created
    }

    /// The token that was made by the first request with the same key, as it was read; none if this is the first.
    ///
    /// # Errors
    /// [`NotCreated::KeyOfAnotherRequest`], [`NotCreated::KeyUsedUp`], or a fault.
    pub async fn made_before(
        &self,
        store_hash: &str,
        idempotency_key: Option<&IdempotencyKey>,
        first_request: Option<FirstRequest>,
        now: u64,
    ) -> Result<Option<TokenRecord>, NotCreated> {
        let first_request = first_request.filter(|first| first.counts(now));
        let Some((idempotency_key, first)) = idempotency_key.zip(first_request) else { return Ok(None) };
        if !first.is_the_same(idempotency_key) {
            return Err(NotCreated::KeyOfAnotherRequest);
        }
        let made = together(self.record(store_hash, first.token_id)).await?;
        made.map(Some).ok_or(NotCreated::KeyUsedUp)
    }

    /// The token that another request with the same key has made since this one looked.
    pub(super) async fn made_meanwhile(&self, creation: &Creation<'_>) -> Result<Option<TokenRecord>, NotCreated> {
        let Creation { store_hash, idempotency_key, now, .. } = *creation;
        let first_request = idempotency_key.map(|key| self.first_request(store_hash, key));
        let first_request = together(first_request).await?;
        self.made_before(store_hash, idempotency_key, first_request.flatten(), now).await
    }

    async fn create_first(
        &self,
        creation: &Creation<'_>,
        beside: impl Fn(u64) -> Result<Vec<TransactWriteItem>, Fault>,
    ) -> Result<Result<TokenRecord, Refused>, NotCreated> {
        let Creation { store_hash, token, counter, .. } = *creation;
        let counter = counter.unwrap_or_default();
        let mut room = self.room(creation, counter).await?;
        let mut retries = Retries::within(self.patience);
        // Mostly nobody else is making one, and the next id is free.
        let mut reserved_id = None;
        loop {
            let record = token.record(reserved_id.unwrap_or(counter.last_id + 1));
            let update = match reserved_id {
                Some(_) => room.counting(),
                None => room.counting_next(counter, record.id),
            };
            let (others, items) = self.items(creation, &record, update, beside(record.id)?)?;
            let outcome = transact(&self.client, items).await?;
            if let Outcome::Refused(reasons) = &outcome
                && let Some(refused) = refused_beside(reasons, others)
            {
                return refused.map(Err);
            }
            match outcome {
                Outcome::Done => return Ok(Ok(record)),
                Outcome::Refused(_) | Outcome::Crossed(_) if reserved_id.is_none() => {
                    reserved_id = Some(self.reserve_id(store_hash, &mut retries).await?);
                }
                Outcome::Refused(_) => {
                    let fault = Fault::of_contention("TransactWriteItems", "others keep filling the store", None);
                    retries.wait(fault).await?;
                    let counter = together(self.counter(store_hash)).await?.unwrap_or_default();
                    room = self.room(creation, counter).await?;
                }
                Outcome::Crossed(fault) => retries.wait(fault).await?,
            }
        }
    }

    /// How many tokens there may ever be made without counting again. What has ended does not count, and where the store looks
    /// full, some of it is freed.
    ///
    /// What is counted here is newer than the counter, so that at least as many have been deleted.
    async fn room(&self, creation: &Creation<'_>, counter: Counter) -> Result<Room, NotCreated> {
        let Creation { store_hash, max, now, .. } = *creation;
        let Counter { made, mut deleted, .. } = counter;
        if made.saturating_sub(deleted) < max {
            return Ok(Room::new(deleted, max));
        }
        let mut live = total(&self.blocks(store_hash).await?);
        loop {
            deleted = deleted.max(made.saturating_sub(live));
            if live < max {
                return Ok(Room::new(deleted, max));
            }
            let ended = self.ended_of(store_hash, now).await?;
            let freed = self.free(store_hash, &ended, now).await;
            live = live.saturating_sub(freed);
            deleted += freed;
            let max_live = max.saturating_add((ended.len() as u64).saturating_sub(freed));
            if live < max_live {
                return Ok(Room::new(deleted, max_live));
            }
            // Some of those that were counted may have ended, and been removed by others before they were looked for.
            let live_now = total(&self.blocks(store_hash).await?);
            if live_now >= live {
                return Err(NotCreated::Full { max });
            }
            live = live_now;
        }
    }

    /// The tokens of a store that have ended.
    async fn ended_of(&self, store_hash: &str, now: u64) -> Result<Vec<EndedToken>, Fault> {
        let request = self
            .query(store_hash)
            .key_condition_expression("pk = :pk AND begins_with(sk, :tokens)")
            .filter_expression("ends_at <= :now")
            .projection_expression("id, ends_at")
            .expression_attribute_values(":tokens", string(TOKENS))
            .expression_attribute_values(":now", number(now));
        let mut items = request.into_paginator().items().send();
        let mut ended = Vec::new();
        while let Some(item) = items.next().await {
            ended.push(from_item(item.map_err(|error| Fault::of_aws("Query", error))?)?);
        }
        Ok(ended)
    }

    /// Deletes some of those that have ended, so that they need not be counted again and again. Gives how many.
    ///
    /// A caller waits for it, and there is room without it. So it is one transaction, which others' are not waited for, and of
    /// several callers at once each has another in hand, if there is another.
    async fn free(&self, store_hash: &str, ended: &[EndedToken], now: u64) -> u64 {
        let until = now.saturating_sub(EXPIRY_MARGIN);
        let ids = ended.iter().filter(|token| token.ends_at <= until).map(|token| token.id).collect();
        let parts = in_transactions(store_hash, ids);
        let Some(part) = fastrand::choice(&parts) else { return 0 };
        self.clone().with_patience(Duration::ZERO).delete_ended(part, until).await.unwrap_or_else(|fault| {
            tracing::warn!(cause = %fault, "what has ended is not freed");
            0
        })
    }

    /// The items of a transaction that writes a token: first those beside it, then the key, if there is one. Gives the number of
    /// the first too. `update` is what becomes of the counter.
    fn items(
        &self,
        creation: &Creation<'_>,
        token: &TokenRecord,
        update: UpdateBuilder,
        beside: Vec<TransactWriteItem>,
    ) -> Result<(Others, Vec<TransactWriteItem>), Fault> {
        let Creation { store_hash, idempotency_key, now, .. } = *creation;
        let update = update
            .table_name(&self.table)
            .set_key(Some(key(store_hash, COUNTER.into())))
            .expression_attribute_values(":one", number(1));
        let mut item = to_item(key(store_hash, token_key(token.id)), token)?;
        item.insert("email_key".into(), string(email_key(&token.email)));
        if token.ends_at.is_some() {
            item.insert(EXPIRY_SHARD.into(), number(shard_of(store_hash)));
        }
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)");
        let others = Others { beside: beside.len(), has_key: idempotency_key.is_some() };
        let mut items = beside;
        if let Some(idempotency_key) = idempotency_key {
            items.push(self.remember(store_hash, idempotency_key, token.id, now)?);
        }
        items.extend([update.build().part()?, put.build().part()?, self.count_in_block(store_hash, token.id)?]);
        Ok((others, items))
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

/// What comes in a transaction before the token and what counts it.
#[derive(Clone, Copy)]
struct Others {
    beside: usize,
    has_key: bool,
}

/// Of the reasons against a creation, one that no other id would change.
fn refused_beside(reasons: &[CancellationReason], others: Others) -> Option<Result<Refused, NotCreated>> {
    if let Some(position) = reasons.iter().take(others.beside).position(was_refused) {
        return Some(Ok(Refused { position, item: reasons[position].item.clone() }));
    }
    let of_key = reasons.get(others.beside).filter(|reason| others.has_key && was_refused(reason));
    of_key.map(|_| Err(NotCreated::KeyUsedUp))
}
