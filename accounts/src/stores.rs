//! Stores. One has two items, its own and one in the list of all stores.

use crate::{Accounts, Addition, Condition, Edit, Items, Taken, batches::SortKey};
use serde::{Deserialize, Serialize};
use shared::{
    fault::Fault,
    tables::{
        directory::{API_ACCOUNTS, CUSTOMER_EMAILS, CustomerDirectory, STORE, STORES, Store, USERS},
        items::{key, to_item},
        reads::Read,
        tokens::{IDEMPOTENCY_KEYS, TOKENS},
    },
};

/// What the sort keys of both items of all customers begin with.
const ALL_OF_CUSTOMERS: &str = "CUSTOMER";

/// A store in the list of all stores.
#[derive(Deserialize)]
pub struct ListedStore {
    /// Its hash.
    #[serde(rename = "sk")]
    pub store_hash: String,
}

#[derive(Serialize)]
struct NoAttributes {}

/// What is set of a store. Serializes to the attribute that changes.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreChange {
    /// Ids of all its channels.
    Channels(Vec<u64>),
    /// Where its customers are.
    CustomerDirectory(CustomerDirectory),
}

/// How much is in a store.
pub struct Contents {
    /// Backend users.
    pub users: u64,
    /// Customers who can log in.
    pub customers: u64,
    /// API accounts.
    pub api_accounts: u64,
    /// Server-to-server tokens.
    pub tokens: u64,
}

impl Accounts {
    /// All stores. One that is being removed may be in the list alone.
    #[must_use]
    pub fn stores(&self) -> Items<ListedStore> {
        self.items(&self.directory_table, STORES, "")
    }

    /// Those of all stores whose hashes begin so.
    #[must_use]
    pub fn stores_beginning_with(&self, prefix: &str) -> Items<ListedStore> {
        self.items(&self.directory_table, STORES, prefix)
    }

    /// Whether the store is in the list of all stores.
    pub async fn is_listed(&self, store_hash: &str) -> Result<bool, Fault> {
        let listed: Read<ListedStore> = Read::new(&self.client, &self.directory_table, STORES, store_hash.into());
        Ok(listed.await?.is_some())
    }

    /// How much is in the store.
    pub async fn contents(&self, store_hash: &str) -> Result<Contents, Fault> {
        let (users, customers, api_accounts, tokens) = tokio::try_join!(
            self.count(&self.directory_table, store_hash, USERS),
            self.count(&self.directory_table, store_hash, CUSTOMER_EMAILS),
            self.count(&self.directory_table, store_hash, API_ACCOUNTS),
            self.count(&self.tokens_table, store_hash, TOKENS),
        )?;
        Ok(Contents { users, customers, api_accounts, tokens })
    }

    /// Adds a store, as one that is made now.
    pub async fn add_store(&self, store_hash: &str, channels: Vec<u64>) -> Result<Addition, Fault> {
        let store = Store { channels, created_at: self.clock.now(), ..Store::default() };
        let items = vec![
            self.put_new(key(store_hash, STORE.into()), &store)?,
            self.put(key(STORES, store_hash.into()), &NoAttributes {})?,
        ];
        Ok(self.write(items).await?.map_or(Addition::Added, |_| Addition::Taken(Taken::StoreHash)))
    }

    /// Writes a store over whatever is there.
    pub async fn put_store(&self, store_hash: &str, store: &Store) -> Result<(), Fault> {
        let items = vec![
            self.put(key(store_hash, STORE.into()), store)?,
            self.put(key(STORES, store_hash.into()), &NoAttributes {})?,
        ];
        self.write(items).await.map(drop)
    }

    /// Changes a store.
    pub async fn change_store(&self, store_hash: &str, change: &StoreChange) -> Result<Edit, Fault> {
        let attributes = to_item([].into(), change)?;
        self.edit(vec![self.update(key(store_hash, STORE.into()), attributes, Condition::IsThere)?]).await
    }

    /// Removes a store and all that is in it, but not from the list of all stores: that has it until all else is gone that is its.
    /// After each write `removed` is told how many items are gone, and may end it there. To be interrupted and begun again does no
    /// harm.
    ///
    /// # Errors
    /// That of `removed`, or if DynamoDB fails; part of it may have been removed.
    pub async fn erase_store<E: From<Fault>>(
        &self,
        store_hash: &str,
        removed: &impl Fn(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.empty_store(store_hash, removed).await?;
        // From here on no account can be added. What was added meanwhile is found now; the list shows the store until then.
        self.batch_delete(vec![key(store_hash, STORE.into())]).await?;
        removed(1)?;
        self.empty_store(store_hash, removed).await?;
        // Now that nobody is left who makes tokens: one may have been made while the others were revoked.
        self.revoke_all_tokens(store_hash, removed).await
    }

    /// Takes a store that is removed out of the list of all stores.
    pub async fn unlist_store(&self, store_hash: &str) -> Result<(), Fault> {
        self.batch_delete(vec![key(STORES, store_hash.into())]).await
    }

    /// Removes a store as [`Accounts::erase_store`] does, from the list too, and what that keeps for a store that is made anew: this
    /// one never is.
    ///
    /// # Errors
    /// As [`Accounts::erase_store`].
    pub async fn erase_store_for_ever(&self, store_hash: &str) -> Result<(), Fault> {
        // The list of all stores has it until all else is gone.
        let go_on = |_| Ok(());
        self.empty_store(store_hash, &go_on).await?;
        self.tokens.delete_counter(store_hash).await?;
        self.erase_store(store_hash, &go_on).await?;
        self.unlist_store(store_hash).await
    }

    /// Removes all that is in a store.
    async fn empty_store<E: From<Fault>>(
        &self,
        store_hash: &str,
        removed: &impl Fn(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.revoke_all_tokens(store_hash, removed).await?;
        // Backend users first: they make tokens.
        for prefix in [USERS, API_ACCOUNTS, ALL_OF_CUSTOMERS] {
            self.delete_all(store_hash, prefix, removed).await?;
        }
        Ok(())
    }

    async fn revoke_all_tokens<E: From<Fault>>(
        &self,
        store_hash: &str,
        removed: &impl Fn(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let ids: Vec<_> = self.tokens(store_hash).all().await?.iter().map(|token| token.record.id).collect();
        self.revoke_tokens(store_hash, &ids, &|_| removed(1)).await?;
        // The counter stays: a store that is made anew must not give the same ids again.
        for prefix in [API_ACCOUNTS, IDEMPOTENCY_KEYS] {
            let mut items = self.items::<SortKey>(&self.tokens_table, store_hash, prefix);
            while let Some(SortKey { sk }) = items.next().await? {
                let delete =
                    self.client.delete_item().table_name(&self.tokens_table).set_key(Some(key(store_hash, sk)));
                delete.send().await.map_err(|error| Fault::of_aws("DeleteItem", error))?;
                removed(1)?;
            }
        }
        Ok(())
    }
}
