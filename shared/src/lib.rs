//! What the functions share. Arrows run one way:
//!
//! ```text
//! lambda ──> services ──> auth ──> tables ──> keys
//!    │           │          └────> http
//!    └──> http   └───────> keys, tables, passwords
//!                └───────> bigcommerce_customers ──> bigcommerce, keys, tables
//! ```
//!
//! [`http`] reads requests and writes answers, [`keys`] signs and verifies, [`tables`] keep; none of the three knows of callers.
//! [`auth`] says who is calling and what they may do. Customers who are in no table are asked for at [`bigcommerce`].
//! [`services`] puts them together, [`server_tokens`] signs with them what two endpoints make, and [`lambda`] runs an endpoint with
//! them. Which [`scopes`] there are, all of them know. A failure beyond a caller's mistakes is a [`fault::Fault`], or a
//! [`bigcommerce::Failure`], until `http` makes an answer of it.

pub mod after_answer;
pub mod auth;
pub mod aws;
pub mod bigcommerce;
pub mod bigcommerce_customers;
pub mod clock;
pub mod configuration;
pub mod fault;
pub mod http;
pub mod json;
pub mod kept;
pub mod keys;
pub mod lambda;
pub mod logging;
pub mod passwords;
pub mod scopes;
pub mod server_tokens;
pub mod services;
pub mod tables;
