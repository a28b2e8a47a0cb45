//! Storefront tokens: given to confirmed callers only, and good until customer or store revoke them.

use crate::{
    auth::{Auth, caller::Caller, denial::Denial},
    fault::Fault,
    http::fields::is_store_hash,
    keys::{claims::StorefrontTokenClaims, jwt},
    tables::{
        directory::{Customer, Store},
        reads::together,
    },
};
use serde::Serialize;
use serde_json::Value;

impl Auth {
    /// Signs the claims of a storefront token for a caller.
    ///
    /// # Errors
    /// If there is no keyring and none can be read.
    pub async fn issue_storefront_token<C: Serialize>(&self, _to: &Caller, claims: &C) -> Result<String, Fault> {
        Ok(jwt::sign(claims, self.keyring.get().await?.signing_key(self.clock.now())))
    }

    /// Verifies a storefront token: that it is this service's, that its time has come and is not over, and that neither
    /// customer nor store has revoked it.
    ///
    /// A customer whom the directory does not know is one for whom the platform vouched.
    ///
    /// # Errors
    /// [`Denial::Invalid`], which says why it is not accepted, or a fault.
    pub async fn storefront_token(&self, token: &str) -> Result<StorefrontTokenClaims, Denial> {
        let claims = self.genuine_storefront_token(token).await?;
        together(self.standing_of_storefront_token(&claims)).await?.map_err(Denial::Invalid)?;
        Ok(claims)
    }

    /// Reads a storefront token: that it is this service's, and that its time has come and is not over.
    ///
    /// # Errors
    /// [`Denial::Invalid`], or a fault.
    async fn genuine_storefront_token(&self, token: &str) -> Result<StorefrontTokenClaims, Denial> {
        let (_, claims) = self.signed_claims(token).await?;
        read(claims, self.clock.now())
    }
}

/// Reads the claims of a token that a key of ours has signed.
pub(super) fn read(claims: Value, now: u64) -> Result<StorefrontTokenClaims, Denial> {
    let claims = jwt::storefront_claims(claims, now).map_err(Denial::Invalid)?;
    if !is_store_hash(&claims.store_hash) {
        return Err(Denial::Invalid("store_hash is no store"));
    }
    Ok(claims)
}

/// Whether a genuine token is good in its store, for its customer as the directory knows him, if it does.
///
/// # Errors
/// Says why not.
pub(super) fn check(
    claims: &StorefrontTokenClaims,
    store: Option<&Store>,
    customer: Option<&Customer>,
) -> Result<(), &'static str> {
    let channel_id = claims.channel_id().ok_or("no channel")?;
    let store = store.ok_or("the store does not exist")?;
    if claims.iat < store.created_at {
        return Err("issued before the store was made anew");
    }
    match customer {
        Some(customer) if !customer.active => Err("the customer is disabled or removed"),
        Some(customer) if !customer.accepts_issued_at(claims.iat) => {
            Err("revoked: the customer was disabled or got another password since")
        }
        _ if !store.channels_of(customer).contains(&channel_id) => {
            Err("not a channel of the store that the customer may use")
        }
        _ => Ok(()),
    }
}
