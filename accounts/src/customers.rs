//! Customers. One has two items, by e-mail with the password hash and by id without; they are written in one transaction.

use crate::{Accounts, Addition, Condition, Edit, Items, PATIENCE, Taken, side_by_side::side_by_side};
use aws_sdk_dynamodb::types::{KeysAndAttributes, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use shared::{
    fault::Fault,
    tables::{
        directory::{CUSTOMER_EMAILS, CUSTOMERS, Customer, CustomerLogin, customer_email_key, customer_key},
        items::{built, from_item, key, number, string, to_item},
        reads::batch_get,
        transactions::Part,
    },
};
use std::collections::HashMap;

/// How many customers can be looked up, or added, together. A transaction takes 100 items: two for each, and the store's.
pub const MAX_CUSTOMERS: usize = 49;
/// Items that can be looked up together.
pub const MAX_LOOKED_UP: usize = 100;
/// Customers that are changed at the same time. A change costs four write units or a little more, of which a store begins with
/// 1,000 a second, and takes AWS some 15 ms.
const CHANGES_AT_ONCE: usize = 4;

/// What becomes of a customer. Serializes to the attribute that changes.
#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomerChange {
    /// Ids of the channels in which the customer may log in.
    Channels(Vec<u64>),
    /// argon2id, as a PHC string. Storefront tokens from before are void then.
    PasswordHash(String),
    /// Whether the customer may have tokens. Those from before are void then.
    Active(bool),
}

impl CustomerChange {
    fn revokes_tokens(&self) -> bool {
        match self {
            Self::Channels(_) => false,
            Self::PasswordHash(_) | Self::Active(_) => true,
        }
    }
}

/// What a store has under an e-mail and an id.
#[derive(Default)]
pub struct Place {
    /// Who has the e-mail.
    pub by_email: Option<Customer>,
    /// Who has the id.
    pub by_id: Option<Customer>,
    /// Until when tokens are void that were issued to one of this id who was removed.
    pub tokens_valid_after: Option<u64>,
}

/// What is looked up of a customer.
#[derive(Deserialize)]
struct Found {
    sk: String,
    #[serde(flatten)]
    customer: Customer,
}

impl Accounts {
    /// A store's customers in the order of their ids, among them what is left of removed ones.
    #[must_use]
    pub fn customers(&self, store_hash: &str) -> Items<Customer> {
        self.items(&self.directory_table, store_hash, CUSTOMERS)
    }

    /// A store's customers in the order of their e-mails, with their password hashes.
    #[must_use]
    pub fn customer_logins(&self, store_hash: &str) -> Items<CustomerLogin> {
        self.items(&self.directory_table, store_hash, CUSTOMER_EMAILS)
    }

    /// Looks up an e-mail and an id. The password hash is not read.
    pub async fn place(&self, store_hash: &str, email: &str, customer_id: u64) -> Result<Place, Fault> {
        Ok(self.places(store_hash, &[(email, customer_id)]).await?.pop().unwrap_or_default())
    }

