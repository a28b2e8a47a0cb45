//! Who is calling.

use crate::{error::Error, jwt, request::Request, services::Services};

/// The bearer of a genuine server-to-server token that may have been deleted since. Whoever holds one has still to see
/// [`crate::token_table::TokenTable::confirm`], or a transaction that checks the same, succeed.
#[derive(Debug)]
#[must_use = "the token may have been deleted"]
pub struct UnconfirmedCaller {
    /// The store of the token.
    pub store_hash: String,
    /// The token's id.
    pub id: u64,
    /// Id of the key that the token is signed with.
    pub kid: String,
    /// When the token was issued, in Unix seconds.
    pub iat: u64,
}

/// The bearer of the request's server-to-server token, or none if it carries no credentials.
///
/// `authToken` is the one way to call so far; a store-level API account (`X-Auth-Token` with `X-Store-Hash`) is the other
/// one that the contract names, and belongs here.
///
/// # Errors
/// [`Error::InvalidToken`] if there are credentials that are not good or that contradict each other, or a fault.
pub async fn authenticate(request: &Request, services: &Services) -> Result<Option<UnconfirmedCaller>, Error> {
    let sent = |name| request.header(name).filter(|value| !value.trim().is_empty());
    if sent("X-Auth-Token").is_some() {
        return Err(Error::InvalidToken("API accounts are not supported"));
    }
    let Some(token) = sent("authToken") else {
        return Ok(None);
    };
    let kid = jwt::kid(token).map_err(Error::InvalidToken)?;
    let keyring = services.keyring_with([kid.as_str()].into_iter()).await?;
    let claims = jwt::verify_server_token(token, &kid, &keyring, services.clock.now()).map_err(Error::InvalidToken)?;
    if sent("X-Store-Hash").is_some_and(|store_hash| store_hash != claims.store_hash) {
        return Err(Error::InvalidToken("X-Store-Hash names another store"));
    }
    match claims.jti.parse::<u64>() {
        Ok(id) if id.to_string() == claims.jti => {
            Ok(Some(UnconfirmedCaller { store_hash: claims.store_hash, id, kid, iat: claims.iat }))
        }
        _ => Err(Error::InvalidToken("jti is not an id")),
    }
}
