//! The app whose client secret the platform signs current-customer JWTs with.

use crate::json::{self, Unreadable};
use serde::Serialize;
use serde_json::Value;

/// Shortest client secret, in bytes. HS256 asks for 32 (RFC 7518, section 3.2), but the platform hands them out, and those of
/// older apps have 31.
const MIN_SECRET_BYTES: usize = 16;

/// What is wrong with a secret that has not been filled in since it was deployed.
pub const NOT_SET: &str = "the app's client id and secret are not set";

/// The secret that holds it: `{"clientId": …, "clientSecret": …}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppSecret {
    /// Who the JWTs are made for, their `aud`.
    pub client_id: String,
    /// What they are signed with.
    pub client_secret: String,
}

impl AppSecret {
    /// Reads the text of the secret, without the white space that pasting leaves around id and secret.
    ///
    /// # Errors
    /// [`NOT_SET`], or what else is wrong with the secret, as a clause that quotes nothing of it.
    pub fn parse(secret: &str) -> Result<Self, &'static str> {
        let members = match json::parse(secret) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err("the app secret is set, but is no JSON object"),
            Err(Unreadable::NotJson) => return Err("the app secret is set, but is not JSON"),
            Err(Unreadable::NamedTwice(_)) => return Err("the app secret is set, but names a member twice"),
        };
        let text = |name| match members.get(name) {
            None | Some(Value::Null) => Some(""),
            Some(value) => value.as_str().map(str::trim),
        };
        match (text("clientId"), text("clientSecret")) {
            (Some(""), Some("")) => Err(NOT_SET),
            (None, _) => Err("the app secret is set, but its clientId is no string"),
            (_, None) => Err("the app secret is set, but its clientSecret is no string"),
            (Some(""), _) => Err("the app secret is set, but its clientId is missing or empty"),
            (_, Some("")) => Err("the app secret is set, but its clientSecret is missing or empty"),
            (_, Some(secret)) if secret.len() < MIN_SECRET_BYTES => {
                Err("the app secret is set, but its clientSecret is shorter than 16 bytes")
            }
            (Some(id), Some(secret)) => Ok(Self { client_id: id.into(), client_secret: secret.into() }),
        }
    }
}
