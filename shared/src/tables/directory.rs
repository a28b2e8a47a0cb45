//! The table of stores, backend users, customers and API accounts.
//!
//! What answers requests only reads it. A customer has two items, one found by e-mail with the password hash and one found
//! by id without; they are written in one transaction. A store has two as well, its own and one in the list of all stores.

use crate::{
    auth::caller::UnconfirmedCaller,
    aws,
    http::error::Error,
    tables::dynamodb::{built, email_key, get, key, string, to_item},
};
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem},
};
use serde::{Deserialize, Serialize};

/// The platform's first channel, which requests mean that name none.
pub const DEFAULT_CHANNEL: u64 = 1;

/// Partition of the list of all stores, whose sort keys are their hashes. No store can have this hash.
pub const STORES: &str = "#STORES";
/// Sort key of a store.
pub const STORE: &str = "STORE";
/// What the sort keys of all backend users begin with.
pub const USERS: &str = "USER#";
/// What the sort keys of all customers by e-mail begin with.
pub const CUSTOMER_EMAILS: &str = "CUSTOMER_EMAIL#";
/// What the sort keys of all customers by id begin with.
pub const CUSTOMERS: &str = "CUSTOMER#";
/// What the sort keys of all API accounts begin with.
pub const API_ACCOUNTS: &str = "API_ACCOUNT#";

/// A store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Store {
    /// Ids of its channels.
    pub channels: Vec<u64>,
    /// When it was made, in Unix seconds: storefront tokens from before were those of another store of the same hash.
    #[serde(default)]
    pub created_at: u64,
}

/// What a backend user may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Owns the store.
    StoreOwner,
    /// Administers the store.
    Administrator,
    /// Any other role, such as `sales_rep`.
    #[serde(untagged)]
    Other(String),
}

impl Role {
    /// Only store owners and administrators may create server-to-server tokens (published page, `POST /auth/backend`).
    #[must_use]
    pub fn may_create_tokens(&self) -> bool {
        matches!(self, Self::StoreOwner | Self::Administrator)
    }
}

/// A person who may log in to the store's back office.
#[derive(Clone, Serialize, Deserialize)]
pub struct BackendUser {
    /// E-mail, in the spelling that answers carry.
    pub email: String,
    /// argon2id, as a PHC string.
    pub password_hash: String,
    /// What the user may do.
    pub role: Role,
    /// A user who is not active cannot log in.
    pub active: bool,
}

/// A customer of the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Customer {
    /// The platform's id of the customer.
    pub customer_id: u64,
    /// E-mail, in the spelling that tokens carry.
    pub email: String,
    /// Ids of the channels in which the customer may log in.
    pub channels: Vec<u64>,
    /// A customer who is not active gets no token.
    pub active: bool,
    /// Storefront tokens that were issued until then, in Unix seconds, are void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_valid_after: Option<u64>,
}

impl Customer {
    /// Whether the customer may have a token for the channel.
    #[must_use]
    pub fn may_use(&self, channel_id: u64) -> bool {
        self.active && self.channels.contains(&channel_id)
    }

    /// Whether what was issued then, in Unix seconds, has not been revoked since. What was issued in the very second of the
    /// revocation has.
    #[must_use]
    pub fn accepts_issued_at(&self, iat: u64) -> bool {
        self.tokens_valid_after.is_none_or(|revoked| iat > revoked)
    }

    /// Whether this is only what is left of a customer.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.email.is_empty()
    }

    /// What is left of a customer who has been removed, so that the tokens issued before stay void.
    #[must_use]
    pub fn removed(customer_id: u64, now: u64) -> Self {
        Self { customer_id, email: String::new(), channels: Vec::new(), active: false, tokens_valid_after: Some(now) }
    }
}

/// A customer and the hash of the password.
#[derive(Clone, Serialize, Deserialize)]
pub struct CustomerLogin {
    /// The customer.
    #[serde(flatten)]
    pub customer: Customer,
    /// argon2id, as a PHC string.
    pub password_hash: String,
}

/// What an API account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// List the server-to-server tokens.
    Read,
    /// Everything.
    Modify,
}

impl Scope {
    /// Whether an account of this scope may make a call that needs the other.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Modify || needed == Self::Read
    }
}

/// A store-level API account. Its access token is kept as its SHA-256, in the key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiAccount {
    /// The name that its maker gave it.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made, in Unix seconds.
    pub created_at: u64,
}

/// The table.
pub struct Directory {
    client: Client,
    table: String,
}

impl Directory {
    /// The table of this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The store, if there is one of this hash.
    ///
    /// # Errors
    /// Only faults.
    pub async fn store(&self, store_hash: &str) -> Result<Option<Store>, Error> {
        get(&self.client, &self.table, key(store_hash, STORE.into())).await
    }

