//! The keys that sign and verify this service's own tokens.

use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::Deserialize;

/// Shortest HMAC key, in bytes: as long as the hash (RFC 7518, section 3.2).
pub const MIN_KEY_BYTES: usize = 32;

/// All keys of the service. The current one signs, all verify.
pub struct Keyring {
    keys: Vec<Key>,
}

/// A key and its id.
pub struct Key {
    /// The id that a token's header names.
    pub kid: String,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
}

#[derive(Deserialize)]
struct KeyringSecret {
    #[serde(flatten)]
    current: KeySecret,
    #[serde(default)]
    previous: Vec<KeySecret>,
}

#[derive(Deserialize)]
struct KeySecret {
    kid: String,
    key: String,
}

impl Keyring {
    /// Reads `{"kid": …, "key": …, "previous": [{"kid": …, "key": …}]}`.
    ///
    /// # Errors
    /// Says what is wrong with the secret, without quoting it.
    pub fn parse(secret: &str) -> Result<Self, &'static str> {
        let secret: KeyringSecret =
            serde_json::from_str(secret).map_err(|_| "the keyring secret is not of the form {kid, key, previous}")?;
        let mut keys: Vec<Key> = Vec::new();
        for KeySecret { kid, key } in std::iter::once(secret.current).chain(secret.previous) {
            if key.len() < MIN_KEY_BYTES {
                return Err("the keyring secret has a key of less than 32 bytes");
            }
            if kid.is_empty() || keys.iter().any(|present| present.kid == kid) {
                return Err("the keyring secret has a kid that is empty or stands twice");
            }
            keys.push(Key {
                kid,
                encoding: EncodingKey::from_secret(key.as_bytes()),
                decoding: DecodingKey::from_secret(key.as_bytes()),
            });
        }
        Ok(Self { keys })
    }

    /// The key that signs.
    #[must_use]
    pub fn current(&self) -> &Key {
        &self.keys[0]
    }

    /// The key with this id.
    #[must_use]
    pub fn key(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_or_ambiguous_keyrings_are_refused() {
        for secret in [
            "",
            "{}",
            r#"{"kid": "a", "key": ""}"#,
            r#"{"kid": "a", "key": "1234567890123456789012345678901"}"#,
            r#"{"kid": "", "key": "12345678901234567890123456789012"}"#,
            r#"{"kid": "a", "key": "12345678901234567890123456789012", "previous": [{"kid": "b", "key": "short"}]}"#,
            r#"{"kid": "a", "key": "12345678901234567890123456789012", "previous": [{"kid": "a", "key": "22345678901234567890123456789012"}]}"#,
        ] {
            assert!(Keyring::parse(secret).is_err(), "{secret}");
        }
    }

    #[test]
    fn the_top_level_key_signs_and_all_are_found() {
        let keyring = Keyring::parse(
            r#"{"kid": "b", "key": "22345678901234567890123456789012", "previous": [{"kid": "a", "key": "12345678901234567890123456789012"}]}"#,
        )
        .unwrap();
        assert_eq!(keyring.current().kid, "b");
        assert!(keyring.key("a").is_some() && keyring.key("b").is_some() && keyring.key("c").is_none());
    }
}
