//! What every command works with, and what it says of accounts that are not there.

use crate::{
    failure::{Failure, Kind},
    output::Output,
    stack::Stack,
};
use accounts::{Addition, Edit, Taken};
use shared::tables::{
    directory::{BackendUser, Customer, CustomerLogin, Store},
    reads::in_batches,
};

pub struct Tool {
    pub stack: Stack,
    pub output: Output,
}

impl Tool {
    /// The store.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of this hash.
    pub async fn store(&self, hash: &str) -> Result<Store, Failure> {
        self.stack.services.directory.store(hash).await?.ok_or_else(|| no_store(hash))
    }

    /// All stores by their hashes. One that is being removed may be in the list alone, without its record.
    pub async fn stores(&self) -> Result<Vec<(String, Option<Store>)>, Failure> {
        let listed = self.stack.accounts.stores().all().await?;
        let reads = listed.iter().map(|listed| self.stack.services.directory.store(&listed.store_hash)).collect();
        let stores = in_batches(reads).await?;
        Ok(listed.into_iter().map(|listed| listed.store_hash).zip(stores).collect())
    }

    /// The store, whose customers are in the table.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of this hash, [`Kind::Conflict`] if they are elsewhere.
    pub async fn store_of_table(&self, hash: &str) -> Result<Store, Failure> {
        let store = self.store(hash).await?;
        if store.is_at_bigcommerce() {
            let says = format!(
                "The customers of the store {hash} are at BigCommerce, with their passwords and channels, so this would have no \
                 effect. Nothing was changed. `b2b-auth store set-directory {hash} table` has them here."
            );
            return Err(Failure::new(Kind::Conflict, says));
        }
        Ok(store)
    }

    /// The backend user with this e-mail.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub async fn user(&self, store: &str, email: &str) -> Result<BackendUser, Failure> {
        self.stack.services.directory.backend_user(store, email).await?.ok_or_else(|| no_user(store, email))
    }

    /// The customer with this e-mail.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub async fn customer(&self, store: &str, email: &str) -> Result<CustomerLogin, Failure> {
        match self.stack.services.directory.customer_login(store, email).await? {
            Some(customer) => Ok(customer),
            None if self.store(store).await?.is_at_bigcommerce() => Err(Failure::new(
                Kind::NotFound,
                format!(
                    "The store {store} has no customer {email} in the table: its customers are at BigCommerce. Here they are known by \
                     their ids, with --id."
                ),
            )),
            None => Err(no_customer(store, email)),
        }
    }

    /// What is known of the customer with this id.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is nothing.
    pub async fn customer_of_id(&self, hash: &str, store: &Store, id: u64) -> Result<Customer, Failure> {
        let found = self.stack.services.directory.customer(hash, id).await?;
        found.filter(|customer| counts_as_one(customer, store)).ok_or_else(|| {
            if store.is_at_bigcommerce() {
                let says = format!(
                    "The store {hash} keeps nothing of a customer of id {id}: its customers are at BigCommerce, and here are only those \
                     who were disabled here. `b2b-auth customer list --store {hash}` shows them all."
                );
                Failure::new(Kind::NotFound, says)
            } else {
                no_customer(hash, &format!("of id {id}"))
            }
        })
    }
}

/// Whether what is known of a customer counts as one. Where customers are at BigCommerce, what is left of one in the table keeps him
/// out.
pub fn counts_as_one(customer: &Customer, store: &Store) -> bool {
    !customer.is_removed() || store.is_at_bigcommerce()
}

/// That something was added to a store.
///
/// # Errors
/// [`Kind::NotFound`] if there is no store, and what `taken` says if there already is such a one.
pub fn added(addition: Addition, store: &str, taken: impl FnOnce(Taken) -> Failure) -> Result<(), Failure> {
    match addition {
        Addition::Added => Ok(()),
        Addition::Taken(what) => Err(taken(what)),
        Addition::NoStore => Err(no_store(store)),
    }
}

/// That a change was made.
///
/// # Errors
/// What `none` says if there is nothing to change.
pub fn done(edit: Edit, none: impl FnOnce() -> Failure) -> Result<(), Failure> {
    match edit {
        Edit::Done => Ok(()),
        Edit::NotFound => Err(none()),
    }
}

pub fn no_store(store: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("There is no store {store}. `b2b-auth store list` shows them all."))
}

pub fn no_user(store: &str, email: &str) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("The store {store} has no backend user {email}. `b2b-auth user list --store {store}` shows them all."),
    )
}

pub fn no_customer(store: &str, email: &str) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("The store {store} has no customer {email}. `b2b-auth customer list --store {store}` shows them all."),
    )
}

pub fn no_token(store: &str, id: u64) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("The store {store} has no token {id}. `b2b-auth token list --store {store}` shows them all."),
    )
}
