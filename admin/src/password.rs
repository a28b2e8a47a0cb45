//! Passwords: asked for without an echo, or one line of standard input; never an argument, which others can see.

use crate::failure::{Failure, Kind};
use accounts::passwords::{self, Hashing};
use clap::Args;
use secrecy::SecretString;
use std::io::{self, IsTerminal, Read};

#[derive(Args)]
pub struct PasswordArguments {
    /// Read the password from the first line of standard input instead of asking for it.
    #[arg(long)]
    pub password_stdin: bool,
}

/// The hash of a new password for the account with this e-mail.
pub async fn new_hash(arguments: &PasswordArguments, email: &str) -> Result<String, Failure> {
    let password = if arguments.password_stdin { read_line()? } else { ask(email)? };
    passwords::check(&password, email)
        .map_err(|problem| Failure::new(Kind::Invalid, format!("The password {problem}.")))?;
    Ok(Hashing::default().hash(SecretString::from(password)).await?)
}

fn ask(email: &str) -> Result<String, Failure> {
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
    if password == ask("The same again: ".into())? {
        Ok(password)
    } else {
        Err(Failure::new(Kind::Invalid, "The two passwords differ. Nothing was changed."))
    }
}

fn read_line() -> Result<String, Failure> {
    let mut input = Vec::new();
    let read = io::stdin().lock().take(64 * 1024).read_to_end(&mut input);
    read.map_err(|error| Failure::new(Kind::Fault, format!("Standard input cannot be read: {error}")))?;
    let text = String::from_utf8(input)
        .map_err(|_| Failure::new(Kind::Invalid, "The password on standard input is not UTF-8."))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
