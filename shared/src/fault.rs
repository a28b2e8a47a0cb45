//! What failed beyond a caller's own mistakes: a call of AWS, or something of ours that must not fail.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::{error::Error as StdError, fmt};

type Source = Box<dyn StdError + Send + Sync>;

/// A failure that is no answer to the one who called: the database, the secret store or a part of ours failed.
///
/// Neither [`fmt::Display`] nor [`fmt::Debug`] shows more than codes and messages: the debug form of an SDK error may hold the
/// secret that was read.
pub struct Fault {
    /// What failed: an operation of AWS, such as `GetItem`, or something of ours in words.
    pub operation: &'static str,
    /// AWS's code of the error, such as `ThrottlingException`.
    pub code: Option<String>,
    /// HTTP status of what answered, if anything did.
    pub status: Option<u16>,
    /// Whether it ends by itself: load, contention, or a service that does not answer.
    pub is_transient: bool,
    source: Option<Source>,
}

impl Fault {
    /// That a call of AWS failed.
    pub fn of_aws<E>(operation: &'static str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let code = error.code().map(ToOwned::to_owned);
        let is_transient = match &error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
            SdkError::ServiceError(service) => {
                service.raw().status().is_server_error() || code.as_deref().is_some_and(is_transient_code)
            }
            _ => false,
        };
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        Self { operation, code, status, is_transient, source: Some(error.into()) }
    }

    /// That something of ours failed, which trying again will not mend, and what caused it.
    pub fn of_ours(operation: &'static str, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..Self::in_words(operation) }
    }

    /// That something of ours is not as it must be, which trying again will not mend.
    #[must_use]
    pub fn in_words(problem: &'static str) -> Self {
        Self { operation: problem, code: None, status: None, is_transient: false, source: None }
    }

    /// That others were in the way until the time for it was used up, and how.
    #[must_use]
    pub fn of_contention(operation: &'static str, problem: &'static str, code: Option<&str>) -> Self {
        let code = code.map(ToOwned::to_owned);
        Self { code, is_transient: true, ..Self::of_ours(operation, problem) }
    }
}

/// The operation, all causes and the code, on one line.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.operation)?;
        if let Some(source) = self.source() {
            write!(formatter, ": {}", Chain(source))?;
        }
        self.code.as_ref().map_or(Ok(()), |code| write!(formatter, " ({code})"))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Shows an error and all that caused it, parted by colons.
pub struct Chain<'a>(pub &'a (dyn StdError + 'static));

impl<'a> Chain<'a> {
    /// The error, and one after the other what caused it.
    pub fn links(&self) -> impl Iterator<Item = &'a (dyn StdError + 'static)> + use<'a> {
        std::iter::successors(Some(self.0), |error| (**error).source())
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for error in self.links() {
            write!(formatter, "{separator}{error}")?;
            separator = ": ";
        }
        Ok(())
    }
}

/// Whether an error code stands for load or contention.
#[must_use]
pub fn is_transient_code(code: &str) -> bool {
    matches!(
        code,
        "InternalServerError"
            | "ProvisionedThroughputExceeded"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingError"
            | "ThrottlingException"
            | "TransactionConflict"
            | "TransactionConflictException"
            | "TransactionInProgressException"
    )
}
