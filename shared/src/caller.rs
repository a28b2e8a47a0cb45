//! Who is calling.

use crate::{error::Error, jwt, keyring::Keyring, request::Request, secret_cache::SecretCache};

/// The bearer of a genuine server-to-server token that may have been deleted since. Whoever holds one has still to see
/// [`crate::token_table::TokenTable::confirm`], or a transaction that checks the same, succeed.
#[derive(Debug)]
#[must_use = "the token may have been deleted"]
pub struct UnconfirmedCaller {
    /// The store of the token.
    pub store_hash: String,
    /// The token's id.
    pub id: u64,
    /// When the token was issued, in Unix seconds.
    pub iat: u64,
}

/// The bearer of the request's server-to-server token, or none if it carries no credentials.
///
/// `authToken` is the one way to call so far; a store-level API account (`X-Auth-Token` with `X-Store-Hash`) is the other
/// one that the contract names, and belongs here.
///
/// # Errors
/// [`Error::InvalidToken`] if there are credentials that are not good, or a fault.
pub async fn authenticate(
    request: &Request,
    keyring: &SecretCache<Keyring>,
    now: u64,
) -> Result<Option<UnconfirmedCaller>, Error> {
    let Some(token) = request.header("authToken") else {
        return match request.header("X-Auth-Token") {
            Some(_) => Err(Error::InvalidToken("API accounts are not supported")),
            None => Ok(None),
        };
    };
    let kid = jwt::kid(token).map_err(Error::InvalidToken)?;
    let mut keys = keyring.get().await?;
    if keys.key(&kid).is_none() {
        keys = keyring.get_newer().await?;
    }
    let claims = jwt::verify_server_token(token, &kid, &keys, now).map_err(Error::InvalidToken)?;
    let id = claims.jti.parse().map_err(|_| Error::InvalidToken("jti is not an id"))?;
    Ok(Some(UnconfirmedCaller { store_hash: claims.store_hash, id, iat: claims.iat }))
}
