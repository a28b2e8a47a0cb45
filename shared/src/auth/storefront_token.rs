//! Storefront tokens: given to confirmed callers only, and good until customer or store revoke them.

use crate::{
    auth::{Auth, caller::Caller, denial::Denial},
    fault::Fault,
    keys::{claims::StorefrontTokenClaims, jwt},
};
use serde::Serialize;

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
        let kid = jwt::kid(token).map_err(Denial::Invalid)?;
        let keyring = self.keyring.with_keys([kid.as_str()].into_iter()).await?;
        let claims = jwt::verify_storefront_token(token, &kid, &keyring, self.clock.now()).map_err(Denial::Invalid)?;
        let channel_id = claims.channel_id().ok_or(Denial::Invalid("no channel"))?;
        let (store, customer) = tokio::join!(
            self.directory.store(&claims.store_hash),
            self.directory.customer(&claims.store_hash, claims.bc_customer_id),
        );
        let problem = match (store?, customer?) {
            (None, _) => Some("the store does not exist"),
            (Some(store), _) if claims.iat < store.created_at => Some("issued before the store was made anew"),
            (_, Some(customer)) if !customer.active => Some("the customer is disabled or removed"),
            (_, Some(customer)) if !customer.accepts_issued_at(claims.iat) => {
                Some("revoked: the customer was disabled or got another password since")
            }
            (_, Some(customer)) if !customer.channels.contains(&channel_id) => Some("not a channel of the customer"),
            (Some(store), None) if !store.channels.contains(&channel_id) => Some("not a channel of the store"),
            _ => None,
        };
        problem.map_or(Ok(claims), |problem| Err(Denial::Invalid(problem)))
    }
}
