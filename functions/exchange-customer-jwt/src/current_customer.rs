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
    /// When the JWT was issued, in whole Unix seconds.
    pub issued_at: u64,
}

#[derive(Deserialize)]
struct Claims {
    customer: CustomerClaim,
    iss: String,
    sub: String,
    store_hash: String,
    aud: Audience,
    operation: String,
    iat: NumericDate,
    exp: NumericDate,
    nbf: Option<NumericDate>,
}

/// Whom a JWT is for (RFC 7519, section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn holds(&self, client_id: &str) -> bool {
        match self {
            Self::One(one) => one == client_id,
            Self::Several(several) => several.iter().any(|one| one == client_id),
        }
    }
}

/// A time in Unix seconds and fractions of them (RFC 7519, section 2), not before 1970. The platform's alone: our own tokens have
/// whole seconds.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct NumericDate(f64);

impl TryFrom<f64> for NumericDate {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        if seconds >= 0.0 { Ok(Self(seconds)) } else { Err("a time before 1970") }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole seconds of 0 or more, that saturate"
)]
impl NumericDate {
    /// The second in which it lies, so that it never counts as later than it is.
    fn second(self) -> u64 {
        self.0.floor() as u64
    }

    /// The first whole second that is not before it: other whole seconds are before or after this as before or after the time
    /// itself.
    fn next_second(self) -> u64 {
        self.0.ceil() as u64
    }
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
    if !claims.aud.holds(&app.client_id) {
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
    let not_before = claims.nbf.map(NumericDate::next_second);
    check_times(claims.iat.next_second(), not_before, Some(claims.exp.next_second()), now)?;
    let issued_at = claims.iat.second();
    if issued_at.saturating_add(DAY) <= now {
        return Err("issued so long ago that the storefront token would have expired");
    }
    Ok(CurrentCustomer {
        id: claims.customer.id,
        email: claims.customer.email,
        store_hash: claims.store_hash,
        issued_at,
    })
}
