//! Who is calling, and what they may do.

pub mod access_token;
pub mod caller;
pub mod last_uses;
pub mod storefront_token;
