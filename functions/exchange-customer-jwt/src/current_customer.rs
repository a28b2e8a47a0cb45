//! The platform's current-customer JWT, which says that a person is logged in to the storefront.
//!
//! Source of the claims: the platform's page "Current Customer API".

use jsonwebtoken::DecodingKey;
use serde::{Deserialize, de::IgnoredAny};
use shared::keys::{
    jwt::{DAY, check_times, verify},
    keyring::MIN_KEY_BYTES,
};

/// The app whose client id and secret the JWTs are made with.
pub struct App {
    client_id: String,
    key: DecodingKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppSecret {
    client_id: String,
    client_secret: String,
}

/// The customer whom a JWT vouches for.
pub struct CurrentCustomer {
    /// The customer's id.
    pub id: u64,
    /// The customer's e-mail.
    pub email: String,
    /// The store.
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

impl App {
    /// Reads `{"clientId": …, "clientSecret": …}`.
    ///
    /// # Errors
    /// Says what is wrong with the secret, without quoting it.
    pub fn parse(secret: &str) -> Result<Self, &'static str> {
        let secret: AppSecret =
            serde_json::from_str(secret).map_err(|_| "the app secret is not of the form {clientId, clientSecret}")?;
        if secret.client_id.is_empty() || secret.client_secret.len() < MIN_KEY_BYTES {
            return Err("the app secret has no clientId, or a clientSecret of less than 32 bytes");
        }
        Ok(Self { client_id: secret.client_id, key: DecodingKey::from_secret(secret.client_secret.as_bytes()) })
    }

    /// Verifies a JWT, all its claims included.
    ///
    /// # Errors
    /// Says why it is not accepted.
    pub fn verify(&self, token: &str, now: u64) -> Result<CurrentCustomer, &'static str> {
        let claims: Claims = verify(token, &self.key)?;
        if claims.iss != "bc/apps" {
            return Err("another iss than bc/apps");
        }
        if claims.aud != self.client_id {
            return Err("aud is another app");
        }
        if claims.operation != "current_customer" {
            return Err("another operation than current_customer");
        }
        if !(1..=64).contains(&claims.store_hash.chars().count()) || claims.sub != claims.store_hash {
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
}
