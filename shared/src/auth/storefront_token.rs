//! Whether a storefront token is good now.

use crate::{
    http::error::Error,
    keys::jwt::{self, StorefrontTokenClaims},
    services::Services,
};

/// Verifies a storefront token: that it is this service's, that its time has come and is not over, and that neither customer
/// nor store has revoked it.
///
/// A customer whom the directory does not know is one for whom the platform vouched.
///
/// # Errors
/// [`Error::InvalidToken`], which says why it is not accepted, or a fault.
pub async fn verify(token: &str, services: &Services) -> Result<StorefrontTokenClaims, Error> {
    let kid = jwt::kid(token).map_err(Error::InvalidToken)?;
    let keyring = services.keyring_with([kid.as_str()].into_iter()).await?;
    let claims =
        jwt::verify_storefront_token(token, &kid, &keyring, services.clock.now()).map_err(Error::InvalidToken)?;
    let channel_id = claims.channel_id().ok_or(Error::InvalidToken("no channel"))?;
    let (store, customer) = tokio::join!(
        services.directory.store(&claims.store_hash),
        services.directory.customer(&claims.store_hash, claims.bc_customer_id),
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
    problem.map_or(Ok(claims), |problem| Err(Error::InvalidToken(problem)))
}
