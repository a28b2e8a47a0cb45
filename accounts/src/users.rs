//! Backend users.

use crate::{Accounts, Addition, Condition, Edit, Items, Taken};
use serde::Serialize;
use shared::{
    fault::Fault,
    tables::{
        directory::{BackendUser, Role, USERS, user_key},
        items::{key, to_item},
    },
};

/// What becomes of a backend user. Serializes to the attribute that changes.
#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UserChange {
    /// What the user may do.
    Role(Role),
    /// argon2id, as a PHC string.
    PasswordHash(String),
    /// Whether the user may log in.
    Active(bool),
}

impl Accounts {
    /// A store's backend users.
    #[must_use]
    pub fn users(&self, store_hash: &str) -> Items<BackendUser> {
        self.items(&self.directory_table, store_hash, USERS)
    }

    /// Adds a backend user.
    pub async fn add_user(&self, store_hash: &str, user: &BackendUser) -> Result<Addition, Fault> {
        let new = self.put_new(key(store_hash, user_key(&user.email)), user)?;
        Ok(match self.write(vec![self.store_exists(store_hash)?, new]).await? {
            None => Addition::Added,
            Some(0) => Addition::NoStore,
            Some(_) => Addition::Taken(Taken::Email),
        })
    }

    /// Writes a backend user over whatever is there.
    pub async fn put_user(&self, store_hash: &str, user: &BackendUser) -> Result<(), Fault> {
        self.write(vec![self.put(key(store_hash, user_key(&user.email)), user)?]).await.map(drop)
    }

    /// Changes a backend user.
    pub async fn change_user(&self, store_hash: &str, email: &str, change: &UserChange) -> Result<Edit, Fault> {
        let attributes = to_item([].into(), change)?;
        self.edit(vec![self.update(key(store_hash, user_key(email)), attributes, Condition::IsThere)?]).await
    }

    /// Removes a backend user.
    pub async fn remove_user(&self, store_hash: &str, email: &str) -> Result<Edit, Fault> {
        self.edit(vec![self.delete(key(store_hash, user_key(email)), Condition::IsThere)?]).await
    }
}
