//! `b2b-auth`: what an operator does with stores, accounts, tokens and keys.

mod arguments;
mod audit;
mod bigcommerce;
mod commands;
mod confirm;
mod connection;
mod date;
mod failure;
mod interrupts;
mod output;
mod password;
mod secret_input;
mod stack;
mod tool;
mod values;
mod waiting;

use arguments::{Arguments, Command};
use clap::{CommandFactory, Parser};
use failure::{Failure, Kind};
use output::Output;
use stack::Stack;
use std::process::ExitCode;
use tool::Tool;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::try_parse() {
        Ok(arguments) => run(arguments).await,
        Err(mistake) if mistake.use_stderr() => {
            let says = mistake.render().to_string();
            if output::with_lines(&says) == says {
                // In colour.
                mistake.exit();
            }
            output::say(says.trim_end());
            return Kind::Invalid.exit_code();
        }
        Err(help) => help.print().map_err(|error| output::cannot_print(&error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                output::say(&format!("error: {failure}"));
            }
            failure.kind.exit_code()
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Command::Completions { shell } = arguments.command {
        // It panics where it cannot write.
        let mut completions = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "b2b-auth", &mut completions);
        return output::print_bytes(&completions);
    }
    if let Command::Man { folder } = &arguments.command {
        return clap_mangen::generate_to(Arguments::command(), folder).map_err(|error| {
            Failure::new(Kind::Invalid, format!("Manual pages cannot be written into {}: {error}.", folder.display()))
        });
    }
    let output = Output::new(arguments.output);
    let tool = match (&arguments.command, Stack::open(&arguments.target).await) {
        // What keeps it from being opened is what the doctor is asked for.
        (Command::Doctor(_), Err(failure)) => return commands::doctor::cannot_open(&output, failure),
        (_, stack) => Tool { stack: stack?, output },
    };
    if let Command::Doctor(_) = arguments.command {
        arguments.target.api_is_known()?;
    }
    match arguments.command {
        Command::Store(command) => commands::store::run(&tool, command).await,
        Command::User(command) => commands::user::run(&tool, command).await,
        Command::Customer(command) => commands::customer::run(&tool, command).await,
        Command::ApiAccount(command) => commands::api_account::run(&tool, command).await,
        Command::Token(command) => commands::token::run(&tool, command).await,
        Command::Login(command) => commands::login::run(&tool, command).await,
        Command::Key(command) => commands::key::run(&tool, command).await,
        Command::Restore(arguments) => commands::restore::run(&tool, arguments).await,
        Command::Doctor(arguments) => commands::doctor::run(&tool, arguments).await,
        Command::Completions { .. } | Command::Man { .. } => Ok(()),
    }
}
