//! `customer import` and `customer export`.

use crate::support::{Ended, OperatedStack, Running, run};
use accounts::passwords;
use local::demo;
use serde_json::json;
use shared::tables::directory::{CUSTOMER_EMAILS, CUSTOMERS, Customer, CustomerLogin, Store};
use std::{fmt::Write, fs, sync::LazyLock, time::Instant};
use tempfile::TempDir;
use tests::{Fate, Proxy, eventually};

/// Password of imported customers.
const PASSWORD: &str = "a password that tests import";
static HASH: LazyLock<String> = LazyLock::new(|| passwords::hash(&PASSWORD.into()).unwrap());

/// A file to import.
struct Csv {
    folder: TempDir,
}

impl Csv {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("customers.csv"), text).unwrap();
        Self { folder }
    }

    fn path(&self) -> String {
        self.folder.path().join("customers.csv").to_str().unwrap().to_owned()
    }

    async fn import(&self, stack: &OperatedStack) -> Ended {
        stack.run(&["customer", "import", &self.path(), "--store", demo::STORE, "--output", "json"]).await
    }

    /// Starts to import it, with AWS at this address.
    fn start(&self, stack: &OperatedStack, aws_url: &str) -> Running {
        let arguments = ["customer", "import", &self.path(), "--store", demo::STORE, "--output", "json"];
        stack.start_tool(aws_url, &arguments)
    }
}

/// So many customers, of ids from 1001 on.
fn hashed(customers: u64) -> String {
    (1001..=1000 + customers).fold("customer_id,email,password_hash\n".into(), |mut text, id| {
        writeln!(text, "{id},c{id}@example.com,\"{}\"", *HASH).unwrap();
        text
    })
}

fn in_clear(customers: u64) -> String {
    (1001..=1000 + customers).fold("customer_id,email,password\n".into(), |mut text, id| {
        writeln!(text, "{id},c{id}@example.com,{PASSWORD}").unwrap();
        text
    })
}

/// Line and reason of each bad row.
fn bad_rows(ended: &Ended) -> Vec<(u64, String)> {
    let rows = ended.json().as_array().unwrap().clone();
    rows.iter().map(|row| (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap().to_owned())).collect()
}

fn counts(ended: &Ended) -> [u64; 4] {
    let audit = ended.audit();
    assert_eq!(audit.len(), 1, "{audit:?}");
    ["rows", "added", "alreadyThere", "bad"].map(|name| audit[0]["details"][name].as_u64().unwrap())
}

/// The demo store's customers, in the order of their ids, each of whom must have both items.
async fn customers(stack: &OperatedStack) -> Vec<Customer> {
    let mut by_email: Vec<CustomerLogin> = stack.items(CUSTOMER_EMAILS).await;
    by_email.sort_by_key(|login| login.customer.customer_id);
    let by_email: Vec<_> = by_email.into_iter().map(|login| login.customer).collect();
    let by_id: Vec<Customer> = stack.items(CUSTOMERS).await;
    assert_eq!(json!(by_email), json!(by_id));
    by_id.into_iter().filter(|customer| customer.email != demo::BUYER_EMAIL).collect()
}

/// That the demo store has the customers of ids from 1001 on, each once.
async fn has_exactly(stack: &OperatedStack, count: u64) {
    let there = customers(stack).await.into_iter().map(|customer| (customer.customer_id, customer.email));
    assert!(there.eq((1001..=1000 + count).map(|id| (id, format!("c{id}@example.com")))));
}

/// An import of 400 customers of whom some are there already.
async fn half_way(stack: &OperatedStack) -> (Csv, Running) {
    let csv = Csv::new(in_clear(400));
    let running = csv.start(stack, stack.aws_url());
    eventually(async || stack.items::<Customer>(CUSTOMERS).await.len() > 1).await;
    (csv, running)
}

