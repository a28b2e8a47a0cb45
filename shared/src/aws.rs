//! Talking to AWS: time-outs and retries.

use aws_config::{BehaviorVersion, ConfigLoader, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use std::time::Duration;

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
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client())
        .timeout_config(timeouts())
        .retry_config(retries)
}

/// One for all clients of a [`config`]: each of its own would read the system's certificates again.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https()
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
