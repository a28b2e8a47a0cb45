//! Server-to-server tokens: genuine by their signature, good while their record exists.

use crate::{
    auth::{Auth, denial::Denial},
    http::fields::is_store_hash,
    keys::{claims::ServerClaims, jwt},
    tables::tokens::TokenIdentity,
};
use serde_json::Value;

/// A genuine server-to-server token, whose record has still to be looked at.
#[derive(Clone, Debug)]
pub struct ServerToken {
    /// Its store.
    pub store_hash: String,
    /// What its record must be.
    pub identity: TokenIdentity,
}

impl ServerToken {
    /// Reads the claims of a token that this key of ours has signed.
    pub(super) fn read(claims: Value, kid: String, now: u64) -> Result<Self, Denial> {
        let claims = jwt::server_claims(claims, now).map_err(Denial::Invalid)?;
        if !is_store_hash(&claims.store_hash) {
            return Err(Denial::Invalid("store_hash is no store"));
        }
        let id = claims.jti.parse().ok().filter(|id: &u64| id.to_string() == claims.jti);
        let id = id.ok_or(Denial::Invalid("jti is not an id"))?;
        let ServerClaims { store_hash, email, iat, nbf, exp, scope: scopes, .. } = claims;
        Ok(Self { store_hash, identity: TokenIdentity { id, kid, email, iat, nbf, exp, scopes } })
    }
}

impl Auth {
    /// Reads a server-to-server token: that it is this service's, and that its time has come and is not over.
    ///
    /// # Errors
    /// [`Denial::Invalid`], or a fault.
    pub async fn server_token(&self, token: &str) -> Result<ServerToken, Denial> {
        let (kid, claims) = self.signed_claims(token).await?;
        ServerToken::read(claims, kid, self.clock.now())
    }
}
