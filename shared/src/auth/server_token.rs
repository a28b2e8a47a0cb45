//! Server-to-server tokens: genuine by their signature, good while their record exists.

use crate::{
    auth::{
        Auth,
        denial::{DELETED, Denial},
    },
    keys::jwt,
    tables::tokens::{TokenIdentity, TokenRecord},
};

/// A genuine server-to-server token, whose record has still to be looked at.
#[derive(Clone, Debug)]
pub struct ServerToken {
    /// Its store.
    pub store_hash: String,
    /// What its record must be.
    pub identity: TokenIdentity,
}

impl Auth {
    /// Reads a server-to-server token: that it is this service's, and that its time has come and is not over.
    ///
    /// # Errors
    /// [`Denial::Invalid`], or a fault.
    pub async fn server_token(&self, token: &str) -> Result<ServerToken, Denial> {
        let kid = jwt::kid(token).map_err(Denial::Invalid)?;
        let keyring = self.keyring.with_keys([kid.as_str()].into_iter()).await?;
        let claims = jwt::verify_server_token(token, &kid, &keyring, self.clock.now()).map_err(Denial::Invalid)?;
        match claims.jti.parse::<u64>() {
            Ok(id) if id.to_string() == claims.jti => {
                let identity = TokenIdentity { id, kid, iat: claims.iat };
                Ok(ServerToken { store_hash: claims.store_hash, identity })
            }
            _ => Err(Denial::Invalid("jti is not an id")),
        }
    }

    /// The record of a token, if it has not been deleted.
    ///
    /// # Errors
    /// [`Denial::Invalid`], or a fault.
    pub async fn record_of(&self, store_hash: &str, identity: &TokenIdentity) -> Result<TokenRecord, Denial> {
        let record = self.tokens.record(store_hash, identity.id).await?;
        record.filter(|record| identity.is_of(record)).ok_or(DELETED)
    }
}
