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
mod kept;
mod rate_limit;

pub use account::{Account, AccountSecret, is_store_hash};
pub use addresses::Addresses;
pub use answers::Customer;
pub use api::{Api, Deadline};
pub use kept::Kept;

use crate::fault::Fault;

/// Why BigCommerce has not said what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// It refuses our account, or what is asked of it. An operator must see to it.
    Refused {
        /// The HTTP status, if it is one that says so.
        status: Option<u16>,
        /// What was asked, and how it was answered.
        cause: String,
    },
    /// No more may be asked for now.
    Busy {
        /// Seconds until more may be asked.
        retry_after: u64,
        /// Who says so.
        cause: &'static str,
    },
    /// It does not answer, or not as it should, and what it was asked.
    Unavailable(String),
    /// Something else failed that is needed to ask.
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Failure {
    fn refused(cause: impl Into<String>) -> Self {
        Self::Refused { status: None, cause: cause.into() }
    }
}
