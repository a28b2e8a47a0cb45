//! What every command works with, and what it says of accounts that are not there.

use crate::{
    failure::{Failure, Kind},
    output::Output,
    stack::Stack,
};
use accounts::{Addition, Edit, Taken};
use shared::tables::directory::{BackendUser, Customer, CustomerDirectory, CustomerLogin, Store};

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
        self.stack.services.directory.customer_login(store, email).await?.ok_or_else(|| no_customer(store, email))
    }

    /// The customer with this id.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub async fn customer_of_id(&self, store: &str, id: u64) -> Result<Customer, Failure> {
        let found = self.stack.services.directory.customer(store, id).await?;
        found.filter(|customer| !customer.is_removed()).ok_or_else(|| no_customer(store, &format!("of id {id}")))
    }
}

pub fn is_at_bigcommerce(store: &Store) -> bool {
    store.customer_directory == CustomerDirectory::BigCommerce
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
