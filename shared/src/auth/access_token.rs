//! The access token of an API account: a prefix, 256 random bits and a checksum, so that a scanner can tell one that has leaked.
//!
//! It is kept as its SHA-256 only: 256 random bits cannot be guessed, so there is nothing for a slow hash to slow down.

use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// What every access token begins with.
pub const PREFIX: &str = "b2ba_";
const RANDOM_BYTES: usize = 32;
/// Hexadecimal digits of the checksum: the first of the SHA-256 of all that comes before it.
const CHECKSUM_DIGITS: usize = 8;

/// A new access token.
///
/// # Errors
/// If the system gives no random bytes.
pub fn generate() -> Result<SecretString, getrandom::Error> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes)?;
    let unchecked = format!("{PREFIX}{}", hex::encode(bytes));
    let checksum = checksum(&unchecked);
    Ok((unchecked + &checksum).into())
}

/// The SHA-256 under which an API account is kept, in hexadecimal digits; none if this is no access token.
#[must_use]
pub fn sha256(token: &str) -> Option<String> {
    let (unchecked, found) = token.split_at_checked(token.len().checked_sub(CHECKSUM_DIGITS)?)?;
    let random = unchecked.strip_prefix(PREFIX)?;
    (random.len() == 2 * RANDOM_BYTES && found == checksum(unchecked)).then(|| hex::encode(Sha256::digest(token)))
}

fn checksum(unchecked: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(unchecked));
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn an_access_token_is_told_from_everything_else() {
        // The digits of pi stand for random ones; `sha256sum` gives checksum and hash.
        let token = "b2ba_3141592653589793238462643383279502884197169399375105820974944592f77fe8fd";
        assert_eq!(sha256(token).unwrap(), "d6d642979ea2d10437679d55c410263c44936875155a46e65fbd6b787462cb22");
        let other_digit = token.replace("3141", "3142");
        for not_one in
            ["", "b2ba_", "eyJ", "\u{e9}f77fe8f", &token[1..], &token[..76], &other_digit, &format!("{token} ")]
        {
            assert_eq!(sha256(not_one), None, "{not_one}");
        }
        assert_eq!(sha256(&token.to_uppercase()), None);
    }

    #[test]
    fn each_is_new_and_is_one() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert_ne!(a.expose_secret(), b.expose_secret());
        assert!(sha256(a.expose_secret()).is_some());
        assert_eq!(a.expose_secret().len(), 77);
    }
}
