//! What the functions share.

pub mod access_token;
pub mod aws;
pub mod caller;
pub mod clock;
pub mod configuration;
pub mod directory;
pub mod dynamodb;
pub mod envelope;
pub mod error;
pub mod fields;
pub mod jwt;
pub mod keyring;
pub mod lambda;
pub mod last_uses;
pub mod logging;
pub mod login_attempts;
pub mod password;
pub mod request;
pub mod secret_cache;
pub mod services;
pub mod storefront_token;
pub mod token_table;
