//! The table of stores, backend users and customers.
//!
//! What answers requests only reads it. A customer has two items, one found by e-mail with the password hash and one found
//! by id without; they are written in one transaction.

use crate::{
    aws,
    dynamodb::{built, email_key, get, key, to_item},
    error::Error,
};
use aws_sdk_dynamodb::{
    Client,
    types::{Put, TransactWriteItem},
};
use serde::{Deserialize, Serialize};

/// The platform's first channel, which requests mean that name none.
pub const DEFAULT_CHANNEL: u64 = 1;

/// A store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Store {
    /// Ids of its channels.
    pub channels: Vec<u64>,
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
}

impl Customer {
    /// Whether the customer may have a token for the channel.
    #[must_use]
    pub fn may_use(&self, channel_id: u64) -> bool {
        self.active && self.channels.contains(&channel_id)
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

    /// Writes a store, over one that is there.
    ///
    /// # Errors
    /// Only faults.
    pub async fn put_store(&self, store_hash: &str, store: &Store) -> Result<(), Error> {
        self.put(vec![self.item(store_hash, STORE.into(), store)?]).await
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

const STORE: &str = "STORE";

fn user_key(email: &str) -> String {
    format!("USER#{}", email_key(email))
}

fn customer_email_key(email: &str) -> String {
    format!("CUSTOMER_EMAIL#{}", email_key(email))
}

fn customer_key(customer_id: u64) -> String {
    format!("CUSTOMER#{customer_id:020}")
}
