//! The command line.

use crate::{
    commands::{api_account, customer, doctor, key, login, restore, store, token, user},
    output::Format,
    stack::TargetArguments,
};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

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
  9  standard output or an audit line could not be written
  10 it was interrupted, between two writes or while it asked for a password; run the same command again

--output json prints an array of objects for a list (also the bad rows of an import, what a restore brought back, and what doctor
finds), and one object for what is shown or created, and for token verify. Commands that only change something print nothing on standard output.

After 2 to 6 nothing was changed. Every change writes two lines of JSON, which begin with {\"audit\", to standard error: one
before it, without which it is not made, and one with its result.
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
    /// Writes manual pages: one for this tool, and one for each command, such as b2b-auth-token-revoke.
    #[command(after_help = "Example:\n  mkdir -p ~/.local/share/man/man1\n  b2b-auth man ~/.local/share/man/man1")]
    Man {
        /// The folder that they are written into.
        folder: PathBuf,
    },
}
