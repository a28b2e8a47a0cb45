//! New passwords.

use crate::{
    failure::{Failure, Kind},
    secret_input::{ask, first_line, is_at_terminal},
};
use accounts::passwords::{self, Hashing};
use clap::Args;
use secrecy::SecretString;

#[derive(Args)]
pub struct PasswordArguments {
    /// Read the password from the first line of standard input instead of asking for it.
    #[arg(long)]
    pub password_stdin: bool,
}

/// The hash of a new password for the account with this e-mail.
pub async fn new_hash(arguments: &PasswordArguments, email: &str) -> Result<String, Failure> {
    let password = if arguments.password_stdin { checked(first_line()?, email)? } else { ask_twice(email).await? };
    Ok(Hashing::default().hash(SecretString::from(password)).await?)
}

async fn ask_twice(email: &str) -> Result<String, Failure> {
    if !is_at_terminal() {
        return Err(Failure::new(
            Kind::Invalid,
            "There is no terminal to ask for the password. Give it with --password-stdin.",
        ));
    }
    // Nobody types one twice in vain.
    let password = checked(ask(&format!("New password of {email}: ")).await?, email)?;
    if password == ask("The same again: ").await? {
        Ok(password)
    } else {
        Err(Failure::new(Kind::Invalid, "The two passwords differ. Nothing was changed."))
    }
}

fn checked(password: String, email: &str) -> Result<String, Failure> {
    match passwords::check(&password, email) {
        Ok(()) => Ok(password),
        Err(problem) => Err(Failure::new(Kind::Invalid, format!("The password {problem}."))),
    }
}
