//! `b2b-auth key`.

use crate::support::OperatedStack;
use local::demo;
use serde_json::{Value, json};
use tests::{demo_key, new_key, with};

fn keys(stack: &OperatedStack) -> Vec<(String, String, u64)> {
    let rows = stack.json(&["key", "list"]);
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let row = |row: &Value| (text(row, "key"), text(row, "does"), row["liveTokens"].as_u64().unwrap());
    rows.as_array().unwrap().iter().map(row).collect()
}

fn revoke_all(stack: &OperatedStack) {
    let revoke = ["token", "revoke", "--store", demo::STORE, "--all", "--confirm", demo::STORE];
    stack.b2b_auth(&revoke).succeeds();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_adds_a_key_that_signs_later_and_refuses_nobody() {
    let stack = OperatedStack::start().await;
    assert_eq!(keys(&stack), [("demo".into(), "signs and verifies".into(), 1)]);
    let rotated = stack.b2b_auth(&["key", "rotate"]);
    rotated.changes("key rotate");
    assert!(rotated.stderr.contains(" signs from "), "{rotated:?}");
    let after = keys(&stack);
    assert_eq!((after[0].1.as_str(), after[0].2), ("will sign", 0));
    assert_eq!(after[1], ("demo".into(), "signs and verifies".into(), 1));
    assert_eq!(stack.list(&demo::token(), "").await.status, 200);
    stack.b2b_auth(&["doctor"]).succeeds();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_needed_is_only_retired_by_force() {
    let stack = OperatedStack::start().await;
    stack.b2b_auth(&["key", "retire", "nokey"]).fails(3, "The keyring has no key nokey.");
    stack.b2b_auth(&["key", "retire", "demo"]).fails(5, "it signs now");
    stack.b2b_auth(&["key", "rotate"]).succeeds();
    let newest = keys(&stack)[0].0.clone();
    stack
        .b2b_auth(&["key", "retire", "demo"])
        .fails(5, "it signs now, and all storefront tokens of the last day end with it; 1 live server-to-server token of demostore would end (`b2b-auth token list --all-stores --key demo` shows which)");
    stack.b2b_auth(&["key", "retire", &newest]).fails(5, "it is the newest and will sign soon");
    assert_eq!(keys(&stack).len(), 2);

    let forced = stack.b2b_auth(&["key", "retire", "demo", "--force"]);
    forced.changes("key retire");
    assert!(forced.stderr.contains("Retiring demo although it is still needed"), "{forced:?}");
    let missing = "is not in the keyring: its tokens are refused";
    assert_eq!(
        keys(&stack),
        [(newest.clone(), "signs and verifies".into(), 0), ("demo".into(), missing.into(), 1)],
        "they are to be taken back"
    );
    stack.b2b_auth(&["token", "verify", &demo::token()]).fails(8, "unknown kid");
    let looked_at = stack.b2b_auth(&["doctor", "--read-only"]);
    assert!(
        !looked_at.stdout.contains("not finished"),
        "a label would keep Secrets Manager from rotating: {looked_at:?}"
    );

    // The only key has leaked: another takes its place.
    stack.b2b_auth(&["key", "retire", &newest, "--force"]).changes("key retire");
    let left = keys(&stack);
    assert!(
        left.len() == 2 && left[1].0 == "demo" && left[0].0 != newest && left[0].1 == "signs and verifies",
        "{left:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_signed_long_ago_and_has_no_live_tokens_is_retired() {
    let stack = OperatedStack::start().await;
    let keyring = |signs_from: u64| {
        let old = json!({"kid": "old", "key": "old-0123456789abcdef0123456789abcdef"});
        let keyring = with(new_key(), "previous", vec![demo_key(), old]);
        with(keyring, "signsFrom", signs_from).to_string()
    };
    let now = stack.clock.now();
    stack.put_keyring(&keyring(now - 3600)).await;
    stack.b2b_auth(&["key", "retire", "demo"]).fails(5, "1 live server-to-server token of demostore would end");
    revoke_all(&stack);
    stack.b2b_auth(&["key", "retire", "demo"]).fails(5, "and storefront tokens last a day");
    stack.put_keyring(&keyring(now - 90_000)).await;
    stack.b2b_auth(&["key", "retire", "demo"]).changes("key retire");
    stack.b2b_auth(&["key", "retire", "old"]).changes("key retire");
    assert_eq!(keys(&stack).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_rotation_is_finished_or_replaced() {
    let stack = OperatedStack::start().await;
    let secrets = &stack.secrets;
    let version = "11111111-1111-1111-1111-111111111111";
    // A keyring that would lose the demo key.
    let text = json!({"kid": version, "key": "0123456789abcdef0123456789abcdef", "signsFrom": 4_102_444_800_u64});
    let put = secrets.put_secret_value().secret_id("keyring").client_request_token(version);
    put.secret_string(text.to_string()).version_stages("AWSPENDING").send().await.unwrap();
    let looked_at = stack.b2b_auth(&["doctor"]);
    assert!(looked_at.stdout.contains("A rotation was begun and not finished"), "{looked_at:?}");
    stack.b2b_auth(&["key", "rotate"]).changes("key rotate");
    let after = keys(&stack);
    assert!(after.len() == 2 && after[0].0 != version, "{after:?}");
    let looked_at = stack.b2b_auth(&["doctor"]);
    assert!(looked_at.code == Some(0) && !looked_at.stdout.contains("not finished"), "{looked_at:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_live_tokens_that_the_keyring_lacks_are_listed_too() {
    let stack = OperatedStack::start().await;
    stack.put_keyring(&new_key().to_string()).await;
    let listed = [("new", "signs and verifies", 0), ("demo", "is not in the keyring: its tokens are refused", 1)];
    assert_eq!(keys(&stack), listed.map(|(key, does, live)| (key.to_owned(), does.to_owned(), live)));
    let says = "`b2b-auth token list --all-stores --key demo` shows the tokens of demo, `b2b-auth token revoke --all-stores --key demo` \
                ends them.";
    assert!(stack.b2b_auth(&["key", "list"]).stderr.contains(says));
}
