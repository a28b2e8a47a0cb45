//! API accounts.

use crate::{Accounts, Addition, Condition, Edit, Items, Taken};
use aws_sdk_dynamodb::types::Delete;
use serde::Deserialize;
use shared::{
    fault::Fault,
    tables::{
        directory::{API_ACCOUNTS, ApiAccount, api_account_key},
        items::key,
        transactions::Part,
    },
};

/// An API account, and the key that it stands under.
#[derive(Deserialize)]
pub struct ListedApiAccount {
    sk: String,
    /// The account.
    #[serde(flatten)]
    pub account: ApiAccount,
}

impl ListedApiAccount {
    /// The SHA-256 of its access token.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.sk.trim_start_matches(API_ACCOUNTS)
    }
}

impl Accounts {
    /// A store's API accounts whose access tokens have a SHA-256 that begins so.
    #[must_use]
    pub fn api_accounts(&self, store_hash: &str, sha256_prefix: &str) -> Items<ListedApiAccount> {
        self.items(&self.directory_table, store_hash, &api_account_key(sha256_prefix))
    }

    /// Adds an API account whose access token has this SHA-256.
    pub async fn add_api_account(
        &self,
        store_hash: &str,
        sha256: &str,
        account: &ApiAccount,
    ) -> Result<Addition, Fault> {
        let new = self.put_new(key(store_hash, api_account_key(sha256)), account)?;
        Ok(match self.write(vec![self.store_exists(store_hash)?, new]).await? {
            None => Addition::Added,
            Some(0) => Addition::NoStore,
            Some(_) => Addition::Taken(Taken::AccessToken),
        })
    }

    /// Removes an API account, and when it was last used.
    pub async fn remove_api_account(&self, store_hash: &str, sha256: &str) -> Result<Edit, Fault> {
        let account = key(store_hash, api_account_key(sha256));
        let last_use = Delete::builder().table_name(&self.tokens_table).set_key(Some(account.clone()));
        self.edit(vec![self.delete(account, Condition::IsThere)?, last_use.build().part()?]).await
    }
}
