//! The table of login attempts, which keeps passwords from being guessed.

use crate::{
    clock::Clock,
    fault::Fault,
    tables::items::{Item, email_key, from_item, number, string},
};
use aws_sdk_dynamodb::{
    Client,
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure},
};
use serde::Deserialize;
use std::{collections::HashMap, time::Duration};

/// How many attempts fit into a window.
pub const MAX_ATTEMPTS: u64 = 10;
/// Seconds that must pass without an attempt until the count starts anew. It restarts with each attempt, so there is no
/// stretch of 15 minutes, wherever it begins, with more than ten.
pub const WINDOW: u64 = 900;

/// Seconds for which an attempt may still be under way: while it is, a full window may yet be cleared.
const UNDER_WAY: u64 = 1;
/// How often a full window with attempts under way is asked again, about an eighth of a second apart.
const TRIES: u32 = 32;

/// Whose password is tried. The two are counted apart: a customer who logs in must not clear the count of a backend user
/// with the same e-mail.
#[derive(Clone, Copy, Debug)]
pub enum Account {
    /// A backend user.
    BackendUser,
    /// A customer.
    Customer,
}

/// Whether a password may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "where the window is full, the password must not be looked at"]
pub enum Reservation {
    /// The attempt is counted.
    Counted,
    /// The window is full: the password must not be looked at.
    Full {
        /// Seconds until it ends.
        retry_after: u64,
    },
}

/// The attempts of a store and e-mail.
#[derive(Deserialize)]
struct Attempts {
    /// When the window ends, in Unix seconds. The table's TTL attribute; TTL can lag days, so it is compared too.
    expires_at: u64,
    /// How many there are.
    #[serde(default)]
    attempts: u64,
}

/// The table, for one kind of account.
pub struct LoginAttempts {
    client: Client,
    table: String,
    account: Account,
}

impl LoginAttempts {
    #[must_use]
    pub fn new(client: Client, table: String, account: Account) -> Self {
        Self { client, table, account }
    }

    /// Counts an attempt, before the password is looked at, so that parallel guesses cannot slip past the count.
    /// The account need not exist. An attempt whose answer is lost and that the SDK sends again counts twice: the count
    /// errs on the safe side.
    ///
    /// Where a window is full of attempts that have only just been made, it waits up to four seconds for one of them to
    /// succeed and clear the count: many right passwords at once are no attack.
    pub async fn reserve(&self, store_hash: &str, email: &str, clock: &Clock) -> Result<Reservation, Fault> {
        let mut ended_window = None;
        let mut retry_after = WINDOW;
        for _ in 0..TRIES {
            let now = clock.now();
            let Some(present) = self.try_to_reserve(store_hash, email, now, ended_window).await? else {
                return Ok(Reservation::Counted);
            };
            if present.expires_at <= now {
                ended_window = Some(present.expires_at);
                continue;
            }
            ended_window = None;
            retry_after = present.expires_at - now;
            if WINDOW.saturating_sub(retry_after) > UNDER_WAY {
                break;
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(50..200))).await;
        }
        Ok(Reservation::Full { retry_after })
    }

    /// Counts an attempt in the window that is open, or in a new one in place of `ended_window`. Gives what stands in the
    /// way, if anything does.
    async fn try_to_reserve(
        &self,
        store_hash: &str,
        email: &str,
        now: u64,
        ended_window: Option<u64>,
    ) -> Result<Option<Attempts>, Fault> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(store_hash, email)))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":end", number(now + WINDOW))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        let request = match ended_window {
            None => request
                .update_expression("SET expires_at = :end ADD attempts :one")
                .condition_expression("attribute_not_exists(pk) OR (expires_at > :now AND attempts < :max)")
                .expression_attribute_values(":now", number(now))
                .expression_attribute_values(":max", number(MAX_ATTEMPTS)),
            Some(end) => request
                .update_expression("SET expires_at = :end, attempts = :one")
                .condition_expression("expires_at = :ended")
                .expression_attribute_values(":ended", number(end)),
        };
        let Err(error) = request.send().await else {
            return Ok(None);
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                // None if the count has been cleared since: then the next try will succeed.
                let present = refusal.item().cloned().map(from_item).transpose()?;
                Ok(Some(present.unwrap_or(Attempts { expires_at: now + WINDOW, attempts: 0 })))
            }
            _ => Err(Fault::of_aws("UpdateItem", error)),
        }
    }

    /// Takes back an attempt that was counted for a caller who turned out to have no say: no password was looked at.
    /// A failure is only logged.
    pub async fn take_back(&self, store_hash: &str, email: &str) {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(store_hash, email)))
            .update_expression("ADD attempts :minus_one")
            .condition_expression("attempts > :zero")
            .expression_attribute_values(":minus_one", AttributeValue::N("-1".into()))
            .expression_attribute_values(":zero", number(0));
        if let Err(error) = request.send().await {
            tracing::warn!(cause = %Fault::of_aws("UpdateItem", error), "login attempt not taken back");
        }
    }

    /// Forgets the attempts, after a login that succeeded. A failure is only logged: the login stands.
    pub async fn clear(&self, store_hash: &str, email: &str) {
        if let Err(error) = self.forget(store_hash, email).await {
            tracing::warn!(cause = %error, "login attempts not cleared");
        }
    }

    /// Forgets the attempts, and says how many there were.
    pub async fn forget(&self, store_hash: &str, email: &str) -> Result<u64, Fault> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(self.key(store_hash, email)))
            .return_values(ReturnValue::AllOld);
        let answer = request.send().await.map_err(|error| Fault::of_aws("DeleteItem", error))?;
        let forgotten = answer.attributes.map(from_item::<Attempts>).transpose()?;
        Ok(forgotten.map_or(0, |attempts| attempts.attempts))
    }

    /// An e-mail holds no white space, so the last space parts it from the store.
    fn key(&self, store_hash: &str, email: &str) -> Item {
        let account = match self.account {
            Account::BackendUser => "USER",
            Account::Customer => "CUSTOMER",
        };
        HashMap::from([("pk".into(), string(format!("{account}#{store_hash} {}", email_key(email))))])
    }
}
