//! `b2b-auth` as an operator at a terminal sees it, on a local stack.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod accounts;
mod across_stores;
mod bigcommerce;
mod doctor;
mod failures;
mod import;
mod interrupted;
mod keys;
mod logins;
mod many_customers;
mod restore;
mod rotate;
mod scopes;
mod shapes;
mod stores;
mod support;
mod target;
#[cfg(target_os = "linux")]
mod terminal;
mod tokens;
mod unwritable;
