//! Reading and changing stores, backend users and customers. Each change is made whole or not at all, and only if what it was
//! decided on still holds.

use crate::{
    failure::{Failure, Kind},
    stack::Stack,
};
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::query::QueryError,
    types::{
        AttributeValue, CancellationReason, ConditionCheck, Delete, KeysAndAttributes, Put, Select, TransactWriteItem,
        Update,
    },
};
use aws_smithy_async::future::pagination_stream::PaginationStream;
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    aws,
    http::error::Error,
    keys::jwt::LEEWAY,
    tables::{
        directory::{
            ApiAccount, BackendUser, Customer, CustomerLogin, STORE, STORES, Store, api_account_key,
            customer_email_key, customer_key, user_key,
        },
        dynamodb::{
            Item, Outcome, built, from_item, key, number, step_aside, string, to_item, transact_patiently, was_refused,
        },
    },
};
use std::collections::HashMap;

/// How often something is tried again that was throttled or crossed, each time after a longer wait: half a minute in all.
const PATIENCE: u32 = 10;

/// Items of one partition, read page by page as they are needed.
pub struct Items(PaginationStream<Result<Item, SdkError<QueryError>>>);

impl Items {
    /// The next item.
    pub async fn next(&mut self) -> Result<Option<Item>, Failure> {
        let next = self.0.next().await.transpose();
        Ok(next.map_err(|fault| aws::error("Query", &fault))?)
    }

    /// The next item, as what it holds.
    pub async fn next_as<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        Ok(self.next().await?.map(from_item).transpose()?)
    }
}

