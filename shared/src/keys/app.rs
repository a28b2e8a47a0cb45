//! The app whose client secret the platform signs current-customer JWTs with.

use crate::keys::keyring::MIN_KEY_BYTES;
use serde::{Deserialize, Serialize};

/// The secret that holds it: `{"clientId": …, "clientSecret": …}`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppSecret {
    /// Who the JWTs are made for, their `aud`.
    pub client_id: String,
    /// What they are signed with.
    pub client_secret: String,
}

impl AppSecret {
    /// Reads the text of the secret.
    ///
    /// # Errors
    /// Says what is wrong with the secret, without quoting it.
    pub fn parse(secret: &str) -> Result<Self, &'static str> {
        let app: Self =
            serde_json::from_str(secret).map_err(|_| "the app secret is not of the form {clientId, clientSecret}")?;
        if app.client_id.is_empty() || app.client_secret.len() < MIN_KEY_BYTES {
            return Err("the app secret has no clientId, or a clientSecret of less than 32 bytes");
        }
        Ok(app)
    }
}
