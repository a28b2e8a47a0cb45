//! Current-customer JWTs as the platform makes them, for those who try the functions, which only verify them.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use shared::keys::app::AppSecret;

/// A JWT of the app for a customer of the store, issued at `iat` and good for `seconds`.
///
/// # Panics
/// Never: plain data can be signed.
#[must_use]
pub fn current_customer_jwt(
    app: &AppSecret,
    store_hash: &str,
    customer_id: u64,
    email: &str,
    iat: u64,
    seconds: u64,
) -> String {
    let claims = json!({
        "customer": {"id": customer_id, "email": email, "group_id": "1"},
        "iss": "bc/apps",
        "sub": store_hash,
        "store_hash": store_hash,
        "aud": app.client_id,
        "operation": "current_customer",
        "iat": iat,
        "exp": iat + seconds,
    });
    let key = EncodingKey::from_secret(app.client_secret.as_bytes());
    #[expect(clippy::expect_used, reason = "plain data can be signed")]
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a JWT")
}
