//! `cargo run` as a person at a terminal sees it.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

use aws_sdk_secretsmanager::Client;
use rusqlite::Connection;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tests::{admin_login, decode, rotated_keyring};

struct Program {
    child: Child,
    greeting: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Program {
    /// Starts it on free ports, and reads what it says until it is ready.
    fn start(arguments: &[&str]) -> Self {
        let ports = ["--port", "0", "--aws-port", "0", "--bigcommerce-port", "0"];
        let mut child = command(&[&ports, arguments].concat()).spawn().unwrap();
        let mut greeting = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        while !greeting.contains("Ctrl-C") {
            assert_ne!(output.read_line(&mut greeting).unwrap(), 0, "it ended with {greeting}");
        }
        // The log follows on the same stream, and must not block for want of a reader.
        thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, greeting }
    }

    fn commands(&self) -> String {
        self.greeting.split("Try it").nth(1).unwrap().split("Ctrl-C").next().unwrap().into()
    }

    fn token(&self) -> String {
        self.commands().split("TOKEN=").nth(1).unwrap().lines().next().unwrap().into()
    }

    /// The address that follows a word in what it says.
    fn url(&self, after: &str) -> String {
        self.greeting.split(after).nth(1).unwrap().split_whitespace().next().unwrap().into()
    }

    /// The exit code; -1 where the signal itself ended it.
    fn stop(&mut self, signal: &str) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.exit_code()
    }

    fn exit_code(&mut self) -> i32 {
        let patience = Instant::now() + Duration::from_secs(10);
        while Instant::now() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not stop");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The statuses of what is answered to the commands.
fn pasted(commands: &str) -> Vec<String> {
    let script = commands.replace("curl ", "curl -sS -w '\\n%{http_code}\\n' ");
    let output = Command::new("sh").args(["-e", "-c", &script]).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs curl: {error}"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.len() == 3).map(str::to_owned).collect()
}

#[test]
fn the_commands_that_it_prints_work_when_pasted() {
    for arguments in [[].as_slice(), &["--directory", "bigcommerce"]] {
        assert_eq!(pasted(&Program::start(arguments).commands()), ["200"; 7], "{arguments:?}");
    }
}

#[test]
fn the_customers_are_where_the_last_start_says() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    let at_bigcommerce = ["--directory", "bigcommerce"];
    for (arguments, statuses) in [
        (data.to_vec(), ["200"; 7]),
        // Only BigCommerce knows whose customer access token it is.
        ([data, at_bigcommerce].concat(), ["200", "200", "200", "200", "401", "200", "200"]),
        ([data, ["--directory", "table"]].concat(), ["200"; 7]),
    ] {
        let mut program = Program::start(&arguments);
        let made_up = r#"{"customerId":313,"customerAccessToken":{"value":"made up"}}"#;
        let value = r#"{"customerId":313,"customerAccessToken":{"value":"demo-customer-access-token"}}"#;
        let commands = program.commands().replace(value, made_up).replace(r#"{"customerId":313}"#, made_up);
        assert_eq!(pasted(&commands), statuses, "{arguments:?}");
        assert_eq!(program.greeting.contains("demo-customer-access-token"), statuses != ["200"; 7], "{arguments:?}");
        program.stop("-INT");
    }
}

/// A site may have its own name point to this machine, and would then be of one origin with the pages.
#[tokio::test]
async fn the_pages_are_shown_to_nobody_who_names_another_host() {
    let program = Program::start(&[]);
    let url = program.url("console and reference");
    let client = reqwest::Client::new();
    let get = async |path: &str, host: &str| {
        client.get(format!("{url}{path}")).header("Host", host).send().await.unwrap().status().as_u16()
    };
    for path in ["/", "/console.js", "/console/stack", "/console/requests", "/docs", "/scalar.js"] {
        for host in ["127.0.0.1:3000", "127.0.0.1", "localhost:3000", "[::1]:3000"] {
            assert_eq!(get(path, host).await, 200, "{path} {host}");
        }
        for host in ["", "shop.example", "localhost.shop.example:3000", "127.0.0.1.shop.example", "192.0.2.1:3000"] {
            assert_eq!(get(path, host).await, 421, "{path} {host}");
        }
    }
    assert_eq!(get("/api/io/backend/tokens", "shop.example").await, 401, "the API itself goes by any name");
}

#[test]
fn it_stops_cleanly() {
    for signal in ["-INT", "-TERM"] {
        assert_eq!(Program::start(&[]).stop(signal), 0, "{signal}");
    }
}

#[test]
fn the_demo_token_is_the_same_at_every_start() {
    assert_eq!(Program::start(&[]).token(), Program::start(&[]).token());
}

#[tokio::test]
async fn data_and_secrets_are_kept_where_a_folder_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new");
    let arguments = ["--data", folder.to_str().unwrap()];
    let http = reqwest::Client::new();
    let listed_tokens = async |program: &Program, token: &str| {
        let request = http.get(format!("{}/backend/tokens", program.url("API"))).header("authToken", token);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["data"].as_array().unwrap().iter().map(|entry| entry["token"].clone()).collect::<Vec<_>>()
    };
    let mut program = Program::start(&arguments);
    let secrets = Client::new(&local::aws::sdk_config(&program.url("Secrets Manager")).await);
    let keyring = secrets.put_secret_value().secret_id("keyring").secret_string(rotated_keyring().to_string());
    keyring.send().await.unwrap();
    let body = admin_login("kept").to_string();
    let request = http.post(format!("{}/auth/backend", program.url("API"))).header("Content-Type", "application/json");
    let created: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    let token = created["data"][0]["token"].as_str().unwrap();
    assert_eq!(decode(token).0["kid"], "new");
    program.stop("-INT");
    let program = Program::start(&arguments);
    for caller in [&program.token(), token] {
        assert_eq!(listed_tokens(&program, caller).await, [program.token().as_str(), token]);
    }
}

