//! JWTs and the keys that sign them.

use crate::{Setup, with};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use local::demo;
use serde::Serialize;
use serde_json::{Value, json};

/// Header and claims of a JWT, whose signature is not looked at.
#[track_caller]
pub fn decode(token: &str) -> (Value, Value) {
    let decoded = jsonwebtoken::dangerous::insecure_decode::<Value>(token).unwrap();
    (serde_json::to_value(decoded.header).unwrap(), decoded.claims)
}

pub fn sign(header: &Header, claims: &impl Serialize, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// Claims of a current-customer JWT of the demo store's customer.
pub fn current_customer(now: u64) -> Value {
    json!({
        "customer": {"id": demo::BUYER_ID, "email": demo::BUYER_EMAIL, "group_id": "6"},
        "iss": "bc/apps",
        "sub": demo::STORE,
        "store_hash": demo::STORE,
        "aud": demo::APP_CLIENT_ID,
        "operation": "current_customer",
        "iat": now,
        "exp": now + 900,
        "version": 1,
        "application_id": demo::APP_CLIENT_ID,
    })
}

/// Signs claims as the platform does.
pub fn platform_jwt(claims: &impl Serialize) -> String {
    sign(&Header::default(), claims, demo::APP_CLIENT_SECRET)
}

/// Header of a token that names its key.
pub fn keyed(kid: &str) -> Header {
    Header { kid: Some(kid.into()), ..Header::new(Algorithm::HS256) }
}

pub fn signed_with_demo_key(claims: &Value) -> String {
    sign(&keyed("demo"), claims, demo_key()["key"].as_str().unwrap())
}

pub fn demo_key() -> Value {
    let configuration = Setup::default().configuration;
    serde_json::from_str(&demo::secrets(&configuration)[&configuration.keyring_secret_id]).unwrap()
}

pub fn new_key() -> Value {
    json!({"kid": "new", "key": "new-signing-key-0123456789abcdefghijklmnopqrstuvwxyz"})
}

/// A newer key before the demo keyring's.
pub fn rotated_keyring() -> Value {
    with(new_key(), "previous", vec![demo_key()])
}
