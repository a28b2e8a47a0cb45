//! Writing all or nothing, and trying again what others were in the way of: the SDK leaves that to its caller.

use crate::{
    fault::{Fault, is_transient_code},
    tables::items::built,
};
use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use std::{error::Error as StdError, time::Duration};

/// How often a write of a request is tried again that another transaction has crossed.
pub const CONFLICT_RETRIES: u32 = 3;
const CONDITION_FAILED: &str = "ConditionalCheckFailed";

/// What became of a transaction.
pub enum Outcome {
    /// All was written.
    Done,
    /// A condition did not hold, so nothing was; one reason for each item of the transaction.
    Refused(Vec<CancellationReason>),
}

/// Writes all or nothing. The SDK gives each call a `ClientRequestToken`, so an attempt that timed out after it had succeeded
/// is recognised when the SDK tries again.
///
/// # Errors
/// If DynamoDB fails, or others were in the way more than `retries` times.
pub async fn transact(client: &Client, items: Vec<TransactWriteItem>, retries: u32) -> Result<Outcome, Fault> {
    const OPERATION: &str = "TransactWriteItems";
    retry_crossed(retries, || async {
        let request = client.transact_write_items().set_transact_items(Some(items.clone()));
        let Err(error) = request.send().await else {
            return Ok(Attempt::Ended(Outcome::Done));
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
            return Err(Fault::of_aws(OPERATION, error));
        };
        let reasons = cancelled.cancellation_reasons();
        if let Some(code) = reasons.iter().filter_map(CancellationReason::code).find(|code| is_transient_code(code)) {
            Ok(Attempt::Crossed(Fault::of_contention(OPERATION, "cancelled again and again", Some(code))))
        } else if reasons.iter().any(was_refused) {
            Ok(Attempt::Ended(Outcome::Refused(reasons.to_vec())))
        } else {
            Err(Fault::of_aws(OPERATION, error))
        }
    })
    .await
}

/// Whether it was this item's condition that did not hold.
#[must_use]
pub fn was_refused(reason: &CancellationReason) -> bool {
    reason.code() == Some(CONDITION_FAILED)
}

/// What became of an attempt.
pub enum Attempt<T> {
    /// It has its result.
    Ended(T),
    /// Others were in the way. The fault is what it comes to if they stay there.
    Crossed(Fault),
}

impl<T> Attempt<T> {
    /// What the failure of a single write means: crossed, if by another transaction.
    ///
    /// # Errors
    /// Any other failure.
    pub fn of_failed<E>(operation: &'static str, error: SdkError<E>) -> Result<Self, Fault>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let is_crossed = error.code() == Some("TransactionConflictException");
        let fault = Fault::of_aws(operation, error);
        if is_crossed { Ok(Self::Crossed(fault)) } else { Err(fault) }
    }
}

/// Makes attempts until one has its result, each after a random wait, so that those which collided do not meet again. Forty
/// milliseconds at most after the first, twice as much after each further one.
///
/// # Errors
/// That of an attempt, or of the last one crossed.
pub async fn retry_crossed<T, F>(retries: u32, mut attempt: impl FnMut() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<Attempt<T>, Fault>>,
{
    let mut crossed = 0;
    loop {
        match attempt().await? {
            Attempt::Ended(result) => return Ok(result),
            Attempt::Crossed(fault) if crossed == retries => return Err(fault),
            Attempt::Crossed(_) => {
                crossed += 1;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=20 << crossed))).await;
            }
        }
    }
}

/// A part of a transaction.
pub trait Part {
    /// As the transaction takes it.
    ///
    /// # Errors
    /// If a member was left out.
    fn part(self) -> Result<TransactWriteItem, Fault>;
}

impl Part for Result<ConditionCheck, BuildError> {
    fn part(self) -> Result<TransactWriteItem, Fault> {
        Ok(TransactWriteItem::builder().condition_check(built(self)?).build())
    }
}

impl Part for Result<Delete, BuildError> {
    fn part(self) -> Result<TransactWriteItem, Fault> {
        Ok(TransactWriteItem::builder().delete(built(self)?).build())
    }
}

impl Part for Result<Put, BuildError> {
    fn part(self) -> Result<TransactWriteItem, Fault> {
        Ok(TransactWriteItem::builder().put(built(self)?).build())
    }
}

impl Part for Result<Update, BuildError> {
    fn part(self) -> Result<TransactWriteItem, Fault> {
        Ok(TransactWriteItem::builder().update(built(self)?).build())
    }
}
