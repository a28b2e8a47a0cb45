//! Secrets that are asked for at the terminal without an echo, or are the first line of standard input; never an argument, which
//! others can see.

use crate::{
    failure::{Failure, Kind},
    interrupts::Interrupts,
    output::escaped,
};
use rpassword::ConfigBuilder;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::{
    fs::File,
    future,
    io::{self, BufRead, IsTerminal, Read, Write},
};
use tokio::sync::oneshot;

/// Longest line of standard input, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// Whether there is a terminal to ask at.
pub fn is_at_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Asks for one at the terminal.
///
/// # Errors
/// [`Kind::Interrupted`] after a signal, Ctrl-C included; [`Kind::Invalid`] if nothing is entered.
pub async fn ask(prompt: &str) -> Result<String, Failure> {
    let interrupts = Interrupts::listen().await?;
    let unusable = |error: io::Error| Failure::new(Kind::Fault, format!("The terminal cannot be used: {error}"));
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(unusable)?;
    let input = terminal.try_clone().map_err(unusable)?;
    let silence = Silence::begin(&terminal).map_err(unusable)?;
    (&terminal).write_all(escaped(prompt).as_bytes()).map_err(unusable)?;
    let (typed, answer) = oneshot::channel();
    // A thread that nobody waits for: after a signal it may never read anything.
    std::thread::spawn(move || {
        let config = ConfigBuilder::new().input_reader(input).output_discard().build();
        typed.send(rpassword::read_password_with_config(config))
    });
    let typed = async {
        match answer.await {
            // The signal that it has sent may not have come yet.
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => future::pending().await,
            answer => answer.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into())),
        }
    };
    let answer = tokio::select! {
        () = interrupts.were_heard_times(1) => Err(io::ErrorKind::Interrupted.into()),
        typed = typed => typed,
    };
    drop(silence);
    (&terminal).write_all(b"\n").map_err(unusable)?;
    match answer {
        Ok(text) if !text.is_empty() => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            Err(Failure::new(Kind::Interrupted, "Interrupted. Nothing was changed."))
        }
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unusable(error)),
        _ => Err(Failure::new(Kind::Invalid, "Nothing was entered. Nothing was changed.")),
    }
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    /// Not in lines either, which end at 4,096 bytes, and on macOS at 1,024. Ctrl-C comes as a character, which `rpassword` makes
    /// a signal; so does Ctrl-Z, which would leave it to the shell whether the rest is shown.
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // Where that fails the terminal is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The first line of standard input. What follows it is not waited for.
///
/// # Errors
/// [`Kind::Invalid`] if it is none.
pub fn first_line() -> Result<String, Failure> {
    let invalid = |problem: &str| Failure::new(Kind::Invalid, format!("The first line of standard input {problem}."));
    let mut line = Vec::new();
    let read = io::stdin().lock().take(MAX_LINE + 1).read_until(b'\n', &mut line);
    let read = read.map_err(|error| Failure::new(Kind::Fault, format!("Standard input cannot be read: {error}")))?;
    if read as u64 > MAX_LINE {
        return Err(invalid("is longer than 64 KiB"));
    }
    let text = String::from_utf8(line).map_err(|_| invalid("is not UTF-8"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
