//! What is shown at a terminal, and what is typed there without being shown.

use crate::{
    rotate::store_of,
    support::{OTHER_PASSWORD, OperatedStack, PASSWORD, aws_that_answers, command_at, in_store},
};
use local::demo;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, tcgetattr},
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tests::{eventually, signed_with_demo_key};

/// Seconds in which something must be shown.
const PATIENCE: u64 = 60;
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

/// A command at a terminal of its own.
struct Terminal {
    /// Where the person is.
    person: File,
    /// Where the command is.
    inner: File,
    child: Child,
    shown: String,
}

impl Terminal {
    fn start(command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let person = openpt(flags).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let terminal = File::from(ioctl_tiocgptpeer(&person, flags).unwrap());
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let mut with_terminal = Command::new("setsid");
        with_terminal.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        with_terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = with_terminal.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { person: person.into(), inner: terminal, child, shown: String::new() }
    }

    /// Takes in what is shown within this time.
    fn look(&mut self, milliseconds: i64) {
        let mut fds = [PollFd::new(&self.person, PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        while poll(&mut fds, Some(&timeout)).unwrap() > 0 {
            let mut bytes = [0; 4096];
            let read = self.person.read(&mut bytes).unwrap();
            self.shown += std::str::from_utf8(&bytes[..read]).unwrap();
            fds = [PollFd::new(&self.person, PollFlags::IN)];
        }
    }

    #[track_caller]
    fn until(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(PATIENCE);
        while !self.shown.contains(text) {
            assert!(Instant::now() < end, "{text} is not shown, but: {}", self.shown);
            self.look(10);
        }
    }

    fn enter(&mut self, text: &str) {
        self.person.write_all(text.as_bytes()).unwrap();
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Whether what is typed is shown, and Ctrl-C a signal, as a shell has it.
    fn is_as_before(&self) -> bool {
        let usual = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcgetattr(&self.inner).unwrap().local_modes.contains(usual)
    }

    /// The exit code, and all that was shown; the terminal is as it was.
    #[track_caller]
    fn ended(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + Duration::from_secs(PATIENCE);
        let status = loop {
            self.look(10);
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                self.child.kill().unwrap();
                panic!("it does not end, and shows: {}", self.shown);
            }
        };
        self.look(0);
        assert!(self.is_as_before(), "nothing that is typed is shown after: {}", self.shown);
        (status.code(), self.shown)
    }

    #[track_caller]
    fn ends(self, code: i32, says: &str) -> String {
        let (ended, shown) = self.ended();
        assert!(ended == Some(code) && shown.contains(says), "{code} {says}: {ended:?} {shown}");
        shown
    }
}

const AGAIN: &str = "The same again: ";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_a_question_has_the_echo_back() {
    let stack = OperatedStack::start().await;
    let before = stack.json(&in_store(&["user", "list"]));
    for (arguments, prompt) in [
        (in_store(&["user", "add", "new@example.com", "--role", "administrator"]), "New password of new@example.com: "),
        (in_store(&["user", "set-password", demo::REP_EMAIL]), "New password of"),
        (in_store(&["customer", "add", "new@example.com", "--id", "7"]), "New password of"),
        (in_store(&["customer", "set-password", demo::BUYER_EMAIL]), "New password of"),
        (vec!["token", "verify"], "Token: "),
        (
            vec!["store", "set-directory", demo::STORE, "bigcommerce"],
            "Access token of the API account of demostore at BigCommerce: ",
        ),
    ] {
        for signal in [None, Some("-INT"), Some("-TERM")] {
            let mut terminal = Terminal::start(&stack.command(&arguments));
            terminal.until(prompt);
            if prompt.starts_with("New password") && signal.is_none() {
                terminal.enter(&format!("{PASSWORD}\r"));
                terminal.until(AGAIN);
            }
            assert!(!terminal.is_as_before());
            match signal {
                None => terminal.enter(CTRL_C),
                Some(signal) => terminal.signal(signal),
            }
            let shown = terminal.ends(10, "error: Interrupted. Nothing was changed.");
            assert!(!shown.contains("audit") && !shown.contains(PASSWORD), "{shown}");
        }
        let mut terminal = Terminal::start(&stack.command(&arguments));
        terminal.until(prompt);
        terminal.enter(CTRL_D);
        terminal.ends(2, "error: Nothing was entered.");
    }
    assert_eq!(stack.json(&in_store(&["user", "list"])), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_twice_if_it_may_be_one() {
    let stack = OperatedStack::start().await;
    let set = || Terminal::start(&stack.command(&in_store(&["user", "set-password", demo::ADMIN_EMAIL])));
    for (password, says) in [
        ("hunt2", "The password is too short"),
        ("aaaaaaaaaaaaaaaa", "The password is too easy to guess"),
        ("my name is Admin, and so on", "it holds the name in the e-mail"),
    ] {
        let mut terminal = set();
        terminal.until("New password of");
        terminal.enter(&format!("{password}\r"));
        let shown = terminal.ends(2, says);
        assert!(!shown.contains(AGAIN) && !shown.contains(password), "{shown}");
    }
    for (second, code, says) in
        [(OTHER_PASSWORD.to_owned(), 2, "The two passwords differ."), (format!("x\x7f{PASSWORD}"), 0, "\"done\"")]
    {
        let mut terminal = set();
        terminal.until("New password of");
        terminal.enter(&format!("{PASSWORD}\r"));
        terminal.until(AGAIN);
        terminal.enter(&format!("{second}\r"));
        let shown = terminal.ends(code, says);
        assert!(!shown.contains(PASSWORD) && !shown.contains(OTHER_PASSWORD), "{shown}");
    }
    assert_eq!(stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_and_not_shown_however_long_it_is() {
    let stack = OperatedStack::start().await;
    let claims = json!({"aud": "else", "pad": "x".repeat(9000)});
    for (token, code, says) in [
        (demo::token(), 0, "server-to-server token"),
        // A terminal that reads lines takes no more than 4,096 bytes of one.
        (signed_with_demo_key(&claims), 8, "its aud is neither server nor storefront"),
    ] {
        let mut terminal = Terminal::start(&stack.command(&["token", "verify"]));
        terminal.until("Token: ");
        terminal.enter(&format!("{token}\r"));
        let shown = terminal.ends(code, says);
        assert!(!shown.contains("eyJ"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_standard_input_one_line_is_read_and_no_more_waited_for() {
    let stack = OperatedStack::start().await;
    let add = in_store(&["user", "add", "new@example.com", "--role", "administrator", "--password-stdin"]);
    let too_long = "x".repeat(70_000);
    for (arguments, line, code) in [
        (vec!["token", "verify"], demo::token(), 0),
        (vec!["token", "verify"], String::new(), 2),
        (vec!["token", "verify"], too_long.clone(), 2),
        (add.clone(), too_long, 2),
        (add, PASSWORD.into(), 0),
    ] {
        let mut command = stack.command(&arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may end before it has read all of it.
        let _ = stdin.write_all(format!("{line}\r\n").as_bytes());
        eventually(async || child.try_wait().unwrap().is_some()).await;
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?} {}", line.len());
    }
    assert_eq!(stack.ask_for_token(demo::STORE, "new@example.com", PASSWORD).await.status, 200);
}

/// Characters that are not seen, or turn the direction of others.
const UNSEEN: &str = "\u{1b}[2J\n\u{7f}\u{85}\u{9b}\u{ad}\u{200b}\u{202e}\u{2028}\u{2029}\u{feff}\u{3164}\u{e0001}";
const ESCAPED: &str = r"\u{1b}[2J\n\u{7f}\u{85}\u{9b}\u{ad}\u{200b}\u{202e}\u{2028}\u{2029}\u{feff}\u{3164}\u{e0001}";
const IN_JSON: &str = r"\u001b[2J\n\u007f\u0085\u009b\u00ad\u200b\u202e\u2028\u2029\ufeff\u3164\udb40\udc01";

#[track_caller]
fn is_safe(text: &str) {
    let unseen = |c: &char| UNSEEN.contains(*c) && !"[2J\n".contains(*c);
    assert_eq!(text.chars().find(unseen), None, "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_seen_is_shown_as_an_escape_everywhere() {
    let stack = OperatedStack::start().await;
    stack.create_token(UNSEEN).await;
    let name: Value = json!(UNSEEN);
    for arguments in [&["token", "list"][..], &["token", "show", "2"]] {
        let table = stack.b2b_auth(&in_store(arguments));
        is_safe(&table.stdout);
        assert!(table.stdout.contains(ESCAPED), "{table:?}");
        let in_json = stack.b2b_auth(&in_store(&[&["--output", "json"], arguments].concat()));
        is_safe(&in_json.stdout);
        assert!(in_json.stdout.contains(IN_JSON), "{in_json:?}");
        let shown = in_json.json();
        assert_eq!(shown.get(1).unwrap_or(&shown)["name"], name);
    }
    let created = stack.b2b_auth(&in_store(&["api-account", "create", UNSEEN, "--scope", "read"]));
    created.changes("api-account create");
    is_safe(&(created.stdout.clone() + &created.stderr));
    assert!(created.stdout.contains(ESCAPED) && created.stderr.contains(IN_JSON), "{created:?}");
    assert_eq!(created.lines()[0]["details"]["name"], name);

    let email = "x\u{202e}\u{200b}@example.com";
    let unknown = stack.b2b_auth(&in_store(&["user", "disable", email]));
    unknown.fails(3, r"has no backend user x\u{202e}\u{200b}@example.com.");
    is_safe(&unknown.stderr);
    let mistake = stack.b2b_auth(&in_store(&["user", "disable", "no\u{202e}mail"]));
    mistake.fails(2, r"no\u{202e}mail");
    is_safe(&mistake.stderr);
    let mut terminal = {
        stack.with_password(PASSWORD, &in_store(&["customer", "add", email, "--id", "7"])).changes("customer add");
        Terminal::start(&stack.command(&in_store(&["customer", "set-password", email])))
    };
    terminal.until(r"New password of x\u{202e}\u{200b}@example.com: ");
    terminal.enter(CTRL_C);
    terminal.ends(10, "Interrupted");
    let exported = stack.b2b_auth(&in_store(&["customer", "export"]));
    assert!(exported.stdout.contains(email), "{exported:?}");
    let shown = Terminal::start(&stack.command(&in_store(&["customer", "export"]))).ends(0, "customer_id,email");
    is_safe(&shown);

    let api =
        aws_that_answers(500, "application/json", json!({"detail": format!("x{UNSEEN}\ngood")}).to_string()).await;
    let doctor = command_at(stack.aws_url(), &api.url, &["doctor", "--read-only"]);
    let ended = crate::support::run(doctor, "").with(8);
    is_safe(&ended.stdout);
    assert!(ended.stdout.contains(ESCAPED) && !ended.stdout.contains("\ngood\n"), "{ended:?}");
}

/// The columns of a terminal that stand before this.
fn columns_before(line: &str, text: &str) -> usize {
    let before = line.split(text).next().unwrap();
    before.chars().map(|c| if ('\u{3000}'..'\u{a000}').contains(&c) || c == '🦀' { 2 } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_stand_in_line_whatever_stands_in_them() {
    let stack = OperatedStack::start().await;
    let long = "n".repeat(250) + "漢字";
    for name in [&long, "漢字テスト", "🦀🦀", "plain"] {
        stack.create_token(name).await;
    }
    let list = in_store(&["token", "list"]);
    let piped = stack.b2b_auth(&list).stdout;
    let lines: Vec<&str> = piped.lines().collect();
    assert!(lines[2].contains(&long) && lines.len() == 6, "{piped}");
    let emails = |lines: &[&str]| -> Vec<usize> {
        lines.iter().skip(1).map(|line| columns_before(line, demo::ADMIN_EMAIL)).collect()
    };
    let columns = emails(&lines);
    assert!([columns[2], columns[3], columns[4]] == [columns[0]; 3] && columns[0] < 60, "{columns:?}\n{piped}");

    let shown = Terminal::start(&stack.command(&list)).ends(0, "plain");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[2].contains("nnn…  admin@example.com"), "{shown}");
    assert!(lines.iter().all(|line| line.chars().count() < 160), "{shown}");
    let columns = emails(&lines);
    assert_eq!(columns, [columns[0]; 5], "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tokens_are_shown_whole_beside_how_far_it_is() {
    let stack = OperatedStack::start().await;
    store_of(&stack, 150).await;
    let now = stack.clock.now().to_string();
    let rotate = ["token", "rotate", "--all", "--issued-before", &now, "--store", "bigstore"];
    let mut command = stack.command(&rotate);
    let mut terminal = Terminal::start(command.env("TERM", "xterm"));
    terminal.until("To go on, type bigstore:");
    terminal.enter("bigstore\r");
    let shown = terminal.ends(0, "Replaced: 150 tokens.");
    assert!(shown.contains(" %, ") && shown.contains(" tokens, about "), "nothing shows how far it is");
    // Nothing of the bar is left before a row.
    let rows = shown.lines().filter(|line| line.contains("eyJ")).map(|line| line.rsplit("\u{1b}[2K").next().unwrap());
    let rows: Vec<&str> = rows.collect();
    assert!(rows.iter().all(|row| row.starts_with(|c: char| c.is_ascii_digit())), "{:?}", rows[1]);
    let tokens: Vec<&str> = shown.split_whitespace().filter(|word| word.starts_with("eyJ")).collect();
    assert_eq!(tokens.len(), 150);
    for token in [tokens[0], tokens[75], tokens[149]] {
        assert_eq!(stack.list(token, "").await.status, 200, "{token}");
    }
}