#[tokio::test]
async fn imported_customers_can_log_in() {
    let stack = OperatedStack::start().await;
    // The byte order mark, the line ends and the capitals are what spreadsheets write.
    let csv = Csv::new(format!(
        "\u{feff}email,active,customer_id,password,channels,password_hash\r\n\
         Clear@Example.com,,7,\"with \"\"quotes\"\", commas\nand lines\",,\r\n\
         hashed@example.com,TRUE,8,,2;2,\"{}\"\r\n\
         \r\n\
         gone@example.com,FALSE,9,{PASSWORD},1; 2,\r\n",
        *HASH
    ));
    let ended = csv.import(&stack).await.with(0);
    assert_eq!(ended.json(), json!([]));
    let [audit] = &ended.audit()[..] else { panic!("{}", ended.stderr) };
    assert_eq!(
        (&audit["audit"], &audit["store"], &audit["result"], &audit["actor"]),
        (&json!("customer import"), &json!(demo::STORE), &json!("done"), &json!("operator"))
    );
    assert_eq!(audit["details"], json!({"file": "customers.csv", "rows": 3, "added": 3, "alreadyThere": 0, "bad": 0}));
    assert!(ended.stderr.contains("holds passwords in clear. Delete it"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("another cost"), "{}", ended.stderr);

    for (email, password, channel_id, logs_in) in [
        ("clear@example.com", "with \"quotes\", commas\nand lines", 1, true),
        ("clear@example.com", "with \"quotes\", commas\nand lines", 2, true),
        ("clear@example.com", PASSWORD, 1, false),
        ("hashed@example.com", PASSWORD, 2, true),
        ("hashed@example.com", PASSWORD, 1, false),
        ("gone@example.com", PASSWORD, 1, false),
    ] {
        assert_eq!(stack.logs_in(email, password, channel_id).await, logs_in, "{email} {channel_id}");
    }
    for (email, id, channels, active) in [
        ("clear@example.com", 7, &[1, 2][..], true),
        ("hashed@example.com", 8, &[2], true),
        ("gone@example.com", 9, &[1, 2], false),
    ] {
        let customer = stack.customer(email).await.unwrap().customer;
        assert_eq!((customer.customer_id, &customer.channels[..], customer.active), (id, channels, active));
        assert_eq!(customer.tokens_valid_after, None);
    }
    assert_eq!(stack.customer("clear@example.com").await.unwrap().customer.email, "Clear@Example.com");
}

#[tokio::test]
async fn a_file_may_come_through_a_pipe() {
    let stack = OperatedStack::start().await;
    for (file, customers) in [("/dev/stdin", 100), ("-", 200)] {
        let arguments = ["customer", "import", file, "--store", demo::STORE];
        Running::start(stack.command(&arguments), &hashed(customers)).ended().await.with(0);
        has_exactly(&stack, customers).await;
    }
}

/// Rows, and why each is bad; the good ones have no reason.
fn good_and_bad_rows() -> Vec<(Vec<u8>, &'static str)> {
    let other_hash = HASH.replace("argon2id", "argon2i");
    let expensive = HASH.replace("m=19456", "m=99999");
    let hash = HASH.as_str();
    let good = |id: u64| format!("{id},c{id}@example.com,1,true,,\"{hash}\"");
    vec![
        (good(1001).into(), ""),
        (
            ",,,,\"with\r\na line end, se-cret\",".into(),
            "customer_id must be a positive integer. email must be an e-mail address of at most 254 bytes.",
        ),
        (format!("5,c@example.com,,,,{hash}").into(), "The row has 8 columns, and the header 6."),
        ("5,c@example.com".into(), "The row has 2 columns, and the header 6."),
        (format!("0,c@example.com,,,,\"{hash}\"").into(), "customer_id must be a positive integer."),
        (format!("1.5,c@example.com,,,,\"{hash}\"").into(), "customer_id must be a positive integer."),
        (format!(",c@example.com,,,,\"{hash}\"").into(), "customer_id must be a positive integer."),
        (format!("5,no-address,,,,\"{hash}\"").into(), "email must be an e-mail address of at most 254 bytes."),
        (format!("5,,,,,\"{hash}\"").into(), "email must be an e-mail address of at most 254 bytes."),
        (
            format!("5,c@example.com,1;3,,,\"{hash}\"").into(),
            "channels are wrong: 3 is no channel of the store, which has [1, 2]. `b2b-auth store set-channels` adds it.",
        ),
        (format!("5,c@example.com,1;x,,,\"{hash}\"").into(), "channels must be ids, separated by ;."),
        (format!("5,c@example.com,,yes,,\"{hash}\"").into(), "active must be true or false."),
        ("5,c@example.com,,,,".into(), "password is missing, and so is password_hash."),
        (
            format!("5,c@example.com,,,{PASSWORD},\"{hash}\"").into(),
            "password and password_hash are both given; one is enough.",
        ),
        ("5,c@example.com,,,se-cret,".into(), "password is too short: it has 7 characters, and needs 12."),
        (
            "5,buyer5@example.com,,,my-se-cret-buyer5,".into(),
            "password is too easy to guess: it holds the name in the e-mail.",
        ),
        (format!("5,c@example.com,,,,\"{other_hash}\"").into(), "password_hash is not one of argon2id."),
        (
            format!("5,c@example.com,,,,\"{expensive}\"").into(),
            "password_hash has a cost m that is not within 16384 and 19456 (KiB).",
        ),
        (
            "5,c@example.com,,,,5f4dcc3b5aa765d61d8327deb882cf99".into(),
            "password_hash is no PHC string, which begins with $argon2id$.",
        ),
        (
            "x,y,z,w,se-cret,".into(),
            "customer_id must be a positive integer. email must be an e-mail address of at most 254 bytes. channels must be \
             ids, separated by ;. active must be true or false. password is too short: it has 7 characters, and needs 12.",
        ),
        (
            format!("5,{},,,,\"{hash}\"", demo::BUYER_EMAIL.to_uppercase()).into(),
            "The e-mail buyer@example.com belongs to the customer 313 already.",
        ),
        (
            format!("313,c@example.com,,,,\"{hash}\"").into(),
            "The id 313 belongs to the customer buyer@example.com already.",
        ),
        (b"5,c@example.com,,,se-cret\xff,".into(), "The row is not UTF-8."),
        (good(1002).into(), ""),
        (format!("313,{},,,,\"{hash}\"", demo::BUYER_EMAIL).into(), ""),
        (format!("5,c@example.com,,,se-cret,\"{hash}").into(), "The row has a quote that is never closed."),
    ]
}

/// A file of these rows with empty lines between them, and line and reason of each bad one.
fn file_of(rows: Vec<(Vec<u8>, &'static str)>) -> (Vec<u8>, Vec<(u64, String)>) {
    let mut text = b"customer_id,email,channels,active,password,password_hash\n".to_vec();
    let mut bad = Vec::new();
    for (row, reason) in rows {
        text.push(b'\n');
        if !reason.is_empty() {
            let line = text.split(|byte| *byte == b'\n').count() as u64;
            bad.push((line, reason.to_owned()));
        }
        text.extend(row);
        text.push(b'\n');
    }
    (text, bad)
}

#[tokio::test]
async fn every_bad_row_is_listed_with_its_line_and_all_others_are_imported() {
    let stack = OperatedStack::start().await;
    let (text, bad) = file_of(good_and_bad_rows());
    let ended = Csv::new(text).import(&stack).await.with(8);
    assert_eq!(bad_rows(&ended), bad);
    assert!(ended.stderr.contains("23 rows are bad, as listed"), "{}", ended.stderr);
    assert_eq!(counts(&ended), [26, 2, 1, 23]);
    for secret in ["se-cret", PASSWORD, "5f4dcc3b5aa765d61d8327deb882cf99", HASH.rsplit('$').next().unwrap()] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret}");
    }
    has_exactly(&stack, 2).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_imported_ends_with_one_sentence() {
    let stack = OperatedStack::start().await;
    let row = format!("7,c@example.com,{PASSWORD}\n");
    for (text, says) in [
        (Vec::new(), "It is empty."),
        ("\n\n".into(), "It is empty."),
        (b"customer_id,email,pass\xff\n".into(), "Its header is not UTF-8."),
        ("customer_id,email,\"password\n".into(), "Its header has a quote that is never closed."),
        (row.clone().into(), "Its first row must name the columns, separated by commas: customer_id, email, channels"),
        ("customer_id;email;password\n".into(), "Its first row must name the columns, separated by commas"),
        (format!("customer_id,email,pasword\n{row}").into(), "Its columns \"pasword\" are not known."),
        (format!("customer_id,e-mail,password,Name\n{row}").into(), "Its columns \"e-mail\", \"Name\" are not known."),
        (format!("customer_id,email,email,password\n{row}").into(), "It has two columns email."),
        (format!("email,password\n{row}").into(), "It has no column customer_id."),
        (format!("customer_id,password\n{row}").into(), "It has no column email."),
        (
            "customer_id,email,channels,active\n7,c@example.com,1,true\n".into(),
            "It has neither a column password nor a column password_hash, and no customer can be added without; what `customer \
             export` writes holds no passwords.",
        ),
    ] {
        let text: Vec<u8> = text;
        let ended = Csv::new(&text).import(&stack).await.with(2);
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains(says), "{}", ended.stderr);
        assert!(!ended.stderr.contains(PASSWORD) && ended.stdout.is_empty(), "{}", ended.stderr);
        assert_eq!((ended.stderr.lines().count(), ended.audit().len()), (1, 0), "{}", ended.stderr);
    }
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), &folder.path().join("none.csv")] {
        let arguments = ["customer", "import", path.to_str().unwrap(), "--store", demo::STORE];
        let ended = stack.run(&arguments).await.with(2);
        assert!(ended.stderr.contains("cannot be read"), "{}", ended.stderr);
    }
    let csv = Csv::new(hashed(1));
    let ended = stack.run(&["customer", "import", &csv.path(), "--store", "nosuchstore"]).await.with(3);
    assert!(ended.stderr.contains("There is no store nosuchstore"), "{}", ended.stderr);
    has_exactly(&stack, 0).await;
}

