//! The table of login attempts, which keeps passwords from being guessed.

mod account;
mod counts;
mod tried;

pub use account::Account;
pub use counts::{KNOWN_FOR, OpenWindow, WINDOW};
pub use tried::{Tried, tried};

use crate::{
    clock::Clock,
    fault::Fault,
    tables::items::{Item, email_key, number, string},
};
use aws_sdk_dynamodb::{
    Client,
    operation::{
        put_item::PutItemError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure},
};
use counts::{Counts, MAX_OF_ACCOUNT, MAX_OF_ADDRESS};
use std::collections::HashMap;

/// How often a write is tried that others may get in the way of: what has ended has to go, or counts were cleared meanwhile.
const TRIES: u32 = 32;

/// Whether a password may be looked at.
#[must_use = "where it does not fit, the password must not be looked at"]
pub enum Reservation {
    /// The attempt is counted.
    Counted(Attempt),
    /// There have been too many: the password must not be looked at.
    Full {
        /// Seconds until there may be another; 1 where one of those counted may yet succeed.
        retry_after: u64,
    },
}

/// Where an attempt comes from, and what it would log in to.
#[derive(Clone, Debug)]
pub struct Origin {
    address: String,
    known_as: String,
}

impl From<&str> for Origin {
    /// An address; the account is one.
    fn from(address: &str) -> Self {
        Self { address: address.into(), known_as: address.into() }
    }
}

impl Origin {
    /// An address, and a channel that has accounts of its own. At BigCommerce two customers may have one e-mail on two channels: who
    /// has logged in as one of them is not known to be the other.
    #[must_use]
    pub fn at_channel(address: &str, channel_id: u64) -> Self {
        Self { address: address.into(), known_as: format!("{address} {channel_id}") }
    }
}

/// An attempt that is counted as a failed login, unless it is said to be none.
pub struct Attempt {
    attempts: LoginAttempts,
    key: Item,
    origin: Origin,
}

/// What became of a write.
enum Written {
    /// These are the counts now.
    Done(Counts),
    /// Nothing is written: the counts are others than they had to be.
    Refused(Counts),
}

/// The table, for one kind of account.
#[derive(Clone)]
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

    /// Counts an attempt from an address, before the password is looked at, so that parallel guesses cannot slip past the
    /// count. The account need not exist. An attempt whose answer is lost and that the SDK sends again counts twice: the
    /// count errs on the safe side.
    pub async fn reserve(
        &self,
        store_hash: &str,
        email: &str,
        origin: impl Into<Origin>,
        clock: &Clock,
    ) -> Result<Reservation, Fault> {
        let (key, origin) = (self.key(store_hash, email), origin.into());
        for _ in 0..TRIES {
            let now = clock.now();
            let mut written = self.count(&key, &origin.address, now).await?;
            if let Written::Refused(present) = written {
                // Full, or something that has ended stands in the way.
                let mut counts = present.clone();
                if let Err(retry_after) = counts.count(&origin.address, &origin.known_as, now) {
                    return Ok(Reservation::Full { retry_after });
                }
                written = self.replace(&key, &present, counts, now).await?;
            }
            if let Written::Done(_) = written {
                return Ok(Reservation::Counted(Attempt { attempts: self.clone(), key, origin }));
            }
        }
        Ok(Reservation::Full { retry_after: 1 })
    }

    /// The attempts that count now.
    pub async fn open(&self, store_hash: &str, email: &str, clock: &Clock) -> Result<Vec<OpenWindow>, Fault> {
        let counts = self.counts(&self.key(store_hash, email)).await?;
        Ok(counts.map(|counts| counts.open(clock.now())).unwrap_or_default())
    }

    /// Forgets the attempts, and says how many there were. The addresses of logins stay known.
    pub async fn forget(&self, store_hash: &str, email: &str, clock: &Clock) -> Result<u64, Fault> {
        let key = self.key(store_hash, email);
        let Some(counts) = self.counts(&key).await? else { return Ok(0) };
        let now = clock.now();
        self.change(&key, counts, now, |counts| counts.forget(now)).await
    }

    async fn counts(&self, key: &Item) -> Result<Option<Counts>, Fault> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key.clone())).consistent_read(true);
        let answer = request.send().await.map_err(|error| Fault::of_aws("GetItem", error))?;
        answer.item.as_ref().map(Counts::of_item).transpose()
    }

    /// Counts an attempt where nothing has ended that must go first. This says in one condition what [`Counts::count`] says,
    /// and needs not know the counts, so that of many attempts at once none has to be tried again.
    async fn count(&self, key: &Item, address: &str, now: u64) -> Result<Written, Fault> {
        let request = self
            .update(key, address)
            .update_expression(
                "SET revision = :revision, ends = :end, #ends = :end, expires_at = if_not_exists(kept_until, :end) \
                 ADD attempts :one, #attempts :one",
            )
            .condition_expression(
                "attribute_not_exists(pk) OR (\
                 (attempts = :zero OR (ends > :now AND attempts < :max_of_account)) AND \
                 (attribute_not_exists(#attempts) OR #attempts = :zero OR (#ends > :now AND #attempts < :max_of_address)) AND \
                 (attribute_not_exists(kept_until) OR kept_until >= :end))",
            )
            .expression_attribute_names("#ends", format!("ends#{address}"))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":end", number(now + WINDOW))
            .expression_attribute_values(":max_of_account", number(MAX_OF_ACCOUNT))
            .expression_attribute_values(":max_of_address", number(MAX_OF_ADDRESS));
        send(request).await
    }

    /// An update of the counts, some of which are those of an address.
    fn update(&self, key: &Item, address: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.clone()))
            .expression_attribute_names("#attempts", format!("attempts#{address}"))
            .expression_attribute_values(":revision", number(fastrand::u64(..)))
            .expression_attribute_values(":zero", number(0))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(OnFailure::AllOld)
    }

    /// Changes the counts, which are believed to be these, whatever they are.
    async fn change<T>(
        &self,
        key: &Item,
        mut present: Counts,
        now: u64,
        change: impl Fn(&mut Counts) -> T,
    ) -> Result<T, Fault> {
        for _ in 0..TRIES {
            let mut counts = present.clone();
            let outcome = change(&mut counts);
            match self.replace(key, &present, counts, now).await? {
                Written::Done(_) => return Ok(outcome),
                Written::Refused(others) => present = others,
            }
        }
        Err(Fault::of_contention("PutItem", "others keep changing the login attempts", None))
    }

    /// Writes counts in place of those that are present. They are made anew if they are gone.
    async fn replace(&self, key: &Item, present: &Counts, mut counts: Counts, now: u64) -> Result<Written, Fault> {
        counts.revision = fastrand::u64(..);
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(counts.clone().into_item(key.clone(), now)))
            .condition_expression("attribute_not_exists(revision) OR revision = :present")
            .expression_attribute_values(":present", number(present.revision))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        let Err(error) = request.send().await else {
            return Ok(Written::Done(counts));
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refusal)) => match refused(refusal.item())? {
                // Written before, and the answer was lost.
                Written::Refused(present) if present.revision == counts.revision => Ok(Written::Done(counts)),
                written => Ok(written),
            },
            _ => Err(Fault::of_aws("PutItem", error)),
        }
    }

    fn key(&self, store_hash: &str, email: &str) -> Item {
        let key = self.account.keys_of_store(store_hash) + &email_key(email);
        HashMap::from([("pk".into(), string(key))])
    }
}

