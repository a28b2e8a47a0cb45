//! The table of server-to-server tokens.
//!
//! A store's items: one per token, one with the last id and the number of live tokens, and one with the number of live
//! tokens per block of 256 ids. The counts change in the transaction that writes or deletes a token, so they cannot drift.
//! The block counts make a page cost the same at any depth: they tell in which block it starts.

use crate::{
    auth::caller::{Credential, UnconfirmedCaller},
    aws,
    http::error::Error,
    keys::jwt::{DB, SERVER, ServerClaims},
    tables::{
        directory::{Directory, api_account_key},
        dynamodb::{
            CONFLICT_RETRIES, Item, Outcome, built, email_key, from_item, get, key, number, step_aside, string,
            to_item, transact, was_refused,
        },
    },
};
use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    operation::update_item::UpdateItemError,
    types::{
        AttributeValue, ConditionCheck, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure,
        TransactWriteItem, Update, builders::UpdateBuilder,
    },
};
use serde::{Deserialize, Serialize};

/// Ids that share one live-count.
const BLOCK_SIZE: u64 = 256;

const COUNTER: &str = "COUNTER";
/// What the sort keys of all live-counts begin with.
pub const BLOCKS: &str = "BLOCK#";
/// What the sort keys of all tokens begin with.
pub const TOKENS: &str = "TOKEN#";

/// Where a server-to-server token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventChannel {
    /// `POST /auth/backend`.
    Api,
    /// The operator's tool.
    Admin,
}

/// What is kept of a server-to-server token: everything but the token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The token's id, unique in its store, never used again.
    pub id: u64,
    /// The name that its maker gave it.
    pub name: String,
    /// E-mail of the backend user who made it, as stored.
    pub email: String,
    /// Where it was made.
    pub event_channel: EventChannel,
    /// Id of the key that it was signed with.
    pub kid: String,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// Before when it is not valid, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// From when it is not valid any more, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// When it was last used, in Unix seconds, give or take an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<u64>,
}

impl TokenRecord {
    /// The claims that were signed, and that give the same token when signed again.
    #[must_use]
    pub fn claims(&self, store_hash: &str) -> ServerClaims {
        ServerClaims {
            email: self.email.clone(),
            store_hash: store_hash.into(),
            db: DB.into(),
            jti: self.id.to_string(),
            aud: SERVER.into(),
            iat: self.iat,
            nbf: self.nbf,
            exp: self.exp,
        }
    }
}

/// A store's last id and its number of live tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Counter {
    /// The highest id that was given; 0 before the first.
    pub last_id: u64,
    /// How many tokens there are.
    pub live: u64,
}

/// What is kept here of an API account.
#[derive(Deserialize)]
struct LastUse {
    last_used_at: u64,
}

/// How many live tokens a block of ids has.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct BlockCount {
    block: u64,
    live: u64,
}

/// Which token to delete.
#[derive(Debug)]
pub struct Deletion {
    /// Its id.
    pub id: u64,
    /// Where given, must be its name.
    pub name: Option<String>,
    /// Where given, must be its e-mail in any case.
    pub email: Option<String>,
}

/// The table.
pub struct TokenTable {
    client: Client,
    table: String,
}

impl TokenTable {
    /// The table of this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The record of a token.
    ///
    /// # Errors
    /// Only faults.
    pub async fn record(&self, store_hash: &str, id: u64) -> Result<Option<TokenRecord>, Error> {
        get(&self.client, &self.table, key(store_hash, token_key(id))).await
    }

