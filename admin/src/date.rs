//! What other clocks show. The functions go by AWS's, and an operator's machine may be minutes off.

use aws_sdk_cloudformation::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef},
    error::BoxError,
};
use shared::clock::Clock;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

/// By how many seconds the clock that wrote a `Date` header is ahead of this machine's.
pub fn seconds_ahead(date: &str) -> Option<i64> {
    let there = OffsetDateTime::parse(date, &Rfc2822).ok()?.unix_timestamp();
    Some(there - i64::try_from(Clock::system().now()).ok()?)
}

/// Keeps by how much AWS's clock was ahead at its last answer: the SDK shows the headers of answers to nobody else.
#[derive(Clone, Debug, Default)]
pub struct AwsClock(Arc<AtomicI64>);

impl AwsClock {
    pub fn seconds_ahead(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for AwsClock {
    fn name(&self) -> &'static str {
        "AwsClock"
    }

    fn read_before_deserialization(
        &self,
        answer: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(ahead) = answer.response().headers().get("date").and_then(seconds_ahead) {
            self.0.store(ahead, Ordering::Relaxed);
        }
        Ok(())
    }
}
