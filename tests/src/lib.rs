//! What the tests of all crates share: stacks, a client of the API, a proxy that makes AWS fail, and functions' real
//! binaries under a Runtime API.

#![expect(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    clippy::unwrap_used,
    missing_docs,
    reason = "only tests use it: what is not there fails the test, and names say what things are"
)]

mod authorizer;
mod bodies;
mod client;
mod deployed;
mod description;
mod fill;
mod function;
mod jwts;
mod log;
mod measures;
mod proxy;
mod runtime_api;
mod stack;
mod stopwatch;
mod tls;
mod upstream;

pub use authorizer::{Authorizer, Entry, http_event, rest_event};
pub use bodies::{admin_login, backend_login, buyer_login, customer_login, with};
pub use client::{Answer, Call};
pub use description::{Operation, members, operation, operations};
pub use fill::{fill_ending, fill_store, kept_token};
pub use function::Lambda;
pub use jwts::{
    current_customer, decode, demo_key, keyed, new_key, platform_jwt, rotated_keyring, sign, signed_with_demo_key,
};
pub use log::{LOG, Log};
pub use measures::{cpu_time, median, milliseconds};
pub use proxy::{Fate, Proxy, Request, Service, behind_proxy};
pub use runtime_api::{Outcome, RuntimeApi};
pub use stack::{NOW, PASSWORD, Setup, TestClock, TestStack, eventually, read_only, sha256};
pub use stopwatch::{Stopwatch, Trip, waits};
pub use tls::Terminator;
pub use upstream::{Upstream, UpstreamFate, UpstreamRequest};
