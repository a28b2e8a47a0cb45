//! Making a token in the place of another, which ends after an overlap.

use super::{
    create::{Counter, Creation, NotCreated},
    expiry::{ENDS_AT, EXPIRY_SHARD, shard_of},
    idempotency::IdempotencyKey,
    record::{EventChannel, NewToken, Replaced, TokenRecord},
    table::{TokenTable, token_key},
};
use crate::{
    fault::Fault,
    tables::{
        items::{from_item, key, number},
        transactions::Part,
    },
};
use aws_sdk_dynamodb::types::{ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update};

/// What is to be made of a token.
pub struct Rotation<'a> {
    pub store_hash: &'a str,
    /// As it was read.
    pub old: &'a TokenRecord,
    /// Seconds for which it stays good, unless it ends before.
    pub overlap: u64,
    /// When the new one ends, in Unix seconds, if it is to end before the old one would have.
    pub exp: Option<u64>,
    /// Id of the key that the new one is signed with.
    pub kid: &'a str,
    pub event_channel: EventChannel,
    /// As for [`Creation`].
    pub idempotency_key: Option<&'a IdempotencyKey>,
    pub counter: Option<Counter>,
    pub max: u64,
    pub now: u64,
}

/// Why a token was not replaced.
#[derive(Debug)]
pub enum NotRotated {
    /// It is gone, or has ended.
    NoSuchToken,
    /// It has been replaced already.
    Replaced {
        /// Id of the token in its place.
        by: u64,
    },
    /// The new one would end before it is valid.
    EndsTooEarly,
    /// The new one would end later than the old one.
    EndsTooLate,
    /// Whoever made the old one may make none now.
    MakerForbidden,
    /// The check at this position did not hold; whether its item is there all the same.
    CheckFailed { position: usize, is_present: bool },
    /// The new one was not created.
    NotCreated(NotCreated),
}

impl<E: Into<NotCreated>> From<E> for NotRotated {
    fn from(error: E) -> Self {
        Self::NotCreated(error.into())
    }
}

impl TokenTable {
    /// Makes a token in the place of another, if at the same moment all `checks` hold and `maker` does. The new one inherits all
    /// but its id, key and times of issue and, where given, of its end.
    ///
    /// # Errors
    /// [`NotRotated`].
    pub async fn rotate(
        &self,
        rotation: &Rotation<'_>,
        checks: &[TransactWriteItem],
        maker: &TransactWriteItem,
    ) -> Result<TokenRecord, NotRotated> {
        let Rotation { store_hash, old, overlap, exp, kid, event_channel, idempotency_key, counter, max, now } =
            *rotation;
        check(old, exp, now)?;
        let overlap_ends = now.saturating_add(overlap);
        let replaced = Replaced { id: old.id, ends_at: old.exp.map_or(overlap_ends, |exp| exp.min(overlap_ends)) };
        let token = NewToken {
            name: old.name.clone(),
            email: old.email.clone(),
            event_channel,
            kid: kid.into(),
            iat: now,
            nbf: old.nbf,
            exp: exp.or(old.exp),
            scopes: old.scopes.clone(),
            replaces: Some(replaced),
        };
        // Where the old one ends at once, there are not more than before.
        let max = if overlap == 0 { u64::MAX } else { max };
        let counter = counter.map(|counter| counter.after(old.id));
        let creation = Creation { store_hash, token: &token, idempotency_key, counter, max, now };
        let beside = |id| {
            let mut items = checks.to_vec();
            items.extend([maker.clone(), self.replacement(store_hash, old, replaced, id, now)?]);
            Ok(items)
        };
        let refused = match self.create(&creation, beside).await? {
            Ok(token) => return Ok(token),
            Err(refused) => refused,
        };
        if refused.position < checks.len() {
            let is_present = refused.item.is_some();
            return Err(NotRotated::CheckFailed { position: refused.position, is_present });
        }
        if refused.position == checks.len() {
            return Err(NotRotated::MakerForbidden);
        }
        if let Some(token) = self.made_meanwhile(&creation).await? {
            return Ok(token);
        }
        let present = refused.item.map(from_item::<TokenRecord>).transpose()?;
        let by = present.and_then(|present| present.replaced_by);
        Err(by.map_or(NotRotated::NoSuchToken, |by| NotRotated::Replaced { by }))
    }

    /// In a transaction, that a token is replaced that has not been.
    fn replacement(
        &self,
        store_hash: &str,
        old: &TokenRecord,
        replaced: Replaced,
        by: u64,
        now: u64,
    ) -> Result<TransactWriteItem, Fault> {
        let identity = old.identity();
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, token_key(old.id))))
            .update_expression(format!("SET replaced_by = :by, {ENDS_AT} = :end, {EXPIRY_SHARD} = :shard"))
            .condition_expression(format!("{} AND attribute_not_exists(replaced_by)", identity.condition()))
            .expression_attribute_values(":by", number(by))
            .expression_attribute_values(":end", number(replaced.ends_at))
            .expression_attribute_values(":shard", number(shard_of(store_hash)))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        for (name, value) in identity.values(now) {
            update = update.expression_attribute_values(name, value);
        }
        update.build().part()
    }
}

/// Whether a token can be replaced by one that ends then.
fn check(old: &TokenRecord, exp: Option<u64>, now: u64) -> Result<(), NotRotated> {
    if let Some(by) = old.replaced_by {
        return Err(NotRotated::Replaced { by });
    }
    if old.exp.is_some_and(|end| end <= now) {
        return Err(NotRotated::NoSuchToken);
    }
    if exp.is_some_and(|end| end <= now.max(old.nbf.unwrap_or(0))) {
        return Err(NotRotated::EndsTooEarly);
    }
    if exp.zip(old.exp).is_some_and(|(new, old)| new > old) {
        return Err(NotRotated::EndsTooLate);
    }
    Ok(())
}
