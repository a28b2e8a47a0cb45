//! How many calls of another's API all functions together make for a store. Counted in the table of login attempts, whose items
//! go when their time is over.

use crate::{
    fault::Fault,
    kept::Kept,
    tables::items::{Item, number, string},
};
use aws_sdk_dynamodb::{Client, operation::update_item::UpdateItemError};
use std::collections::HashMap;

/// Seconds of a window. BigCommerce counts in such windows too, but not from the same second on.
pub const WINDOW: u64 = 30;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To check a password. Anybody may have that done, so it may use up three fifths of the budget and no more.
    Login,
    /// All else.
    LookUp,
}

impl Purpose {
    fn share(self, calls_per_window: u64) -> u64 {
        match self {
            Self::Login => calls_per_window * 3 / 5,
            Self::LookUp => calls_per_window,
        }
    }
}

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
    /// What is known to be used up, until the end of its window.
    used_up: Kept<(String, Purpose), ()>,
}

impl CallBudget {
    #[must_use]
    pub fn new(client: Client, table: String, calls_per_window: u64) -> Self {
        Self { client, table, calls_per_window, used_up: Kept::default() }
    }

    /// Counts a call for a store, before it is made. One whose answer is lost and that the SDK sends again counts twice: the count
    /// errs on the safe side.
    ///
    /// # Errors
    /// If DynamoDB fails.
    pub async fn count(&self, store_hash: &str, purpose: Purpose, now: u64) -> Result<Budget, Fault> {
        let window = now / WINDOW;
        let end = (window + 1) * WINDOW;
        let this = (store_hash.to_owned(), purpose);
        let used_up = Ok(Budget::UsedUp { retry_after: end - now });
        if self.used_up.get(&this, now).is_some() {
            return used_up;
        }
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, window)))
            .update_expression("SET expires_at = :end ADD calls :one")
            .condition_expression("attribute_not_exists(pk) OR calls < :share")
            // A minute more for clocks that differ.
            .expression_attribute_values(":end", number(end + 60))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":share", number(purpose.share(self.calls_per_window)));
        match request.send().await {
            Ok(_) => Ok(Budget::Counted),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                    self.used_up.put(this, (), end);
                    used_up
                }
                _ => Err(Fault::of_aws("UpdateItem", error)),
            },
        }
    }
}

/// No key of a login attempt begins so.
fn key(store_hash: &str, window: u64) -> Item {
    HashMap::from([("pk".into(), string(format!("BIGCOMMERCE_CALLS#{store_hash} {window}")))])
}
