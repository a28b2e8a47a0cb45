//! Stores whose customers are at BigCommerce.

use crate::support::{
    Ended, KMS_KEY, OTHER_PASSWORD, OperatedStack, aws_with_clock_ahead, command_at, deployed_command, in_store, run,
};
use local::{
    bigcommerce::{BigCommerce, CUSTOMERS, CUSTOMERS_READ_ONLY, STOREFRONT_TOKENS, Store},
    demo,
};
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    tables::directory::{CustomerDirectory, Store as KnownStore},
};
use std::{fs, process::Command};
use tests::{Fate, Proxy, Upstream, UpstreamFate, customer_login, with};

const TOKEN: &str = demo::BIGCOMMERCE_ACCESS_TOKEN;
const SET: [&str; 4] = ["store", "set-directory", demo::STORE, "bigcommerce"];
const BACK: [&str; 4] = ["store", "set-directory", demo::STORE, "table"];
const SECRET: &str = "bigcommerce/demostore";

/// A stack, and BigCommerce where both its functions and the tool look for it.
struct Platform {
    upstream: Upstream,
    stack: OperatedStack,
}

impl Platform {
    async fn start() -> Self {
        let upstream = Upstream::start(BigCommerce::new(Clock::system())).await;
        let stack = OperatedStack::start_before(&upstream).await;
        Self { upstream, stack }
    }

    /// Whose demo store's customers are at BigCommerce.
    async fn in_use() -> Self {
        let platform = Self::start().await;
        platform.set(TOKEN).changes("store set-directory");
        platform
    }

    fn finds_it(&self, mut command: Command) -> Command {
        command.env("BIGCOMMERCE_API_URL", &self.upstream.url);
        command
    }

    fn run_with(&self, aws_url: &str, arguments: &[&str], stdin: &str) -> Ended {
        run(self.finds_it(command_at(aws_url, &self.stack.api_url(), arguments)), stdin)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(self.stack.aws_url(), arguments, "")
    }

    /// Gives the demo store's access token.
    fn set(&self, token: &str) -> Ended {
        self.run_with(self.stack.aws_url(), &SET, &format!(" {token} \nmore\n"))
    }

    fn directory(&self, store: &str) -> Value {
        self.stack.json(&["store", "show", store])["directory"].clone()
    }

    /// The text of the demo store's secret.
    async fn secret(&self) -> Option<String> {
        let value = self.stack.secrets.get_secret_value().secret_id(SECRET).send().await;
        value.ok().map(|value| value.secret_string.unwrap())
    }

    /// What the doctor says of the demo store, as result, finding and mend.
    fn doctor(&self) -> [String; 3] {
        let ended = self.run(&["--output", "json", "doctor"]);
        let findings = ended.json();
        let mut findings = findings.as_array().unwrap().iter();
        let finding = findings.find(|finding| finding["check"] == "BigCommerce: demostore").unwrap();
        assert_eq!(ended.code, Some(if finding["result"] == "BAD" { 8 } else { 0 }), "{ended:?}");
        assert!(!format!("{ended:?}").contains(TOKEN));
        ["result", "finding", "mend"].map(|name| finding[name].as_str().unwrap().into())
    }
}

