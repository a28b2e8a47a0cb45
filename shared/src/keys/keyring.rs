//! The keys that sign and verify this service's own tokens.

use crate::{fault::Fault, keys::secret_cache::SecretCache};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Shortest HMAC key, in bytes: as long as the hash (RFC 7518, section 3.2).
const MIN_KEY_BYTES: usize = 32;

/// All keys of the service. One signs, all verify.
pub struct Keyring {
    keys: Vec<Key>,
}

/// A key and its id.
pub struct Key {
    /// The id that a token's header names.
    pub kid: String,
    signs_from: u64,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
}

/// The secret that holds the keyring: `{"kid": …, "key": …, "signsFrom": …, "previous": [{"kid": …, "key": …}]}`.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub struct KeyringSecret {
    /// The newest key.
    #[serde(flatten)]
    pub current: KeySecret,
    /// The keys before it, the newest first.
    #[serde(default)]
    pub previous: Vec<KeySecret>,
}

/// A key in the secret.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeySecret {
    /// The id that a token's header names.
    pub kid: String,
    /// What HMAC is computed with.
    pub key: String,
    /// When it begins to sign, in Unix seconds, if not at once: by then every warm function must know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signs_from: Option<u64>,
}

impl KeyringSecret {
    /// Reads the text of the secret.
    ///
    /// # Errors
    /// Says that it is not of this form, without quoting it.
    pub fn parse(secret: &str) -> Result<Self, &'static str> {
        serde_json::from_str(secret).map_err(|_| "the keyring secret is not of the form {kid, key, previous}")
    }

    /// All keys, the newest first.
    pub fn keys(&self) -> impl Iterator<Item = &KeySecret> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Whether it has a key of this id.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.keys().any(|key| key.kid == kid)
    }
}

impl Keyring {
    /// Reads the text of the [`KeyringSecret`].
    ///
    /// # Errors
    /// Says what is wrong with the secret, without quoting it.
    pub fn parse(secret: &str) -> Result<Self, &'static str> {
        Self::new(&KeyringSecret::parse(secret)?)
    }

    /// The keys of the secret.
    ///
    /// # Errors
    /// Says what is wrong with the secret, without quoting it.
    pub fn new(secret: &KeyringSecret) -> Result<Self, &'static str> {
        let mut keys: Vec<Key> = Vec::new();
        for KeySecret { kid, key, signs_from } in secret.keys() {
            if key.len() < MIN_KEY_BYTES {
                return Err("the keyring secret has a key of less than 32 bytes");
            }
            if kid.is_empty() || keys.iter().any(|present| present.kid == *kid) {
                return Err("the keyring secret has a kid that is empty or stands twice");
            }
            keys.push(Key {
                kid: kid.clone(),
                signs_from: signs_from.unwrap_or(0),
                encoding: EncodingKey::from_secret(key.as_bytes()),
                decoding: DecodingKey::from_secret(key.as_bytes()),
            });
        }
        Ok(Self { keys })
    }

    /// The key that signs at `now`, in Unix seconds: the newest whose time has come, or else the oldest.
    #[must_use]
    pub fn signing_key(&self, now: u64) -> &Key {
        self.keys.iter().find(|key| key.signs_from <= now).unwrap_or(&self.keys[self.keys.len() - 1])
    }

    /// The key with this id.
    #[must_use]
    pub fn key(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

impl SecretCache<Keyring> {
    /// The keyring, read anew if it lacks a key of one of these ids: another instance may have signed with a newer one.
    ///
    /// # Errors
    /// If there is no keyring and none can be read. A key may still be missing.
    pub async fn with_keys(&self, mut kids: impl Iterator<Item = &str>) -> Result<Arc<Keyring>, Fault> {
        let keyring = self.get().await?;
        if kids.any(|kid| keyring.key(kid).is_none()) { self.get_newer().await } else { Ok(keyring) }
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
    fn the_newest_key_whose_time_has_come_signs_and_all_are_found() {
        let key = |kid: &str, signs_from: Option<u64>| KeySecret {
            kid: kid.into(),
            key: format!("{kid}2345678901234567890123456789012"),
            signs_from,
        };
        let secret =
            KeyringSecret { current: key("c", Some(200)), previous: vec![key("b", Some(100)), key("a", None)] };
        let keyring = Keyring::parse(&serde_json::to_string(&secret).unwrap()).unwrap();
        for (now, kid) in [(0, "a"), (99, "a"), (100, "b"), (199, "b"), (200, "c"), (u64::MAX, "c")] {
            assert_eq!(keyring.signing_key(now).kid, kid);
        }
        for (kid, is_found) in [("a", true), ("b", true), ("c", true), ("d", false)] {
            assert_eq!(keyring.key(kid).is_some(), is_found);
        }
        let alone = KeyringSecret { previous: Vec::new(), ..secret };
        let keyring = Keyring::parse(&serde_json::to_string(&alone).unwrap()).unwrap();
        assert_eq!(keyring.signing_key(0).kid, "c");
    }
}
