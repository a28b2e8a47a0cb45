//! BigCommerce's API, as far as a store's customers are concerned. Knows neither callers nor tables.
//!
//! Relied on is what BigCommerce documents (github.com/bigcommerce/docs at 24f580c, read 2026-11-27): `reference/customers.v3.yml`,
//! `reference/storefront_tokens.v3.yml`, `docs/start/authentication/graphql-storefront.mdx`,
//! `docs/store-operations/customers/channel-specific-customers.mdx`.

mod account;
mod addresses;
mod answers;
mod api;
mod connection;
mod failure;
mod rate_limit;

pub use account::{Account, AccountSecret, is_store_hash};
pub use addresses::Addresses;
pub use answers::Customer;
pub use api::{Api, Deadline, PRIVATE_TOKEN_LIFE};
pub use failure::Failure;
