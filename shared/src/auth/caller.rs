//! From whoever shows credentials to a caller whose credentials are good now.

use crate::{
    auth::{
        Auth, access_token,
        credentials::{Credential, Shown, check_named_store},
        denial::{Denial, TAKEN_BACK},
    },
    configuration::StorefrontAccess,
    fault::Fault,
    http::{error::Error, fields::is_store_hash},
    scopes::{Scope, Scopes, needed},
    tables::{
        directory::ApiAccount,
        reads::{Batch, Read, Reads, together},
        tokens::{DELETED, Deletion, TokenIdentity, TokenRecord, Wanted},
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
    /// Id of the token that needs no scope, for what it asks for concerns itself.
    itself: Option<u64>,
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
        Ok(Some(UnconfirmedCaller { auth: self, credentials, store_hash, needed, itself: None }))
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

    /// The caller as one who is to change this token: who needs the scope for it, unless it is the caller's own.
    pub fn who_changes(self, id: u64) -> Self {
        Self { needed: Some(needed::TO_WRITE_TOKENS), itself: Some(id), ..self }
    }

    /// For the transaction that changes the token, that all other credentials are good, and allow it.
    ///
    /// # Errors
    /// If there is a mistake of ours.
    pub fn checks(&self) -> Result<CredentialChecks, Fault> {
        let mut checks = CredentialChecks { items: Vec::new(), of_accounts: Vec::new() };
        for credential in self.credentials.iter().filter(|credential| !self.concerns_itself(credential)) {
            checks.items.push(self.check(credential)?);
            checks.of_accounts.push(matches!(credential, Credential::ApiAccount { .. }));
        }
        Ok(checks)
    }

    /// Deletes the token that the caller is to change, in the transaction that checks the credentials.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`], or as [`UnconfirmedCaller::confirm_beside`].
    pub async fn delete_token(self, wanted: &Wanted) -> Result<(), Error> {
        let caller = self.who_changes(wanted.id);
        // A token says itself what it may do, and its record the same, or it is refused.
        let is_too_narrow =
            |shown: &Credential| matches!(shown, Credential::Token(token) if !caller.suffices(shown, &token.scopes));
        if caller.credentials.iter().any(is_too_narrow) {
            caller.confirm().await?;
            return Err(Denial::ScopeTooNarrow(needed::TO_WRITE_TOKENS).into());
        }
        let itself = caller.credentials.iter().find_map(|credential| match credential {
            Credential::Token(identity) if caller.concerns_itself(credential) => Some(identity),
            _ => None,
        });
        let checks = caller.checks()?;
        let Auth { tokens, clock, .. } = caller.auth;
        match tokens.delete(&caller.store_hash, wanted, itself, clock.now(), checks.items.clone()).await? {
            Deletion::Deleted => {
                caller.auth.note_use(&caller.store_hash, &caller.credentials);
                Ok(())
            }
            Deletion::NoSuchToken => Err(Error::NoSuchToken),
            Deletion::CheckFailed { position, is_present } => Err(checks.denial(position, is_present).into()),
            Deletion::NotItself => Err(TAKEN_BACK.into()),
        }
    }

    fn concerns_itself(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::Token(token) if Some(token.id) == self.itself)
    }

    /// What tells the caller's credentials from those of others of the store.
    #[must_use]
    pub fn credential_ids(&self) -> Vec<String> {
        let ids = self.credentials.iter().map(|credential| match credential {
            Credential::Token(token) => token.id.to_string(),
            Credential::ApiAccount { sha256 } => sha256.clone(),
        });
        ids.collect()
    }

    /// Whether what a credential allows is enough.
    fn suffices(&self, credential: &Credential, scopes: &Scopes) -> bool {
        self.concerns_itself(credential) || self.needed.is_none_or(|needed| scopes.allow(needed))
    }

    /// Checks the credentials, without more.
    async fn confirm(&self) -> Result<(), Denial> {
        self.confirm_reading(()).await.map(|_| ())
    }

    /// What each of the credentials allows, and what was read with their records.
    async fn confirm_reading<R: Reads>(&self, reads: R) -> Result<(Vec<Scopes>, R::Found), Denial> {
        let credentials: Vec<_> = self.credentials.iter().map(|credential| self.scopes_of(credential)).collect();
        let (scopes, found) = together((credentials, reads)).await?;
        let scopes = scopes.into_iter().collect::<Result<Vec<_>, _>>().map_err(Denial::Invalid)?;
        if let Some(needed) = self.needed
            && !self.credentials.iter().zip(&scopes).all(|(credential, scopes)| self.suffices(credential, scopes))
        {
            return Err(Denial::ScopeTooNarrow(needed));
        }
        self.auth.note_use(&self.store_hash, &self.credentials);
        Ok((scopes, found))
    }

    fn scopes_of<'a>(&self, credential: &'a Credential) -> ScopesOf<'a> {
        let Auth { tokens, directory, clock, .. } = self.auth;
        match credential {
            Credential::Token(identity) => {
                let record = tokens.record(&self.store_hash, identity.id);
                ScopesOf::Token { identity, record, now: clock.now() }
            }
            Credential::ApiAccount { sha256 } => ScopesOf::ApiAccount(directory.api_account(&self.store_hash, sha256)),
        }
    }

    /// In a transaction, that the credential is good, and where only its record says so, that it may change tokens.
    fn check(&self, credential: &Credential) -> Result<TransactWriteItem, Fault> {
        let Auth { tokens, directory, clock, .. } = self.auth;
        match credential {
            Credential::Token(identity) => tokens.identity_check(&self.store_hash, identity, clock.now()),
            Credential::ApiAccount { sha256 } => directory.token_writer_check(&self.store_hash, sha256),
        }
    }
}

/// That credentials are good, in the transaction that changes a token.
pub struct CredentialChecks {
    pub items: Vec<TransactWriteItem>,
    /// Whether it is an API account's.
    of_accounts: Vec<bool>,
}

impl CredentialChecks {
    /// Why the caller is refused whose check at this position did not hold; `is_present` says whether its item is there all the
    /// same.
    #[must_use]
    pub fn denial(&self, position: usize, is_present: bool) -> Denial {
        // What a token allows it says itself.
        if is_present && self.of_accounts.get(position) == Some(&true) {
            return Denial::ScopeTooNarrow(needed::TO_WRITE_TOKENS);
        }
        TAKEN_BACK
    }
}

/// What a credential allows, or why it is not good.
enum ScopesOf<'a> {
    Token {
        identity: &'a TokenIdentity,
        record: Read<TokenRecord>,
        /// In Unix seconds.
        now: u64,
    },
    ApiAccount(Read<ApiAccount>),
}

impl Reads for ScopesOf<'_> {
    type Found = Result<Scopes, &'static str>;

    fn ask(&self, batch: &mut Batch) {
        match self {
            Self::Token { record, .. } => record.ask(batch),
            Self::ApiAccount(account) => account.ask(batch),
        }
    }

    fn take(self, batch: &mut Batch) -> Result<Self::Found, Fault> {
        Ok(match self {
            Self::Token { identity, record, now } => {
                identity.check(record.take(batch)?, now).map(|record| record.scopes)
            }
            Self::ApiAccount(account) => account.take(batch)?.map(|account| account.scopes()).ok_or(DELETED),
        })
    }
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
