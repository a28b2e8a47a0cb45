//! `b2b-auth user`, `customer`, `api-account` and `login`.

use crate::support::{OTHER_PASSWORD, OperatedStack, PASSWORD, in_store};
use local::demo;
use serde_json::{Value, json};
use shared::{clock::Clock, keys::jwt::LEEWAY};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_user_can_do_what_the_operator_allows() {
    let stack = OperatedStack::start().await;
    let email = "New.Admin@example.com";
    let create = async |password| stack.ask_for_token(demo::STORE, "new.admin@EXAMPLE.com", password).await;
    let run = |arguments: &[&str]| stack.b2b_auth(&in_store(arguments));
    stack.with_password(PASSWORD, &in_store(&["user", "add", email, "--role", "administrator"])).changes("user add");
    let created = create(PASSWORD).await;
    let token = created.server_token();

    run(&["user", "set-role", email, "sales-rep"]).changes("user set-role");
    assert_eq!(create(PASSWORD).await.body["detail"], "role forbidden");
    run(&["user", "set-role", email, "store-owner"]).changes("user set-role");
    assert_eq!(create(PASSWORD).await.status, 200);
    let disabled = run(&["user", "disable", "NEW.admin@example.com"]);
    disabled.changes("user disable");
    assert!(disabled.stderr.contains("has made 2 server-to-server tokens, still good"), "{disabled:?}");
    assert_eq!((create(PASSWORD).await.status, stack.list(token, "").await.status), (400, 200));
    run(&["user", "enable", email]).changes("user enable");
    stack.with_password(OTHER_PASSWORD, &in_store(&["user", "set-password", email])).changes("user set-password");
    assert_eq!((create(PASSWORD).await.status, create(OTHER_PASSWORD).await.status), (400, 200));
    run(&["user", "remove", email]).changes("user remove");
    assert_eq!(create(OTHER_PASSWORD).await.status, 400);
    let users = stack.json(&in_store(&["user", "list"]));
    let emails: Vec<_> = users.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(emails, [demo::ADMIN_EMAIL, demo::REP_EMAIL]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_to_a_backend_user_is_one_sentence_and_changes_nothing() {
    let stack = OperatedStack::start().await;
    let before = stack.json(&in_store(&["user", "list"]));
    let add = |email| vec!["user", "add", email, "--role", "administrator"];
    let too_long = "0123456789abcdef".repeat(65);
    for (password, arguments, code, says) in [
        (PASSWORD, in_store(&add("ADMIN@example.com")), 4, "already has a backend user ADMIN@example.com"),
        ("hunt2", in_store(&add("a@b")), 2, "The password is too short: it has 5 characters, and needs 12."),
        (&too_long, in_store(&add("a@b")), 2, "The password is too long: it has 1040 bytes, and may have 1024."),
        ("aaaaaaaaaaaaaaaa", in_store(&add("a@b")), 2, "The password is too easy to guess"),
        ("", in_store(&["user", "set-password", demo::ADMIN_EMAIL]), 2, "The password is too short"),
        (PASSWORD, in_store(&add("no-mail")), 2, "must be an e-mail address"),
        (PASSWORD, in_store(&["user", "add", "a@b", "--role", "king"]), 2, "possible values: administrator"),
        (PASSWORD, [&add("a@b")[..], &["--store", "nostore"]].concat(), 3, "There is no store nostore."),
        (PASSWORD, in_store(&["user", "set-password", "a@b"]), 3, "The store demostore has no backend user a@b."),
    ] {
        let ended = stack.with_password(password, &arguments);
        ended.fails(code, says);
        assert!(ended.audit().is_empty() && (password.len() < 3 || !ended.stderr.contains(password)), "{ended:?}");
    }
    for arguments in [["user", "disable"], ["user", "enable"], ["user", "remove"]] {
        stack.b2b_auth(&in_store(&[&arguments[..], &["a@b"]].concat())).fails(3, "has no backend user a@b.");
    }
    let without_terminal = stack.b2b_auth(&in_store(&add("a@b")));
    without_terminal.fails(2, "There is no terminal to ask for the password. Give it with --password-stdin.");
    let as_argument = [&in_store(&add("a@b"))[..], &["--password", PASSWORD]].concat();
    stack.b2b_auth(&as_argument).fails(2, "unexpected argument '--password'");
    assert_eq!(stack.json(&in_store(&["user", "list"])), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn storefront_tokens_end_with_what_the_operator_does_to_the_customer() {
    let stack = OperatedStack::start().await;
    let email = "new@example.com";
    let run = |arguments: &[&str]| stack.b2b_auth(&in_store(arguments));
    let add = in_store(&["customer", "add", "New@example.com", "--id", "7", "--channels", "1"]);
    stack.with_password(PASSWORD, &add).changes("customer add");
    let login = async |password: &str| {
        // Until then what is issued is void.
        tokio::time::sleep(Duration::from_secs(LEEWAY + 1)).await;
        let token = stack.log_in(email, password).await.storefront_token().to_owned();
        stack.b2b_auth(&["token", "verify", &token]).succeeds();
        token
    };
    let first = login(PASSWORD).await;

    run(&["customer", "disable", email]).changes("customer disable");
    stack.b2b_auth(&["token", "verify", &first]).fails(8, "the customer is disabled or removed");
    assert_eq!(stack.log_in(email, PASSWORD).await.status, 400);
    run(&["customer", "enable", email]).changes("customer enable");
    stack.b2b_auth(&["token", "verify", &first]).fails(8, "revoked: the customer was disabled");

    let second = login(PASSWORD).await;
    stack
        .with_password(OTHER_PASSWORD, &in_store(&["customer", "set-password", email]))
        .changes("customer set-password");
    stack.b2b_auth(&["token", "verify", &second]).fails(8, "revoked");
    assert_eq!(stack.log_in(email, PASSWORD).await.status, 400);

    let third = login(OTHER_PASSWORD).await;
    run(&["customer", "set-channels", email, "--channels", "2"]).changes("customer set-channels");
    stack.b2b_auth(&["token", "verify", &third]).fails(8, "not a channel of the store that the customer may use");
    run(&["customer", "set-channels", email, "--channels", "1,2"]).changes("customer set-channels");
    stack.b2b_auth(&["token", "verify", &third]).succeeds();

    run(&["customer", "remove", email]).changes("customer remove");
    stack.b2b_auth(&["token", "verify", &third]).fails(8, "disabled or removed");
    assert_eq!(stack.json(&in_store(&["customer", "list"])).as_array().unwrap().len(), 1);
    // The same customer, or another with the same id: what was issued before stays void.
    stack.with_password(PASSWORD, &add).changes("customer add");
    stack.b2b_auth(&["token", "verify", &third]).fails(8, "revoked");
    login(PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_an_account_is_shown_without_its_hash() {
    let stack = OperatedStack::start().await;
    let show = |arguments: &[&str]| stack.json(&in_store(arguments));
    let shown = show(&["customer", "show", "BUYER@example.com"]);
    let buyer = json!({
        "customerId": demo::BUYER_ID, "email": demo::BUYER_EMAIL, "channels": [1], "active": true, "tokensRevokedAt": null,
        "lockedOutFrom": [], "lockoutEndsAt": null,
    });
    assert_eq!(shown, buyer);
    assert_eq!(show(&["customer", "show", "--id", "313"]), buyer);
    let table = stack.b2b_auth(&in_store(&["customer", "show", "--id", "313"]));
    assert!(table.stdout.contains("\nlockedOutFrom    -\n"), "{table:?}");

    let email = demo::ADMIN_EMAIL;
    let admin = |tokens: u64| {
        json!({
            "email": email, "role": "administrator", "active": true, "liveTokens": tokens, "lockedOutFrom": [],
            "lockoutEndsAt": null,
        })
    };
    assert_eq!(show(&["user", "show", "Admin@example.com"]), admin(1));
    let ends = (Clock::system().now() + 2).to_string();
    let create = ["token", "create", "--email", email, "--name", "n", "--expires-at", &ends];
    stack.b2b_auth(&in_store(&create)).succeeds();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(show(&["user", "show", email]), admin(1), "one has ended");
    let disabled = stack.b2b_auth(&in_store(&["user", "disable", email]));
    assert!(disabled.stderr.contains("has made 1 server-to-server token, still good"), "{disabled:?}");

    stack.b2b_auth(&in_store(&["customer", "remove", demo::BUYER_EMAIL])).succeeds();
    for (arguments, code, says) in [
        (in_store(&["customer", "show", "a@b"]), 3, "The store demostore has no customer a@b."),
        (in_store(&["customer", "show", "--id", "7"]), 3, "The store demostore has no customer of id 7."),
        (in_store(&["customer", "show", "--id", "313"]), 3, "The store demostore has no customer of id 313."),
        (in_store(&["customer", "show", "a@b", "--id", "7"]), 2, "cannot be used with"),
        (in_store(&["customer", "show"]), 2, "required arguments were not provided"),
        (in_store(&["user", "show", "a@b"]), 3, "The store demostore has no backend user a@b."),
        (vec!["customer", "show", "a@b", "--store", "nostore"], 3, "There is no store nostore."),
        (vec!["user", "show", "a@b", "--store", "nostore"], 3, "There is no store nostore."),
    ] {
        stack.b2b_auth(&arguments).fails(code, says);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_found_by_a_part_of_their_email() {
    let stack = OperatedStack::start().await;
    for (id, email) in [("7", "Anna@Example.com"), ("8", "bob@anna.example"), ("9", "M\u{dc}LLER@example.com")] {
        stack.with_password(PASSWORD, &in_store(&["customer", "add", email, "--id", id])).succeeds();
    }
    let found = |noun: &str, part: &str| {
        let rows = stack.json(&in_store(&[noun, "list", "--email-contains", part]));
        let emails = rows.as_array().unwrap().iter().map(|row| row["email"].as_str().unwrap().to_owned());
        emails.collect::<Vec<_>>()
    };
    assert_eq!(found("customer", "ANNA"), ["Anna@Example.com", "bob@anna.example"]);
    assert_eq!(found("customer", "m\u{fc}ller@"), ["M\u{dc}LLER@example.com"]);
    assert_eq!(found("customer", "nobody"), [] as [&str; 0]);
    assert_eq!(found("user", "Admin"), [demo::ADMIN_EMAIL]);
    stack.b2b_auth(&in_store(&["user", "list", "--email-contains", ""])).fails(2, "a value is required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_spelt_in_as_out() {
    let stack = OperatedStack::start().await;
    let add = |email: &'static str, role: &'static str| in_store(&["user", "add", email, "--role", role]);
    for (email, given, role) in [
        ("a@example.com", "store-owner", "store_owner"),
        ("b@example.com", "store_owner", "store_owner"),
        ("c@example.com", "sales-rep", "sales_rep"),
        ("d@example.com", "sales_rep", "sales_rep"),
    ] {
        let added = stack.with_password(PASSWORD, &add(email, given));
        added.changes("user add");
        assert_eq!(added.audit()[0]["details"]["role"], role);
        assert_eq!(stack.json(&in_store(&["user", "show", email]))["role"], role);
        let shown = stack.b2b_auth(&in_store(&["user", "set-role", email, role]));
        shown.changes("user set-role");
        assert_eq!(shown.audit()[0]["details"]["role"], role);
    }
    let wrong = stack.b2b_auth(&add("e@example.com", "king"));
    wrong.fails(2, "possible values: administrator, store_owner, sales_rep");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_counts_once() {
    let stack = OperatedStack::start().await;
    let added = stack.b2b_auth(&["store", "add", "mystore", "--channels", "2,1,2"]);
    assert_eq!(added.audit()[0]["details"]["channels"], json!([2, 1]));
    let channels = || stack.json(&["store", "show", "mystore"])["channels"].clone();
    assert_eq!(channels(), json!([2, 1]));
    stack.b2b_auth(&["store", "set-channels", "mystore", "--channels", "3,1,1,3"]).changes("store set-channels");
    assert_eq!(channels(), json!([3, 1]));
    let customer = ["a@example.com", "--store", "mystore"];
    let add = [&["customer", "add", "--id", "7", "--channels", "1", "--channels", "1"], &customer[..]].concat();
    let added = stack.with_password(PASSWORD, &add);
    assert_eq!(added.audit()[0]["details"]["channels"], json!([1]));
    let set = [&["customer", "set-channels", "--channels", "3,3,1"], &customer[..]].concat();
    assert_eq!(stack.b2b_auth(&set).audit()[0]["details"]["channels"], json!([3, 1]));
    let shown = stack.json(&[&["customer", "show"], &customer[..]].concat());
    assert_eq!(shown["channels"], json!([3, 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_to_a_customer_is_one_sentence_and_changes_nothing() {
    let stack = OperatedStack::start().await;
    let before = stack.json(&in_store(&["customer", "list"]));
    for (arguments, code, says) in [
        (vec!["customer", "add", "BUYER@example.com", "--id", "7"], 4, "already has a customer with this e-mail"),
        (vec!["customer", "add", "a@b", "--id", "313"], 4, "already has a customer with this id"),
        (vec!["customer", "add", "a@b", "--id", "0"], 2, "must be a positive integer"),
        (vec!["customer", "add", "a@b", "--id", "7", "--channels", "9"], 2, "9 is no channel of the store"),
        (vec!["customer", "set-password", "a@b"], 3, "The store demostore has no customer a@b."),
    ] {
        let ended = stack.with_password(PASSWORD, &in_store(&arguments));
        ended.fails(code, says);
        assert!(ended.audit().is_empty(), "{ended:?}");
    }
    let no_channel = ["customer", "set-channels", demo::BUYER_EMAIL, "--channels", "1,9"];
    stack.b2b_auth(&in_store(&no_channel)).fails(2, "9 is no channel of the store");
    for action in ["disable", "enable", "remove"] {
        stack.b2b_auth(&in_store(&["customer", action, "a@b"])).fails(3, "has no customer a@b.");
    }
    assert_eq!(stack.json(&in_store(&["customer", "list"])), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_shown_once_and_kept_as_its_hash() {
    let stack = OperatedStack::start().await;
    let create = in_store(&["--output", "json", "api-account", "create", "erp", "--scope", "read"]);
    let created = stack.b2b_auth(&create);
    created.changes("api-account create");
    let account: Value = serde_json::from_str(&created.stdout).unwrap();
    let (id, token) = (account["id"].as_str().unwrap(), account["accessToken"].as_str().unwrap());
    assert!(!created.stderr.contains(token));
    let list = async || stack.get("/backend/tokens").account(token).send().await.status;
    assert_eq!(list().await, 200);

    let client = &stack.dynamodb;
    for table in ["directory", "tokens"] {
        let items = client.scan().table_name(table).send().await.unwrap();
        assert!(!format!("{items:?}").contains(token), "{table}");
    }
    let listed = stack.json(&in_store(&["api-account", "list"]));
    assert_eq!(
        (&listed[0]["id"], &listed[0]["name"], &listed[0]["scopes"]),
        (&json!(id), &json!("erp"), &json!(["tokens:read"]))
    );
    assert!(listed[0]["lastUsedAt"].is_u64() && !listed.to_string().contains(token), "{listed}");
    let verified = stack.json(&["token", "verify", token]);
    assert_eq!(
        (&verified["store"], &verified["id"], &verified["name"], &verified["good"]),
        (&json!(demo::STORE), &json!(id), &json!("erp"), &json!(true))
    );

    stack.b2b_auth(&["api-account", "revoke", id, "--store", demo::OTHER_STORE]).fails(3, "has no API account");
    assert_eq!(list().await, 200);
    stack.b2b_auth(&in_store(&["api-account", "revoke", id])).changes("api-account revoke");
    assert_eq!(list().await, 401);
    stack.b2b_auth(&in_store(&["api-account", "revoke", id])).fails(3, "has no API account");
    stack.b2b_auth(&["token", "verify", token]).fails(8, "no store has such an API account");
    stack.b2b_auth(&["token", "verify", &token[..70]]).fails(8, "its checksum is wrong");
    stack.b2b_auth(&in_store(&["api-account", "revoke", ""])).fails(2, "must be 12 hexadecimal digits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_out_account_is_let_in_again() {
    let stack = OperatedStack::start().await;
    for _ in 0..10 {
        assert_eq!(stack.log_in(demo::BUYER_EMAIL, "wrong").await.status, 400);
    }
    assert_eq!(stack.log_in(demo::BUYER_EMAIL, demo::BUYER_PASSWORD).await.status, 429);
    let unlocked = stack.b2b_auth(&in_store(&["login", "unlock", "Buyer@example.com"]));
    unlocked.changes("login unlock");
    assert!(unlocked.stderr.contains("0 attempts as a backend user, 10 as a customer"), "{unlocked:?}");
    assert_eq!(stack.log_in(demo::BUYER_EMAIL, demo::BUYER_PASSWORD).await.status, 200);
    stack.b2b_auth(&["login", "unlock", "a@b", "--store", "nostore"]).fails(3, "There is no store nostore.");
}
