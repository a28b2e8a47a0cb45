//! What the functions share.

pub mod auth;
pub mod aws;
pub mod clock;
pub mod configuration;
pub mod http;
pub mod keys;
pub mod lambda;
pub mod logging;
pub mod passwords;
pub mod services;
pub mod tables;
