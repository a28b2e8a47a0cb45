//! Password hashing with argon2id.

use crate::error::Error;
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Memory of one hash, in KiB (OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane).
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Stands in for the hash of an account that does not exist, so that both take the same time. Random bytes, no password.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$fj9HuHqXtBcAtWgG3MCzIw$AX7PtoetduY4wrDTJ7i4L77X69lC2VYKXDyTGQQ8MkY";

/// Checks passwords, one a core at a time: a hash takes a core and 19 MiB.
pub struct Passwords {
    cores: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // One is left for all else, where there is more than one.
        Self { cores: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))) }
    }
}

impl Passwords {
    /// Whether the password is the one that was hashed. Without a hash the answer is no, and takes as long.
    ///
    /// # Errors
    /// [`Error::Internal`] if the stored hash cannot be read.
    pub async fn check(&self, password: &SecretString, hash: Option<&str>) -> Result<bool, Error> {
        let account_exists = hash.is_some();
        let hash = hash.unwrap_or(DUMMY_HASH).to_owned();
        let password = password.clone();
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(internal)?;
        let hashing = tokio::task::spawn_blocking(move || {
            let matches = matches(&password, &hash);
            // Held to here even if nobody waits any more.
            drop(core);
            matches
        });
        let matches = hashing.await.map_err(internal)??;
        Ok(account_exists && matches)
    }
}

/// A new salted hash as a PHC string.
///
/// # Errors
/// [`Error::Internal`] if the machine has no randomness.
pub fn hash(password: &SecretString) -> Result<String, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(internal)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password.expose_secret().as_bytes()).map_err(internal)?.to_string())
}

fn matches(password: &SecretString, hash: &str) -> Result<bool, Error> {
    let hash = PasswordHash::new(hash).map_err(|_| Error::Internal("a stored password hash cannot be read".into()))?;
    match Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(internal(error)),
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("password hashing: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_that_was_hashed_matches() {
        let passwords = Passwords::default();
        let stored = hash(&"right".into()).unwrap();
        assert!(passwords.check(&"right".into(), Some(&stored)).await.unwrap());
        for wrong in ["", "Right", "right ", "wrong"] {
            assert!(!passwords.check(&wrong.into(), Some(&stored)).await.unwrap(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn no_password_matches_where_there_is_no_account() {
        assert!(!Passwords::default().check(&"".into(), None).await.unwrap());
    }

    #[test]
    fn the_dummy_hash_costs_what_a_real_one_costs() {
        let cost = |hash: &str| hash.rsplitn(3, '$').last().unwrap().to_owned();
        let real = hash(&"real".into()).unwrap();
        assert_eq!(cost(DUMMY_HASH), cost(&real));
        assert_eq!(cost(&real), "$argon2id$v=19$m=19456,t=2,p=1");
        assert_eq!(DUMMY_HASH.len(), real.len());
        assert!(PasswordHash::new(DUMMY_HASH).is_ok());
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_read_is_an_error() {
        for broken in ["", "secret", "$argon2id$v=19$m=x,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"] {
            let checked = Passwords::default().check(&"".into(), Some(broken)).await;
            assert!(matches!(checked, Err(Error::Internal(_))), "{broken}: {checked:?}");
        }
    }

    #[tokio::test]
    async fn a_salt_without_a_hash_matches_nothing() {
        let salt = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ";
        assert!(!Passwords::default().check(&"".into(), Some(salt)).await.unwrap());
    }

    #[test]
    fn equal_passwords_have_different_hashes() {
        assert_ne!(hash(&"same".into()).unwrap(), hash(&"same".into()).unwrap());
    }
}
