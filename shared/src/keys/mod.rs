//! The keys, and the tokens that they sign and verify. Knows neither HTTP nor tables.

pub mod app;
pub mod claims;
pub mod jwt;
pub mod keyring;
pub mod rotation;
pub mod secret_cache;
