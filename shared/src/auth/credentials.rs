//! What a request shows to say who is calling.

use crate::{auth::denial::Denial, http::error::Error, tables::tokens::TokenIdentity};
use lambda_http::http::HeaderMap;
use std::borrow::Cow;

/// The headers that say who is calling.
const HEADERS: [&str; 3] = ["authToken", "X-Auth-Token", "X-Store-Hash"];

/// What says who is calling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A server-to-server token.
    Token(TokenIdentity),
    /// An API account.
    ApiAccount {
        /// SHA-256 of its access token, in hexadecimal digits.
        sha256: String,
    },
}

/// Refuses a request that says twice who is calling: nothing is guessed from conflicting identities.
///
/// # Errors
/// [`Denial::Invalid`].
pub fn check_repeated(headers: &HeaderMap) -> Result<(), Denial> {
    if HEADERS.iter().any(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(Denial::Invalid("more than one header of a kind"));
    }
    Ok(())
}

/// Refuses a request that names a store and, in its headers, another.
///
/// # Errors
/// [`Error::OtherStore`].
pub fn check_named_store(headers: &HeaderMap, store_hash: &str) -> Result<(), Error> {
    match Shown::in_headers(headers).store_hash {
        Some(named) if named != store_hash => Err(Error::OtherStore),
        _ => Ok(()),
    }
}

/// What the headers hold, as it was sent; nothing where a header is missing or blank. Cannot be printed.
pub struct Shown<'a> {
    /// `authToken`: a server-to-server token.
    pub server_token: Option<Cow<'a, str>>,
    /// `X-Auth-Token`: an access token of an API account.
    pub access_token: Option<Cow<'a, str>>,
    /// `X-Store-Hash`: the store of the access token, or that of the request.
    pub store_hash: Option<Cow<'a, str>>,
}

impl<'a> Shown<'a> {
    /// Reads the headers.
    #[must_use]
    pub fn in_headers(headers: &'a HeaderMap) -> Self {
        let [server_token, access_token, store_hash] = HEADERS.map(|name| {
            let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
            value.filter(|value| !value.trim().is_empty())
        });
        Self { server_token, access_token, store_hash }
    }
}
