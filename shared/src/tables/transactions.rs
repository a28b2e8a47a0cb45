//! Writing all or nothing.

use crate::{
    fault::{Fault, is_transient_code},
    tables::{
        items::built,
        retries::{PATIENCE, Retries},
    },
};
use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, ProvideErrorMetadata},
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};

const OPERATION: &str = "TransactWriteItems";
const CONDITION_FAILED: &str = "ConditionalCheckFailed";

/// What became of a transaction.
pub enum Outcome {
    /// All was written.
    Done,
    /// A condition did not hold, so nothing was; one reason for each item of the transaction.
    Refused(Vec<CancellationReason>),
    /// Others were in the way, so nothing was. The fault is what it comes to if they stay there.
    Crossed(Fault),
}

/// Writes all or nothing. It may be sent several times, by the SDK or while it is still under way after its answer was lost: by
/// its `ClientRequestToken` DynamoDB knows it again, so it is made once.
///
/// # Errors
/// If DynamoDB fails.
pub async fn transact(client: &Client, items: Vec<TransactWriteItem>) -> Result<Outcome, Fault> {
    let request_token = format!("{:032x}", fastrand::u128(..));
    let mut retries = Retries::within(PATIENCE);
    loop {
        let request = client.transact_write_items().set_transact_items(Some(items.clone()));
        let Err(error) = request.client_request_token(&request_token).send().await else {
            return Ok(Outcome::Done);
        };
        if error.code() == Some("TransactionInProgressException") {
            retries.wait(Fault::of_aws(OPERATION, error)).await?;
            continue;
        }
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
            return Err(Fault::of_aws(OPERATION, error));
        };
        let reasons = cancelled.cancellation_reasons();
        if let Some(code) = reasons.iter().filter_map(CancellationReason::code).find(|code| is_transient_code(code)) {
            return Ok(Outcome::Crossed(Fault::of_contention(OPERATION, "cancelled again and again", Some(code))));
        }
        if reasons.iter().any(was_refused) {
            return Ok(Outcome::Refused(reasons.to_vec()));
        }
        return Err(Fault::of_aws(OPERATION, error));
    }
}

/// Whether it was this item's condition that did not hold.
#[must_use]
pub fn was_refused(reason: &CancellationReason) -> bool {
    reason.code() == Some(CONDITION_FAILED)
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