/// An item's sort key.
pub fn sort_key(item: &Item) -> &str {
    item.get("sk").and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// What becomes of an account's attributes.
pub type Changes = Vec<(&'static str, AttributeValue)>;

impl Stack {
    /// The items of a partition whose sort keys begin with `prefix`, in ascending order.
    pub fn items(&self, table: &str, pk: &str, prefix: &str) -> Items {
        let query = self
            .dynamodb
            .query()
            .table_name(table)
            .consistent_read(true)
            .expression_attribute_values(":pk", string(pk));
        let query = if prefix.is_empty() {
            query.key_condition_expression("pk = :pk")
        } else {
            query
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", string(prefix))
        };
        Items(query.into_paginator().items().send())
    }

    /// How many items of a partition have sort keys that begin with `prefix`.
    pub async fn count_items(&self, table: &str, pk: &str, prefix: &str) -> Result<u64, Failure> {
        let query = self
            .dynamodb
            .query()
            .table_name(table)
            .select(Select::Count)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", string(pk))
            .expression_attribute_values(":prefix", string(prefix));
        let mut pages = query.into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|fault| aws::error("Query", &fault))?;
            count += u64::try_from(page.count).unwrap_or(0);
        }
        Ok(count)
    }

    /// Items of the directory.
    pub fn directory_items(&self, store: &str, prefix: &str) -> Items {
        self.items(&self.configuration().directory_table, store, prefix)
    }

    /// The store.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of this hash.
    pub async fn store(&self, store: &str) -> Result<Store, Failure> {
        self.services.directory.store(store).await?.ok_or_else(|| no_store(store))
    }

    /// Adds a store. Gives false if there is one already.
    pub async fn add_store(&self, hash: &str, store: &Store) -> Result<bool, Failure> {
        self.write(vec![
            self.put_new(hash, STORE.into(), store)?,
            self.put(STORES, hash.into(), &serde_json::Map::new())?,
        ])
        .await
        .map(|refusals| refusals.is_empty())
    }

    /// Sets the channels of a store.
    pub async fn set_store_channels(&self, hash: &str, channels: &[u64]) -> Result<(), Failure> {
        let channels = AttributeValue::L(channels.iter().copied().map(number).collect());
        let update = self.update(hash, STORE.into(), vec![("channels", channels)], "attribute_exists(pk)", None)?;
        let refusals = self.write(vec![update]).await?;
        if refusals.is_empty() { Ok(()) } else { Err(no_store(hash)) }
    }

    /// Adds an API account, whose access token has this SHA-256.
    pub async fn add_api_account(&self, store: &str, sha256: &str, account: &ApiAccount) -> Result<(), Failure> {
        let items = vec![self.store_exists(store)?, self.put_new(store, api_account_key(sha256), account)?];
        let refusals = self.write(items).await?;
        if refusals.is_empty() { Ok(()) } else { Err(no_store(store)) }
    }

    /// Removes an API account, and when it was last used. Gives false if there is none.
    pub async fn remove_api_account(&self, store: &str, sha256: &str) -> Result<bool, Failure> {
        let last_use = Delete::builder()
            .table_name(&self.configuration().tokens_table)
            .set_key(Some(key(store, api_account_key(sha256))));
        let items = vec![
            self.delete(store, api_account_key(sha256), "attribute_exists(pk)", None)?,
            TransactWriteItem::builder().delete(built(last_use.build())?).build(),
        ];
        Ok(self.write(items).await?.is_empty())
    }

    /// Adds a backend user. Gives false if there is one with this e-mail already.
    pub async fn add_user(&self, store: &str, user: &BackendUser) -> Result<bool, Failure> {
        let items = vec![self.put_new(store, user_key(&user.email), user)?, self.store_exists(store)?];
        match self.write(items).await?.first() {
            None => Ok(true),
            Some(0) => Ok(false),
            Some(_) => Err(no_store(store)),
        }
    }

    /// Changes attributes of a backend user.
    pub async fn change_user(&self, store: &str, email: &str, changes: Changes) -> Result<(), Failure> {
        let update = self.update(store, user_key(email), changes, "attribute_exists(pk)", None)?;
        let refusals = self.write(vec![update]).await?;
        if refusals.is_empty() { Ok(()) } else { Err(no_user(store, email)) }
    }

    /// Removes a backend user.
    pub async fn remove_user(&self, store: &str, email: &str) -> Result<(), Failure> {
        let refusals = self.write(vec![self.delete(store, user_key(email), "attribute_exists(pk)", None)?]).await?;
        if refusals.is_empty() { Ok(()) } else { Err(no_user(store, email)) }
    }

    /// Adds a customer, in place of one of the same id that was removed. Says which of e-mail and id is taken.
    pub async fn add_customer(&self, store: &str, login: &CustomerLogin) -> Result<Option<&'static str>, Failure> {
        let [by_email, by_id] = self.customer_items(store, login)?;
        let refusals = self.write(vec![by_email, by_id, self.store_exists(store)?]).await?;
        match refusals.first() {
            None => Ok(None),
            Some(0) => Ok(Some("e-mail")),
            Some(1) => Ok(Some("id")),
            Some(_) => Err(no_store(store)),
        }
    }

    /// The two items of a new customer, on condition that neither e-mail nor id is taken.
    pub fn customer_items(&self, store: &str, login: &CustomerLogin) -> Result<[TransactWriteItem; 2], Failure> {
        let by_id = Put::builder()
            .table_name(&self.configuration().directory_table)
            .set_item(Some(to_item(key(store, customer_key(login.customer.customer_id)), &login.customer)?))
            // What is left of a removed customer has no e-mail.
            .condition_expression("attribute_not_exists(pk) OR email = :none")
            .expression_attribute_values(":none", string(""));
        Ok([
            self.put_new(store, customer_email_key(&login.customer.email), login)?,
            TransactWriteItem::builder().put(built(by_id.build())?).build(),
        ])
    }

    /// The customer with this e-mail.
    pub async fn customer(&self, store: &str, email: &str) -> Result<CustomerLogin, Failure> {
        let login = self.services.directory.customer_login(store, email).await?;
        login.ok_or_else(|| no_customer(store, email))
    }

    /// The time, in Unix seconds, until which tokens are void that are revoked now. It lies ahead by what another machine's
    /// clock may differ, and by what a current-customer JWT may: better a new token too few than an old one too many.
    pub fn revoked_until(&self) -> u64 {
        self.services.clock.now() + LEEWAY
    }

    /// Changes attributes of both items of a customer; those of `secret` are for the one that holds the password hash.
    pub async fn change_customer(
        &self,
        store: &str,
        customer: &Customer,
        changes: Changes,
        secret: Changes,
    ) -> Result<(), Failure> {
        let by_email = changes.iter().cloned().chain(secret).collect();
        let same_id = Some((":same", number(customer.customer_id)));
        let same_email = Some((":same", string(&customer.email)));
        let refusals = self
            .write(vec![
                self.update(store, customer_email_key(&customer.email), by_email, "customer_id = :same", same_id)?,
                self.update(store, customer_key(customer.customer_id), changes, "email = :same", same_email)?,
            ])
            .await?;
        if refusals.is_empty() { Ok(()) } else { Err(no_customer(store, &customer.email)) }
    }

    /// Removes a customer; what stays is that tokens issued until `revoked`, in Unix seconds, are void.
    pub async fn remove_customer(&self, store: &str, customer: &Customer, revoked: u64) -> Result<(), Failure> {
        let removed = Customer::removed(customer.customer_id, revoked);
        let same_id = Some((":same", number(customer.customer_id)));
        let refusals = self
            .write(vec![
                self.delete(store, customer_email_key(&customer.email), "customer_id = :same", same_id)?,
                self.put(store, customer_key(customer.customer_id), &removed)?,
            ])
            .await?;
        if refusals.is_empty() { Ok(()) } else { Err(no_customer(store, &customer.email)) }
    }

    /// Customers and what is left of removed ones, by these sort keys; at most 100. Password hashes are not read.
    pub async fn customers(&self, store: &str, sort_keys: Vec<String>) -> Result<HashMap<String, Customer>, Failure> {
        let keys = KeysAndAttributes::builder()
            .consistent_read(true)
            .set_keys(Some(sort_keys.into_iter().map(|sk| key(store, sk)).collect()))
            .projection_expression("sk, customer_id, email, channels, #active, tokens_valid_after")
            .expression_attribute_names("#active", "active");
        let mut left = HashMap::from([(self.configuration().directory_table.clone(), built(keys.build())?)]);
        let mut customers = HashMap::new();
        let mut rounds = 0;
        while !left.is_empty() {
            if rounds > PATIENCE {
                return Err(Error::Unavailable("BatchGetItem: keys were left over again and again".into()).into());
            }
            if rounds > 0 {
                step_aside(rounds).await;
            }
            rounds += 1;
            let request = self.dynamodb.batch_get_item().set_request_items(Some(left));
            let answer = request.send().await.map_err(|fault| aws::error("BatchGetItem", &fault))?;
            for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                customers.insert(sort_key(&item).to_owned(), from_item(item)?);
            }
            left = answer.unprocessed_keys.unwrap_or_default();
        }
        Ok(customers)
    }

    /// Writes all or nothing; gives the positions of the items whose conditions did not hold.
    pub async fn write(&self, items: Vec<TransactWriteItem>) -> Result<Vec<usize>, Failure> {
        Ok(match transact_patiently(&self.dynamodb, items, PATIENCE).await? {
            Outcome::Done => Vec::new(),
            Outcome::Refused(reasons) => positions(&reasons),
        })
    }

    /// That the store has not been removed meanwhile.
    pub fn store_exists(&self, store: &str) -> Result<TransactWriteItem, Error> {
        let check = ConditionCheck::builder()
            .table_name(&self.configuration().directory_table)
            .set_key(Some(key(store, STORE.into())))
            .condition_expression("attribute_exists(pk)");
        Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
    }

    fn put<T: Serialize>(&self, pk: &str, sk: String, value: &T) -> Result<TransactWriteItem, Error> {
        let put = Put::builder()
            .table_name(&self.configuration().directory_table)
            .set_item(Some(to_item(key(pk, sk), value)?));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    fn put_new<T: Serialize>(&self, pk: &str, sk: String, value: &T) -> Result<TransactWriteItem, Error> {
        let put = Put::builder()
            .table_name(&self.configuration().directory_table)
            .set_item(Some(to_item(key(pk, sk), value)?))
            .condition_expression("attribute_not_exists(pk)");
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    fn delete(
        &self,
        store: &str,
        sk: String,
        condition: &str,
        compared: Option<(&str, AttributeValue)>,
    ) -> Result<TransactWriteItem, Error> {
        let mut delete = Delete::builder()
            .table_name(&self.configuration().directory_table)
            .set_key(Some(key(store, sk)))
            .condition_expression(condition);
        if let Some((name, value)) = compared {
            delete = delete.expression_attribute_values(name, value);
        }
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }

    fn update(
        &self,
        store: &str,
        sk: String,
        changes: Changes,
        condition: &str,
        compared: Option<(&str, AttributeValue)>,
    ) -> Result<TransactWriteItem, Error> {
        let mut update = Update::builder()
            .table_name(&self.configuration().directory_table)
            .set_key(Some(key(store, sk)))
            .condition_expression(condition);
        let assignments: Vec<_> = (0..changes.len()).map(|n| format!("#c{n} = :c{n}")).collect();
        for (n, (name, value)) in changes.into_iter().enumerate() {
            update = update
                .expression_attribute_names(format!("#c{n}"), name)
                .expression_attribute_values(format!(":c{n}"), value);
        }
        if let Some((name, value)) = compared {
            update = update.expression_attribute_values(name, value);
        }
        let update = update.update_expression(format!("SET {}", assignments.join(", ")));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}

fn positions(reasons: &[CancellationReason]) -> Vec<usize> {
    reasons.iter().enumerate().filter(|(_, reason)| was_refused(reason)).map(|(position, _)| position).collect()
}

/// That there is no such backend user.
pub fn no_user(store: &str, email: &str) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("The store {store} has no backend user {email}. `b2b-auth user list --store {store}` shows them all."),
    )
}

fn no_store(store: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("There is no store {store}. `b2b-auth store list` shows them all."))
}

fn no_customer(store: &str, email: &str) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("The store {store} has no customer {email}. `b2b-auth customer list --store {store}` shows them all."),
    )
}
