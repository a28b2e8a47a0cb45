//! The settings of a deployment, read once at start.

use crate::{bigcommerce::Addresses, http::cors::AllowedOrigins};
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
    /// The origins whose pages may call the exchange and the login endpoint.
    pub allowed_origins: AllowedOrigins,
    /// How many server-to-server tokens a store may have.
    pub max_tokens_per_store: u64,
    /// Days between rotations of the signing key; 0 for none.
    pub rotation_days: u64,
    /// What it takes to use BigCommerce as a customer directory.
    pub bigcommerce: BigCommerceSettings,
}

/// What it takes to use BigCommerce as a customer directory.
#[derive(Clone, Debug)]
pub struct BigCommerceSettings {
    /// Where it is.
    pub addresses: Addresses,
    /// What the names of the secrets with the stores' API accounts begin with; a store's hash follows.
    pub secret_prefix: String,
    /// Calls in [`WINDOW`](crate::tables::call_budget::WINDOW) seconds that all functions together make for a store.
    pub calls_per_window: u64,
}

impl BigCommerceSettings {
    /// Name of the secret with a store's API account.
    #[must_use]
    pub fn secret_id(&self, store_hash: &str) -> String {
        format!("{}{store_hash}", self.secret_prefix)
    }
}

/// An environment variable that is missing or that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {variable}: {problem}")]
pub struct ConfigurationError {
    variable: &'static str,
    problem: String,
}

