//! What a function works with, made once at start.

use crate::{
    after_answer::AfterAnswer,
    auth::{Auth, last_uses::LastUses},
    bigcommerce_customers::BigCommerceCustomers,
    clock::Clock,
    configuration::Configuration,
    fault::Fault,
    keys::{app::AppSecret, keyring::Keyring, rotation::keyring_minding_age, secret_cache::SecretCache},
    passwords::Passwords,
    tables::{
        directory::Directory,
        login_attempts::{Account, LoginAttempts},
        reads::together,
        tokens::TokenTable,
    },
};
use std::sync::Arc;

/// What a function works with.
pub struct Services {
    pub configuration: Configuration,
    pub clock: Clock,
    /// Who is calling.
    pub auth: Auth,
    /// The keys that sign and verify.
    pub keyring: Arc<SecretCache<Keyring>>,
    /// The app that current-customer JWTs are made for, or why there is none.
    pub app: SecretCache<Result<AppSecret, &'static str>>,
    /// The server-to-server tokens.
    pub tokens: TokenTable,
    /// Stores, backend users and customers.
    pub directory: Directory,
    /// The customers of the stores whose directory is BigCommerce.
    pub bigcommerce: BigCommerceCustomers,
    /// Attempts to log in as a backend user.
    pub backend_user_attempts: LoginAttempts,
    /// Attempts to log in as a customer.
    pub customer_attempts: LoginAttempts,
    /// Password checks.
    pub passwords: Passwords,
    /// What is left to be done once the answer is sent.
    pub after_answer: Arc<AfterAnswer>,
}

impl Services {
    /// Makes the services from clients of DynamoDB and Secrets Manager. Reads nothing yet.
    #[must_use]
    pub fn new(
        dynamodb: &aws_sdk_dynamodb::Client,
        secrets: &aws_sdk_secretsmanager::Client,
        configuration: Configuration,
        clock: Clock,
    ) -> Self {
        let (rotation_days, now) = (configuration.rotation_days, clock.clone());
        let keyring = Arc::new(SecretCache::new(
            secrets.clone(),
            configuration.keyring_secret_id.clone(),
            move |secret, written_at| keyring_minding_age(secret, written_at, rotation_days, now.now()),
            clock.clone(),
        ));
        let app = SecretCache::new(
            secrets.clone(),
            configuration.app_secret_id.clone(),
            |secret, _| Ok(AppSecret::parse(secret)),
            clock.clone(),
        );
        let tokens = TokenTable::new(dynamodb.clone(), configuration.tokens_table.clone());
        let directory = Directory::new(dynamodb.clone(), configuration.directory_table.clone());
        let after_answer = Arc::new(AfterAnswer::default());
        let attempts =
            |account| LoginAttempts::new(dynamodb.clone(), configuration.login_attempts_table.clone(), account);
        Self {
            auth: Auth {
                storefront_access: configuration.storefront_access,
                keyring: Arc::clone(&keyring),
                tokens: tokens.clone(),
                directory: directory.clone(),
                last_uses: Arc::new(LastUses::new(tokens.clone(), clock.clone())),
                after_answer: Arc::clone(&after_answer),
                clock: clock.clone(),
            },
            backend_user_attempts: attempts(Account::BackendUser),
            customer_attempts: attempts(Account::Customer),
            bigcommerce: BigCommerceCustomers::new(dynamodb, secrets, &configuration, &clock),
            passwords: Passwords::default(),
            after_answer,
            keyring,
            app,
            tokens,
            directory,
            configuration,
            clock,
        }
    }

    /// Fetches what the first request will need: the keyring, and a connection to the database.
    ///
    /// # Errors
    /// What failed; it is tried again when it is needed.
    pub async fn warm_up(&self) -> Result<(), Fault> {
        // The counter is not needed; to ask for it opens the connection.
        let (keyring, connection) = tokio::join!(self.keyring.get(), together(self.tokens.counter("-")));
        keyring?;
        connection.map(drop)
    }
}
