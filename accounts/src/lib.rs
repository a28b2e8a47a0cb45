//! The one place that writes the directory: stores, backend users, customers and API accounts. The functions only read it.
//!
//! Each change is made whole or not at all, and only if what it was decided on still holds. What became of it is a type of its
//! own, [`Addition`] or [`Edit`]; a [`Fault`] is what lies beyond that.

mod api_accounts;
mod batches;
mod current_customer;
mod customers;
mod lists;
pub mod passwords;
mod side_by_side;
mod stores;
mod tokens;
mod users;

pub use api_accounts::ListedApiAccount;
pub use current_customer::current_customer_jwt;
pub use customers::{CustomerChange, MAX_CUSTOMERS, MAX_LOOKED_UP, Place};
pub use lists::Items;
pub use stores::{Contents, ListedStore, StoreChange};
pub use tokens::{Signature, StoredToken};
pub use users::UserChange;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use serde::Serialize;
use shared::{
    clock::Clock,
    configuration::Configuration,
    fault::Fault,
    keys::jwt::LEEWAY,
    tables::{
        directory::STORE,
        items::{Item, key, to_item},
        retries::Retries,
        tokens::TokenTable,
        transactions::{Outcome, Part, transact, was_refused},
    },
};
use std::time::Duration;

/// How long something is tried again that was throttled or crossed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The accounts of a deployment.
pub struct Accounts {
    client: Client,
    directory_table: String,
    tokens_table: String,
    tokens: TokenTable,
    clock: Clock,
}

/// What became of something new. Only after the first is it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it may not have been added"]
pub enum Addition {
    /// It is added.
    Added,
    /// There already is one of the same.
    Taken(Taken),
    /// There is no store to add it to.
    NoStore,
}

/// What two cannot have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The hash of a store.
    StoreHash,
    /// The e-mail, in any case.
    Email,
    /// The id of a customer.
    CustomerId,
    /// The access token of an API account.
    AccessToken,
}

/// What became of a change or a removal. Only after the first is anything changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "nothing may have been changed"]
pub enum Edit {
    /// It is made.
    Done,
    /// There is nothing to change, or it has become another.
    NotFound,
}

/// What a write is conditional on.
enum Condition<'a> {
    /// There is none yet.
    IsNew,
    /// There is one.
    IsThere,
    /// There is one, with this value of an attribute.
    Has(&'a str, AttributeValue),
}

impl Condition<'_> {
    fn expression(&self) -> String {
        match self {
            Self::IsNew => "attribute_not_exists(pk)".into(),
            Self::IsThere => "attribute_exists(pk)".into(),
            Self::Has(attribute, _) => format!("{attribute} = :same"),
        }
    }

    fn value(self) -> Option<AttributeValue> {
        match self {
            Self::IsNew | Self::IsThere => None,
            Self::Has(_, value) => Some(value),
        }
    }
}

impl Accounts {
    /// The accounts in the tables that the configuration names.
    #[must_use]
    pub fn new(client: &Client, configuration: &Configuration, clock: Clock) -> Self {
        Self {
            client: client.clone(),
            directory_table: configuration.directory_table.clone(),
            tokens_table: configuration.tokens_table.clone(),
            tokens: TokenTable::new(client.clone(), configuration.tokens_table.clone()).with_patience(PATIENCE),
            clock,
        }
    }

    /// The time, in Unix seconds, until which tokens are void that are revoked now. It lies ahead by what another machine's
    /// clock may differ, and by what a current-customer JWT may: better a new token too few than an old one too many.
    #[must_use]
    pub fn revoked_until(&self) -> u64 {
        self.clock.now() + LEEWAY
    }

    /// Writes all or nothing. Gives the position of the first item whose condition did not hold.
    async fn write(&self, items: Vec<TransactWriteItem>) -> Result<Option<usize>, Fault> {
        let mut retries = Retries::within(PATIENCE);
        loop {
            match transact(&self.client, items.clone()).await? {
                Outcome::Done => return Ok(None),
                Outcome::Refused(reasons) => return Ok(reasons.iter().position(was_refused)),
                Outcome::Crossed(fault) => retries.wait(fault).await?,
            }
        }
    }

    async fn edit(&self, items: Vec<TransactWriteItem>) -> Result<Edit, Fault> {
        Ok(self.write(items).await?.map_or(Edit::Done, |_| Edit::NotFound))
    }

    /// That the store has not been removed meanwhile.
    fn store_exists(&self, store_hash: &str) -> Result<TransactWriteItem, Fault> {
        let check = ConditionCheck::builder()
            .table_name(&self.directory_table)
            .set_key(Some(key(store_hash, STORE.into())))
            .condition_expression(Condition::IsThere.expression());
        check.build().part()
    }

    fn put<T: Serialize>(&self, key: Item, value: &T) -> Result<TransactWriteItem, Fault> {
        Put::builder().table_name(&self.directory_table).set_item(Some(to_item(key, value)?)).build().part()
    }

    fn put_new<T: Serialize>(&self, key: Item, value: &T) -> Result<TransactWriteItem, Fault> {
        let put = Put::builder()
            .table_name(&self.directory_table)
            .set_item(Some(to_item(key, value)?))
            .condition_expression(Condition::IsNew.expression());
        put.build().part()
    }

    fn delete(&self, key: Item, condition: Condition) -> Result<TransactWriteItem, Fault> {
        let mut delete = Delete::builder()
            .table_name(&self.directory_table)
            .set_key(Some(key))
            .condition_expression(condition.expression());
        if let Some(value) = condition.value() {
            delete = delete.expression_attribute_values(":same", value);
        }
        delete.build().part()
    }

    /// Sets these attributes.
    fn update(&self, key: Item, attributes: Item, condition: Condition) -> Result<TransactWriteItem, Fault> {
        let mut update = Update::builder()
            .table_name(&self.directory_table)
            .set_key(Some(key))
            .condition_expression(condition.expression());
        if let Some(value) = condition.value() {
            update = update.expression_attribute_values(":same", value);
        }
        let mut assignments = Vec::new();
        for (n, (name, value)) in attributes.into_iter().enumerate() {
            assignments.push(format!("#c{n} = :c{n}"));
            update = update
                .expression_attribute_names(format!("#c{n}"), name)
                .expression_attribute_values(format!(":c{n}"), value);
        }
        update.update_expression(format!("SET {}", assignments.join(", "))).build().part()
    }
}
