//! The platform's current-customer JWT, which says that a person is logged in to the storefront.
//!
//! Source of the claims: the platform's page "Current Customer API".

use jsonwebtoken::DecodingKey;
use serde::{Deserialize, de::IgnoredAny};
use shared::{
    http::fields::is_store_hash,
    keys::{
        app::AppSecret,
        jwt::{self, DAY, check_times},
    },
};

/// The customer whom a JWT vouches for.
pub struct CurrentCustomer {
    pub id: u64,
    /// The customer's e-mail.
    pub email: String,
    pub store_hash: String,
    /// When the JWT was issued, in Unix seconds.
    pub issued_at: u64,
}

#[derive(Deserialize)]
struct Claims {
    customer: CustomerClaim,
    iss: String,
    sub: String,
    store_hash: String,
    aud: String,
    operation: String,
    iat: u64,
    exp: u64,
    nbf: Option<u64>,
}

#[derive(Deserialize)]
struct CustomerClaim {
    id: u64,
    email: String,
    /// The platform always sends one, of whatever type.
    #[serde(rename = "group_id")]
    _group_id: IgnoredAny,
}

/// Verifies a JWT of the app, all its claims included.
///
/// # Errors
/// Says why it is not accepted.
pub fn verify(token: &str, app: &AppSecret, now: u64) -> Result<CurrentCustomer, &'static str> {
    let claims: Claims = jwt::verify(token, &DecodingKey::from_secret(app.client_secret.as_bytes()))?;
    if claims.iss != "bc/apps" {
        return Err("another iss than bc/apps");
    }
    if claims.aud != app.client_id {
        return Err("aud is another app");
    }
    if claims.operation != "current_customer" {
        return Err("another operation than current_customer");
    }
    if !is_store_hash(&claims.store_hash) || claims.sub != claims.store_hash {
        return Err("store_hash is no store, or sub is another");
    }
    if claims.customer.id == 0 || claims.customer.email.is_empty() {
        return Err("no customer");
    }
    check_times(claims.iat, claims.nbf, Some(claims.exp), now)?;
    if claims.iat.saturating_add(DAY) <= now {
        return Err("issued so long ago that the storefront token would have expired");
    }
    Ok(CurrentCustomer {
        id: claims.customer.id,
        email: claims.customer.email,
        store_hash: claims.store_hash,
        issued_at: claims.iat,
    })
}
