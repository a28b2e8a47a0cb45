//! When tokens and API accounts were last used.

use super::table::{TokenTable, token_key};
use crate::{
    fault::Fault,
    tables::{
        directory::api_account_key,
        items::{Item, key, number},
        reads::Read,
    },
};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder};
use serde::Deserialize;

/// Seconds in which the use of a credential is written once at most.
pub const LAST_USE_INTERVAL: u64 = 3600;

/// What is kept here of an API account.
#[derive(Deserialize)]
pub struct LastUse {
    /// When it was last used, in Unix seconds, give or take an hour.
    pub last_used_at: u64,
}

const NOT_LATELY: &str = "(attribute_not_exists(last_used_at) OR last_used_at <= :before)";

impl TokenTable {
    /// Notes that a token was used, unless that was noted lately or the token has been deleted since.
    ///
    /// What else its record holds is not compared: `template.yaml` lets most functions update only the attributes that are named
    /// here, and does not tell those that are compared from those that are written.
    pub async fn note_use(&self, store_hash: &str, id: u64, now: u64) -> Result<(), Fault> {
        let noting = self.noting(key(store_hash, token_key(id)), now);
        note(noting.condition_expression(format!("attribute_exists(pk) AND {NOT_LATELY}"))).await
    }

    /// Notes that an API account was used, unless that was noted lately.
    pub async fn note_use_of_api_account(&self, store_hash: &str, sha256: &str, now: u64) -> Result<(), Fault> {
        note(self.noting(key(store_hash, api_account_key(sha256)), now).condition_expression(NOT_LATELY)).await
    }

    /// When an API account was last used, if it ever was.
    pub fn last_use_of_api_account(&self, store_hash: &str, sha256: &str) -> Read<LastUse> {
        Read::new(&self.client, &self.table, store_hash, api_account_key(sha256))
    }

    fn noting(&self, key: Item, now: u64) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression("SET last_used_at = :now")
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":before", number(now.saturating_sub(LAST_USE_INTERVAL)))
    }
}

async fn note(noting: UpdateItemFluentBuilder) -> Result<(), Fault> {
    match noting.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) => {
            Ok(())
        }
        Err(error) => Err(Fault::of_aws("UpdateItem", error)),
    }
}
