//! The command line.

use crate::{
    commands::{api_account, customer, doctor, key, login, restore, store, token, user},
    output::Format,
    stack::TargetArguments,
};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::json;
use shared::http::fields;

const EXAMPLES: &str = "\
Examples:
  b2b-auth --stack-name b2b-auth doctor
  b2b-auth --local store add mystore --channels 1,2
  b2b-auth --local user add admin@example.com --store mystore --role administrator

Exit codes:
  0  done
  1  a fault of AWS, of this machine or of this tool
  2  the command, or what it was given, is wrong
  3  there is nothing of this name
  4  there already is one of this name
  5  it would break something and was not confirmed or forced
  6  no AWS credentials, expired ones, no permission, or no such stack
  7  AWS is throttled or cannot be reached; run the same command again
  8  it was looked at, and is not good: a token, rows of an import, a deployment

After 2 to 6 nothing was changed. Every change writes a line of JSON, which begins with {\"audit\", to standard error.
`b2b-auth help COMMAND` has more examples.";

/// What an operator does with stores, accounts, tokens and keys.
#[derive(Parser)]
#[command(name = "b2b-auth", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Arguments {
    #[command(flatten)]
    pub target: TargetArguments,
    /// How to print what is asked for.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Stores and their channels.
    #[command(subcommand)]
    Store(store::Command),
    /// People who may log in to a store's back office.
    #[command(subcommand)]
    User(user::Command),
    /// Customers of a store.
    #[command(subcommand)]
    Customer(customer::Command),
    /// API accounts, which call with X-Auth-Token.
    #[command(subcommand)]
    ApiAccount(api_account::Command),
    /// Server-to-server tokens.
    #[command(subcommand)]
    Token(token::Command),
    /// Attempts to log in.
    #[command(subcommand)]
    Login(login::Command),
    /// Keys that sign the tokens.
    #[command(subcommand)]
    Key(key::Command),
    /// Brings back accounts from a table that DynamoDB has restored the directory into.
    Restore(restore::RestoreArguments),
    /// Checks a deployment from end to end, and says how to mend what is wrong.
    Doctor(doctor::DoctorArguments),
    /// Prints completions for a shell.
    #[command(
        after_help = "Example:\n  b2b-auth completions bash > ~/.local/share/bash-completion/completions/b2b-auth"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Args)]
pub struct StoreArgument {
    /// The store's hash.
    #[arg(long, value_name = "STORE", value_parser = store_hash)]
    pub store: String,
}

/// A store hash: one part of an address, so that nothing need be escaped anywhere.
pub fn store_hash(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&text.len()) && text.chars().all(is_plain) {
        Ok(text.into())
    } else {
        Err("must be 1 to 64 letters, digits, - or _".into())
    }
}

/// An e-mail address, as the API takes it.
pub fn email(text: &str) -> Result<String, String> {
    fields::email(&json!(text))
}

/// The id of a channel or a customer.
pub fn id(text: &str) -> Result<u64, String> {
    fields::positive_integer(&json!(text))
}

/// A name that is not empty.
pub fn name(text: &str) -> Result<String, String> {
    fields::text(1..=255)(&json!(text))
}

/// A time, as ISO 8601 or in Unix seconds.
pub fn time(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let seconds = fields::iso8601(&json!(text)).ok().and_then(|seconds| u64::try_from(seconds).ok());
    seconds.ok_or_else(|| "must be a time such as 2026-12-31T00:00:00Z, or Unix seconds".into())
}
