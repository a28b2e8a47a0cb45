//! Passwords: asked for without an echo, or one line of standard input; never an argument, which others can see.

use crate::failure::{Failure, Kind};
use clap::Args;
use secrecy::SecretString;
use shared::{http::error::Error, passwords::Hasher};
use std::{
    cell::RefCell,
    fmt::Display,
    io::{self, IsTerminal, Read},
};
use tokio::sync::Semaphore;

/// Shortest password, in characters. NIST SP 800-63B-4 asks for 8 beside a second factor and 15 alone.
const MIN_CHARACTERS: usize = 12;
/// Longest password, in bytes, that the API takes.
const MAX_BYTES: usize = 1024;
/// Fewest different characters.
const MIN_DIFFERENT: usize = 5;

#[derive(Args)]
pub struct PasswordArguments {
    /// Read the password from the first line of standard input instead of asking for it.
    #[arg(long)]
    pub password_stdin: bool,
}

/// A new password for the account with this e-mail.
pub fn read_new(arguments: &PasswordArguments, email: &str) -> Result<SecretString, Failure> {
    let password = if arguments.password_stdin {
        read_line()?
    } else {
        if !io::stdin().is_terminal() {
            return Err(Failure::new(
                Kind::Invalid,
                "There is no terminal to ask for the password. Give it with --password-stdin.",
            ));
        }
        let ask = |prompt: String| {
            let answer = rpassword::prompt_password(prompt);
            answer.map_err(|error| Failure::new(Kind::Fault, format!("The password cannot be read: {error}")))
        };
        let password = ask(format!("New password of {email}: "))?;
        if password != ask("The same again: ".into())? {
            return Err(Failure::new(Kind::Invalid, "The two passwords differ. Nothing was changed."));
        }
        password
    };
    check(&password, email).map_err(|problem| Failure::new(Kind::Invalid, format!("The password {problem}.")))?;
    Ok(password.into())
}

fn read_line() -> Result<String, Failure> {
    let mut input = Vec::new();
    let read = io::stdin().lock().take(64 * 1024).read_to_end(&mut input);
    read.map_err(|error| Failure::new(Kind::Fault, format!("Standard input cannot be read: {error}")))?;
    let text = String::from_utf8(input)
        .map_err(|_| Failure::new(Kind::Invalid, "The password on standard input is not UTF-8."))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Whether a password may be set.
///
/// # Errors
/// What is wrong with it, to follow "the password".
pub fn check(password: &str, email: &str) -> Result<(), String> {
    let characters = password.chars().count();
    if characters < MIN_CHARACTERS {
        return Err(format!("is too short: it has {characters} characters, and needs {MIN_CHARACTERS}"));
    }
    if password.len() > MAX_BYTES {
        return Err(format!("is too long: it has {} bytes, and may have {MAX_BYTES}", password.len()));
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

/// The hash under which it is kept, made on a thread of its own.
pub async fn hash(password: SecretString) -> Result<String, Failure> {
    let hashing = tokio::task::spawn_blocking(move || shared::passwords::hash(&password));
    Ok(hashing.await.map_err(cannot_hash)??)
}

/// Makes the hashes of many passwords, on all cores.
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
    pub async fn hash(&self, password: SecretString) -> Result<String, Failure> {
        let _core = self.cores.acquire().await.map_err(cannot_hash)?;
        let idle = self.idle.borrow_mut().pop();
        let hashing = tokio::task::spawn_blocking(move || {
            let mut hasher = idle.map_or_else(Hasher::new, Ok)?;
            let hash = hasher.hash(&password)?;
            Ok::<_, Error>((hasher, hash))
        });
        let (hasher, hash) = hashing.await.map_err(cannot_hash)??;
        self.idle.borrow_mut().push(hasher);
        Ok(hash)
    }
}

fn cannot_hash(error: impl Display) -> Failure {
    Failure::new(Kind::Fault, format!("The password cannot be hashed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::check;

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
}
