//! What takes long says what it waits for.

use crate::{connection::host, output::say};
use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef},
    },
    error::BoxError,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::AbortHandle;

/// How long people wait in silence.
const SILENCE: Duration = Duration::from_secs(2);
/// After which time they are told the same again.
const AGAIN: Duration = Duration::from_secs(10);

/// Waits for `work`, and says for what it waits if that takes long.
pub async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(SILENCE, &mut work).await {
        return done;
    }
    say(&format!("Waiting for {what}."));
    work.await
}

/// Says of each operation what it waits for if that takes long, its attempts and the pauses between them included.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// When it was said last: many operations at once may wait for the same.
    said: Arc<Mutex<HashMap<String, Instant>>>,
}

/// What an operation waits for, as long as it does.
#[derive(Debug)]
struct Wait {
    what: Arc<Mutex<String>>,
    timer: AbortHandle,
}

impl Storable for Wait {
    type Storer = StoreReplace<Self>;
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Intercept for Waiting {
    fn name(&self) -> &'static str {
        "Waiting"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        operation: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let what = Arc::new(Mutex::new("credentials for AWS".to_owned()));
        let (waits_for, said) = (what.clone(), self.said.clone());
        let timer = tokio::spawn(async move {
            tokio::time::sleep(SILENCE).await;
            let what = waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.get(&what).is_none_or(|at| at.elapsed() > AGAIN) {
                say(&format!("Waiting for {what}."));
                said.insert(what, Instant::now());
            }
        });
        operation.interceptor_state().store_put(Wait { what, timer: timer.abort_handle() });
        Ok(())
    }

    fn read_before_transmit(
        &self,
        attempt: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        operation: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let name = operation.load::<Metadata>().map(Metadata::name).unwrap_or_default();
        if let Some(wait) = operation.load::<Wait>() {
            let what = format!("the answer of {} to {name}", host(attempt.request()));
            *wait.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        }
        Ok(())
    }
}