async fn send(update: UpdateItemFluentBuilder) -> Result<Written, Fault> {
    match update.send().await {
        Ok(answer) => Ok(Written::Done(Counts::of_item(&answer.attributes.unwrap_or_default())?)),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => refused(refusal.item()),
            _ => Err(Fault::of_aws("UpdateItem", error)),
        },
    }
}

/// None are present where they have gone since: then the next try will succeed.
fn refused(present: Option<&Item>) -> Result<Written, Fault> {
    Ok(Written::Refused(present.map(Counts::of_item).transpose()?.unwrap_or_default()))
}

impl Attempt {
    /// It was a login: clears the count of its address, from which the account is known from now on. A failure is only logged: the login
    /// stands. Of the account's attempts it takes back its own; one more if its answer is lost and the SDK sends it again.
    pub async fn succeeded(self, now: u64) {
        let known_until = now + KNOWN_FOR;
        let update = self
            .attempts
            .update(&self.key, &self.origin.address)
            .update_expression(
                "SET revision = :revision, #known = :known_until, kept_until = :kept_until, expires_at = :kept_until \
                 REMOVE #attempts, #ends ADD attempts :minus_one",
            )
            .condition_expression("attempts > :zero")
            .expression_attribute_names("#ends", format!("ends#{}", self.origin.address))
            .expression_attribute_names("#known", format!("known#{}", self.origin.known_as))
            .expression_attribute_values(":known_until", number(known_until))
            .expression_attribute_values(":kept_until", number(known_until + WINDOW))
            .expression_attribute_values(":minus_one", AttributeValue::N("-1".into()));
        self.settle(update, now, |counts, origin| counts.log_in(&origin.address, &origin.known_as, now)).await;
    }

    /// Takes it back for a caller who turned out to have no say: no password was looked at. A failure is only logged.
    pub async fn take_back(self, now: u64) {
        let update = self
            .attempts
            .update(&self.key, &self.origin.address)
            .update_expression("SET revision = :revision ADD attempts :minus_one, #attempts :minus_one")
            .condition_expression("attempts > :zero AND #attempts > :zero")
            .expression_attribute_values(":minus_one", AttributeValue::N("-1".into()));
        self.settle(update, now, |counts, origin| counts.take_back(&origin.address)).await;
    }

    /// Sends an update that many can send at once. Where it does not apply, because the counts have been cleared since, what
    /// it says is done to them as they are.
    async fn settle(self, update: UpdateItemFluentBuilder, now: u64, change: impl Fn(&mut Counts, &Origin)) {
        let Self { attempts, key, origin } = self;
        let settled = match send(update).await {
            Ok(Written::Done(present)) => {
                let mut counts = present.clone();
                if !counts.tidy(now) {
                    return;
                }
                // If others are in the way, they do it.
                attempts.replace(&key, &present, counts, now).await.map(drop)
            }
            Ok(Written::Refused(present)) => {
                attempts.change(&key, present, now, |counts| change(counts, &origin)).await
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = settled {
            tracing::warn!(cause = %fault, "a login attempt may stay counted that succeeded or was none");
        }
    }
}
