//! Asking before something that cannot be undone.

use crate::{
    failure::{Failure, Kind},
    output::say,
    tool::Tool,
};
use std::io::{self, BufRead, IsTerminal};

impl Tool {
    /// Asks for `name` before something that cannot be undone, and says in which stack that is. `given` is the answer of a script.
    ///
    /// # Errors
    /// [`Kind::Refused`] if the answer is another.
    pub fn confirm(&self, consequences: &str, name: &str, given: Option<&str>) -> Result<(), Failure> {
        let consequences = format!("{consequences}\nStack: {}", self.stack.name);
        let refused = |problem: String| {
            Err(Failure::new(Kind::Refused, format!("{consequences}\n{problem} Nothing was changed.")))
        };
        if let Some(given) = given {
            return if given == name { Ok(()) } else { refused(format!("--confirm names {given}, not {name}.")) };
        }
        if !io::stdin().is_terminal() {
            return refused(format!("To go on, add --confirm {name}."));
        }
        say(&consequences);
        say(&format!("To go on, type {name}:"));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Failure::new(Kind::Fault, format!("The answer cannot be read: {error}")))?;
        if answer.trim() == name { Ok(()) } else { refused(format!("The answer was not {name}.")) }
    }
}
