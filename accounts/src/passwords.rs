//! Passwords that are set: which may be, and how they are hashed. A login's half, the checking, is [`shared::passwords`].

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use secrecy::{ExposeSecret, SecretString};
use shared::{
    fault::Fault,
    http::fields::MAX_PASSWORD_BYTES,
    passwords::{LANES, MEMORY_KIB, PASSES, hashing},
};
use std::{cell::RefCell, ops::RangeInclusive};
use tokio::sync::Semaphore;

/// Shortest password, in characters. NIST SP 800-63B-4 asks for 8 beside a second factor and 15 alone.
const MIN_CHARACTERS: usize = 12;
/// Fewest different characters.
const MIN_DIFFERENT: usize = 5;

/// Memory, in KiB, of hashes from elsewhere, and the passes over it must be ours: then a check takes four fifths of the time of
/// one against a hash made here, or more (docs/security.md). More passes over less memory come to as many blocks, but not to the
/// same time, because memory that is touched for the first time costs as much as a pass over it; and what takes more memory than
/// ours finds none that was used before.
const MEMORY_THAT_MAY_BE_KEPT: RangeInclusive<u32> = 16_384..=MEMORY_KIB;
/// Shortest output of hashes from elsewhere.
const MIN_OUTPUT_BYTES: usize = 16;

/// Whether a password may be set.
///
/// # Errors
/// What is wrong with it, to follow "the password".
pub fn check(password: &str, email: &str) -> Result<(), String> {
    let characters = password.chars().count();
    if characters < MIN_CHARACTERS {
        return Err(format!("is too short: it has {characters} characters, and needs {MIN_CHARACTERS}"));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(format!("is too long: it has {} bytes, and may have {MAX_PASSWORD_BYTES}", password.len()));
    }
    let mut different: Vec<char> = password.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < MIN_DIFFERENT {
        return Err(format!("is too easy to guess: it needs {MIN_DIFFERENT} different characters"));
    }
    let local_part = email.split('@').next().unwrap_or_default().to_lowercase();
    if local_part.chars().count() > 3 && password.to_lowercase().contains(&local_part) {
        return Err("is too easy to guess: it holds the name in the e-mail".into());
    }
    Ok(())
}

/// A new salted hash as a PHC string.
///
/// # Errors
/// If the machine has no randomness.
pub fn hash(password: &SecretString) -> Result<String, Fault> {
    Hasher::new()?.hash(password)
}

/// Makes hashes, one after the other in the same memory: if each had its own, the allocator would keep that of a dozen for each
/// thread.
pub struct Hasher {
    argon2: Argon2<'static>,
    memory: Vec<Block>,
}

impl Hasher {
    /// Takes the memory of one hash.
    ///
    /// # Errors
    /// None that can happen: the parameters are always the same.
    pub fn new() -> Result<Self, Fault> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(hashing)?;
        let memory = vec![Block::new(); params.block_count()];
        Ok(Self { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), memory })
    }

    /// A new salted hash as a PHC string.
    ///
    /// # Errors
    /// If the machine has no randomness.
    pub fn hash(&mut self, password: &SecretString) -> Result<String, Fault> {
        let mut salt = [0; Salt::RECOMMENDED_LENGTH];
        getrandom::fill(&mut salt).map_err(hashing)?;
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        let password = password.expose_secret().as_bytes();
        let filled = self.argon2.hash_password_into_with_memory(password, &salt, &mut output, &mut self.memory);
        filled.map_err(hashing)?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(self.argon2.params()).map_err(hashing)?,
            salt: Some(Salt::new(&salt).map_err(hashing)?),
            hash: Some(Output::new(&output).map_err(hashing)?),
        };
        Ok(hash.to_string())
    }
}

/// Makes the hashes of many passwords on threads of their own, one a core at a time.
pub struct Hashing {
    cores: Semaphore,
    idle: RefCell<Vec<Hasher>>,
}

impl Default for Hashing {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores: Semaphore::new(cores), idle: RefCell::default() }
    }
}

impl Hashing {
    /// The hash under which a password is kept.
    ///
    /// # Errors
    /// If the machine has no randomness.
    pub async fn hash(&self, password: SecretString) -> Result<String, Fault> {
        let _core = self.cores.acquire().await.map_err(hashing)?;
        let idle = self.idle.borrow_mut().pop();
        let task = tokio::task::spawn_blocking(move || {
            let mut hasher = idle.map_or_else(Hasher::new, Ok)?;
            let hash = hasher.hash(&password)?;
            Ok::<_, Fault>((hasher, hash))
        });
        let (hasher, hash) = task.await.map_err(hashing)??;
        self.idle.borrow_mut().push(hasher);
        Ok(hash)
    }
}

/// Whether a hash that was made elsewhere may be kept: argon2id that can be checked at a cost which a login can bear.
///
/// # Errors
/// What is wrong with it, to follow "the hash".
pub fn check_hash(hash: &str) -> Result<(), &'static str> {
    let hash = PasswordHash::new(hash).map_err(|_| "is no PHC string, which begins with $argon2id$")?;
    if hash.algorithm != Algorithm::Argon2id.ident() {
        return Err("is not one of argon2id");
    }
    if hash.version != Some(Version::V0x13.into()) {
        return Err("is not one of argon2 version 19");
    }
    if hash.salt.is_none() {
        return Err("has no salt");
    }
    if hash.hash.as_ref().is_none_or(|output| output.len() < MIN_OUTPUT_BYTES) {
        return Err("is cut off: it needs 16 bytes after the salt");
    }
    let params = Params::try_from(&hash).map_err(|_| "has parameters that argon2 does not know")?;
    if !MEMORY_THAT_MAY_BE_KEPT.contains(&params.m_cost()) {
        return Err("has a cost m that is not within 16384 and 19456 (KiB)");
    }
    if params.t_cost() != PASSES {
        return Err("has a cost t that is not 2");
    }
    // Lanes are filled one after the other, so they cost no time.
    if !(1..=4).contains(&params.p_cost()) {
        return Err("has a cost p that is not within 1 and 4");
    }
    Ok(())
}

