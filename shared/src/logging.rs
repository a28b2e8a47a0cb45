//! The log: JSON lines on standard output.

use std::{env, panic};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts the log at the level of `AWS_LAMBDA_LOG_LEVEL`, `info` where it says nothing.
pub fn start() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    tracing_subscriber::registry().with(lines.with_filter(filter(level))).init();
    panic::set_hook(Box::new(|panic| {
        // The message may hold what a caller sent; the place is enough to find the fault.
        tracing::error!(location = panic.location().map(ToString::to_string), "panic");
    }));
}

/// Lets through the lines of this crate, which logs for the API's functions, of those that answer no requests, and of the local
/// stack from `level` on. All others may only warn: below that the SDK logs whole requests.
#[must_use]
pub fn filter(level: LevelFilter) -> Targets {
    let libraries = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(libraries)
        // A function says itself why it fails; this would also take for a fault that an authorizer refuses somebody.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
        .with_target("shared", level)
        .with_target("authorize_request", level)
        .with_target("expire_tokens", level)
        .with_target("rotate_signing_key", level)
        .with_target("local", level)
}
