//! What is kept of a token: everything but the token.

use crate::{
    keys::claims::{DB, SERVER, ServerClaims},
    scopes::Scopes,
    tables::items::{Item, from_item, number, string},
};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// Where a server-to-server token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventChannel {
    /// `POST /auth/backend`.
    Api,
    /// The operator's tool.
    Admin,
}

/// What is kept of a server-to-server token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The token's id, unique in its store, never used again.
    pub id: u64,
    /// The name that its maker gave it.
    pub name: String,
    /// E-mail of the backend user who made it, as stored.
    pub email: String,
    /// Where it was made.
    pub event_channel: EventChannel,
    /// Id of the key that it was signed with.
    pub kid: String,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// Before when it is not valid, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// From when it is not valid any more, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// What it may do.
    #[serde(default, skip_serializing_if = "Scopes::are_all")]
    pub scopes: Scopes,
    /// When it was last used, in Unix seconds, give or take an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<u64>,
}

impl TokenRecord {
    /// The claims that were signed, and that give the same token when signed again.
    #[must_use]
    pub fn claims(&self, store_hash: &str) -> ServerClaims {
        ServerClaims {
            email: self.email.clone(),
            store_hash: store_hash.into(),
            db: DB.into(),
            jti: self.id.to_string(),
            aud: SERVER.into(),
            iat: self.iat,
            nbf: self.nbf,
            exp: self.exp,
            scope: self.scopes.clone(),
        }
    }

    /// What its token must be.
    #[must_use]
    pub fn identity(&self) -> TokenIdentity {
        let Self { id, kid, email, iat, nbf, exp, scopes, .. } = self.clone();
        TokenIdentity { id, kid, email, iat, nbf, exp, scopes }
    }
}

/// By what a token and its record know each other: the key and all claims. A signature alone proves little: a store may have
/// been made anew and count from 1 again, and somebody may sign with a key that has leaked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenIdentity {
    pub id: u64,
    /// Id of the key that it is signed with.
    pub kid: String,
    pub email: String,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// Before when it is not valid, in Unix seconds.
    pub nbf: Option<u64>,
    /// From when it is not valid any more, in Unix seconds.
    pub exp: Option<u64>,
    pub scopes: Scopes,
}

impl TokenIdentity {
    /// Holds in DynamoDB for the record of this token.
    pub(super) fn condition(&self) -> String {
        let optional = |name, is_set| {
            if is_set { format!("{name} = :{name}") } else { format!("attribute_not_exists({name})") }
        };
        format!(
            "kid = :kid AND email = :email AND iat = :iat AND {} AND {} AND {}",
            optional("nbf", self.nbf.is_some()),
            optional("exp", self.exp.is_some()),
            optional("scopes", !self.scopes.are_all()),
        )
    }

    /// What [`TokenIdentity::condition`] compares with.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, AttributeValue)> {
        let times = [(":iat", Some(self.iat)), (":nbf", self.nbf), (":exp", self.exp)];
        let times = times.into_iter().filter_map(|(name, time)| Some((name, number(time?))));
        let scopes = self.scopes.joined().map(|scopes| (":scopes", string(scopes)));
        [(":kid", string(&self.kid)), (":email", string(&self.email))].into_iter().chain(times).chain(scopes)
    }

    /// Whether this is the record of this token.
    #[must_use]
    pub fn is_of(&self, record: &TokenRecord) -> bool {
        *self == record.identity()
    }

    /// Whether this is the item of this token.
    pub(super) fn is_of_item(&self, item: Option<&Item>) -> bool {
        item.is_some_and(|item| from_item(item.clone()).is_ok_and(|record| self.is_of(&record)))
    }
}
