//! The settings of a deployment, read once at start.

use std::{env, str::FromStr};

/// Who may call the exchange and the login endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorefrontAccess {
    /// A server-to-server token of the same store (the published rule).
    AuthToken,
    /// Anyone; a token that is sent all the same must be valid.
    Public,
}

impl FromStr for StorefrontAccess {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "authToken" => Ok(Self::AuthToken),
            "public" => Ok(Self::Public),
            _ => Err("must be authToken or public"),
        }
    }
}

/// The settings of a deployment.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Name of the table of server-to-server tokens.
    pub tokens_table: String,
    /// Name of the table of stores, backend users and customers.
    pub directory_table: String,
    /// Name of the table of failed logins.
    pub login_attempts_table: String,
    /// Name or ARN of the secret that holds the keyring.
    pub keyring_secret_id: String,
    /// Name or ARN of the secret that holds the app's client id and secret.
    pub app_secret_id: String,
    /// Who may call the exchange and the login endpoint.
    pub storefront_access: StorefrontAccess,
    /// How many server-to-server tokens a store may have.
    pub max_tokens_per_store: u64,
}

/// An environment variable that is missing or that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {variable}: {problem}")]
pub struct ConfigurationError {
    variable: &'static str,
    problem: &'static str,
}

impl Configuration {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// Names the first variable that is missing or malformed.
    pub fn from_env() -> Result<Self, ConfigurationError> {
        Ok(Self {
            tokens_table: variable("TOKENS_TABLE")?,
            directory_table: variable("DIRECTORY_TABLE")?,
            login_attempts_table: variable("LOGIN_ATTEMPTS_TABLE")?,
            keyring_secret_id: variable("KEYRING_SECRET_ID")?,
            app_secret_id: variable("APP_SECRET_ID")?,
            storefront_access: variable("STOREFRONT_ACCESS")?
                .parse()
                .map_err(|problem| malformed("STOREFRONT_ACCESS", problem))?,
            max_tokens_per_store: variable("MAX_TOKENS_PER_STORE")?
                .parse()
                .map_err(|_| malformed("MAX_TOKENS_PER_STORE", "must be a whole number"))?,
        })
    }
}

fn variable(name: &'static str) -> Result<String, ConfigurationError> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => Err(malformed(name, "a value is required")),
    }
}

fn malformed(variable: &'static str, problem: &'static str) -> ConfigurationError {
    ConfigurationError { variable, problem }
}
