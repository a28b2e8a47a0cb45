//! Whoever calls an API that is not this one, and that lets in whom this service knows.

use crate::{
    auth::{
        Auth,
        caller::Caller,
        credentials::{Authorization, Shown, check_repeated},
        denial::Denial,
        genuine_token::GenuineToken,
    },
    scopes::Scopes,
    tables::reads::together,
};
use lambda_http::http::HeaderMap;

/// Whose credentials are good now.
#[derive(Debug)]
pub enum Principal {
    /// The holder of a token of either kind.
    Token(GenuineToken),
    /// An API account.
    ApiAccount { store_hash: String, scopes: Scopes },
}

impl Principal {
    #[must_use]
    pub fn store_hash(&self) -> &str {
        match self {
            Self::Token(token) => token.store_hash(),
            Self::ApiAccount { store_hash, .. } => store_hash,
        }
    }

    /// What the credentials are limited to; none where they are of a kind that has no scopes.
    #[must_use]
    pub fn scopes(&self) -> Option<&Scopes> {
        match self {
            Self::Token(GenuineToken::Server(token)) => Some(&token.identity.scopes),
            Self::Token(GenuineToken::Storefront(_)) => None,
            Self::ApiAccount { scopes, .. } => Some(scopes),
        }
    }
}

impl Auth {
    /// Who it is that shows one credential: a token of either kind as `Bearer` in `Authorization`, a server-to-server token in
    /// `authToken`, or an access token in `X-Auth-Token` with its store in `X-Store-Hash`, which may stand beside the others.
    ///
    /// # Errors
    /// [`Denial::NoCredentials`], [`Denial::NoStoreHash`], [`Denial::Invalid`], or a fault.
    pub async fn principal(&self, headers: &HeaderMap) -> Result<Principal, Denial> {
        check_repeated(headers)?;
        let Shown { server_token, access_token, store_hash: named } = Shown::in_headers(headers);
        let token = match (Authorization::in_headers(headers)?, server_token, access_token) {
            (None, None, None) => return Err(Denial::NoCredentials),
            (None, None, Some(_)) => return self.api_account(headers).await,
            (None, Some(token), None) => GenuineToken::Server(self.server_token(&token).await?),
            (Some(Authorization::Bearer(token)), None, None) => self.genuine_token(token).await?,
            (Some(Authorization::Basic(_)), None, None) => return Err(Denial::Invalid("Authorization is not Bearer")),
            _ => return Err(Denial::Invalid("more than one credential")),
        };
        if named.is_some_and(|named| named != token.store_hash()) {
            return Err(Denial::Invalid("X-Store-Hash names another store"));
        }
        together(self.standing(&token)).await?.map_err(Denial::Invalid)?;
        self.note_use_of(&token);
        Ok(Principal::Token(token))
    }

    async fn api_account(&self, headers: &HeaderMap) -> Result<Principal, Denial> {
        let caller = self.caller(headers, None).await?;
        let confirmed = caller.confirm_beside(|_| (), async |_| ()).await;
        let (Caller { store_hash, mut scopes }, (), ()) = confirmed.map_err(|refused| refused.denial)?;
        let scopes = scopes.pop().ok_or(Denial::NoCredentials)?;
        Ok(Principal::ApiAccount { store_hash, scopes })
    }
}
