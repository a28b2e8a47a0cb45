//! Checking passwords against their argon2id hashes, which are made elsewhere.

use crate::fault::Fault;
use argon2::{
    Argon2,
    password_hash::{PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use std::{error::Error, sync::Arc};
use tokio::sync::Semaphore;

/// Memory of one hash, in KiB (OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane).
pub const MEMORY_KIB: u32 = 19_456;
/// Passes over it.
pub const PASSES: u32 = 2;
/// Lanes of it.
pub const LANES: u32 = 1;

/// Stands in for the hash of an account that does not exist, so that both take the same time. Random bytes, no password.
pub const DUMMY_HASH: &str =
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
    /// If the stored hash cannot be read.
    pub async fn check(&self, password: &SecretString, hash: Option<&str>) -> Result<bool, Fault> {
        let account_exists = hash.is_some();
        let hash = hash.unwrap_or(DUMMY_HASH).to_owned();
        let password = password.clone();
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(hashing)?;
        let checking = tokio::task::spawn_blocking(move || {
            let matches = matches(&password, &hash);
            // Held to here even if nobody waits any more.
            drop(core);
            matches
        });
        let matches = checking.await.map_err(hashing)??;
        Ok(account_exists && matches)
    }
}

fn matches(password: &SecretString, hash: &str) -> Result<bool, Fault> {
    let hash = PasswordHash::new(hash).map_err(|_| Fault::in_words("a stored password hash cannot be read"))?;
    match Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(hashing(error)),
    }
}

/// That hashing a password failed, whether to check it or to keep it.
pub fn hashing(error: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
    Fault::of_ours("password hashing", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_password_matches_where_there_is_no_account() {
        assert!(!Passwords::default().check(&"".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_read_is_an_error() {
        for broken in ["", "secret", "$argon2id$v=19$m=x,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"] {
            let checked = Passwords::default().check(&"".into(), Some(broken)).await;
            assert!(checked.is_err_and(|fault| !fault.is_transient), "{broken}");
        }
    }

    #[tokio::test]
    async fn a_salt_without_a_hash_matches_nothing() {
        let salt = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ";
        assert!(!Passwords::default().check(&"".into(), Some(salt)).await.unwrap());
    }
}
