//! Talking to AWS: time-outs, retries, and what their failures mean.

use crate::http::error::Error;
use aws_config::{BehaviorVersion, ConfigLoader, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use std::{error::Error as StdError, time::Duration};

/// Longest wait for one attempt, a connection included.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for one operation, all attempts included.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(3);

/// The usual sources of region, endpoint and credentials, with this service's time-outs and retries.
#[must_use]
pub fn config() -> ConfigLoader {
    // A caller is waiting: few attempts in quick succession.
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_millis(500));
    // One for all clients: each of its own would read the system's certificates again.
    let http_client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client)
        .timeout_config(timeouts())
        .retry_config(retries)
}

/// What is down must be answered before the function's own time is up.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(ATTEMPT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// What a failed call means: something that passes, or a fault of ours.
///
/// The cause is made of codes and messages only: the debug form of an SDK error may hold the secret that was read.
pub fn error<E>(operation: &str, fault: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let passes = match fault {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(service) => {
            service.raw().status().is_server_error() || service.err().code().is_some_and(is_passing)
        }
        _ => false,
    };
    let mut cause = format!("{operation}: {fault}");
    let mut source = fault.source();
    while let Some(inner) = source {
        cause = format!("{cause}: {inner}");
        source = inner.source();
    }
    if let Some(code) = fault.code() {
        cause = format!("{cause} ({code})");
    }
    if passes { Error::Unavailable(cause) } else { Error::Internal(cause) }
}

/// Whether an error code stands for load or contention, which end by themselves.
#[must_use]
pub fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "InternalServerError"
            | "ProvisionedThroughputExceeded"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "ThrottlingError"
            | "ThrottlingException"
            | "TransactionConflict"
            | "TransactionConflictException"
            | "TransactionInProgressException"
    )
}
