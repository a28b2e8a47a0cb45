//! What a function works with, made once at start.

use crate::{
    auth::{
        caller::{self, Credential, UnconfirmedCaller},
        last_uses::LastUses,
    },
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
    http::{error::Error, request::Request},
    keys::{jwt, keyring::Keyring, secret_cache::SecretCache},
    passwords::Passwords,
    tables::{
        directory::{Directory, Scope},
        login_attempts::{Account, LoginAttempts},
        tokens::{DELETED, TokenTable},
    },
};
use futures_util::future::join_all;
use serde::Serialize;
use std::sync::Arc;

/// What a function works with.
pub struct Services {
    /// The deployment's settings.
    pub configuration: Configuration,
    /// The time.
    pub clock: Clock,
    /// The keys that sign and verify.
    pub keyring: SecretCache<Keyring>,
    /// The server-to-server tokens.
    pub tokens: TokenTable,
    /// Stores, backend users and customers.
    pub directory: Directory,
    /// When tokens and API accounts were last used; written after the answer.
    pub last_uses: Arc<LastUses>,
    /// Attempts to log in as a backend user.
    pub backend_user_attempts: LoginAttempts,
    /// Attempts to log in as a customer.
    pub customer_attempts: LoginAttempts,
    /// Password checks.
    pub passwords: Passwords,
    /// For secrets that only one function needs.
    pub secrets: aws_sdk_secretsmanager::Client,
}

impl Services {
    /// Makes the services from clients of DynamoDB and Secrets Manager. Reads nothing yet.
    #[must_use]
    pub fn new(
        dynamodb: &aws_sdk_dynamodb::Client,
        secrets: aws_sdk_secretsmanager::Client,
        configuration: Configuration,
        clock: Clock,
    ) -> Self {
        let attempts =
            |account| LoginAttempts::new(dynamodb.clone(), configuration.login_attempts_table.clone(), account);
        let tokens = || TokenTable::new(dynamodb.clone(), configuration.tokens_table.clone());
        Self {
            keyring: SecretCache::new(
                secrets.clone(),
                configuration.keyring_secret_id.clone(),
                Keyring::parse,
                clock.clone(),
            ),
            tokens: tokens(),
            last_uses: Arc::new(LastUses::new(tokens(), clock.clone())),
            directory: Directory::new(dynamodb.clone(), configuration.directory_table.clone()),
            backend_user_attempts: attempts(Account::BackendUser),
            customer_attempts: attempts(Account::Customer),
            passwords: Passwords::default(),
            secrets,
            configuration,
            clock,
        }
    }

    /// Fetches what the first request will need: the keyring, and a connection to the database.
    ///
    /// # Errors
    /// What failed; it is tried again when it is needed.
    pub async fn warm_up(&self) -> Result<(), Error> {
        // The counter is not needed; to ask for it opens the connection.
        let (keyring, connection) = tokio::join!(self.keyring.get(), self.tokens.counter("-"));
        keyring?;
        connection.map(drop)
    }

    /// The caller of an endpoint that needs a server-to-server token, or an API account that has the scope.
    ///
    /// # Errors
    /// [`Error::NoCredentials`], [`Error::InvalidToken`], or a fault.
    pub async fn caller(&self, request: &Request, needs: Scope) -> Result<UnconfirmedCaller, Error> {
        caller::authenticate(request, self, needs).await?.ok_or(Error::NoCredentials)
    }

    /// The caller of an endpoint that is open to anyone where the deployment says so. Credentials that are sent must be good.
    ///
    /// # Errors
    /// As [`Services::caller`].
    pub async fn storefront_caller(&self, request: &Request) -> Result<Option<UnconfirmedCaller>, Error> {
        match self.configuration.storefront_access {
            StorefrontAccess::AuthToken => self.caller(request, Scope::Modify).await.map(Some),
            StorefrontAccess::Public => caller::authenticate(request, self, Scope::Modify).await,
        }
    }

    /// The keyring, read anew if it lacks a key of one of these ids: another instance may have signed with a newer one.
    ///
    /// # Errors
    /// Only faults. A key may still be missing.
    pub async fn keyring_with(&self, mut kids: impl Iterator<Item = &str>) -> Result<Arc<Keyring>, Error> {
        let keyring = self.keyring.get().await?;
        if kids.any(|kid| keyring.key(kid).is_none()) { self.keyring.get_newer().await } else { Ok(keyring) }
    }

    /// Checks that a caller's credentials have not been taken back and allow the call. Without a caller there is nothing to
    /// check.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::ScopeTooNarrow`], or a fault.
    pub async fn confirm(&self, caller: Option<&UnconfirmedCaller>) -> Result<(), Error> {
        let Some(caller) = caller else { return Ok(()) };
        let checks = caller.credentials.iter().map(|credential| self.confirm_credential(caller, credential));
        join_all(checks).await.into_iter().collect::<Result<(), Error>>()?;
        self.last_uses.note(caller);
        Ok(())
    }

    async fn confirm_credential(&self, caller: &UnconfirmedCaller, credential: &Credential) -> Result<(), Error> {
        match credential {
            Credential::Token { id, kid, iat } => match self.tokens.record(&caller.store_hash, *id).await? {
                Some(record) if record.iat == *iat && record.kid == *kid => Ok(()),
                _ => Err(DELETED),
            },
            Credential::ApiAccount { sha256 } => match self.directory.api_account(&caller.store_hash, sha256).await? {
                Some(account) if account.scope.allows(caller.needs) => Ok(()),
                Some(_) => Err(Error::ScopeTooNarrow),
                None => Err(DELETED),
            },
        }
    }

    /// What was read of a request, or its mistake, for a caller who is told of it only if the token is still good: the
    /// contract checks the token first.
    ///
    /// # Errors
    /// That of `read`, or as [`Services::confirm`].
    pub async fn read_for<T>(&self, caller: Option<&UnconfirmedCaller>, read: Result<T, Error>) -> Result<T, Error> {
        if read.is_err() {
            self.confirm(caller).await?;
        }
        read
    }

    /// Signs the claims of a storefront token.
    ///
    /// # Errors
    /// Only faults.
    pub async fn sign<C: Serialize>(&self, claims: &C) -> Result<String, Error> {
        Ok(jwt::sign(claims, self.keyring.get().await?.signing_key(self.clock.now())))
    }
}