fn secret_of(token: &str) -> String {
    json!({"accessToken": token}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_has_its_customers_at_bigcommerce_and_again_in_the_table() {
    let platform = Platform::start().await;
    let stack = &platform.stack;
    let add = in_store(&["customer", "add", "here@example.com", "--id", "7"]);
    stack.with_password(OTHER_PASSWORD, &add).succeeds();
    let logs_in = async || {
        let here = stack.logs_in("here@example.com", OTHER_PASSWORD, 2).await;
        (here, stack.logs_in(demo::CHANNEL_2_BUYER_EMAIL, demo::BUYER_PASSWORD, 2).await)
    };
    assert_eq!(logs_in().await, (true, false));

    let ended = platform.set(TOKEN);
    ended.changes("store set-directory");
    assert_eq!(ended.lines()[1]["details"], json!({"directory": "bigcommerce"}));
    assert!(ended.stderr.contains("with those in the table nobody can any more.") && ended.stdout.is_empty());
    assert!(!format!("{ended:?}").contains(TOKEN), "{ended:?}");
    assert_eq!(platform.secret().await, Some(secret_of(TOKEN)));
    assert_eq!(platform.directory(demo::STORE), "bigcommerce");
    let stores = stack.json(&["store", "list"]);
    assert_eq!((&stores[0]["directory"], &stores[1]["directory"]), (&json!("bigcommerce"), &json!("table")));
    assert_eq!(logs_in().await, (false, true));

    let ended = platform.run(&BACK);
    ended.changes("store set-directory");
    assert_eq!(ended.lines()[1]["details"], json!({"directory": "table"}));
    assert!(ended.stderr.contains("At BigCommerce its account is still good: delete it there."), "{ended:?}");
    assert_eq!((platform.directory(demo::STORE), platform.secret().await), (json!("table"), None));
    assert_eq!(logs_in().await, (true, false));
    platform.run(&BACK).changes("store set-directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_functions_will_ask_is_asked_on_the_spot() {
    let platform = Platform::start().await;
    platform.stack.b2b_auth(&["store", "set-channels", demo::STORE, "--channels", "2,1"]).succeeds();
    platform.set(TOKEN).succeeds();
    let requests = platform.upstream.take_requests();
    let asked: Vec<_> = requests.iter().map(|request| (request.method.as_str(), request.path.as_str())).collect();
    let expected = [
        ("GET", "/stores/demostore/v3/customers?id:in=1"),
        ("POST", "/stores/demostore/v3/customers/validate-credentials"),
        ("POST", "/stores/demostore/v3/storefront/api-token-private"),
    ];
    assert_eq!(asked, expected);
    assert!(requests.iter().all(|request| request.headers["x-auth-token"] == TOKEN));
    let [_, validated, made] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(
        (&validated.body["email"], &validated.body["channel_id"]),
        (&json!("doctor@b2b-auth.invalid"), &json!(2))
    );
    assert_eq!(made.body["channel_ids"], json!([2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_replaced_by_another() {
    let platform = Platform::in_use().await;
    platform.upstream.bigcommerce.change(|store| store.access_token = "another-token".into());
    platform.set(TOKEN).fails(8, "BigCommerce does not accept the access token.");
    let ended = platform.set("another-token");
    ended.changes("store set-directory");
    assert!(ended.stderr.contains("within 5 minutes otherwise."), "{ended:?}");
    assert_eq!(platform.secret().await, Some(secret_of("another-token")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bigcommerce_refuses_is_told_and_nothing_is_changed() {
    type Arrange = fn(&mut Store);
    let platform = Platform::start().await;
    let bigcommerce = &platform.upstream.bigcommerce;
    let unchanged = async |ended: Ended, code: i32, says: &str| {
        ended.fails(code, says);
        assert!(ended.stderr.contains("Nothing was changed."), "{ended:?}");
        assert!(ended.lines().is_empty() && !format!("{ended:?}").contains(TOKEN), "{ended:?}");
        assert_eq!((platform.directory(demo::STORE), platform.secret().await), (json!("table"), None));
    };
    for (arrange, code, says) in [
        (
            (|store| store.access_token = "another".into()) as Arrange,
            8,
            "BigCommerce does not accept the access token. Give",
        ),
        (|store| store.scopes = [CUSTOMERS].into(), 8, "the account needs the scope Storefront API Tokens: manage."),
        (
            |store| store.scopes = [CUSTOMERS_READ_ONLY, STOREFRONT_TOKENS].into(),
            8,
            "the account needs the scope Customers: modify.",
        ),
        (|store| store.scopes = [STOREFRONT_TOKENS].into(), 8, "the account needs the scope Customers: modify."),
        (
            |store| store.scopes.clear(),
            8,
            "the account needs the scopes Customers: modify and Storefront API Tokens: manage.",
        ),
        (|store| _ = store.allow_global_logins.remove(&1), 8, "BigCommerce does not take the store's channel 1"),
    ] {
        bigcommerce.change(|store| {
            *store = Store::new(TOKEN);
            arrange(store);
        });
        unchanged(platform.set(TOKEN), code, says).await;
    }
    bigcommerce.change(|store| *store = Store::new(TOKEN));

    for (fate, code, says) in [
        (UpstreamFate::status(503), 7, "was answered with 503. Check the network"),
        (UpstreamFate::ClosedUnanswered, 7, "BigCommerce does not answer as it should"),
        (UpstreamFate::Answered(200, Vec::new(), "<html>".into()), 7, "not JSON of the documented form"),
        (
            UpstreamFate::Answered(429, vec![("X-Rate-Limit-Time-Reset-Ms", "7000".into())], "".into()),
            7,
            "Run the same command again in 7 seconds.",
        ),
        (
            UpstreamFate::Answered(302, vec![("Location", "https://example.com/".into())], "".into()),
            8,
            "a redirect, which is not followed. Check BIGCOMMERCE_API_URL",
        ),
    ] {
        for path in ["/customers?", "/validate-credentials", "/api-token-private"] {
            platform.upstream.fault_in(path, fate.clone());
            unchanged(platform.set(TOKEN), code, says).await;
        }
    }
    platform.upstream.forward_all();
    let of_other = ["store", "set-directory", demo::OTHER_STORE, "bigcommerce"];
    let ended = platform.run_with(platform.stack.aws_url(), &of_other, TOKEN);
    unchanged(ended, 8, "BigCommerce has no store otherstore. Its hash is what follows /stores/").await;
    assert_eq!(platform.directory(demo::OTHER_STORE), "table");

    // Other apps have nearly used up the quota.
    let quota = [
        ("X-Rate-Limit-Requests-Left", "3".into()),
        ("X-Rate-Limit-Requests-Quota", "150".into()),
        ("X-Rate-Limit-Time-Reset-Ms", "7000".into()),
    ];
    let nobody = UpstreamFate::Answered(200, quota.into(), r#"{"data": [], "meta": {}}"#.into());
    platform.upstream.fault_in("/customers?", nobody);
    unchanged(platform.set(TOKEN), 7, "the store's quota at BigCommerce is used up. Run the same command again in")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_no_store_or_token_of_bigcommerce_never_gets_there() {
    let platform = Platform::start().await;
    platform.stack.b2b_auth(&["store", "add", "my-store"]).succeeds();
    for (store, token, code, says) in [
        ("my-store", TOKEN, 2, "my-store is the hash of no store at BigCommerce"),
        ("nostore", TOKEN, 3, "There is no store nostore."),
        (demo::STORE, "", 2, "is empty, or holds what no access token does"),
        (demo::STORE, "a b", 2, "is empty, or holds what no access token does"),
        (demo::STORE, "gehe\u{ef}m", 2, "is empty, or holds what no access token does"),
    ] {
        let set = ["store", "set-directory", store, "bigcommerce"];
        let ended = platform.run_with(platform.stack.aws_url(), &set, token);
        ended.fails(code, says);
        assert!(ended.lines().is_empty() && !ended.stderr.contains("gehe"), "{ended:?}");
    }
    platform.run(&["store", "set-directory", "nostore", "table"]).fails(3, "There is no store nostore.");
    platform
        .run(&["store", "set-directory", demo::STORE, "elsewhere"])
        .fails(2, "[possible values: bigcommerce, table]");
    assert!(platform.upstream.take_requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_half_way_is_finished_by_the_same_command() {
    let platform = Platform::start().await;
    let proxy = Proxy::start(platform.stack.aws_url()).await;
    let run = |arguments: &[&str]| platform.run_with(&proxy.url, arguments, TOKEN);
    let result = |ended: &Ended| ended.lines()[1]["result"].clone();
    let state = async || (platform.directory(demo::STORE), platform.secret().await.is_some());
    let (table, bigcommerce) = (json!("table"), json!("bigcommerce"));
    let denied = Fate::error("AccessDeniedException");

    proxy.fault_in("CreateSecret", denied.clone());
    let ended = run(&SET);
    ended.fails(6, "not allowed to do this");
    assert_eq!((result(&ended), state().await), (json!("not done"), (table.clone(), false)));

    proxy.fault_in("CreateSecret", Fate::error("InvalidRequestException"));
    let ended = run(&SET);
    ended.fails(4, "The secret bigcommerce/demostore is being deleted. Run the same command again in a minute");
    assert_eq!(result(&ended), "not done");

    proxy.fault_in("TransactWriteItems", denied.clone());
    let ended = run(&SET);
    ended.fails(1, "Part of it may have been done. Run the same command again.");
    assert_eq!((result(&ended), state().await), (json!("in doubt"), (table.clone(), true)));
    proxy.forward_all();
    run(&SET).changes("store set-directory");
    assert_eq!(state().await, (bigcommerce, true));

    proxy.fault_in("DeleteSecret", denied.clone());
    let ended = run(&BACK);
    ended.fails(1, "Part of it may have been done. Run the same command again.");
    assert_eq!((result(&ended), state().await), (json!("in doubt"), (table.clone(), true)));
    proxy.forward_all();
    run(&BACK).changes("store set-directory");
    assert_eq!(state().await, (table, false));

    // A store that is removed takes its access token with it, last of all.
    run(&SET).succeeds();
    let remove = ["store", "remove", demo::STORE, "--confirm", demo::STORE];
    proxy.fault_in("DeleteSecret", denied);
    run(&remove).fails(1, "Run the same command again.");
    assert!(platform.secret().await.is_some());
    platform.run(&["store", "show", demo::STORE]).fails(3, "There is no store demostore.");
    proxy.forward_all();
    run(&remove).changes("store remove");
    assert!(platform.secret().await.is_none());
    run(&remove).fails(3, "There is no store demostore.");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_removes_a_store_is_told_that_its_access_token_goes() {
    let platform = Platform::in_use().await;
    let remove = ["store", "remove", demo::STORE];
    let asked = platform.run(&remove);
    asked.fails(5, "its customers there stay.");
    platform.run(&[&remove[..], &["--confirm", demo::STORE]].concat()).changes("store remove");
    assert!(platform.secret().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_encrypted_with_the_key_of_the_deployment() {
    let platform = Platform::start().await;
    let proxy = Proxy::start(platform.stack.aws_url()).await;
    let aws = aws_with_clock_ahead(&proxy.url, 0).await;
    let ended = run(platform.finds_it(deployed_command(&aws.url, &SET)), TOKEN);
    ended.changes("store set-directory");
    let requests = proxy.take_requests();
    let (_, created) = requests.iter().find(|(operation, _)| operation == "CreateSecret").unwrap();
    assert_eq!((&created["Name"], &created["KmsKeyId"]), (&json!(SECRET), &json!(KMS_KEY)));
}

/// A customer of whom the demo store knows the id alone.
const ID: u64 = demo::CHANNEL_2_BUYER_ID;

#[tokio::test(flavor = "multi_thread")]
async fn one_whom_only_bigcommerce_knows_is_disabled_and_enabled_by_id() {
    let platform = Platform::in_use().await;
    let stack = &platform.stack;
    let id = ID.to_string();
    let with_id = |command: &'static str| stack.b2b_auth(&in_store(&["customer", command, "--id", &id]));
    let body = with(customer_login(demo::CHANNEL_2_BUYER_EMAIL, demo::BUYER_PASSWORD), "channelId", 2);
    let log_in = async || stack.post("/auth/customers", &body).token(&stack.demo_token).send().await;
    let token = log_in().await.storefront_token().to_owned();
    let verified = || stack.b2b_auth(&["token", "verify", &token]);
    verified().succeeds();
    with_id("show").fails(3, "keeps nothing of a customer of id 314: its customers are at BigCommerce");
    with_id("enable").fails(3, "keeps nothing of a customer of id 314");

    let ended = with_id("disable");
    ended.changes("customer disable");
    assert_eq!(ended.lines()[1]["details"], json!({"customerId": ID}));
    verified().fails(8, "the customer is disabled or removed");
    assert_eq!(log_in().await.status, 400);
    let shown = stack.json(&in_store(&["customer", "show", "--id", &id]));
    assert_eq!(
        (&shown["email"], &shown["channels"], &shown["active"], shown["tokensRevokedAt"].is_u64()),
        (&Value::Null, &Value::Null, &json!(false), true)
    );
    let listed = stack.json(&in_store(&["customer", "list"]));
    let row = listed.as_array().unwrap().iter().find(|row| row["customerId"] == ID).unwrap();
    assert_eq!((&row["email"], &row["channels"], &row["active"]), (&Value::Null, &Value::Null, &json!(false)));
    let found = stack.json(&in_store(&["customer", "list", "--email-contains", "example"]));
    assert!(found.as_array().unwrap().iter().all(|row| row["customerId"] != ID), "{found}");
    let exported = stack.b2b_auth(&in_store(&["customer", "export"]));
    assert!(exported.stdout.contains(demo::BUYER_EMAIL) && !exported.stdout.contains(&id), "{exported:?}");

    with_id("enable").changes("customer enable");
    verified().fails(8, "revoked: the customer was disabled or got another password since");
    assert_eq!(log_in().await.status, 200);
    assert_eq!(stack.json(&in_store(&["customer", "show", "--id", &id]))["active"], true);

    // In the table nothing is known of him but what was revoked: whoever gets the id there cannot use those tokens.
    platform.run(&BACK).succeeds();
    with_id("show").fails(3, "The store demostore has no customer of id 314.");
    with_id("disable").fails(3, "The store demostore has no customer of id 314.");
    let add = in_store(&["customer", "add", "new@example.com", "--id", &id]);
    stack.with_password(OTHER_PASSWORD, &add).changes("customer add");
    verified().fails(8, "revoked: the customer was disabled or got another password since");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_has_of_a_customer_at_bigcommerce_keeps_him_out_by_id() {
    let platform = Platform::in_use().await;
    let stack = &platform.stack;
    let id = demo::BUYER_ID.to_string();
    let logs_in = async || stack.logs_in(demo::BUYER_EMAIL, demo::BUYER_PASSWORD, 1).await;
    assert!(logs_in().await);
    let ended = stack.b2b_auth(&in_store(&["customer", "disable", "--id", &id]));
    ended.changes("customer disable");
    assert_eq!(ended.lines()[1]["details"], json!({"customerId": demo::BUYER_ID, "email": demo::BUYER_EMAIL}));
    assert!(!stack.customer(demo::BUYER_EMAIL).await.unwrap().customer.active && !logs_in().await);
    stack.b2b_auth(&in_store(&["customer", "enable", demo::BUYER_EMAIL])).changes("customer enable");
    assert!(logs_in().await);

    stack.b2b_auth(&in_store(&["customer", "remove", demo::BUYER_EMAIL])).changes("customer remove");
    assert!(!logs_in().await);
    assert_eq!(stack.json(&in_store(&["customer", "show", "--id", &id]))["active"], false);
    let by_email = stack.b2b_auth(&in_store(&["customer", "disable", demo::BUYER_EMAIL]));
    by_email.fails(3, "Here they are known by their ids, with --id.");
    stack.b2b_auth(&in_store(&["customer", "enable", "--id", &id])).changes("customer enable");
    assert!(logs_in().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_have_no_effect_on_customers_at_bigcommerce_is_refused() {
    let platform = Platform::in_use().await;
    let stack = &platform.stack;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("customers.csv");
    fs::write(&file, format!("customer_id,email,password\n8,eight@example.com,{OTHER_PASSWORD}\n")).unwrap();
    let before = stack.json(&in_store(&["customer", "list"]));
    for arguments in [
        &["add", "new@example.com", "--id", "7"][..],
        &["set-password", demo::BUYER_EMAIL],
        &["set-channels", demo::BUYER_EMAIL, "--channels", "1"],
        &["import", file.to_str().unwrap()],
        &["import", file.to_str().unwrap(), "--dry-run"],
    ] {
        let ended = stack.b2b_auth(&in_store(&[&["customer"], arguments].concat()));
        ended.fails(4, "The customers of the store demostore are at BigCommerce");
        assert!(ended.lines().is_empty(), "{ended:?}");
    }
    assert_eq!(stack.json(&in_store(&["customer", "list"])), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_lists_those_at_bigcommerce_by_their_ids() {
    let platform = Platform::in_use().await;
    let stack = &platform.stack;
    let of_file = |command: &str, more: &[&str], lines: &str| {
        let arguments = in_store(&[&["--output", "json", "customer", command, "--file", "-"], more].concat());
        run(stack.command(&arguments), lines)
    };
    let confirm = &["--confirm", demo::STORE];
    let bad = of_file("disable", confirm, "314\noutlet@example.com\n");
    bad.fails(2, "One line is bad");
    let reason = "The store has no such customer here. Those at BigCommerce are known by their ids alone.";
    assert_eq!(bad.json(), json!([{"line": 2, "reason": reason}]));
    let lines = format!("314\n{}\n7\n314\n", demo::BUYER_EMAIL);
    let dry = of_file("disable", &["--dry-run"], &lines);
    let expected = json!([
        {"customerId": 7, "email": null}, {"customerId": 313, "email": demo::BUYER_EMAIL}, {"customerId": 314, "email": null},
    ]);
    assert_eq!(dry.json(), expected);
    let ended = of_file("disable", confirm, &lines);
    ended.changes("customer disable");
    assert_eq!(ended.lines()[1]["details"]["ids"], "7,313-314");
    let disabled = || {
        let customers = stack.json(&in_store(&["customer", "list"]));
        let disabled = customers.as_array().unwrap().iter().filter(|customer| customer["active"] == false);
        disabled.map(|customer| customer["customerId"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(disabled(), [7, 313, 314]);
    let ended = of_file("disable", confirm, &lines);
    assert!(ended.stderr.contains("3 customers are disabled already. There is nothing to do."), "{ended:?}");
    let ended = of_file("enable", confirm, "314\n99\n");
    ended.changes("customer enable");
    assert!(ended.stderr.contains("Now enabled: 1 customer. 1 customer is enabled already."), "{ended:?}");
    assert_eq!(disabled(), [7, 313]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_table_an_id_may_stand_for_the_e_mail() {
    let stack = OperatedStack::start().await;
    let with_id = |command: &str, id: &str| stack.b2b_auth(&in_store(&["customer", command, "--id", id]));
    with_id("disable", "313").changes("customer disable");
    assert!(!stack.customer(demo::BUYER_EMAIL).await.unwrap().customer.active);
    with_id("enable", "313").changes("customer enable");
    assert!(stack.customer(demo::BUYER_EMAIL).await.unwrap().customer.active);
    with_id("disable", "99").fails(3, "The store demostore has no customer of id 99.");
    assert!(stack.customer_by_id(99).await.is_none());
    for both in
        [&["--id", "313", demo::BUYER_EMAIL][..], &["--id", "313", "--file", "-"], &["--id", "313", "--dry-run"], &[]]
    {
        stack.b2b_auth(&in_store(&[&["customer", "disable"], both].concat())).with(2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_the_accounts_of_stores_at_bigcommerce() {
    let platform = Platform::in_use().await;
    let bigcommerce = &platform.upstream.bigcommerce;
    assert_eq!(platform.doctor(), ["good", "Its API account may do what is needed.", ""]);
    bigcommerce.change(|store| store.scopes = [CUSTOMERS].into());
    let [result, says, mend] = platform.doctor();
    assert_eq!(
        (result.as_str(), says.as_str()),
        ("BAD", "At BigCommerce the account needs the scope Storefront API Tokens: manage.")
    );
    assert!(mend.contains("`b2b-auth store set-directory demostore bigcommerce`"), "{mend}");
    bigcommerce.change(|store| *store = Store::new("another"));
    assert_eq!(platform.doctor()[..2], ["BAD", "BigCommerce does not accept the access token."]);
    platform.upstream.fault_in("/customers", UpstreamFate::status(500));
    assert_eq!(platform.doctor()[0], "BAD");

    let secrets = &platform.stack.secrets;
    secrets.put_secret_value().secret_id(SECRET).secret_string("geheim").send().await.unwrap();
    let [result, says, mend] = platform.doctor();
    assert!(result == "BAD" && says.contains("cannot be used") && !says.contains("geheim"), "{says}");
    assert_eq!(mend, "`b2b-auth store set-directory demostore bigcommerce` asks for it.");
    secrets.delete_secret().secret_id(SECRET).force_delete_without_recovery(true).send().await.unwrap();
    let [result, says, mend] = platform.doctor();
    assert_eq!(
        (result.as_str(), says.as_str()),
        ("BAD", "The access token of its API account is missing, so none of its customers can log in.")
    );
    assert_eq!(mend, "`b2b-auth store set-directory demostore bigcommerce` asks for it.");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_every_such_store_but_at_none_where_it_only_reads() {
    let platform = Platform::in_use().await;
    let accounts = platform.stack.accounts();
    for n in 1..=9 {
        let store = KnownStore {
            channels: vec![1],
            customer_directory: CustomerDirectory::BigCommerce,
            ..KnownStore::default()
        };
        let hash = format!("many{n}");
        accounts.put_store(&hash, &store).await.unwrap();
        platform.upstream.bigcommerce.put_store(&hash, Store::new(TOKEN));
        let create = platform.stack.secrets.create_secret().name(format!("bigcommerce/{hash}"));
        create.secret_string(secret_of(TOKEN)).send().await.unwrap();
    }
    platform.upstream.forward_all();
    let ended = platform.run(&["--output", "json", "doctor"]);
    ended.changes("doctor");
    let findings = ended.json();
    let findings = findings.as_array().unwrap().iter().filter(|finding| {
        finding["check"].as_str().unwrap().starts_with("BigCommerce: ") && finding["result"] == "good"
    });
    assert_eq!((findings.count(), platform.upstream.take_requests().len()), (10, 30), "{ended:?}");

    let ended = platform.run(&["--output", "json", "doctor", "--read-only"]);
    ended.succeeds();
    let skipped = json!({"check": "BigCommerce", "result": "skipped", "finding": "Left out, because of --read-only.", "mend": ""});
    assert!(ended.json().as_array().unwrap().contains(&skipped), "{ended:?}");
    assert!(platform.upstream.take_requests().is_empty());
}
