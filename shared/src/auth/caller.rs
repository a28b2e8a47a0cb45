//! From whoever shows credentials to a caller whose credentials are good now.

use crate::{
    auth::{
        Auth, access_token,
        credentials::{Credential, Shown, check_named_store},
        denial::{DELETED, Denial},
    },
    configuration::StorefrontAccess,
    fault::Fault,
    http::{error::Error, fields::is_store_hash},
    scopes::{Scope, Scopes, needed},
    tables::{
        directory::ApiAccount,
        reads::{Batch, Read, Reads, together},
        tokens::{Deletion, TokenIdentity, TokenRecord, Wanted},
    },
};
use aws_sdk_dynamodb::types::TransactWriteItem;
use lambda_http::http::HeaderMap;

/// Whoever showed genuine credentials, which may have been taken back since.
#[must_use = "the credentials may have been taken back"]
pub struct UnconfirmedCaller<'a> {
    auth: &'a Auth,
    /// At least one; each must be good.
    credentials: Vec<Credential>,
    store_hash: String,
    /// The scope that the endpoint needs, where it does not depend on what is asked for.
    needed: Option<Scope>,
}

/// Whoever calls an endpoint that is open to anyone where the deployment says so.
#[must_use = "the credentials may have been taken back"]
pub struct StorefrontCaller<'a> {
    /// None where no credentials were shown.
    shown: Option<UnconfirmedCaller<'a>>,
    headers: &'a HeaderMap,
}

/// Whoever calls such an endpoint for a store that the request names.
#[must_use = "the credentials may have been taken back"]
pub struct StoreCaller<'a> {
    shown: Option<UnconfirmedCaller<'a>>,
    store_hash: String,
}

/// A caller who may make the call now: whose credentials are good and allow it, or who needs none.
#[derive(Debug)]
pub struct Caller {
    pub(super) store_hash: String,
    /// What each of the credentials allows; none where none were needed.
    pub(super) scopes: Vec<Scopes>,
}

impl Caller {
    /// The store that the caller acts for.
    #[must_use]
    pub fn store_hash(&self) -> &str {
        &self.store_hash
    }

    /// Whether all of the caller's credentials allow this, which may be more than the endpoint needs.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        !self.scopes.is_empty() && self.scopes.iter().all(|scopes| scopes.allow(scope))
    }
}

/// A caller who is refused, and what the work done beside it came to.
#[derive(Debug)]
pub struct Refused<T> {
    /// Why.
    pub denial: Denial,
    /// What the work came to.
    pub beside: T,
}

impl<T> From<Refused<T>> for Error {
    fn from(refused: Refused<T>) -> Self {
        refused.denial.into()
    }
}

impl Auth {
    /// The caller of an endpoint that needs a server-to-server token or an API account, with this scope. Without one, what is
    /// asked for decides.
    ///
    /// # Errors
    /// [`Denial::NoCredentials`], [`Denial::Invalid`], or a fault.
    pub async fn caller(
        &self,
        headers: &HeaderMap,
        needed: impl Into<Option<Scope>>,
    ) -> Result<UnconfirmedCaller<'_>, Denial> {
        self.of_shown(Shown::in_headers(headers), needed.into()).await?.ok_or(Denial::NoCredentials)
    }

    /// The caller of introspection, who may also show credentials as clients of OAuth do, in `Authorization`.
    ///
    /// # Errors
    /// As [`Auth::caller`].
    pub async fn introspecting_caller(&self, headers: &HeaderMap) -> Result<UnconfirmedCaller<'_>, Denial> {
        let shown = Shown::in_headers_or_authorization(headers)?;
        self.of_shown(shown, Some(needed::TO_INTROSPECT_TOKENS)).await?.ok_or(Denial::NoCredentials)
    }

    /// The caller of an endpoint that is open to anyone where the deployment says so. Credentials that are sent must be good.
    ///
    /// # Errors
    /// As [`Auth::caller`].
    pub async fn storefront_caller<'a>(&'a self, headers: &'a HeaderMap) -> Result<StorefrontCaller<'a>, Denial> {
        let shown = self.of_shown(Shown::in_headers(headers), Some(needed::TO_ISSUE_STOREFRONT_TOKENS)).await?;
        if shown.is_none() && self.storefront_access == StorefrontAccess::AuthToken {
            return Err(Denial::NoCredentials);
        }
        Ok(StorefrontCaller { shown, headers })
    }

    /// Whoever shows credentials, none if there are none: a server-to-server token, an access token with its store, or both, as
    /// a client may that moves from one to the other.
    async fn of_shown(&self, shown: Shown<'_>, needed: Option<Scope>) -> Result<Option<UnconfirmedCaller<'_>>, Denial> {
        let Shown { server_token, access_token, store_hash: named } = shown;
        let (mut of_token, mut credentials) = (None, Vec::new());
        if let Some(token) = server_token {
            let token = self.server_token(&token).await?;
            of_token = Some(token.store_hash);
            credentials.push(Credential::Token(token.identity));
        }
        if let Some(access_token) = access_token {
            if !is_store_hash(named.as_ref().ok_or(Denial::NoStoreHash)?) {
                return Err(Denial::Invalid("X-Store-Hash names no store"));
            }
            let sha256 = access_token::sha256(&access_token).ok_or(Denial::Invalid("not an access token"))?;
            credentials.push(Credential::ApiAccount { sha256 });
        }
        if credentials.is_empty() {
            return Ok(None);
        }
        let store_hash = match (of_token, named) {
            (Some(of_token), Some(named)) if of_token != named => {
                return Err(Denial::Invalid("X-Store-Hash names another store"));
            }
            (of_token, named) => of_token.or(named.map(Into::into)).unwrap_or_default(),
        };
        Ok(Some(UnconfirmedCaller { auth: self, credentials, store_hash, needed }))
    }
}

