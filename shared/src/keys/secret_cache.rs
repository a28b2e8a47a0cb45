//! A secret of Secrets Manager, parsed and kept for a while.

use crate::{clock::Clock, fault::Fault};
use aws_sdk_secretsmanager::Client;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Seconds after which a secret is read anew.
pub const RELOAD_AFTER: u64 = 300;
/// Seconds that must pass between two attempts to read it while a value is at hand.
const RETRY_AFTER: u64 = 10;

/// Makes a value of a secret's text, and of when that was written, in Unix seconds, where Secrets Manager says so.
type Parse<T> = dyn Fn(&str, Option<u64>) -> Result<T, &'static str> + Send + Sync;

/// A secret that is read when first needed and again every five minutes. While Secrets Manager is down the last value
/// stays in use.
pub struct SecretCache<T> {
    client: Client,
    secret_id: String,
    parse: Box<Parse<T>>,
    clock: Clock,
    held: Mutex<Option<Held<T>>>,
}

struct Held<T> {
    value: Arc<T>,
    loaded_at: u64,
    tried_at: u64,
}

impl<T> SecretCache<T> {
    /// A cache that holds nothing yet. `parse` says what is wrong with a secret that it refuses, without quoting it.
    pub fn new(
        client: Client,
        secret_id: String,
        parse: impl Fn(&str, Option<u64>) -> Result<T, &'static str> + Send + Sync + 'static,
        clock: Clock,
    ) -> Self {
        Self { client, secret_id, parse: Box::new(parse), clock, held: Mutex::new(None) }
    }

    /// The secret, at most five minutes old unless Secrets Manager is down.
    ///
    /// # Errors
    /// If there is no value and none can be read.
    pub async fn get(&self) -> Result<Arc<T>, Fault> {
        self.get_unless(|held, now| now.abs_diff(held.loaded_at) >= RELOAD_AFTER).await
    }

    /// The secret as it is now, read anew unless that was tried in the last ten seconds.
    ///
    /// # Errors
    /// As [`SecretCache::get`].
    pub async fn get_newer(&self) -> Result<Arc<T>, Fault> {
        self.get_unless(|_, _| true).await
    }

    async fn get_unless(&self, is_stale: impl Fn(&Held<T>, u64) -> bool) -> Result<Arc<T>, Fault> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        let Some(present) = held.as_mut() else {
            let value = Arc::new(self.load().await?);
            *held = Some(Held { value: Arc::clone(&value), loaded_at: now, tried_at: now });
            return Ok(value);
        };
        if is_stale(present, now) && now.abs_diff(present.tried_at) >= RETRY_AFTER {
            present.tried_at = now;
            match self.load().await {
                Ok(value) => {
                    present.value = Arc::new(value);
                    present.loaded_at = now;
                }
                Err(fault) => {
                    tracing::error!(secret = self.secret_id, cause = %fault, "the last value stays in use");
                }
            }
        }
        Ok(Arc::clone(&present.value))
    }

    async fn load(&self) -> Result<T, Fault> {
        let answer = self.client.get_secret_value().secret_id(&self.secret_id).send().await;
        let answer = answer.map_err(|error| Fault::of_aws("GetSecretValue", error))?;
        let written_at = answer.created_date().and_then(|date| u64::try_from(date.secs()).ok());
        // One that is binary is no more of the right form than an empty one.
        (self.parse)(answer.secret_string().unwrap_or_default(), written_at).map_err(Fault::in_words)
    }
}
