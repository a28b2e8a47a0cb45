//! How many calls of another's API all functions together make for a store. Counted in the table of login attempts, whose items
//! go when their time is over.

use crate::{
    fault::Fault,
    tables::items::{Item, number, string},
};
use aws_sdk_dynamodb::{Client, operation::update_item::UpdateItemError};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Seconds of a window. BigCommerce counts in such windows too, but not from the same second on.
pub const WINDOW: u64 = 30;
/// Calls that an instance claims at once, so that not each of them costs a write.
pub const CLAIM: u64 = 5;
/// Most stores whose claims an instance remembers; when there are more, all are forgotten.
const MAX_STORES: usize = 1000;

/// Whether a call may be made.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "where there is none left, the call must not be made"]
pub enum Budget {
    /// It is counted.
    Counted,
    /// There is none left.
    UsedUp {
        /// Seconds until there is.
        retry_after: u64,
    },
}

/// Calls per store and window.
pub struct CallBudget {
    client: Client,
    table: String,
    calls_per_window: u64,
    claims: Mutex<HashMap<String, Claim>>,
}

/// What an instance may call in a window without asking again; none once there is no more to claim.
#[derive(Clone, Copy)]
struct Claim {
    window: u64,
    left: Option<u64>,
}

impl CallBudget {
    #[must_use]
    pub fn new(client: Client, table: String, calls_per_window: u64) -> Self {
        Self { client, table, calls_per_window, claims: Mutex::default() }
    }

    /// Counts a call for a store, before it is made.
    ///
    /// # Errors
    /// If DynamoDB fails.
    pub async fn count(&self, store_hash: &str, now: u64) -> Result<Budget, Fault> {
        let window = now / WINDOW;
        let retry_after = (window + 1) * WINDOW - now;
        match self.take(store_hash, window) {
            Some(true) => return Ok(Budget::Counted),
            Some(false) => return Ok(Budget::UsedUp { retry_after }),
            None => {}
        }
        let is_claimed = self.claim(store_hash, window).await?;
        let mut claims = self.claims();
        if claims.len() >= MAX_STORES {
            claims.clear();
        }
        let claim = claims.entry(store_hash.into()).or_insert(Claim { window, left: None });
        // Another request of this instance may have claimed some meanwhile.
        let present = if claim.window == window { claim.left.unwrap_or_default() } else { 0 };
        let left = (present + if is_claimed { CLAIM } else { 0 }).checked_sub(1);
        *claim = Claim { window, left };
        Ok(left.map_or(Budget::UsedUp { retry_after }, |_| Budget::Counted))
    }

    /// Takes one of those that are claimed. None if more must be claimed.
    fn take(&self, store_hash: &str, window: u64) -> Option<bool> {
        let mut claims = self.claims();
        let claim = claims.get_mut(store_hash).filter(|claim| claim.window == window)?;
        match &mut claim.left {
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                Some(true)
            }
            None => Some(false),
        }
    }

    /// Whether there were some left. One whose answer is lost and that the SDK sends again counts twice: the count errs on the safe
    /// side.
    async fn claim(&self, store_hash: &str, window: u64) -> Result<bool, Fault> {
        let Some(most_before) = self.calls_per_window.checked_sub(CLAIM) else { return Ok(false) };
        // A minute for clocks that differ.
        let end = (window + 1) * WINDOW + 60;
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, window)))
            .update_expression("SET expires_at = :end ADD calls :claim")
            .condition_expression("attribute_not_exists(pk) OR calls <= :most_before")
            .expression_attribute_values(":end", number(end))
            .expression_attribute_values(":claim", number(CLAIM))
            .expression_attribute_values(":most_before", number(most_before));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(Fault::of_aws("UpdateItem", error)),
            },
        }
    }

    /// A panic leaves it usable: it is changed in single steps.
    fn claims(&self) -> MutexGuard<'_, HashMap<String, Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No key of a login attempt begins so.
fn key(store_hash: &str, window: u64) -> Item {
    HashMap::from([("pk".into(), string(format!("BIGCOMMERCE_CALLS#{store_hash} {window}")))])
}
