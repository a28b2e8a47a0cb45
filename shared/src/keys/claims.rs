//! What the tokens say, under the platform's names.

use crate::scopes::Scopes;
use serde::{Deserialize, Serialize};

/// `aud` of a server-to-server token.
pub const SERVER: &str = "server";
/// `aud` of a storefront token.
pub const STOREFRONT: &str = "storefront";
/// `db` of every token: the platform's name for its one database.
pub const DB: &str = "default";

/// Claims of a server-to-server token, in the order in which they are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerClaims {
    /// E-mail of the backend user who made the token, as stored.
    pub email: String,
    pub store_hash: String,
    /// Always [`DB`].
    pub db: String,
    /// The token's id, unique in its store.
    pub jti: String,
    /// Always [`SERVER`].
    pub aud: String,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// Before when it is not valid, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// From when it is not valid any more, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    #[serde(default, skip_serializing_if = "Scopes::are_all")]
    pub scope: Scopes,
}

/// Claims of a storefront token made from an e-mail and a password, in the order in which they are signed.
#[derive(Debug, Serialize)]
pub struct CustomerLoginClaims<'a> {
    /// The customer's e-mail, as stored.
    pub email: &'a str,
    pub store_hash: &'a str,
    /// Always [`DB`].
    pub db: &'a str,
    /// The name that the caller gave the token.
    pub name: &'a str,
    /// The one channel that it is for.
    pub channel_ids: [u64; 1],
    /// Always 3.
    pub token_type: u8,
    pub bc_customer_id: u64,
    /// Always [`STOREFRONT`].
    pub aud: &'a str,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// Before when it is not valid, in Unix seconds.
    pub nbf: u64,
    /// From when it is not valid any more, in Unix seconds.
    pub exp: u64,
}

/// Claims of a storefront token made from a customer id or a current-customer JWT, in the order in which they are signed.
#[derive(Debug, Serialize)]
pub struct StorefrontClaims<'a> {
    /// The customer's e-mail.
    pub email: &'a str,
    pub bc_customer_id: u64,
    pub store_hash: &'a str,
    /// Always [`DB`].
    pub db: &'a str,
    /// The channel that it is for.
    pub bc_channel_id: u64,
    /// Always [`STOREFRONT`].
    pub aud: &'a str,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// From when it is not valid any more, in Unix seconds.
    pub exp: u64,
}

/// What is common to the claims of both kinds of storefront tokens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StorefrontTokenClaims {
    /// The customer's e-mail.
    pub email: String,
    pub store_hash: String,
    /// Always [`DB`].
    pub db: String,
    pub bc_customer_id: u64,
    /// Always [`STOREFRONT`].
    pub aud: String,
    /// The channel, of a token made from a customer id or a current-customer JWT.
    pub bc_channel_id: Option<u64>,
    /// The one channel, of a token made from an e-mail and a password.
    pub channel_ids: Option<[u64; 1]>,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// Before when it is not valid, in Unix seconds.
    pub nbf: Option<u64>,
    /// From when it is not valid any more, in Unix seconds.
    pub exp: u64,
}

impl StorefrontTokenClaims {
    /// The channel that it is for; none if it names none, or two.
    #[must_use]
    pub fn channel_id(&self) -> Option<u64> {
        match (self.bc_channel_id, self.channel_ids) {
            (Some(id), None) | (None, Some([id])) => Some(id),
            _ => None,
        }
    }
}
