//! The table of stores, backend users, customers and API accounts.
//!
//! What answers requests only reads it. A customer has two items, one found by e-mail with the password hash and one found
//! by id without; they are written in one transaction. A store has two as well, its own and one in the list of all stores.

mod records;

pub use records::{ApiAccount, BackendUser, Customer, CustomerDirectory, CustomerLogin, Role, Store};

use records::Allowed;

use crate::{
    fault::Fault,
    scopes::needed,
    tables::{
        items::{attribute, email_key, key, string},
        reads::Read,
        transactions::Part,
    },
};
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ConditionCheck, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem},
};

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

#[derive(Clone)]
pub struct Directory {
    client: Client,
    table: String,
}

impl Directory {
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The store, if there is one of this hash.
    pub fn store(&self, store_hash: &str) -> Read<Store> {
        Read::new(&self.client, &self.table, store_hash, STORE.into())
    }

    /// The backend user with this e-mail, in any case.
    pub fn backend_user(&self, store_hash: &str, email: &str) -> Read<BackendUser> {
        Read::new(&self.client, &self.table, store_hash, user_key(email))
    }

    /// The customer with this e-mail, in any case.
    pub fn customer_login(&self, store_hash: &str, email: &str) -> Read<CustomerLogin> {
        Read::new(&self.client, &self.table, store_hash, customer_email_key(email))
    }

    /// The customer with this id.
    pub fn customer(&self, store_hash: &str, customer_id: u64) -> Read<Customer> {
        Read::new(&self.client, &self.table, store_hash, customer_key(customer_id))
    }

    /// The API account whose access token has this SHA-256.
    pub fn api_account(&self, store_hash: &str, sha256: &str) -> Read<ApiAccount> {
        Read::new(&self.client, &self.table, store_hash, api_account_key(sha256))
    }

    /// In a transaction, that a backend user may log in and create tokens, and has this password still, where one was looked at.
    pub fn token_maker_check(
        &self,
        store_hash: &str,
        email: &str,
        password_hash: Option<&str>,
    ) -> Result<TransactWriteItem, Fault> {
        let [one_role, other_role] = Role::THAT_MAY_CREATE_TOKENS;
        let mut condition = "active = :true AND #role IN (:one_role, :other_role)".to_owned();
        let mut check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, user_key(email))))
            .expression_attribute_names("#role", "role")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":one_role", attribute(&one_role)?)
            .expression_attribute_values(":other_role", attribute(&other_role)?)
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        if let Some(password_hash) = password_hash {
            condition.push_str(" AND password_hash = :password_hash");
            check = check.expression_attribute_values(":password_hash", string(password_hash));
        }
        check.condition_expression(condition).build().part()
    }

    /// In a transaction, that there is an API account that may delete and rotate tokens.
    pub fn token_writer_check(&self, store_hash: &str, sha256: &str) -> Result<TransactWriteItem, Fault> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(store_hash, api_account_key(sha256))))
            .condition_expression("#scope = :modify OR contains(#scope, :needed)")
            .expression_attribute_names("#scope", "scope")
            .expression_attribute_values(":modify", attribute(&Allowed::Modify)?)
            .expression_attribute_values(":needed", string(needed::TO_WRITE_TOKENS.name()))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        check.build().part()
    }
}

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
