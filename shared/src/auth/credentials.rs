//! What a request shows to say who is calling.

use crate::{auth::denial::Denial, http::error::Error, tables::tokens::TokenIdentity};
use base64::{Engine, engine::general_purpose::STANDARD};
use lambda_http::http::{HeaderMap, header::AUTHORIZATION};
use std::borrow::Cow;
use url::form_urlencoded;

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
            // White space beyond that of HTTP is shown, and bad: API Gateway may keep an answer under it.
            let value = headers.get(name).filter(|value| !value.as_bytes().trim_ascii().is_empty());
            value.map(|value| String::from_utf8_lossy(value.as_bytes()))
        });
        Self { server_token, access_token, store_hash }
    }

    /// Reads the headers, and in their place `Authorization` as clients of OAuth send it: as `Bearer` a server-to-server token
    /// (RFC 6750, section 2.1), as `Basic` a store and an access token (RFC 6749, section 2.3.1).
    ///
    /// # Errors
    /// [`Denial::Invalid`] if it stands there twice, beside one of the headers, or is no `Basic` or `Bearer`.
    pub fn in_headers_or_authorization(headers: &'a HeaderMap) -> Result<Self, Denial> {
        let shown = Self::in_headers(headers);
        let Some(authorization) = Authorization::in_headers(headers)? else { return Ok(shown) };
        if HEADERS.iter().any(|name| headers.contains_key(*name)) {
            return Err(Denial::Invalid("Authorization beside another header that says who is calling"));
        }
        match authorization {
            Authorization::Bearer(token) => Ok(Self { server_token: Some(token.into()), ..shown }),
            Authorization::Basic(credentials) => {
                let pair = STANDARD.decode(credentials).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let pair = pair.ok_or(Denial::Invalid("Basic is not base64 of UTF-8"))?;
                let (store_hash, access_token) = pair.split_once(':').ok_or(Denial::Invalid("Basic holds no colon"))?;
                let [store_hash, access_token] = [store_hash, access_token].map(form_decoded);
                let malformed = Denial::Invalid("Basic holds what is no encoded form");
                let (Some(store_hash), Some(access_token)) = (store_hash, access_token) else { return Err(malformed) };
                Ok(Self { access_token: Some(access_token.into()), store_hash: Some(store_hash.into()), ..shown })
            }
        }
    }
}

/// What `Authorization` holds, as it was sent.
pub(super) enum Authorization<'a> {
    Bearer(&'a str),
    Basic(&'a str),
}

impl<'a> Authorization<'a> {
    /// None where the header is missing or blank.
    pub(super) fn in_headers(headers: &'a HeaderMap) -> Result<Option<Self>, Denial> {
        let mut values =
            headers.get_all(AUTHORIZATION).iter().filter(|value| !value.as_bytes().trim_ascii().is_empty());
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Denial::Invalid("more than one Authorization"));
        }
        let value = value.to_str().map_err(|_| Denial::Invalid("Authorization is not ASCII"))?;
        let (scheme, credentials) = value.trim().split_once(' ').unwrap_or_default();
        let credentials = credentials.trim_start();
        if scheme.eq_ignore_ascii_case("Bearer") {
            Ok(Some(Self::Bearer(credentials)))
        } else if scheme.eq_ignore_ascii_case("Basic") {
            Ok(Some(Self::Basic(credentials)))
        } else {
            Err(Denial::Invalid("Authorization is neither Basic nor Bearer"))
        }
    }
}

/// The one value that was encoded as forms are; none if it was another number of them.
fn form_decoded(text: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let (value, rest) = pairs.next()?;
    (rest.is_empty() && pairs.next().is_none()).then(|| value.into_owned())
}
