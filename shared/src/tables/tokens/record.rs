//! What is kept of a token: everything but the token.

use crate::{
    keys::claims::{DB, SERVER, ServerClaims},
    scopes::Scopes,
    tables::items::{number, string},
};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// Why a token is not good that has no record, or not this one.
pub const DELETED: &str = "deleted";

/// Where a server-to-server token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventChannel {
    /// `POST /auth/backend`.
    Api,
    /// The operator's tool.
    Admin,
}

/// What is decided of a token before it has an id.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: String,
    pub email: String,
    pub event_channel: EventChannel,
    pub kid: String,
    pub iat: u64,
    pub nbf: Option<u64>,
    pub exp: Option<u64>,
    pub scopes: Scopes,
    pub replaces: Option<Replaced>,
}

/// A token in whose place another was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Its id.
    pub id: u64,
    /// From when it is not accepted any more, in Unix seconds.
    pub ends_at: u64,
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
    /// From when it is not accepted any more, in Unix seconds: `exp`, or earlier once it has been replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
    /// Id of the token that was made in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<u64>,
    /// The token in whose place it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
}

impl NewToken {
    /// Its record under this id.
    #[must_use]
    pub fn record(&self, id: u64) -> TokenRecord {
        let Self { name, email, event_channel, kid, iat, nbf, exp, scopes, replaces } = self.clone();
        TokenRecord {
            id,
            name,
            email,
            event_channel,
            kid,
            iat,
            nbf,
            exp,
            scopes,
            last_used_at: None,
            ends_at: exp,
            replaced_by: None,
            replaces,
        }
    }
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
    /// Holds in DynamoDB for the record of this token, unless it has been replaced and was good until `:now`.
    pub(super) fn condition(&self) -> String {
        let optional = |name, is_set| {
            if is_set { format!("{name} = :{name}") } else { format!("attribute_not_exists({name})") }
        };
        format!(
            "kid = :kid AND email = :email AND iat = :iat AND {} AND {} AND {} \
             AND (attribute_not_exists(replaced_by) OR ends_at > :now)",
            optional("nbf", self.nbf.is_some()),
            optional("exp", self.exp.is_some()),
            optional("scopes", !self.scopes.are_all()),
        )
    }

    /// What [`TokenIdentity::condition`] compares with.
    pub(super) fn values(&self, now: u64) -> impl Iterator<Item = (&'static str, AttributeValue)> {
        let times = [(":iat", Some(self.iat)), (":nbf", self.nbf), (":exp", self.exp), (":now", Some(now))];
        let times = times.into_iter().filter_map(|(name, time)| Some((name, number(time?))));
        let scopes = self.scopes.joined().map(|scopes| (":scopes", string(scopes)));
        [(":kid", string(&self.kid)), (":email", string(&self.email))].into_iter().chain(times).chain(scopes)
    }

    /// The record, if it is that of this token, and the token is good by it. Its own times the token says itself.
    ///
    /// # Errors
    /// Says why it is not good.
    pub fn check(&self, record: Option<TokenRecord>, now: u64) -> Result<TokenRecord, &'static str> {
        let record = record.filter(|record| *self == record.identity()).ok_or(DELETED)?;
        // Nothing is gained by a leeway here: whoever replaces a token that has leaked wants it gone.
        if record.replaced_by.is_some() && record.ends_at.is_none_or(|end| end <= now) {
            return Err("replaced, and its overlap is over");
        }
        Ok(record)
    }
}
