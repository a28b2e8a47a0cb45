//! The keys, and the tokens that they sign and verify.

pub mod jwt;
pub mod keyring;
pub mod secret_cache;