    /// The backend user with this e-mail, in any case.
    ///
    /// # Errors
    /// Only faults.
    pub async fn backend_user(&self, store_hash: &str, email: &str) -> Result<Option<BackendUser>, Error> {
        get(&self.client, &self.table, key(store_hash, user_key(email))).await
    }

    /// The customer with this e-mail, in any case.
    ///
    /// # Errors
    /// Only faults.
    pub async fn customer_login(&self, store_hash: &str, email: &str) -> Result<Option<CustomerLogin>, Error> {
        get(&self.client, &self.table, key(store_hash, customer_email_key(email))).await
    }

    /// The customer with this id.
    ///
    /// # Errors
    /// Only faults.
    pub async fn customer(&self, store_hash: &str, customer_id: u64) -> Result<Option<Customer>, Error> {
        get(&self.client, &self.table, key(store_hash, customer_key(customer_id))).await
    }

    /// The API account whose access token has this SHA-256.
    ///
    /// # Errors
    /// Only faults.
    pub async fn api_account(&self, store_hash: &str, sha256: &str) -> Result<Option<ApiAccount>, Error> {
        get(&self.client, &self.table, key(store_hash, api_account_key(sha256))).await
    }

    /// In a transaction, that a backend user may still log in with the same password.
    ///
    /// # Errors
    /// Only faults.
    pub fn backend_user_check(&self, store_hash: &str, user: &BackendUser) -> Result<TransactWriteItem, Error> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, user_key(&user.email))))
            .condition_expression("active = :true AND password_hash = :password_hash")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":password_hash", string(&user.password_hash));
        Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
    }

    /// In a transaction, that the caller has an API account that may do what the call needs.
    ///
    /// # Errors
    /// Only faults.
    pub fn api_account_check(&self, caller: &UnconfirmedCaller, sha256: &str) -> Result<TransactWriteItem, Error> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(&caller.store_hash, api_account_key(sha256))))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        let check = match caller.needs {
            Scope::Read => check.condition_expression("attribute_exists(pk)"),
            Scope::Modify => check
                .condition_expression("#scope = :modify")
                .expression_attribute_names("#scope", "scope")
                .expression_attribute_values(":modify", string("modify")),
        };
        Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
    }

    /// Writes a store, over one that is there.
    ///
    /// # Errors
    /// Only faults.
    pub async fn put_store(&self, store_hash: &str, store: &Store) -> Result<(), Error> {
        self.put(vec![
            self.item(store_hash, STORE.into(), store)?,
            self.item(STORES, store_hash.into(), &NoAttributes {})?,
        ])
        .await
    }

    /// Writes a backend user, over one of the same e-mail.
    ///
    /// # Errors
    /// Only faults.
    pub async fn put_backend_user(&self, store_hash: &str, user: &BackendUser) -> Result<(), Error> {
        self.put(vec![self.item(store_hash, user_key(&user.email), user)?]).await
    }

    /// Writes a customer, over one of the same e-mail and id.
    ///
    /// # Errors
    /// Only faults.
    pub async fn put_customer(&self, store_hash: &str, login: &CustomerLogin) -> Result<(), Error> {
        self.put(vec![
            self.item(store_hash, customer_email_key(&login.customer.email), login)?,
            self.item(store_hash, customer_key(login.customer.customer_id), &login.customer)?,
        ])
        .await
    }

    fn item<T: Serialize>(&self, store_hash: &str, sk: String, value: &T) -> Result<TransactWriteItem, Error> {
        let put = Put::builder().table_name(&self.table).set_item(Some(to_item(key(store_hash, sk), value)?));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    async fn put(&self, items: Vec<TransactWriteItem>) -> Result<(), Error> {
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        request.send().await.map(drop).map_err(|fault| aws::error("TransactWriteItems", &fault))
    }
}

#[derive(Serialize)]
struct NoAttributes {}

/// Sort key of a backend user.
#[must_use]
pub fn user_key(email: &str) -> String {
    format!("{USERS}{}", email_key(email))
}

/// Sort key of a customer's item that holds the password hash.
#[must_use]
pub fn customer_email_key(email: &str) -> String {
    format!("{CUSTOMER_EMAILS}{}", email_key(email))
}

/// Sort key of a customer's item that does not.
#[must_use]
pub fn customer_key(customer_id: u64) -> String {
    format!("{CUSTOMERS}{customer_id:020}")
}

/// Sort key of an API account. In the table of tokens the same key holds when it was last used.
#[must_use]
pub fn api_account_key(sha256: &str) -> String {
    format!("{API_ACCOUNTS}{sha256}")
}
