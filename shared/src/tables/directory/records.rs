//! What is known of stores, backend users, customers and API accounts.

use crate::scopes::{Scope, Scopes};
use serde::{Deserialize, Serialize};

/// A store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Store {
    /// Ids of its channels.
    pub channels: Vec<u64>,
    /// When it was made, in Unix seconds: storefront tokens from before were those of another store of the same hash.
    #[serde(default)]
    pub created_at: u64,
    /// Where its customers are.
    #[serde(default)]
    pub customer_directory: CustomerDirectory,
}

impl Store {
    /// Whether its customers are at BigCommerce.
    #[must_use]
    pub fn is_at_bigcommerce(&self) -> bool {
        self.customer_directory == CustomerDirectory::BigCommerce
    }

    /// Ids of the channels that a customer may use whom the platform vouches for, or who was given a token before. `known` is what
    /// the table has of him.
    #[must_use]
    pub fn channels_of<'a>(&'a self, known: Option<&'a Customer>) -> &'a [u64] {
        match (self.customer_directory, known) {
            (CustomerDirectory::Table, Some(known)) if !known.is_removed() => &known.channels,
            _ => &self.channels,
        }
    }
}

/// Where a store's customers are, with their passwords.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CustomerDirectory {
    /// In the table.
    #[default]
    Table,
    /// At BigCommerce. The table has no more than what was revoked here, by their ids.
    BigCommerce,
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
    /// Only these may create server-to-server tokens (published page, `POST /auth/backend`).
    pub(super) const THAT_MAY_CREATE_TOKENS: [Self; 2] = [Self::StoreOwner, Self::Administrator];

    #[must_use]
    pub fn may_create_tokens(&self) -> bool {
        Self::THAT_MAY_CREATE_TOKENS.contains(self)
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

    /// Whether no more is known than the id, and what was revoked: of one who was removed, or who is at BigCommerce alone.
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

/// What the record of an API account says of what it may do. It always says something: one that said nothing could do everything
/// by mistake.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Allowed {
    /// As the platform calls it: everything.
    Modify,
    /// As the platform calls it: to list.
    Read,
    /// What the scopes of these names allow.
    #[serde(untagged)]
    Scopes(Vec<String>),
}

/// A store-level API account. Its access token is kept as its SHA-256, in the key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiAccount {
    /// The name that its maker gave it.
    pub name: String,
    scope: Allowed,
    /// When it was made, in Unix seconds.
    pub created_at: u64,
}

impl ApiAccount {
    #[must_use]
    pub fn new(name: String, scopes: &Scopes, created_at: u64) -> Self {
        let scope = match scopes.names().as_deref() {
            None => Allowed::Modify,
            // As versions know it that know no scopes.
            Some(["tokens:read"]) => Allowed::Read,
            Some(names) => Allowed::Scopes(names.iter().map(ToString::to_string).collect()),
        };
        Self { name, scope, created_at }
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        match &self.scope {
            Allowed::Modify => Scopes::ALL,
            Allowed::Read => Scopes::only(&[Scope::TokensRead]),
            Allowed::Scopes(names) => Scopes::of_names(&names.join(" ")),
        }
    }
}