impl UnconfirmedCaller<'_> {
    /// Checks that the credentials have not been taken back and allow the call, and reads what the endpoint needs with the same
    /// request, while `work` is done. Both are given the caller's store.
    ///
    /// # Errors
    /// [`Denial::Invalid`], [`Denial::ScopeTooNarrow`] or a fault, with what the work came to.
    pub async fn confirm_beside<R: Reads, T>(
        self,
        reads: impl FnOnce(&str) -> R,
        work: impl AsyncFnOnce(&str) -> T,
    ) -> Result<(Caller, R::Found, T), Refused<T>> {
        let reads = reads(&self.store_hash);
        let (confirmed, beside) = tokio::join!(self.confirm_reading(reads), work(&self.store_hash));
        match confirmed {
            Ok((scopes, found)) => Ok((Caller { store_hash: self.store_hash, scopes }, found, beside)),
            Err(denial) => Err(Refused { denial, beside }),
        }
    }

    /// What was read of a request; its mistake only for a caller whose credentials are good: the contract checks them first.
    ///
    /// # Errors
    /// That of `read`, or as [`UnconfirmedCaller::confirm_beside`].
    pub async fn confirm_before_refusing<T>(&self, read: Result<T, Error>) -> Result<T, Error> {
        if read.is_err() {
            self.confirm().await?;
        }
        read
    }

    /// Deletes a token in the transaction that checks the credentials.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`], or as [`UnconfirmedCaller::confirm_beside`].
    pub async fn delete_token(self, wanted: &Wanted) -> Result<(), Error> {
        let itself = self.credentials.iter().find_map(|credential| match credential {
            Credential::Token(identity) if identity.id == wanted.id => Some(identity),
            _ => None,
        });
        let others: Vec<_> = self.credentials.iter().filter(|credential| !is_token(credential, itself)).collect();
        let too_narrow = Denial::ScopeTooNarrow(needed::TO_DELETE_TOKENS);
        // A token says itself what it may do, and its record the same, or it is refused.
        let is_too_narrow = |token: &TokenIdentity| !token.scopes.allow(needed::TO_DELETE_TOKENS);
        if others.iter().any(|shown| matches!(shown, Credential::Token(token) if is_too_narrow(token))) {
            self.confirm().await?;
            return Err(too_narrow.into());
        }
        let checks = others.iter().map(|credential| self.check(credential)).collect::<Result<_, Fault>>()?;
        match self.auth.tokens.delete(&self.store_hash, wanted, itself, checks).await? {
            Deletion::Deleted => {
                self.auth.note_use(&self.store_hash, &self.credentials);
                Ok(())
            }
            Deletion::NoSuchToken => Err(Error::NoSuchToken),
            Deletion::CheckFailed { position, is_present: true }
                if matches!(others.get(position), Some(Credential::ApiAccount { .. })) =>
            {
                Err(too_narrow.into())
            }
            Deletion::NotItself | Deletion::CheckFailed { .. } => Err(DELETED.into()),
        }
    }

    /// Checks the credentials, without more.
    async fn confirm(&self) -> Result<(), Denial> {
        self.confirm_reading(()).await.map(|_| ())
    }

    /// What each of the credentials allows, and what was read with their records.
    async fn confirm_reading<R: Reads>(&self, reads: R) -> Result<(Vec<Scopes>, R::Found), Denial> {
        let credentials: Vec<_> = self.credentials.iter().map(|credential| self.scopes_of(credential)).collect();
        let (scopes, found) = together((credentials, reads)).await?;
        let scopes = scopes.into_iter().collect::<Option<Vec<_>>>().ok_or(DELETED)?;
        if let Some(needed) = self.needed
            && !scopes.iter().all(|scopes| scopes.allow(needed))
        {
            return Err(Denial::ScopeTooNarrow(needed));
        }
        self.auth.note_use(&self.store_hash, &self.credentials);
        Ok((scopes, found))
    }

    fn scopes_of<'a>(&self, credential: &'a Credential) -> ScopesOf<'a> {
        let Auth { tokens, directory, .. } = self.auth;
        match credential {
            Credential::Token(identity) => ScopesOf::Token(identity, tokens.record(&self.store_hash, identity.id)),
            Credential::ApiAccount { sha256 } => ScopesOf::ApiAccount(directory.api_account(&self.store_hash, sha256)),
        }
    }

    /// In a transaction, that the credential is good, and where only its record says so, that it may delete tokens.
    fn check(&self, credential: &Credential) -> Result<TransactWriteItem, Fault> {
        match credential {
            Credential::Token(identity) => self.auth.tokens.identity_check(&self.store_hash, identity),
            Credential::ApiAccount { sha256 } => self.auth.directory.token_deleter_check(&self.store_hash, sha256),
        }
    }
}

