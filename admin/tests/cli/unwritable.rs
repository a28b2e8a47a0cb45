//! Standard output and standard error that cannot be written.

use crate::support::{Ended, OperatedStack, PASSWORD, in_store, program};
use local::demo;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::{Command, Stdio},
};

/// What cannot be written.
const UNWRITABLE: i32 = 9;

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// The end of a pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn with_stdout(mut command: Command, stdout: impl Into<Stdio>) -> Ended {
    let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let ended = child.wait_with_output().unwrap();
    Ended { code: ended.status.code(), stdout: String::new(), stderr: String::from_utf8(ended.stderr).unwrap() }
}

/// Runs a command whose standard error is full, with a password on its standard input.
fn with_full_stderr(mut command: Command) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(full()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(PASSWORD.as_bytes());
    let ended = child.wait_with_output().unwrap();
    Ended { code: ended.status.code(), stdout: String::from_utf8(ended.stdout).unwrap(), stderr: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_and_cannot_be_printed_is_told() {
    let stack = OperatedStack::start().await;
    for arguments in [
        ["store", "list"].as_slice(),
        &["store", "show", demo::STORE],
        &["key", "list"],
        &in_store(&["token", "list"]),
        &in_store(&["user", "list"]),
        &in_store(&["customer", "list"]),
        &in_store(&["customer", "export"]),
        &["doctor", "--read-only"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["--version"],
        &["--help"],
        &["token", "revoke", "--help"],
    ] {
        for format in ["table", "json"] {
            let command = || stack.command(&[&["--output", format], arguments].concat());
            with_stdout(command(), full())
                .fails(UNWRITABLE, "Standard output cannot be written: No space left on device");
            let ended = with_stdout(command(), closed_pipe());
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(UNWRITABLE), ""), "{arguments:?}");
        }
    }
    let mut mistake = program();
    mistake.arg("stroe");
    assert_eq!(with_full_stderr(mistake).code, Some(2));
}

#[test]
fn completions_end_when_their_reader_does() {
    let mut command = program();
    command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    assert!([Some(0), Some(UNWRITABLE)].contains(&ended.status.code()), "{:?}", ended.status);
}