/// Whether a check against this hash takes as long as one against those made here.
#[must_use]
pub fn costs_the_same(hash: &str) -> bool {
    let params = PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
    params.is_some_and(|params| (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::passwords::{DUMMY_HASH, Passwords};

    #[test]
    fn weak_and_over_long_passwords_are_refused() {
        let longest = "0123456789abcdef".repeat(64);
        for (password, problem) in [
            ("", "is too short"),
            ("eleven char", "is too short"),
            ("élèven-chàr", "is too short"),
            ("abababababababab", "is too easy to guess: it needs 5"),
            ("my-Buyer-password", "is too easy to guess: it holds"),
            (&format!("{longest}x"), "is too long: it has 1025 bytes"),
            ("twelve chars", ""),
            (&longest, ""),
        ] {
            let said = check(password, "buyer@example.com").err().unwrap_or_default();
            assert!(said.starts_with(problem) && said.is_empty() == problem.is_empty(), "{password}: {said}");
        }
        assert!(check("ab is in this password", "ab@example.com").is_ok());
    }

    #[tokio::test]
    async fn only_the_password_that_was_hashed_matches() {
        let passwords = Passwords::default();
        let stored = hash(&"right".into()).unwrap();
        assert!(passwords.check(&"right".into(), Some(&stored)).await.unwrap());
        for wrong in ["", "Right", "right ", "wrong"] {
            assert!(!passwords.check(&wrong.into(), Some(&stored)).await.unwrap(), "{wrong}");
        }
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
    async fn hashes_from_elsewhere_are_kept_if_they_can_be_checked_at_a_bearable_cost() {
        const OUTPUT: &str = "AX7PtoetduY4wrDTJ7i4L77X69lC2VYKXDyTGQQ8MkY";
        const SALT: &str = "fj9HuHqXtBcAtWgG3MCzIw";
        let own = hash(&"own".into()).unwrap();
        let with = |cost: &str| format!("$argon2id$v=19${cost}${SALT}${OUTPUT}");
        // Not of its own hash: one in sixteen is good base64 without its last character.
        let whole = with("m=19456,t=2,p=1");
        for (hash, problem) in [
            (own.clone(), ""),
            // Spring's.
            (with("m=16384,t=2,p=1"), ""),
            (with("m=16384,t=2,p=4"), ""),
            (with("m=19456,t=2,p=4"), ""),
            (with("m=16383,t=2,p=1"), "has a cost m"),
            (with("m=19457,t=2,p=1"), "has a cost m"),
            (with("m=4294967295,t=2,p=1"), "has a cost m"),
            (with("m=19456,t=1,p=1"), "has a cost t"),
            (with("m=19456,t=3,p=1"), "has a cost t"),
            (with("m=19456,t=4294967295,p=1"), "has a cost t"),
            (with("m=19456,t=0,p=1"), "has parameters"),
            (with("m=19456,t=2,p=5"), "has a cost p"),
            (with("m=19456,t=2,p=1,x=1"), "has parameters"),
            (own.replace("argon2id", "argon2i"), "is not one of argon2id"),
            (own.replace("v=19", "v=16"), "is not one of argon2 version 19"),
            (own.replace("$v=19", ""), "is not one of argon2 version 19"),
            ("$argon2id$v=19$m=19456,t=2,p=1".into(), "has no salt"),
            (format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}"), "is cut off"),
            (format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}$AX7PtoetduY4wrDT"), "is cut off"),
            (whole[..whole.len() - 1].into(), "is no PHC string"),
            (format!("{own}$"), "is no PHC string"),
            (format!(" {own}"), "is no PHC string"),
            ("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".into(), "is no PHC string"),
            ("5f4dcc3b5aa765d61d8327deb882cf99".into(), "is no PHC string"),
            (String::new(), "is no PHC string"),
        ] {
            let said = check_hash(&hash).err().unwrap_or_default();
            assert!(said.starts_with(problem) && said.is_empty() == problem.is_empty(), "{hash}: {said}");
            if said.is_empty() {
                assert!(Passwords::default().check(&"other".into(), Some(&hash)).await.is_ok(), "{hash}");
            }
        }
        assert!(costs_the_same(&own));
        assert!(!costs_the_same(&with("m=19456,t=3,p=1")) && !costs_the_same(&with("m=19455,t=2,p=1")));
    }

    #[tokio::test]
    async fn memory_that_is_used_again_leaves_nothing_in_the_next_hash() {
        let mut hasher = Hasher::new().unwrap();
        for password in ["first", "second", ""] {
            let hash = hasher.hash(&password.into()).unwrap();
            assert!(Passwords::default().check(&password.into(), Some(&hash)).await.unwrap());
        }
    }

    #[test]
    fn equal_passwords_have_different_hashes() {
        assert_ne!(hash(&"same".into()).unwrap(), hash(&"same".into()).unwrap());
    }
}