#[tokio::test]
async fn a_file_without_rows_adds_nobody() {
    let stack = OperatedStack::start().await;
    let ended = Csv::new("customer_id,email,password\n").import(&stack).await.with(0);
    assert_eq!(counts(&ended), [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_second_run_adds_nothing_and_hashes_nothing() {
    let stack = OperatedStack::start().await;
    let csv = Csv::new(in_clear(120));
    let proxy = Proxy::start(stack.aws_url()).await;
    let begun = Instant::now();
    let first = csv.start(&stack, &proxy.url).ended().await.with(0);
    let (first_took, transactions) = (begun.elapsed(), proxy.seen("TransactWriteItems"));
    assert_eq!((counts(&first), transactions), ([120, 120, 0, 0], 3));
    let begun = Instant::now();
    let second = csv.start(&stack, &proxy.url).ended().await.with(0);
    let second_took = begun.elapsed();
    assert_eq!((counts(&second), proxy.seen("TransactWriteItems")), ([120, 0, 120, 0], transactions));
    assert!(second_took * 2 < first_took, "{second_took:?} after {first_took:?}");
    has_exactly(&stack, 120).await;
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_where_it_was() {
    let stack = OperatedStack::start().await;
    let (csv, running) = half_way(&stack).await;
    running.signal("-KILL");
    assert_eq!(running.ended().await.code, None);
    let killed_after = customers(&stack).await.len() as u64;
    assert!((1..400).contains(&killed_after), "{killed_after}");
    let ended = csv.import(&stack).await.with(0);
    assert_eq!(counts(&ended), [400, 400 - killed_after, killed_after, 0]);
    has_exactly(&stack, 400).await;
}

#[tokio::test]
async fn an_import_that_is_interrupted_says_how_far_it_was() {
    for signal in ["-INT", "-TERM"] {
        let stack = OperatedStack::start().await;
        let (csv, running) = half_way(&stack).await;
        running.signal(signal);
        let ended = running.ended().await.with(10);
        assert!(ended.stderr.contains("error: Interrupted.\nThe import ended "), "{}", ended.stderr);
        assert!(ended.stderr.contains("The same command goes on from there."), "{}", ended.stderr);
        assert_eq!(ended.audit()[0]["result"], "interrupted");
        let there = customers(&stack).await.len() as u64;
        assert!((1..400).contains(&there), "{there}");
        assert_eq!(counts(&ended), [there, there, 0, 0]);
        assert_eq!(counts(&csv.import(&stack).await.with(0)), [400, 400 - there, there, 0]);
    }
}

#[tokio::test]
async fn of_rows_that_repeat_each_other_the_first_counts() {
    let row = |id: u64, email: &str| format!("{id},{email},\"{}\"\n", *HASH);
    // Within a batch, in the next one, and so far apart that the first is long written.
    for rows_between in [0, 60, 600] {
        let stack = OperatedStack::start().await;
        let mut text = hashed(0);
        text += &row(1, "first@example.com");
        text += hashed(rows_between).split_once('\n').unwrap().1;
        let line = rows_between + 3;
        text += &row(1, "first@example.com");
        text += &row(1, "FIRST@example.com");
        text += &row(2, "first@example.com");
        text += &row(2, "First@Example.com");
        text += &row(1, "other@example.com");
        text += &row(3, "third@example.com");
        text += &row(3, "fourth@example.com");
        let ended = Csv::new(text).import(&stack).await.with(8);
        let belongs = |what: &str, owner: &str| format!("The {what} belongs to the customer {owner} already.");
        assert_eq!(
            bad_rows(&ended),
            [
                (line + 2, belongs("e-mail first@example.com", "1")),
                (line + 3, belongs("e-mail first@example.com", "1")),
                (line + 4, belongs("id 1", "first@example.com")),
                (line + 6, belongs("id 3", "third@example.com")),
            ]
        );
        assert_eq!(counts(&ended), [rows_between + 8, rows_between + 2, 2, 4]);
        assert_eq!(customers(&stack).await.len() as u64, rows_between + 2);
        assert_eq!(stack.customer_by_id(1).await.unwrap().email, "first@example.com");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let stack = OperatedStack::start().await;
    let csv = Csv::new(hashed(100) + &format!("{},{},{PASSWORD}\n5,x,y\n", demo::BUYER_ID, demo::BUYER_EMAIL));
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.rule(|request| match request.operation {
        "GetItem" | "BatchGetItem" => Fate::Forwarded,
        other => panic!("{other}"),
    });
    let arguments = ["customer", "import", &csv.path(), "--store", demo::STORE, "--dry-run"];
    let ended = stack.start_tool(&proxy.url, &arguments).ended().await.with(8);
    assert!(ended.stderr.contains("Nothing was written. 102 rows, "), "{}", ended.stderr);
    assert!(ended.stderr.contains(": 100 would be added, 0 already there, 2 bad; "), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("line  reason\n102   password_hash is no PHC string"), "{}", ended.stdout);
    assert!(ended.audit().is_empty());
    has_exactly(&stack, 0).await;
}

#[tokio::test]
async fn tokens_of_a_removed_customer_stay_void_when_it_is_imported_again() {
    let stack = OperatedStack::start().await;
    let remove = ["customer", "remove", demo::BUYER_EMAIL, "--store", demo::STORE];
    stack.run(&remove).await.with(0);
    let removed = stack.customer_by_id(demo::BUYER_ID).await.unwrap();
    assert!(removed.is_removed() && removed.tokens_valid_after.is_some());
    let csv = Csv::new(format!("customer_id,email,password_hash\n{},new@example.com,\"{}\"\n", demo::BUYER_ID, *HASH));
    assert_eq!(counts(&csv.import(&stack).await.with(0)), [1, 1, 0, 0]);
    let customer = stack.customer("new@example.com").await.unwrap().customer;
    assert_eq!((customer.customer_id, customer.tokens_valid_after), (demo::BUYER_ID, removed.tokens_valid_after));
}

#[tokio::test]
async fn hashes_of_another_cost_are_imported_and_counted() {
    let stack = OperatedStack::start().await;
    // Of the password "password".
    let other = "$argon2id$v=19$m=16384,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$mma03mlDw2/7HwGJdiGbM3SsY2z3Fu/9A2WU5etKKTk";
    let csv = Csv::new(hashed(2) + &format!("7,other@example.com,\"{other}\"\n"));
    let ended = csv.import(&stack).await.with(0);
    assert!(ended.stderr.contains("1 customer with a hash of another cost than m=19456,t=2,p=1"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("in clear"), "{}", ended.stderr);
    assert!(stack.logs_in("other@example.com", "password", 1).await);
}

#[tokio::test]
async fn a_fault_half_way_leaves_no_half_customer_and_says_where_it_was() {
    let expired = "The AWS credentials have expired.";
    let throttled = "AWS did not answer in time or is throttled.";
    for (after, fate, code, says) in [
        (2, Fate::error("ThrottlingException"), 7, throttled),
        (0, Fate::error("ThrottlingException"), 7, throttled),
        (2, Fate::error("ExpiredTokenException"), 1, expired),
        (0, Fate::error("ExpiredTokenException"), 6, expired),
        (2, Fate::AnswerLost, 7, "AWS cannot be reached."),
    ] {
        let is_lost = matches!(fate, Fate::AnswerLost);
        let stack = OperatedStack::start().await;
        let csv = Csv::new(hashed(300));
        let proxy = Proxy::start(stack.aws_url()).await;
        proxy.rule(move |request| match request.operation {
            "TransactWriteItems" if request.earlier >= after => fate.clone(),
            _ => Fate::Forwarded,
        });
        let after = after as u64;
        let ended = csv.start(&stack, &proxy.url).ended().await.with(code);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
        let added = customers(&stack).await.len() as u64;
        let where_it_was = match after {
            0 => "The import ended before the first rows were done. The same command goes on from there.".to_owned(),
            // The header is the first line.
            _ => format!("The import ended after line {}; all up to there is done. The same command", after * 49 + 1),
        };
        assert!(ended.stderr.contains(&where_it_was), "{}", ended.stderr);
        if code == 6 {
            assert_eq!((added, ended.audit().len()), (0, 0));
        } else {
            assert_eq!(ended.audit()[0]["result"], "in doubt");
            assert_eq!(counts(&ended), [after * 49, after * 49, 0, 0]);
        }
        assert_eq!(added, if is_lost { (after + 1) * 49 } else { after * 49 });
        let again = csv.import(&stack).await.with(0);
        assert_eq!(counts(&again), [300, 300 - added, added, 0]);
        has_exactly(&stack, 300).await;
    }
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let stack = OperatedStack::start().await;
    Csv::new(hashed(60)).import(&stack).await.with(0);
    let csv = Csv::new(hashed(200));
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.rule(|request| match (request.operation, request.earlier) {
        ("BatchGetItem", 0..3) => {
            Fate::Answered(200, json!({"Responses": {}, "UnprocessedKeys": request.body["RequestItems"]}))
        }
        ("TransactWriteItems", 0..5) => request.cancelled("ThrottlingError"),
        _ => Fate::Forwarded,
    });
    let ended = csv.start(&stack, &proxy.url).ended().await.with(0);
    assert_eq!(counts(&ended), [200, 140, 60, 0]);
    // Of five batches the first has nobody to write.
    assert_eq!(proxy.seen("TransactWriteItems"), 5 + 4);
    has_exactly(&stack, 200).await;
}

/// The answer to a read before somebody else has written what it reads.
fn nothing_yet() -> Fate {
    Fate::Answered(200, json!({"Responses": {}, "UnprocessedKeys": {}}))
}

#[tokio::test]
async fn rows_that_somebody_else_has_written_meanwhile_are_looked_at_again() {
    let stack = OperatedStack::start().await;
    Csv::new(hashed(1)).import(&stack).await.with(0);
    let csv = Csv::new(hashed(40) + &format!("{},other@example.com,\"{}\"\n", demo::BUYER_ID, *HASH));
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.rule(|request| match (request.operation, request.earlier) {
        ("BatchGetItem", 0) => nothing_yet(),
        _ => Fate::Forwarded,
    });
    let ended = csv.start(&stack, &proxy.url).ended().await.with(8);
    assert_eq!(bad_rows(&ended), [(42, "The id 313 belongs to the customer buyer@example.com already.".into())]);
    assert_eq!(counts(&ended), [41, 39, 1, 1]);
    has_exactly(&stack, 40).await;

    proxy.fault_in("BatchGetItem", nothing_yet());
    let ended = csv.start(&stack, &proxy.url).ended().await.with(7);
    assert!(ended.stderr.contains("Somebody else is adding or changing the same customers"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_store_that_is_removed_meanwhile_gets_no_more_customers() {
    let stack = OperatedStack::start().await;
    let (_csv, running) = half_way(&stack).await;
    stack.delete_store_item().await;
    let there = customers(&stack).await.len();
    let ended = running.ended().await.with(1);
    assert!(ended.stderr.contains("The store demostore has been removed meanwhile."), "{}", ended.stderr);
    assert_eq!(customers(&stack).await.len(), there);
    let [rows, added, ..] = counts(&ended);
    assert_eq!((rows, added), (there as u64, there as u64));
}

#[tokio::test]
async fn an_export_is_what_was_imported_without_secrets() {
    let stack = OperatedStack::start().await;
    let file = "customer_id,email,channels,active\n\
                2,\"comma,quote\"\"@example.com\",2;1,true\n\
                7,Seven@example.com,1,false\n\
                10,ten@example.com,1;2,true\n";
    let mut rows = file.lines();
    let mut to_import = format!("{},password_hash\n", rows.next().unwrap());
    for row in rows {
        writeln!(to_import, "{row},\"{}\"", *HASH).unwrap();
    }
    Csv::new(to_import).import(&stack).await.with(0);
    stack.run(&["customer", "remove", demo::BUYER_EMAIL, "--store", demo::STORE]).await.with(0);
    let export = stack.run(&["customer", "export", "--store", demo::STORE]).await.with(0);
    assert_eq!((export.stdout.as_str(), export.stderr.as_str()), (file, ""));

    let ended = Csv::new(&export.stdout).import(&stack).await.with(2);
    assert!(ended.stderr.contains("what `customer export` writes holds no passwords"), "{}", ended.stderr);
    stack.run(&["customer", "export", "--store", "nosuchstore"]).await.with(3);
}

#[tokio::test]
async fn an_export_goes_on_over_all_pages() {
    let stack = OperatedStack::start().await;
    stack.accounts().put_store(demo::STORE, &Store { channels: vec![1], ..Store::default() }).await.unwrap();
    // A page of a query has 1 MB.
    let long = "x".repeat(230);
    let text = (1001..=5000).fold("customer_id,email,password_hash\n".to_owned(), |mut text, id| {
        writeln!(text, "{id},{id}@{long},\"{}\"", *HASH).unwrap();
        text
    });
    Csv::new(text).import(&stack).await.with(0);
    let export = stack.run(&["customer", "export", "--store", demo::STORE]).await.with(0);
    let ids: Vec<u64> =
        export.stdout.lines().skip(2).map(|row| row.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(ids, (1001..=5000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cell_of_an_export_is_a_formula_and_all_come_back() {
    let stack = OperatedStack::start().await;
    let emails = ["=1+1@example.com", "+1@example.com", "-1@example.com", "'=1@example.com", "'plain@example.com"];
    for (id, email) in (7..).zip(emails) {
        let add = ["customer", "add", "--store", demo::STORE, "--id", &format!("{id}"), "--", email];
        run(stack.command(&[&["customer", "add", "--password-stdin"], &add[2..]].concat()), PASSWORD)
            .changes("customer add");
    }
    let exported = stack.b2b_auth(&["customer", "export", "--store", demo::STORE]);
    exported.succeeds();
    for email in ["'=1+1@example.com", "'+1@example.com", "'-1@example.com", "''=1@example.com", "'plain@example.com"] {
        assert!(exported.stdout.contains(&format!(",{email},")), "{email}: {}", exported.stdout);
    }
    let with_passwords = exported.stdout.lines().enumerate().map(|(line, text)| match line {
        0 => format!("{text},password"),
        _ => format!("{text},{PASSWORD}"),
    });
    let with_passwords = with_passwords.collect::<Vec<_>>().join("\n");
    assert_eq!(counts(&Csv::new(with_passwords).import(&stack).await.with(0)), [6, 0, 6, 0]);
}