/// What a credential allows; none if it is not good.
enum ScopesOf<'a> {
    Token(&'a TokenIdentity, Read<TokenRecord>),
    ApiAccount(Read<ApiAccount>),
}

impl Reads for ScopesOf<'_> {
    type Found = Option<Scopes>;

    fn ask(&self, batch: &mut Batch) {
        match self {
            Self::Token(_, record) => record.ask(batch),
            Self::ApiAccount(account) => account.ask(batch),
        }
    }

    fn take(self, batch: &mut Batch) -> Result<Option<Scopes>, Fault> {
        Ok(match self {
            Self::Token(identity, record) => {
                record.take(batch)?.filter(|record| identity.is_of(record)).map(|record| record.scopes)
            }
            Self::ApiAccount(account) => account.take(batch)?.map(|account| account.scopes()),
        })
    }
}

fn is_token(credential: &Credential, token: Option<&TokenIdentity>) -> bool {
    matches!(credential, Credential::Token(identity) if Some(identity) == token)
}

impl<'a> StorefrontCaller<'a> {
    /// As [`UnconfirmedCaller::confirm_before_refusing`].
    ///
    /// # Errors
    /// The same.
    pub async fn confirm_before_refusing<T>(&self, read: Result<T, Error>) -> Result<T, Error> {
        match &self.shown {
            Some(caller) => caller.confirm_before_refusing(read).await,
            None => read,
        }
    }

    /// The caller of a request that names this store. Where no credentials were shown that is anyone whose headers do not name
    /// another; others must be of the store.
    ///
    /// # Errors
    /// [`Error::OtherStore`] for good credentials of another, or as [`UnconfirmedCaller::confirm_beside`].
    pub async fn of_store(self, store_hash: &str) -> Result<StoreCaller<'a>, Error> {
        if let Some(caller) = &self.shown
            && caller.store_hash != store_hash
        {
            caller.confirm().await?;
            return Err(Error::OtherStore);
        }
        check_named_store(self.headers, store_hash)?;
        Ok(StoreCaller { shown: self.shown, store_hash: store_hash.into() })
    }
}

impl StoreCaller<'_> {
    /// As [`UnconfirmedCaller::confirm_beside`]. Where no credentials were shown there is nothing to confirm.
    ///
    /// # Errors
    /// The same.
    pub async fn confirm_beside<R: Reads, T>(
        self,
        reads: impl FnOnce(&str) -> R,
        work: impl AsyncFnOnce(&str) -> T,
    ) -> Result<(Caller, R::Found, T), Refused<T>> {
        if let Some(caller) = self.shown {
            return caller.confirm_beside(reads, work).await;
        }
        let reads = reads(&self.store_hash);
        match tokio::join!(together(reads), work(&self.store_hash)) {
            (Ok(found), beside) => Ok((Caller { store_hash: self.store_hash, scopes: Vec::new() }, found, beside)),
            (Err(fault), beside) => Err(Refused { denial: fault.into(), beside }),
        }
    }
}