fn fails_with_one_line(arguments: &[&str], says: &str) {
    let mut program = Program { child: command(arguments).spawn().unwrap(), greeting: String::new() };
    assert_eq!(program.exit_code(), 1);
    let mut error = String::new();
    program.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(says), "{error}");
}

#[test]
fn a_busy_port_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fails_with_one_line(&["--port", &port, "--aws-port", "0"], "choose another with --port");
    fails_with_one_line(&["--port", "0", "--aws-port", &port], "choose another with --aws-host or --aws-port");
    let arguments = ["--port", "0", "--aws-port", "0", "--directory", "bigcommerce", "--bigcommerce-port", &port];
    fails_with_one_line(&arguments, "choose another with --bigcommerce-port");
}

#[test]
fn a_badly_written_origin_is_refused_with_the_right_spelling() {
    let output = command(&["--allowed-origins", "https://shop.example/"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("for '--allowed-origins"), "{error}");
    assert!(error.contains(r#""https://shop.example/" must be written https://shop.example"#), "{error}");
}

#[test]
fn a_folder_that_cannot_be_used_is_one_clear_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside_a_file: &Path = &file.path().join("data");
    let arguments = ["--port", "0", "--aws-port", "0", "--data", inside_a_file.to_str().unwrap()];
    fails_with_one_line(&arguments, "choose another folder with --data");
    let occupied = tempfile::tempdir().unwrap();
    std::fs::create_dir(occupied.path().join("dynamodb.sqlite")).unwrap();
    let arguments = ["--port", "0", "--aws-port", "0", "--data", occupied.path().to_str().unwrap()];
    fails_with_one_line(&arguments, "choose another folder with --data");
    let broken = tempfile::tempdir().unwrap();
    std::fs::write(broken.path().join("secrets.json"), "[").unwrap();
    let arguments = ["--port", "0", "--aws-port", "0", "--data", broken.path().to_str().unwrap()];
    fails_with_one_line(&arguments, "secrets.json: broken at line 1");
}

#[test]
fn a_folder_is_used_by_one_program_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let mut program = Program::start(&["--data", folder]);
    let second = ["--port", "0", "--aws-port", "0", "--data", folder];
    fails_with_one_line(&second, "stop the one that uses it, or choose another folder with --data");
    assert_eq!(program.stop("-KILL"), -1);
    // What was killed leaves nothing locked.
    Program::start(&["--data", folder]);
}

#[test]
fn connections_that_stall_are_closed() {
    let program = Program::start(&[]);
    let port = |url: &str| url.rsplit(':').next().unwrap().split('/').next().unwrap().parse::<u16>().unwrap();
    let (api, aws) = (port(&program.url("API")), port(&program.url("Secrets Manager")));
    let half_a_body = |path: &str, target: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {target}\r\n");
        format!("{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"half\":")
    };
    let cases = [
        (api, String::new(), ""),
        (api, "GET /api/io/backend/tokens HTTP/1.1\r\nHost: localhost\r\n".into(), ""),
        // No further request follows the first.
        (api, "GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), "HTTP/1.1 200 OK"),
        (api, half_a_body("/api/io/auth/backend", "none"), "HTTP/1.1 400 Bad Request"),
        (aws, half_a_body("/", "secretsmanager.GetSecretValue"), "HTTP/1.1 400 Bad Request"),
        (aws, half_a_body("/", "DynamoDB_20120810.GetItem"), "HTTP/1.1 502 Bad Gateway"),
    ];
    thread::scope(|scope| {
        for (port, sent, answer) in &cases {
            scope.spawn(move || {
                let mut connection = TcpStream::connect(("127.0.0.1", *port)).unwrap();
                connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                connection.write_all(sent.as_bytes()).unwrap();
                let mut answered = String::new();
                let closed = connection.read_to_string(&mut answered);
                assert!(closed.is_ok(), "still open after {sent:?}: {closed:?}, {answered}");
                assert!(answered.starts_with(answer), "{sent:?}: {answered}");
            });
        }
    });
}

/// boto3 sends so.
#[test]
fn a_body_that_follows_its_head_is_not_held_up() {
    let program = Program::start(&[]);
    let mut connection = TcpStream::connect(program.url("Secrets Manager").trim_start_matches("http://")).unwrap();
    connection.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(connection.try_clone().unwrap());
    let body = r#"{"TableName": "tokens"}"#;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: DynamoDB_20120810.DescribeTable\r\n\
         X-Amz-Date: 20270115T080000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=local/20270115/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut time = || {
        let started = Instant::now();
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(body.as_bytes()).unwrap();
        let head: Vec<_> = answers.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        assert_eq!(head[0], "HTTP/1.1 200 OK");
        let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        answers.read_exact(&mut vec![0; length.unwrap()]).unwrap();
        started.elapsed()
    };
    let mut times: Vec<_> = (0..31).map(|_| time()).collect();
    times.sort();
    // A system waits 40 ms for the rest before it acknowledges what it has.
    assert!(times[15] < Duration::from_millis(20), "{times:?}");
}

/// The modes of what is in a folder, by name.
#[cfg(unix)]
fn modes(folder: &Path) -> Vec<(String, u32)> {
    use std::os::unix::fs::PermissionsExt;
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mode = |file: &fs::DirEntry| file.metadata().unwrap().permissions().mode() & 0o777;
    files.map(|file| (file.file_name().into_string().unwrap(), mode(&file))).collect()
}

#[cfg(unix)]
#[test]
fn data_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--data", folder.path().to_str().unwrap()];
    let mut program = Program::start(&arguments);
    let running = modes(folder.path());
    program.stop("-KILL");
    // As an earlier version left them, with what was not written back yet.
    for (name, _) in modes(folder.path()) {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let _program = Program::start(&arguments);
    for files in [running, modes(folder.path())] {
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert!(["dynamodb.sqlite", "dynamodb.sqlite-wal", "secrets.json"].iter().all(|name| names.contains(name)));
        // Nothing is in the lock.
        assert!(files.iter().all(|(name, mode)| name == "lock" || *mode == 0o600), "{files:?}");
    }
}

#[test]
fn it_starts_without_a_warning_however_often() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut program = Program::start(&["--data", folder.path().to_str().unwrap()]);
        assert!(program.greeting.starts_with("b2b-auth is ready."), "{}", program.greeting);
        program.stop("-INT");
    }
}

