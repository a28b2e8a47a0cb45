//! Bodies of requests.

use local::demo;
use serde_json::{Value, json};

/// The value, with this member.
pub fn with(mut value: Value, name: &str, member: impl Into<Value>) -> Value {
    value[name] = member.into();
    value
}

/// For `POST /auth/backend`.
pub fn backend_login(store_hash: &str, email: &str, password: &str) -> Value {
    json!({"storeHash": store_hash, "email": email, "password": password, "name": "n"})
}

/// The demo administrator's, for a token of this name.
pub fn admin_login(name: &str) -> Value {
    with(backend_login(demo::STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD), "name", name)
}

/// For `POST /auth/customers`, in the demo store and its first channel.
pub fn customer_login(email: &str, password: &str) -> Value {
    json!({"storeHash": demo::STORE, "email": email, "password": password, "channelId": 1, "name": "web"})
}

/// The demo customer's.
pub fn buyer_login() -> Value {
    customer_login(demo::BUYER_EMAIL, demo::BUYER_PASSWORD)
}
