//! The API as callers see it, through HTTP. Laid out as the addresses are; what concerns all of them stands beside.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod alarms;
mod api_accounts;
mod auth {
    mod backend;
    mod backend_rotate;
    mod customers;
    mod customers_storefront;
    mod storefront;
}
mod authorizer;
mod backend {
    pub mod tokens;
}
mod bigcommerce;
mod browsers;
mod conflicts;
mod events;
mod every_endpoint;
mod expiry;
mod faults;
mod full_store;
mod idempotency;
mod last_uses;
mod links;
mod log;
mod login_attempts;
mod oauth {
    mod introspect;
}
mod openapi;
mod published_page;
mod readme;
mod rotation;
mod round_trips;
mod scopes;
mod storefront_tokens;
mod template;
mod upstream;
mod week;
