//! Who is calling.

use crate::{
    auth::access_token,
    http::{error::Error, request::Request},
    keys::jwt,
    services::Services,
    tables::directory::Scope,
};

/// Longest store hash, in characters, as in bodies.
const MAX_STORE_HASH: usize = 64;

/// Whoever showed credentials that may have been taken back since. Whoever holds one has still to see
/// [`Services::confirm`], or a transaction that checks the same, succeed.
#[derive(Debug)]
#[must_use = "the credentials may have been taken back"]
pub struct UnconfirmedCaller {
    /// The store of the credentials.
    pub store_hash: String,
    /// All that were shown, at least one; each must be good.
    pub credentials: Vec<Credential>,
    /// What the call needs of an API account.
    pub needs: Scope,
}

/// What says who is calling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A server-to-server token.
    Token {
        /// The token's id.
        id: u64,
        /// Id of the key that it is signed with.
        kid: String,
        /// When it was issued, in Unix seconds.
        iat: u64,
    },
    /// An API account.
    ApiAccount {
        /// SHA-256 of its access token, in hexadecimal digits.
        sha256: String,
    },
}

/// The bearer of the request's credentials, or none if it carries none: a server-to-server token in `authToken`, an access
/// token in `X-Auth-Token` with the store in `X-Store-Hash`, or both, as a client may that moves from one to the other.
///
/// # Errors
/// [`Error::InvalidToken`] if there are credentials that are not good or that contradict each other, or a fault.
pub async fn authenticate(
    request: &Request,
    services: &Services,
    needs: Scope,
) -> Result<Option<UnconfirmedCaller>, Error> {
    let sent = |name| request.header(name).filter(|value| !value.trim().is_empty());
    let (mut store_hash, mut credentials) = (None, Vec::new());
    if let Some(token) = sent("authToken") {
        let (store_of_token, credential) = token_credential(token, services).await?;
        store_hash = Some(store_of_token);
        credentials.push(credential);
    }
    let named = sent("X-Store-Hash");
    if let Some(access_token) = sent("X-Auth-Token") {
        if named.is_none_or(|named| named.chars().count() > MAX_STORE_HASH) {
            return Err(Error::InvalidToken("X-Store-Hash names no store"));
        }
        let sha256 = access_token::sha256(access_token).ok_or(Error::InvalidToken("not an access token"))?;
        credentials.push(Credential::ApiAccount { sha256 });
    }
    if credentials.is_empty() {
        return Ok(None);
    }
    match (store_hash, named) {
        (Some(of_token), Some(named)) if of_token != named => {
            Err(Error::InvalidToken("X-Store-Hash names another store"))
        }
        (of_token, named) => {
            let store_hash = of_token.or_else(|| named.map(Into::into)).unwrap_or_default();
            Ok(Some(UnconfirmedCaller { store_hash, credentials, needs }))
        }
    }
}

/// The store of a genuine server-to-server token, and what its record must have.
async fn token_credential(token: &str, services: &Services) -> Result<(String, Credential), Error> {
    let kid = jwt::kid(token).map_err(Error::InvalidToken)?;
    let keyring = services.keyring_with([kid.as_str()].into_iter()).await?;
    let claims = jwt::verify_server_token(token, &kid, &keyring, services.clock.now()).map_err(Error::InvalidToken)?;
    match claims.jti.parse::<u64>() {
        Ok(id) if id.to_string() == claims.jti => {
            Ok((claims.store_hash, Credential::Token { id, kid, iat: claims.iat }))
        }
        _ => Err(Error::InvalidToken("jti is not an id")),
    }
}