#[tokio::test]
async fn how_many_tokens_a_store_may_have_can_be_set() {
    let program = Program::start(&["--max-tokens-per-store", "2"]);
    let http = reqwest::Client::new();
    for expected in [200, 507] {
        let request =
            http.post(format!("{}/auth/backend", program.url("API"))).header("Content-Type", "application/json");
        let answer = request.body(admin_login("one more than the demo token").to_string()).send().await.unwrap();
        assert_eq!(answer.status(), expected);
    }
    let none = command(&["--max-tokens-per-store", "0"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "{none:?}");
}

#[test]
fn a_database_that_cannot_be_used_is_said_to_be_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dynamodb.sqlite");
    let arguments = ["--port", "0", "--aws-port", "0", "--data", folder.path().to_str().unwrap()];
    Program::start(&arguments[4..]).stop("-INT");
    let good = fs::read(&file).unwrap();
    let foreign = folder.path().join("notes.sqlite");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let mut damaged = good.clone();
    let middle = good.len() / 2;
    damaged[middle..middle + 4096].fill(0xa5);
    for (bytes, says) in [
        (b"A letter, and no database at all.".repeat(40), "is no database of this stack"),
        (fs::read(&foreign).unwrap(), "is no database of this stack"),
        (damaged, "is damaged"),
        (good[..good.len() / 2].to_vec(), "is damaged"),
    ] {
        fs::write(&file, &bytes).unwrap();
        fails_with_one_line(&arguments, &format!("dynamodb.sqlite {says}; choose another folder with --data"));
        assert!(fs::read(&file).unwrap() == bytes, "{says}");
    }
    // Nothing is in it yet, or it is whole.
    for bytes in [Vec::new(), good] {
        fs::write(&file, &bytes).unwrap();
        Program::start(&arguments[4..]).stop("-INT");
    }
}
