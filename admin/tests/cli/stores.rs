//! `b2b-auth store`.

use crate::support::{OperatedStack, PASSWORD};
use futures_util::{StreamExt, stream};
use local::demo;
use serde_json::json;
use shared::tables::{directory::Store, items::string};
use tests::{Fate, Proxy, admin_login};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_added_shown_changed_and_removed() {
    let stack = OperatedStack::start().await;
    stack.b2b_auth(&["store", "add", "mystore", "--channels", "1,2"]).changes("store add");
    let stores = stack.json(&["store", "list"]);
    let hashes: Vec<_> = stores.as_array().unwrap().iter().map(|store| store["store"].as_str().unwrap()).collect();
    assert_eq!(hashes, [demo::STORE, "mystore", demo::OTHER_STORE]);
    stack.b2b_auth(&["store", "set-channels", "mystore", "--channels", "3"]).changes("store set-channels");
    let shown = stack.json(&["store", "show", "mystore"]);
    assert_eq!(
        (&shown["channels"], &shown["users"], &shown["customers"], &shown["apiAccounts"], &shown["tokens"]),
        (&json!([3]), &json!(0), &json!(0), &json!(0), &json!(0))
    );
    stack.b2b_auth(&["store", "remove", "mystore", "--confirm", "mystore"]).changes("store remove");
    stack.b2b_auth(&["store", "show", "mystore"]).fails(3, "There is no store mystore.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_to_a_store_is_one_sentence_and_changes_nothing() {
    let stack = OperatedStack::start().await;
    let before = stack.json(&["store", "list"]);
    let too_long = "a".repeat(65);
    for (arguments, code, says) in [
        (vec!["store", "add", demo::STORE], 4, "There already is a store demostore."),
        (vec!["store", "add", "b2b-auth-doctor-1"], 2, "`b2b-auth doctor` makes and removes"),
        (vec!["store", "add", "a b"], 2, "must be 1 to 64 letters"),
        (vec!["store", "add", "#STORES"], 2, "must be 1 to 64 letters"),
        (vec!["store", "add", ""], 2, "must be 1 to 64 letters"),
        (vec!["store", "add", &too_long], 2, "must be 1 to 64 letters"),
        (vec!["store", "add", "s", "--channels", "0"], 2, "must be a positive integer"),
        (vec!["store", "set-channels", "nostore", "--channels", "1"], 3, "There is no store nostore."),
        (vec!["store", "remove", "nostore", "--confirm", "nostore"], 3, "There is no store nostore."),
        (vec!["store", "remove", demo::STORE], 5, "To go on, add --confirm demostore. Nothing was changed."),
        (vec!["store", "remove", demo::STORE, "--confirm", "other"], 5, "--confirm names other, not demostore."),
    ] {
        let ended = stack.b2b_auth(&arguments);
        ended.fails(code, says);
        assert!(ended.audit().is_empty(), "{ended:?}");
    }
    let asked = stack.b2b_auth(&["store", "remove", demo::STORE]);
    let goes_too = "2 backend users, 1 customer, 0 API accounts and 1 server-to-server token.";
    assert!(asked.stderr.contains(goes_too), "{asked:?}");
    assert_eq!(stack.json(&["store", "list"]), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_store_goes_all_that_is_in_it() {
    let stack = OperatedStack::start().await;
    let token = demo::token();
    let account = stack.json(&["api-account", "create", "erp", "--store", demo::STORE, "--scope", "modify"]);
    let access_token = account["accessToken"].as_str().unwrap();
    let list = async || stack.get("/backend/tokens").account(access_token).send().await.status;
    assert_eq!(list().await, 200);
    let logged_in = stack.log_in(demo::BUYER_EMAIL, demo::BUYER_PASSWORD).await;
    let storefront_token = logged_in.storefront_token();
    stack.b2b_auth(&["token", "verify", storefront_token]).succeeds();

    stack.b2b_auth(&["store", "remove", demo::STORE, "--confirm", demo::STORE]).changes("store remove");
    assert_eq!(stack.list(&token, "").await.status, 401);
    assert_eq!(list().await, 401);
    assert_eq!(stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD).await.status, 400);
    stack.b2b_auth(&["token", "verify", storefront_token]).fails(8, "the store does not exist");

    // A store of the same hash is another store.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    stack.b2b_auth(&["store", "add", demo::STORE]).succeeds();
    assert_eq!(stack.list(&token, "").await.status, 401);
    stack.b2b_auth(&["token", "verify", storefront_token]).fails(8, "issued before the store was made anew");
    let user = ["user", "add", "new@example.com", "--store", demo::STORE, "--role", "administrator"];
    stack.with_password(PASSWORD, &user).succeeds();
    let created = ["token", "create", "--store", demo::STORE, "--email", "new@example.com", "--name", "n"];
    assert_eq!(stack.json(&created)["id"], 2, "an id is never given twice");
    assert_eq!(stack.json(&["store", "show", demo::STORE])["tokens"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_how_much_would_be_removed() {
    let stack = OperatedStack::start().await;
    // Somebody adds it to the whole command, to look first.
    let confirmed = ["store", "remove", demo::STORE, "--confirm", demo::STORE, "--dry-run"];
    let ended = stack.b2b_auth(&[&["--output", "json"], &confirmed[..]].concat());
    ended.succeeds();
    let removed = json!({"users": 2, "customers": 1, "apiAccounts": 0, "tokens": 1});
    assert_eq!((ended.json(), ended.lines()), (removed, vec![]));
    assert!(ended.stderr.contains("Nothing was changed."), "{ended:?}");
    assert_eq!(stack.list(&demo::token(), "").await.status, 200);
    stack.b2b_auth(&["store", "remove", "nostore", "--dry-run"]).fails(3, "There is no store nostore.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_was_interrupted_is_taken_up_again() {
    let stack = OperatedStack::start().await;
    // The last step is left.
    stack.delete_store_item().await;
    let user = ["user", "add", "new@example.com", "--store", demo::STORE, "--role", "administrator"];
    stack.with_password(PASSWORD, &user).fails(3, "There is no store demostore.");
    let account = ["api-account", "create", "erp", "--store", demo::STORE, "--scope", "read"];
    stack.b2b_auth(&account).fails(3, "There is no store demostore.");
    stack.b2b_auth(&["store", "set-channels", demo::STORE, "--channels", "1"]).fails(3, "There is no store demostore.");
    stack.b2b_auth(&["store", "remove", demo::STORE, "--confirm", demo::STORE]).changes("store remove");
    let hashes = stack.json(&["store", "list"]);
    assert_eq!(hashes.as_array().unwrap().len(), 1, "{hashes}");
    assert_eq!(stack.list(&demo::token(), "").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_half_way_says_so_and_leaves_an_audit_line() {
    let stack = OperatedStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    proxy.fault_in("BatchWriteItem", Fate::error("AccessDeniedException"));
    let remove = ["store", "remove", demo::STORE, "--confirm", demo::STORE];
    let ended = stack.start_tool(&proxy.url, &remove).ended().await;
    ended.fails(1, "Part of it may have been done. Run the same command again.");
    assert!(ended.audit().len() == 1 && ended.audit()[0]["result"] == "in doubt", "{ended:?}");
    assert_eq!(stack.list(&demo::token(), "").await.status, 401, "the tokens are gone already");
    stack.b2b_auth(&remove).changes("store remove");
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_tokens_and_the_keys_of_requests_go_with_their_store() {
    let stack = OperatedStack::start().await;
    for (path, body) in [("/auth/backend", admin_login("erp")), ("/auth/backend/rotate", json!({"id": 2}))] {
        let request = stack.post(path, &body).token(&demo::token()).header("Idempotency-Key", path);
        assert_eq!(request.send().await.status, 200);
    }
    let keys = async || {
        let scan = stack.dynamodb.scan().table_name("tokens").filter_expression("pk = :pk");
        let scan = scan.expression_attribute_values(":pk", string(demo::STORE)).send().await.unwrap();
        let mut keys: Vec<String> = scan.items().iter().map(|item| item["sk"].as_s().unwrap().clone()).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys().await.iter().filter(|key| key.starts_with("IDEMPOTENCY_KEY#")).count(), 2);
    let described = stack.json(&["store", "show", demo::STORE]);
    assert_eq!(described["tokens"], 3);
    stack.b2b_auth(&["store", "remove", demo::STORE, "--confirm", demo::STORE]).changes("store remove");
    assert_eq!(keys().await, ["COUNTER"]);
}

/// The operations that the proxy has seen, in the order of their names, each with how often.
fn operations(proxy: &Proxy) -> Vec<(String, usize)> {
    let mut names: Vec<_> = proxy.take_requests().into_iter().map(|(operation, _)| operation).collect();
    names.sort();
    names.chunk_by(PartialEq::eq).map(|same| (same[0].clone(), same.len())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_are_read_a_hundred_at_once() {
    let stack = OperatedStack::start().await;
    let accounts = stack.accounts();
    let put = async |n: u64| {
        let store = Store { channels: vec![n], created_at: n, ..Store::default() };
        accounts.put_store(&format!("many{n:04}"), &store).await.unwrap();
    };
    // With the demo's two they are 250.
    stream::iter(1..=248).map(put).buffer_unordered(8).collect::<()>().await;
    let create = |store| stack.json(&["api-account", "create", "erp", "--scope", "read", "--store", store]);
    let created = create("many0248");
    let access_token = created["accessToken"].as_str().unwrap();
    let revoked = create("many0247");
    stack.b2b_auth(&["api-account", "revoke", revoked["id"].as_str().unwrap(), "--store", "many0247"]).succeeds();
    let proxy = Proxy::start(stack.aws_url()).await;
    let run = async |arguments: &[&str]| {
        let ended = stack.start_tool(&proxy.url, &[&["--output", "json"], arguments].concat()).ended().await;
        (ended, operations(&proxy))
    };
    let counted = |counts: &[(&str, usize)]| -> Vec<(String, usize)> {
        counts.iter().map(|(operation, times)| ((*operation).to_owned(), *times)).collect()
    };

    let (listed, asked) = run(&["store", "list"]).await;
    listed.succeeds();
    let rows = listed.json();
    let hashes: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["store"].as_str().unwrap()).collect();
    assert!(hashes.len() == 250 && hashes.is_sorted(), "{hashes:?}");
    assert_eq!(rows[200], json!({"store": "many0200", "channels": [200], "directory": "table", "createdAt": 200}));
    assert_eq!(asked, counted(&[("BatchGetItem", 3), ("Query", 1)]));

    let (verified, asked) = run(&["token", "verify", access_token]).await;
    verified.succeeds();
    assert_eq!((&verified.json()["store"], &verified.json()["name"]), (&json!("many0248"), &json!("erp")));
    assert_eq!(asked, counted(&[("BatchGetItem", 3), ("GetItem", 1), ("Query", 1)]));
    let (verified, asked) = run(&["token", "verify", revoked["accessToken"].as_str().unwrap()]).await;
    verified.fails(8, "no store has such an API account");
    assert_eq!(asked, counted(&[("BatchGetItem", 3), ("Query", 1)]));

    for _ in 1..3 {
        create("many0248");
    }
    let list = stack.get("/backend/tokens").header("X-Store-Hash", "many0248").header("X-Auth-Token", access_token);
    assert_eq!(list.send().await.status, 200);
    let (listed, asked) = run(&["api-account", "list", "--store", "many0248"]).await;
    listed.succeeds();
    let uses = listed.json().as_array().unwrap().iter().filter(|row| row["lastUsedAt"].is_u64()).count();
    assert_eq!((listed.json().as_array().unwrap().len(), uses), (3, 1), "{listed:?}");
    assert_eq!(asked, counted(&[("BatchGetItem", 1), ("GetItem", 1), ("Query", 1)]));
}
