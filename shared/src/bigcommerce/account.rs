//! A store's API account at BigCommerce.

use super::failure::Failure;
use crate::json;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The secret that holds it: `{"accessToken": …}`.
#[derive(Debug)]
pub struct AccountSecret {
    /// What the account shows in `X-Auth-Token`.
    pub access_token: SecretString,
}

impl AccountSecret {
    /// Reads the text of the secret.
    ///
    /// # Errors
    /// What is wrong with it, as a clause that quotes nothing of it.
    pub fn parse(secret: &str) -> Result<Self, &'static str> {
        let access_token = match json::parse(secret) {
            Ok(Value::Object(mut members)) => members.remove("accessToken"),
            _ => return Err("the secret of its API account is no JSON object"),
        };
        match access_token {
            Some(Value::String(token)) => Self::of(token.trim()),
            _ => Err("the secret of its API account has no accessToken"),
        }
    }

    /// The account with this access token.
    ///
    /// # Errors
    /// If it cannot be one: it must fit into a header.
    pub fn of(access_token: &str) -> Result<Self, &'static str> {
        if access_token.is_empty() || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the access token of its API account is empty, or holds what no access token does");
        }
        Ok(Self { access_token: access_token.into() })
    }

    /// The text of the secret.
    #[must_use]
    pub fn text(&self) -> SecretString {
        serde_json::json!({"accessToken": self.access_token.expose_secret()}).to_string().into()
    }
}

/// As whom a store's data is asked for.
#[derive(Clone, Debug)]
pub struct Account {
    pub(super) store_hash: String,
    pub(super) access_token: SecretString,
}

impl Account {
    /// The account of a store.
    ///
    /// # Errors
    /// If the store can be none of BigCommerce's.
    pub fn new(store_hash: &str, secret: &AccountSecret) -> Result<Self, Failure> {
        if !is_store_hash(store_hash) {
            return Err(Failure::refused("the store's hash is none of BigCommerce's"));
        }
        Ok(Self { store_hash: store_hash.into(), access_token: secret.access_token.clone() })
    }

    /// Whether it is the same account, with the same access token.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.store_hash == other.store_hash && self.access_token.expose_secret() == other.access_token.expose_secret()
    }
}

/// Whether this may be the hash of a store at BigCommerce. It becomes a part of addresses and of secrets' names.
#[must_use]
pub fn is_store_hash(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_without_the_white_space_of_pasting() {
        let secret = AccountSecret::parse(r#"{"accessToken": " abc\n"}"#).unwrap();
        assert_eq!(secret.access_token.expose_secret(), "abc");
        let again = AccountSecret::parse(secret.text().expose_secret()).unwrap();
        assert_eq!(again.access_token.expose_secret(), "abc");
    }

    #[test]
    fn what_is_no_secret_of_an_account_is_refused_without_quoting_it() {
        for text in
            ["", "geheim", "[]", "{}", r#"{"accessToken": 7}"#, r#"{"accessToken": " "}"#, r#"{"accessToken": "a b"}"#]
        {
            let problem = AccountSecret::parse(text).unwrap_err();
            assert!(problem.contains("API account") && !problem.contains("geheim"), "{text}: {problem}");
        }
        for text in ["a\nb", "ä", "a\u{0}"] {
            assert!(AccountSecret::of(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_hash_that_would_lead_elsewhere_is_none_of_bigcommerces() {
        assert!(is_store_hash("abc123"));
        for text in ["", "a/b", "..", "a.b", "a?b", "a b", "ä", "a%2Fb", "a-b", &"a".repeat(65)] {
            assert!(!is_store_hash(text), "{text:?}");
        }
    }
}