impl Configuration {
    /// The settings of the stack that `cargo run` starts.
    #[must_use]
    pub fn local(storefront_access: StorefrontAccess) -> Self {
        Self {
            tokens_table: "tokens".into(),
            directory_table: "directory".into(),
            login_attempts_table: "login-attempts".into(),
            keyring_secret_id: "keyring".into(),
            app_secret_id: "app".into(),
            storefront_access,
            allowed_origins: AllowedOrigins::default(),
            max_tokens_per_store: 1000,
            rotation_days: 0,
            bigcommerce: BigCommerceSettings {
                addresses: Addresses::of_stand_in("http://127.0.0.1:8001"),
                secret_prefix: "bigcommerce/".into(),
                calls_per_window: 50,
            },
        }
    }

    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// Names the first variable that is missing or malformed.
    pub fn from_env() -> Result<Self, ConfigurationError> {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(value: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigurationError> {
        let optional = |variable| value(variable).filter(|value| !value.is_empty());
        let required = |variable| {
            optional(variable).ok_or_else(|| ConfigurationError { variable, problem: "a value is required".into() })
        };
        let whole_number = |variable| {
            let number = required(variable)?.parse();
            number.map_err(|_| ConfigurationError { variable, problem: "must be a whole number".into() })
        };
        Ok(Self {
            tokens_table: required("TOKENS_TABLE")?,
            directory_table: required("DIRECTORY_TABLE")?,
            login_attempts_table: required("LOGIN_ATTEMPTS_TABLE")?,
            keyring_secret_id: required("KEYRING_SECRET_ID")?,
            app_secret_id: required("APP_SECRET_ID")?,
            storefront_access: required("STOREFRONT_ACCESS")?.parse().map_err(|problem: &str| ConfigurationError {
                variable: "STOREFRONT_ACCESS",
                problem: problem.into(),
            })?,
            // None where it is missing: without it no page may do more.
            allowed_origins: value("ALLOWED_ORIGINS")
                .unwrap_or_default()
                .parse()
                .map_err(|problem| ConfigurationError { variable: "ALLOWED_ORIGINS", problem })?,
            max_tokens_per_store: whole_number("MAX_TOKENS_PER_STORE")?,
            rotation_days: whole_number("ROTATION_DAYS")?,
            bigcommerce: BigCommerceSettings {
                addresses: Addresses::new(
                    optional("BIGCOMMERCE_API_URL").as_deref(),
                    optional("BIGCOMMERCE_STOREFRONT_URL").as_deref(),
                )
                .map_err(|problem| ConfigurationError {
                    variable: "BIGCOMMERCE_API_URL or BIGCOMMERCE_STOREFRONT_URL",
                    problem,
                })?,
                secret_prefix: required("BIGCOMMERCE_SECRET_PREFIX")?,
                calls_per_window: whole_number("BIGCOMMERCE_CALLS")?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const GOOD: [(&str, &str); 10] = [
        ("TOKENS_TABLE", "t"),
        ("DIRECTORY_TABLE", "d"),
        ("LOGIN_ATTEMPTS_TABLE", "l"),
        ("KEYRING_SECRET_ID", "k"),
        ("APP_SECRET_ID", "a"),
        ("STOREFRONT_ACCESS", "public"),
        ("MAX_TOKENS_PER_STORE", "7"),
        ("ROTATION_DAYS", "90"),
        ("BIGCOMMERCE_SECRET_PREFIX", "s/"),
        ("BIGCOMMERCE_CALLS", "50"),
    ];

    #[test]
    fn origins_may_be_left_out_but_not_be_badly_written() {
        for none in [None, Some("")] {
            assert!(with("ALLOWED_ORIGINS", none).is_ok());
        }
        assert!(with("ALLOWED_ORIGINS", Some("https://shop.example,http://localhost:3000")).is_ok());
        assert_eq!(
            with("ALLOWED_ORIGINS", Some("https://shop.example/")).unwrap_err(),
            r#"environment variable ALLOWED_ORIGINS: "https://shop.example/" must be written https://shop.example"#
        );
    }

    #[test]
    fn where_bigcommerce_is_may_be_left_out_but_not_be_badly_written() {
        for name in ["BIGCOMMERCE_API_URL", "BIGCOMMERCE_STOREFRONT_URL"] {
            for none in [None, Some("")] {
                assert_eq!(with(name, none).unwrap().bigcommerce.addresses, Addresses::default());
            }
            let given = with(name, Some("http://127.0.0.1:1")).unwrap().bigcommerce.addresses;
            assert_ne!(given, Addresses::default());
            assert!(with(name, Some("http://example.com")).unwrap_err().contains(name));
        }
    }

    fn with(name: &str, value: Option<&str>) -> Result<Configuration, String> {
        let mut variables = BTreeMap::from(GOOD);
        match value {
            Some(value) => variables.insert(name, value),
            None => variables.remove(name),
        };
        Configuration::from_variables(|name| variables.get(name).map(ToString::to_string))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn good_settings_are_read() {
        let configuration = with("TOKENS_TABLE", Some("tokens")).unwrap();
        assert_eq!(configuration.tokens_table, "tokens");
        assert_eq!(configuration.storefront_access, StorefrontAccess::Public);
        assert_eq!(configuration.max_tokens_per_store, 7);
        assert_eq!(configuration.rotation_days, 90);
        assert_eq!(with("ROTATION_DAYS", Some("0")).unwrap().rotation_days, 0);
        assert_eq!(
            with("STOREFRONT_ACCESS", Some("authToken")).unwrap().storefront_access,
            StorefrontAccess::AuthToken
        );
    }

    #[test]
    fn a_setting_that_is_missing_or_malformed_is_named() {
        for (name, _) in GOOD {
            for value in [None, Some("")] {
                let said = with(name, value).unwrap_err();
                assert_eq!(said, format!("environment variable {name}: a value is required"));
            }
        }
        for (name, value) in [
            ("STOREFRONT_ACCESS", "Public"),
            ("STOREFRONT_ACCESS", "anyone"),
            ("MAX_TOKENS_PER_STORE", "many"),
            ("MAX_TOKENS_PER_STORE", "-1"),
            ("ROTATION_DAYS", "never"),
            ("ROTATION_DAYS", "1.5"),
            ("BIGCOMMERCE_CALLS", "-1"),
        ] {
            let said = with(name, Some(value)).unwrap_err();
            assert!(said.starts_with(&format!("environment variable {name}: must be ")), "{said}");
        }
    }
}
