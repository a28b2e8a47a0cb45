//! `b2b-auth restore`.

use crate::support::{OperatedStack, in_store};
use aws_sdk_dynamodb::types::{AttributeDefinition, KeySchemaElement};
use local::demo;
use serde_json::json;
use shared::tables::{
    directory::Customer,
    items::{key, string},
};
use tests::{Fate, Proxy};

/// A copy of the directory, as DynamoDB's point-in-time recovery makes one.
pub async fn restored_table(stack: &OperatedStack) {
    let (client, table) = (&stack.dynamodb, "restored");
    let described = client.describe_table().table_name("directory").send().await.unwrap().table.unwrap();
    let request = client.create_table().table_name(table).billing_mode("PAY_PER_REQUEST".into());
    let request =
        request.set_key_schema(described.key_schema).set_attribute_definitions(described.attribute_definitions);
    request.send().await.unwrap();
    for item in client.scan().table_name("directory").send().await.unwrap().items() {
        client.put_item().table_name(table).set_item(Some(item.clone())).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_by_mistake_comes_back_and_nothing_else_changes() {
    let stack = OperatedStack::start().await;
    let restore = ["restore", "--from-table", "restored", "--store", demo::STORE];
    let account = stack.json(&["api-account", "create", "erp", "--store", demo::STORE, "--scope", "modify"]);
    let access_token = account["accessToken"].as_str().unwrap();
    let logged_in = stack.log_in(demo::BUYER_EMAIL, demo::BUYER_PASSWORD).await;
    restored_table(&stack).await;
    stack.b2b_auth(&["user", "disable", demo::REP_EMAIL, "--store", demo::STORE]).succeeds();
    stack.b2b_auth(&["user", "remove", demo::ADMIN_EMAIL, "--store", demo::STORE]).succeeds();
    stack.b2b_auth(&["customer", "remove", demo::BUYER_EMAIL, "--store", demo::STORE]).succeeds();
    stack.b2b_auth(&["api-account", "revoke", account["id"].as_str().unwrap(), "--store", demo::STORE]).succeeds();

    let expected = json!([
        {"restored": "backend user", "email": demo::ADMIN_EMAIL, "customerId": null},
        {"restored": "customer", "email": demo::BUYER_EMAIL, "customerId": demo::BUYER_ID},
    ]);
    assert_eq!(stack.json(&[&restore[..], &["--dry-run"]].concat()), expected);
    assert_eq!(stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD).await.status, 400);
    let ended = stack.b2b_auth(&restore);
    ended.changes("restore");
    assert_eq!(ended.audit()[0]["details"], json!({"fromTable": "restored", "restored": 2}));
    assert_eq!(stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD).await.status, 200);
    assert_eq!(stack.log_in(demo::BUYER_EMAIL, demo::BUYER_PASSWORD).await.status, 200);
    // What was taken back stays so.
    stack.b2b_auth(&["token", "verify", logged_in.storefront_token()]).fails(8, "revoked");
    stack.b2b_auth(&["token", "verify", access_token]).fails(8, "no store has such an API account");
    let users = stack.json(&["user", "list", "--store", demo::STORE]);
    assert_eq!((&users[1]["email"], &users[1]["active"]), (&json!(demo::REP_EMAIL), &json!(false)));
    assert_eq!(stack.json(&restore), json!([]), "a second time there is nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_removed_comes_back_without_its_tokens() {
    let stack = OperatedStack::start().await;
    restored_table(&stack).await;
    stack.b2b_auth(&["store", "remove", demo::STORE, "--confirm", demo::STORE]).succeeds();
    stack.b2b_auth(&["restore", "--from-table", "restored", "--store", demo::STORE]).changes("restore");
    let shown = stack.json(&["store", "show", demo::STORE]);
    assert_eq!((&shown["channels"], &shown["users"], &shown["customers"]), (&json!([1, 2]), &json!(2), &json!(1)));
    assert_eq!(stack.list(&demo::token(), "").await.status, 401);
    let customer: Customer = stack.customer(demo::BUYER_EMAIL).await.unwrap().customer;
    assert!(customer.active && customer.tokens_valid_after.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_is_one_sentence() {
    let stack = OperatedStack::start().await;
    let restore = |store| stack.b2b_auth(&["restore", "--from-table", "restored", "--store", store]);
    restore(demo::STORE).fails(3, "There is no table restored in this account and region.");
    restored_table(&stack).await;
    let ended = restore("nostore");
    ended.fails(3, "Neither the stack nor the table restored has a store nostore.");
    assert_eq!((ended.stdout.as_str(), ended.audit().len()), ("", 0));
}

/// A table of items that have a key of these attributes, of this store among others.
async fn other_table(stack: &OperatedStack, name: &str, key: &[&str]) {
    let mut request = stack.dynamodb.create_table().table_name(name).billing_mode("PAY_PER_REQUEST".into());
    for (attribute, role) in key.iter().zip(["HASH", "RANGE"]) {
        let definition = AttributeDefinition::builder().attribute_name(*attribute).attribute_type("S".into()).build();
        let element = KeySchemaElement::builder().attribute_name(*attribute).key_type(role.into()).build();
        request = request.attribute_definitions(definition.unwrap()).key_schema(element.unwrap());
    }
    request.send().await.unwrap();
    let item = key.iter().map(|attribute| ((*attribute).to_owned(), string(demo::STORE))).collect();
    stack.dynamodb.put_item().table_name(name).set_item(Some(item)).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_no_directory_is_refused() {
    let stack = OperatedStack::start().await;
    for (name, key) in [("one-key", &["pk"] as &[_]), ("other-keys", &["id", "at"]), ("same-keys", &["pk", "sk"])] {
        other_table(&stack, name, key).await;
    }
    for (table, because) in [
        ("tokens", "there is no store in it"),
        ("same-keys", "there is no store in it"),
        ("login-attempts", "it has other keys"),
        ("one-key", "it has other keys"),
        ("other-keys", "it has other keys"),
        ("directory", "it is the stack's own directory"),
    ] {
        for arguments in [["--from-table", table].as_slice(), &["--from-table", table, "--dry-run"]] {
            let ended = stack.b2b_auth(&[&in_store(&["restore"]), arguments].concat());
            ended.fails(2, &format!("The table {table} is none that the directory was restored into: {because}"));
            assert_eq!((ended.stdout.as_str(), ended.audit().len()), ("", 0), "{ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_the_store_brings_nothing_back_and_says_so() {
    let stack = OperatedStack::start().await;
    restored_table(&stack).await;
    for (pk, sk) in [(demo::STORE, "STORE"), ("#STORES", demo::STORE)] {
        stack.dynamodb.delete_item().table_name("restored").set_key(Some(key(pk, sk.into()))).send().await.unwrap();
    }
    let ended = stack.b2b_auth(&in_store(&["restore", "--from-table", "restored"]));
    ended.fails(3, "The table restored has no store demostore, so nothing of it can be brought back.");
    assert_eq!((ended.stdout.as_str(), ended.audit().len()), ("", 0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_ready_is_waited_for() {
    let stack = OperatedStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    let creating = json!({"Table": {"TableName": "restored", "TableStatus": "CREATING"}});
    proxy.fault_in("DescribeTable", Fate::Answered(200, creating));
    let restore = in_store(&["restore", "--from-table", "restored"]);
    stack.start_tool(&proxy.url, &restore).ended().await.fails(3, "The table restored is still being restored.");
}
