//! Scopes, as they are given to tokens and API accounts.

use crate::support::{OperatedStack, in_store};
use local::demo;
use serde_json::{Value, json};

const TOKEN: [&str; 6] = ["token", "create", "--email", demo::ADMIN_EMAIL, "--name", "n"];
const ACCOUNT: [&str; 3] = ["api-account", "create", "n"];

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_an_account_may_do_what_they_were_given_and_no_more() {
    let stack = OperatedStack::start().await;
    // In the order of the table, whatever they were given in.
    for (command, options, scopes) in [
        (&TOKEN[..], &["--scopes", "storefront,tokens:read,storefront"][..], json!(["tokens:read", "storefront"])),
        (&TOKEN, &["--scopes", "tokens:read"], json!(["tokens:read"])),
        (&TOKEN, &[], json!(null)),
        (&ACCOUNT, &["--scopes", "storefront,tokens:read"], json!(["tokens:read", "storefront"])),
        (&ACCOUNT, &["--scope", "read"], json!(["tokens:read"])),
        (&ACCOUNT, &["--scope", "modify"], json!(null)),
    ] {
        let created = stack.json(&in_store(&[command, options].concat()));
        let secret = created.get("token").or(created.get("accessToken")).unwrap().as_str().unwrap();
        let show = |call: tests::Call| if command == TOKEN { call.token(secret) } else { call.account(secret) };
        let listed = show(stack.get("/backend/tokens")).send().await;
        assert_eq!(listed.status, 200, "{command:?} {options:?}: {}", listed.body);
        let deleted = show(stack.delete(&json!({"id": 77}))).send().await;
        assert_eq!(deleted.status, if scopes.is_null() { 404 } else { 403 }, "{command:?} {options:?}");
        assert_eq!(stack.json(&["token", "verify", secret])["scopes"], scopes, "{command:?} {options:?}");
    }
    let scopes_of = |list: Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|listed| listed["scopes"].clone()).collect()
    };
    let of_tokens = scopes_of(stack.json(&in_store(&["token", "list"])));
    assert_eq!(of_tokens, [json!(null), json!(["tokens:read", "storefront"]), json!(["tokens:read"]), json!(null)]);
    assert_eq!(stack.json(&in_store(&["token", "show", "2"]))["scopes"], json!(["tokens:read", "storefront"]));
    let mut of_accounts = scopes_of(stack.json(&in_store(&["api-account", "list"])));
    of_accounts.sort_by_key(ToString::to_string);
    assert_eq!(of_accounts, [json!(["tokens:read", "storefront"]), json!(["tokens:read"]), json!(null)]);
    let table = stack.b2b_auth(&in_store(&["token", "list"])).stdout;
    assert!(table.contains("tokens:read,storefront") && table.contains("all"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_that_there_are_not_or_that_contradict_are_a_mistake() {
    let stack = OperatedStack::start().await;
    for (command, options, says) in [
        (
            &TOKEN[..],
            &["--scopes", "storefronts"][..],
            "must be one of tokens:read, tokens:write, storefront, introspect",
        ),
        (&TOKEN, &["--scopes", ""], "must be one of"),
        (&TOKEN, &["--scopes", "storefront,"], "must be one of"),
        (&ACCOUNT, &["--scopes", "modify"], "must be one of"),
        (&ACCOUNT, &["--scopes", "storefront", "--scope", "modify"], "cannot be used with"),
        (&ACCOUNT, &[], "--scope"),
    ] {
        stack.b2b_auth(&in_store(&[command, options].concat())).fails(2, says);
    }
    assert_eq!(stack.json(&in_store(&["token", "list"])).as_array().unwrap().len(), 1);
    assert_eq!(stack.json(&in_store(&["api-account", "list"])), json!([]));
}
