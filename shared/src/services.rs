//! What a function works with, made once at start.

use crate::{
    caller::{self, UnconfirmedCaller},
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
    directory::Directory,
    error::Error,
    jwt,
    keyring::Keyring,
    login_attempts::{Account, LoginAttempts},
    password::Passwords,
    request::Request,
    secret_cache::SecretCache,
    token_table::TokenTable,
};
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
        Self {
            keyring: SecretCache::new(
                secrets.clone(),
                configuration.keyring_secret_id.clone(),
                Keyring::parse,
                clock.clone(),
            ),
            tokens: TokenTable::new(dynamodb.clone(), configuration.tokens_table.clone()),
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

    /// The caller of an endpoint that needs a server-to-server token.
    ///
    /// # Errors
    /// [`Error::NoCredentials`], [`Error::InvalidToken`], or a fault.
    pub async fn caller(&self, request: &Request) -> Result<UnconfirmedCaller, Error> {
        self.optional_caller(request).await?.ok_or(Error::NoCredentials)
    }

    /// The caller of an endpoint that is open to anyone where the deployment says so. A token that is sent must be valid.
    ///
    /// # Errors
    /// As [`Services::caller`].
    pub async fn storefront_caller(&self, request: &Request) -> Result<Option<UnconfirmedCaller>, Error> {
        match self.configuration.storefront_access {
            StorefrontAccess::AuthToken => self.caller(request).await.map(Some),
            StorefrontAccess::Public => self.optional_caller(request).await,
        }
    }

    async fn optional_caller(&self, request: &Request) -> Result<Option<UnconfirmedCaller>, Error> {
        caller::authenticate(request, self).await
    }

    /// The keyring, read anew if it lacks a key of one of these ids: another instance may have signed with a newer one.
    ///
    /// # Errors
    /// Only faults. A key may still be missing.
    pub async fn keyring_with(&self, mut kids: impl Iterator<Item = &str>) -> Result<Arc<Keyring>, Error> {
        let keyring = self.keyring.get().await?;
        if kids.any(|kid| keyring.key(kid).is_none()) { self.keyring.get_newer().await } else { Ok(keyring) }
    }

    /// Checks that a caller's token has not been deleted. Without a caller there is nothing to check.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], or a fault.
    pub async fn confirm(&self, caller: Option<&UnconfirmedCaller>) -> Result<(), Error> {
        match caller {
            Some(caller) => self.tokens.confirm(caller).await,
            None => Ok(()),
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
