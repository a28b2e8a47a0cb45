//! One module for each noun of the command line.

pub mod api_account;
pub mod customer;
pub mod doctor;
pub mod key;
pub mod login;
pub mod restore;
pub mod store;
pub mod token;
pub mod user;

use crate::{
    failure::{Failure, Kind},
    output::say,
};
use std::io::{self, BufRead, IsTerminal};

/// Asks for `name` before something that cannot be undone. `given` is the answer of a script.
///
/// # Errors
/// [`Kind::Refused`] if the answer is another.
fn confirm(consequences: &str, name: &str, given: Option<&str>) -> Result<(), Failure> {
    let refused =
        |problem: String| Err(Failure::new(Kind::Refused, format!("{consequences}\n{problem} Nothing was changed.")));
    if let Some(given) = given {
        return if given == name { Ok(()) } else { refused(format!("--confirm names {given}, not {name}.")) };
    }
    if !io::stdin().is_terminal() {
        return refused(format!("To go on, add --confirm {name}."));
    }
    say(consequences);
    say(&format!("To go on, type {name}:"));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::new(Kind::Fault, format!("The answer cannot be read: {error}")))?;
    if answer.trim() == name { Ok(()) } else { refused(format!("The answer was not {name}.")) }
}

/// A number with its noun, such as `1 token` or `2 tokens`.
fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