    /// Looks up e-mails and ids, at most [`MAX_CUSTOMERS`], no two of which have one in common. Password hashes are not read.
    pub async fn places(&self, store_hash: &str, wanted: &[(&str, u64)]) -> Result<Vec<Place>, Fault> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let sort_keys = wanted.iter().flat_map(|(email, id)| [customer_email_key(email), customer_key(*id)]);
        let mut found = self.customers_under(store_hash, sort_keys).await?;
        let place = |(email, id): &(&str, u64)| {
            let by_email = found.remove(&customer_email_key(email));
            match found.remove(&customer_key(*id)) {
                Some(left) if left.is_removed() => {
                    Place { by_email, by_id: None, tokens_valid_after: left.tokens_valid_after }
                }
                by_id => Place { by_email, by_id, tokens_valid_after: None },
            }
        };
        Ok(wanted.iter().map(place).collect())
    }

    /// Looks up items of customers by their sort keys, at least one and at most [`MAX_LOOKED_UP`], no two the same; among them is
    /// what is left of removed ones. Password hashes are not read.
    pub async fn customers_under(
        &self,
        store_hash: &str,
        sort_keys: impl IntoIterator<Item = String>,
    ) -> Result<HashMap<String, Customer>, Fault> {
        let keys = KeysAndAttributes::builder()
            .consistent_read(true)
            .set_keys(Some(sort_keys.into_iter().map(|sk| key(store_hash, sk)).collect()))
            .projection_expression("sk, customer_id, email, channels, #active, tokens_valid_after")
            .expression_attribute_names("#active", "active");
        let mut found = HashMap::new();
        let keys = vec![(self.directory_table.clone(), built(keys.build())?)];
        for (_, item) in batch_get(&self.client, keys, PATIENCE).await? {
            let Found { sk, customer } = from_item(item)?;
            found.insert(sk, customer);
        }
        Ok(found)
    }

    /// Adds a customer, in place of one of the same id who was removed, and whose tokens must stay void.
    pub async fn add_customer(&self, store_hash: &str, login: &CustomerLogin) -> Result<Addition, Fault> {
        self.add_customers(store_hash, std::slice::from_ref(login)).await
    }

    /// Adds all of these customers, at most [`MAX_CUSTOMERS`], or none.
    pub async fn add_customers(&self, store_hash: &str, logins: &[CustomerLogin]) -> Result<Addition, Fault> {
        let mut items = vec![self.store_exists(store_hash)?];
        for login in logins {
            let email_key = customer_email_key(&login.customer.email);
            items.push(self.put_new(key(store_hash, email_key), login)?);
            items.push(self.put_in_free_place(store_hash, &login.customer)?);
        }
        Ok(match self.write(items).await? {
            None => Addition::Added,
            Some(0) => Addition::NoStore,
            Some(position) if position % 2 == 1 => Addition::Taken(Taken::Email),
            Some(_) => Addition::Taken(Taken::CustomerId),
        })
    }

    /// On condition that the id is free: what is left of a removed customer has no e-mail, and must void no more tokens than the
    /// new one does.
    fn put_in_free_place(&self, store_hash: &str, customer: &Customer) -> Result<TransactWriteItem, Fault> {
        let put = Put::builder()
            .table_name(&self.directory_table)
            .set_item(Some(to_item(key(store_hash, customer_key(customer.customer_id)), customer)?))
            .condition_expression("attribute_not_exists(pk) OR (email = :none AND tokens_valid_after <= :until)")
            .expression_attribute_values(":none", string(""))
            .expression_attribute_values(":until", number(customer.tokens_valid_after.unwrap_or(0)));
        put.build().part()
    }

    /// Writes a customer over whatever is there under the same e-mail and id.
    pub async fn put_customer(&self, store_hash: &str, login: &CustomerLogin) -> Result<(), Fault> {
        let items = vec![
            self.put(key(store_hash, customer_email_key(&login.customer.email)), login)?,
            self.put(key(store_hash, customer_key(login.customer.customer_id)), &login.customer)?,
        ];
        self.write(items).await.map(drop)
    }

    /// Changes a customer. Of one of whom no more is known than the id, no more can be changed than whether he may have tokens.
    pub async fn change_customer(
        &self,
        store_hash: &str,
        customer: &Customer,
        change: &CustomerChange,
    ) -> Result<Edit, Fault> {
        if let CustomerChange::Active(active) = change
            && customer.is_removed()
        {
            return self.put_activity(store_hash, customer.customer_id, *active).await;
        }
        let mut by_email = to_item([].into(), change)?;
        if change.revokes_tokens() {
            by_email.insert("tokens_valid_after".into(), number(self.revoked_until()));
        }
        let mut by_id = by_email.clone();
        by_id.remove("password_hash");
        let (email, id) = (string(&customer.email), number(customer.customer_id));
        self.edit(vec![
            self.update(
                key(store_hash, customer_email_key(&customer.email)),
                by_email,
                Condition::Has("customer_id", id),
            )?,
            self.update(key(store_hash, customer_key(customer.customer_id)), by_id, Condition::Has("email", email))?,
        ])
        .await
    }

    /// Writes whether one may have tokens of whom no more is known than the id, or nothing at all. Those from before are void then.
    async fn put_activity(&self, store_hash: &str, customer_id: u64, active: bool) -> Result<Edit, Fault> {
        let customer = Customer { active, ..Customer::removed(customer_id, self.revoked_until()) };
        let put = Put::builder()
            .table_name(&self.directory_table)
            .set_item(Some(to_item(key(store_hash, customer_key(customer_id)), &customer)?))
            .condition_expression("attribute_not_exists(pk) OR email = :none")
            .expression_attribute_values(":none", string(""));
        self.edit(vec![self.store_exists(store_hash)?, put.build().part()?]).await
    }

    /// Makes the same change to many customers. `changed` is told what became of each, and may end it there.
    ///
    /// # Errors
    /// The first of `changed`, or if DynamoDB fails; some may have been changed.
    pub async fn change_customers<E: From<Fault>>(
        &self,
        store_hash: &str,
        customers: &[Customer],
        change: &CustomerChange,
        changed: &impl Fn(&Customer, Edit) -> Result<(), E>,
    ) -> Result<(), E> {
        let each = customers.chunks(1);
        side_by_side(each, CHANGES_AT_ONCE, async |customer| {
            changed(customer, self.change_customer(store_hash, customer, change).await?)
        })
        .await
    }

    /// Removes a customer; what stays is that tokens issued until now are void.
    pub async fn remove_customer(&self, store_hash: &str, customer: &Customer) -> Result<Edit, Fault> {
        let removed = Customer::removed(customer.customer_id, self.revoked_until());
        let same_id = Condition::Has("customer_id", number(customer.customer_id));
        self.edit(vec![
            self.delete(key(store_hash, customer_email_key(&customer.email)), same_id)?,
            self.put(key(store_hash, customer_key(customer.customer_id)), &removed)?,
        ])
        .await
    }
}