    /// Notes when a token or an API account was last used, unless that was noted in the last `interval` seconds or the
    /// token has been deleted since.
    ///
    /// # Errors
    /// Only faults.
    pub async fn note_use(&self, store_hash: &str, of: &Credential, now: u64, interval: u64) -> Result<(), Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .update_expression("SET last_used_at = :now")
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":before", number(now.saturating_sub(interval)));
        let not_lately = "(attribute_not_exists(last_used_at) OR last_used_at <= :before)";
        let request = match of {
            Credential::Token { id, kid, iat } => request
                .set_key(Some(key(store_hash, token_key(*id))))
                .condition_expression(format!("{IS_CALLER} AND {not_lately}"))
                .expression_attribute_values(":iat", number(*iat))
                .expression_attribute_values(":kid", string(kid)),
            Credential::ApiAccount { sha256 } => {
                request.set_key(Some(key(store_hash, api_account_key(sha256)))).condition_expression(not_lately)
            }
        };
        match request.send().await {
            Ok(_) => Ok(()),
            Err(fault)
                if fault.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(fault) => Err(aws::error("UpdateItem", &fault)),
        }
    }

    /// When an API account was last used, in Unix seconds, give or take an hour.
    ///
    /// # Errors
    /// Only faults.
    pub async fn api_account_last_used_at(&self, store_hash: &str, sha256: &str) -> Result<Option<u64>, Error> {
        let last_use: Option<LastUse> =
            get(&self.client, &self.table, key(store_hash, api_account_key(sha256))).await?;
        Ok(last_use.map(|last_use| last_use.last_used_at))
    }

    /// The last id and the number of live tokens.
    ///
    /// # Errors
    /// Only faults.
    pub async fn counter(&self, store_hash: &str) -> Result<Counter, Error> {
        Ok(get(&self.client, &self.table, key(store_hash, COUNTER.into())).await?.unwrap_or_default())
    }

    /// Gives the token an id, whatever it came with, and writes it, if at the same moment `maker` holds: it may be a while
    /// since the maker's password was looked at. `counter` may be out of date: where another token has taken the next id, one
    /// is reserved first.
    ///
    /// # Errors
    /// [`Error::TooManyTokens`] if the store already has `max`, [`Error::IncorrectCredentials`] if `maker` does not hold.
    pub async fn create(
        &self,
        store_hash: &str,
        mut token: TokenRecord,
        counter: Counter,
        max: u64,
        maker: &TransactWriteItem,
    ) -> Result<TokenRecord, Error> {
        if counter.live >= max {
            return Err(Error::TooManyTokens { max });
        }
        token.id = counter.last_id + 1;
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
        match transact(&self.client, self.creation(store_hash, &token, take_next_id, maker)?).await? {
            Outcome::Done => return Ok(token),
            Outcome::Refused(reasons) if was_refused(&reasons[0]) => return Err(Error::IncorrectCredentials),
            Outcome::Refused(_) => {}
        }

        token.id = self.reserve_id(store_hash).await?;
        let count = Update::builder()
            .update_expression("ADD live :one")
            .condition_expression("attribute_not_exists(live) OR live < :max")
            .expression_attribute_values(":max", number(max));
        match transact(&self.client, self.creation(store_hash, &token, count, maker)?).await? {
            Outcome::Done => Ok(token),
            Outcome::Refused(reasons) if was_refused(&reasons[0]) => Err(Error::IncorrectCredentials),
            Outcome::Refused(_) => Err(Error::TooManyTokens { max }),
        }
    }

    /// The items of a transaction that writes a token, first `maker`; `counting` is what becomes of the counter.
    fn creation(
        &self,
        store_hash: &str,
        token: &TokenRecord,
        counting: UpdateBuilder,
        maker: &TransactWriteItem,
    ) -> Result<Vec<TransactWriteItem>, Error> {
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
            TransactWriteItem::builder().update(built(counting.build())?).build(),
            TransactWriteItem::builder().put(built(put.build())?).build(),
            self.count_in_block(store_hash, token.id, "1")?,
        ])
    }

    /// The next id, which nobody else gets.
    async fn reserve_id(&self, store_hash: &str) -> Result<u64, Error> {
        let mut conflicts = 0;
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
                Err(fault) if fault.code() == Some("TransactionConflictException") && conflicts < CONFLICT_RETRIES => {
                    conflicts += 1;
                    step_aside(conflicts).await;
                }
                Err(fault) => return Err(aws::error("UpdateItem", &fault)),
            }
        }
    }

    /// Deletes a token for a caller whose credentials are checked in the same transaction.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] if the caller's credentials have been taken back, [`Error::ScopeTooNarrow`],
    /// [`Error::NoSuchToken`] if there is no token as described.
    pub async fn delete(
        &self,
        caller: &UnconfirmedCaller,
        deletion: &Deletion,
        directory: &Directory,
    ) -> Result<(), Error> {
        let is_own =
            |credential: &&Credential| matches!(credential, Credential::Token { id, .. } if *id == deletion.id);
        let own = caller.credentials.iter().find(is_own);
        let mut items = self.deletion(&caller.store_hash, deletion, own)?;
        let own_items = items.len();
        let others: Vec<_> = caller.credentials.iter().filter(|credential| !is_own(credential)).collect();
        for credential in &others {
            items.push(match credential {
                Credential::Token { id, kid, iat } => self.token_check(&caller.store_hash, *id, kid, *iat)?,
                Credential::ApiAccount { sha256 } => directory.api_account_check(caller, sha256)?,
            });
        }
        let reasons = match transact(&self.client, items).await? {
            Outcome::Done => return Ok(()),
            Outcome::Refused(reasons) => reasons,
        };
        if own.is_some_and(|own| was_refused(&reasons[0]) && !is_record_of(reasons[0].item.as_ref(), own)) {
            return Err(DELETED);
        }
        for (credential, reason) in others.into_iter().zip(&reasons[own_items..]) {
            if was_refused(reason) {
                return Err(match credential {
                    Credential::ApiAccount { .. } if reason.item.is_some() => Error::ScopeTooNarrow,
                    _ => DELETED,
                });
            }
        }
        Err(Error::NoSuchToken)
    }

    /// Deletes a token, for an operator, who needs no token.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`] if there is no token as described.
    pub async fn revoke(&self, store_hash: &str, deletion: &Deletion) -> Result<(), Error> {
        match transact(&self.client, self.deletion(store_hash, deletion, None)?).await? {
            Outcome::Done => Ok(()),
            Outcome::Refused(_) => Err(Error::NoSuchToken),
        }
    }

    /// The items of a transaction that deletes a token, first the token; `own` is what it must be if the caller called with it.
    fn deletion(
        &self,
        store_hash: &str,
        deletion: &Deletion,
        own: Option<&Credential>,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let mut condition = vec!["attribute_exists(pk)"];
        let mut delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, token_key(deletion.id))))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        if let Some(name) = &deletion.name {
            condition.push("#name = :name");
            delete =
                delete.expression_attribute_names("#name", "name").expression_attribute_values(":name", string(name));
        }
        if let Some(email) = &deletion.email {
            condition.push("email_key = :email_key");
            delete = delete.expression_attribute_values(":email_key", string(email_key(email)));
        }
        if let Some(Credential::Token { kid, iat, .. }) = own {
            condition.push(IS_CALLER);
            delete = delete
                .expression_attribute_values(":iat", number(*iat))
                .expression_attribute_values(":kid", string(kid));
        }
        let delete = delete.condition_expression(condition.join(" AND "));
        let one_less = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, COUNTER.into())))
            .update_expression("ADD live :minus_one")
            .expression_attribute_values(":minus_one", AttributeValue::N("-1".into()));
        Ok(vec![
            TransactWriteItem::builder().delete(built(delete.build())?).build(),
            self.count_in_block(store_hash, deletion.id, "-1")?,
            TransactWriteItem::builder().update(built(one_less.build())?).build(),
        ])
    }

    /// In a transaction, that a token has not been deleted.
    fn token_check(&self, store_hash: &str, id: u64, kid: &str, iat: u64) -> Result<TransactWriteItem, Error> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, token_key(id))))
            .condition_expression(IS_CALLER)
            .expression_attribute_values(":iat", number(iat))
            .expression_attribute_values(":kid", string(kid));
        Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
    }

    /// The live-counts of a store's blocks, in ascending order.
    ///
    /// # Errors
    /// Only faults.
    pub async fn block_counts(&self, store_hash: &str) -> Result<Vec<BlockCount>, Error> {
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
            counts.push(from_item(item.map_err(|fault| aws::error("Query", &fault))?)?);
        }
        Ok(counts)
    }

    /// At most `limit` tokens after the first `offset`, in ascending order of their ids.
    ///
    /// # Errors
    /// Only faults.
    pub async fn page(
        &self,
        store_hash: &str,
        counts: &[BlockCount],
        offset: u64,
        limit: u64,
    ) -> Result<Vec<TokenRecord>, Error> {
        let Some((block, skip)) = first_block(counts, offset) else {
            return Ok(Vec::new());
        };
        let wanted = usize::try_from(skip + limit).map_err(|_| Error::Internal("page too large".into()))?;
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
            let item = item.map_err(|fault| aws::error("Query", &fault))?;
            if position as u64 >= skip {
                tokens.push(from_item(item)?);
            }
        }
        Ok(tokens)
    }

    fn count_in_block(&self, store_hash: &str, id: u64, change: &str) -> Result<TransactWriteItem, Error> {
        let block = (id - 1) / BLOCK_SIZE;
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, format!("{BLOCKS}{block:020}"))))
            .update_expression("SET #block = :block ADD live :change")
            .expression_attribute_names("#block", "block")
            .expression_attribute_values(":block", number(block))
            .expression_attribute_values(":change", AttributeValue::N(change.into()));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}

/// Holds for the record of a caller's token. Key and time of issue are compared too, in case a store was made anew and counts
/// from 1 again, or somebody signed with a key that has leaked.
const IS_CALLER: &str = "iat = :iat AND kid = :kid";
/// What a caller hears whose credentials are good no more, or never were.
pub const DELETED: Error = Error::InvalidToken("deleted");

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

/// The number of all live tokens.
#[must_use]
pub fn total(counts: &[BlockCount]) -> u64 {
    counts.iter().map(|count| count.live).sum()
}

/// Whether this is the record of the token, as [`IS_CALLER`] compares it.
fn is_record_of(item: Option<&Item>, credential: &Credential) -> bool {
    let attribute = |name| item.and_then(|item| item.get(name));
    matches!(credential, Credential::Token { kid, iat, .. }
        if attribute("iat") == Some(&number(*iat)) && attribute("kid") == Some(&string(kid)))
}

fn token_key(id: u64) -> String {
    format!("{TOKENS}{id:020}")
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
