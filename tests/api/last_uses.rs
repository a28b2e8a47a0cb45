//! When tokens and API accounts were last used.

use aws_sdk_dynamodb::Client;
use local::{aws, demo};
use serde_json::{Value, json};
use shared::{
    auth::{credentials::Credential, last_uses::LastUses},
    scopes::Scopes,
    tables::{
        items,
        tokens::{LAST_USE_INTERVAL as INTERVAL, TokenTable},
    },
};
use std::time::{Duration, Instant};
use tests::{Fate, NOW, TestStack, behind_proxy, decode, eventually, read_only, sha256};

const UPDATE: &str = "UpdateItem";

async fn last_used_at(stack: &TestStack, token: &str) -> Value {
    stack.list(token, "").await.body["data"][0]["lastUsedAt"].clone()
}

#[tokio::test]
async fn the_list_tells_when_each_token_was_last_used() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    assert_eq!(last_used_at(&stack, &token).await, Value::Null);
    eventually(async || stack.token_last_used_at(2).await == Some(NOW)).await;
    let listed = stack.list(&token, "").await;
    let uses: Vec<_> = listed.body["data"].as_array().unwrap().iter().map(|entry| &entry["lastUsedAt"]).collect();
    assert_eq!(uses, [&Value::Null, &json!(NOW)]);
}

#[tokio::test]
async fn every_endpoint_notes_the_use_of_each_credential() {
    let stack = TestStack::start().await;
    for (name, call) in crate::every_endpoint::calls(&stack) {
        let token = stack.create_token(name).await;
        let id = decode(&token).1["jti"].as_str().unwrap().parse().unwrap();
        let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
        call.token(&token).account(&account).send().await;
        if name == "DELETE /auth/backend" {
            // It has deleted itself.
            eventually(async || stack.account_last_used_at(&account).await == Some(NOW)).await;
            assert_eq!(stack.token_last_used_at(id).await, None);
            continue;
        }
        eventually(async || stack.token_last_used_at(id).await == Some(NOW)).await;
        eventually(async || stack.account_last_used_at(&account).await == Some(NOW)).await;
    }
}

#[tokio::test]
async fn credentials_that_were_refused_are_not_noted_as_used() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    let read = stack.add_api_account(demo::STORE, &read_only()).await;
    let revoked = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.revoke_api_account(&revoked).await;
    let list = stack.get("/backend/tokens");
    list.clone().token(&token).account(&revoked).send().await.is_invalid_token();
    assert_eq!(stack.delete(&json!({"id": 1})).account(&read).send().await.status, 403);
    assert_eq!(stack.post("/auth/customers", &json!({})).account(&read).send().await.status, 403);
    // What was noted before this one is written before it.
    list.token(&stack.demo_token).send().await;
    eventually(async || stack.token_last_used_at(1).await.is_some()).await;
    assert_eq!(stack.token_last_used_at(2).await, None);
    for account in [read, revoked] {
        assert_eq!(stack.account_last_used_at(&account).await, None);
    }
}

#[tokio::test]
async fn an_instance_writes_a_use_once_an_hour() {
    let (direct, stack, proxy) = behind_proxy().await;
    let account = direct.add_api_account(demo::STORE, &read_only()).await;
    let list = stack.get("/backend/tokens").token(&stack.demo_token).account(&account);
    for (hour, seconds) in [(0, 0), (0, 1), (0, INTERVAL - 2), (1, 1), (1, INTERVAL - 1), (2, 1)] {
        stack.clock.advance(seconds);
        assert_eq!(list.clone().send().await.status, 200);
        let expected = Some(NOW + hour * INTERVAL);
        eventually(async || direct.token_last_used_at(1).await == expected).await;
        eventually(async || direct.account_last_used_at(&account).await == expected).await;
    }
    assert_eq!(proxy.seen(UPDATE), 2 * 3);
}

#[tokio::test]
async fn what_another_instance_wrote_within_the_hour_stands() {
    let (direct, stack, proxy) = behind_proxy().await;
    let account = direct.add_api_account(demo::STORE, &read_only()).await;
    let call = |stack: &TestStack| stack.get("/backend/tokens").token(&stack.demo_token).account(&account);
    for (seconds, expected) in [(0, NOW), (INTERVAL - 1, NOW), (1, NOW + INTERVAL)] {
        stack.clock.advance(seconds);
        proxy.take_requests();
        let other_instance = direct.fresh_functions(&proxy.url).await;
        assert_eq!(call(&other_instance).send().await.status, 200);
        eventually(async || proxy.seen(UPDATE) >= 2).await;
        eventually(async || direct.account_last_used_at(&account).await == Some(expected)).await;
        assert_eq!(direct.token_last_used_at(1).await, Some(expected));
    }
}

#[tokio::test]
async fn a_late_note_does_not_bring_a_deleted_token_back() {
    let stack = TestStack::start().await;
    stack.create_token("mine").await;
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    for id in [2, 77] {
        stack.tokens().note_use(demo::STORE, id, NOW + INTERVAL).await.unwrap();
        assert!(stack.tokens().record(demo::STORE, id).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_account_has_its_last_use_beside_the_tokens_and_is_no_token() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.tokens().note_use_of_api_account(demo::STORE, &sha256(&account), NOW).await.unwrap();
    let sk = format!("API_ACCOUNT#{}", sha256(&account));
    let key = items::key(demo::STORE, sk.clone());
    let item = stack.item(&stack.configuration.tokens_table, key).await;
    assert_eq!(item, Some(json!({"pk": demo::STORE, "sk": sk, "last_used_at": NOW})));
    let listed = stack.get("/backend/tokens").account(&account).send().await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed.total_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_write_neither_fail_nor_delay_an_answer() {
    for fault in [Fate::internal_error(), Fate::Unanswered] {
        let (_, stack, proxy) = behind_proxy().await;
        proxy.fault_in(UPDATE, fault.clone());
        let started = Instant::now();
        assert_eq!(stack.list(&stack.demo_token, "").await.status, 200, "{fault:?}");
        // A write that gets no answer is given up after three.
        assert!(started.elapsed() < Duration::from_secs(2), "{fault:?} took {:?}", started.elapsed());
        eventually(async || proxy.seen(UPDATE) > 0).await;
    }
}

#[tokio::test]
async fn after_a_fault_of_the_write_none_is_tried_for_a_minute() {
    let (direct, _stack, proxy) = behind_proxy().await;
    let account = direct.add_api_account(demo::STORE, &read_only()).await;
    let client = Client::new(&aws::sdk_config(&proxy.url).await);
    let table = TokenTable::new(client, direct.configuration.tokens_table.clone());
    let last_uses = LastUses::new(table, direct.clock.clock());
    let used = [Credential::ApiAccount { sha256: sha256(&account) }];
    for (fate, seconds, expected) in
        [(Fate::internal_error(), 0, None), (Fate::Forwarded, 59, None), (Fate::Forwarded, 1, Some(NOW + 60))]
    {
        proxy.fault_in(UPDATE, fate.clone());
        direct.clock.advance(seconds);
        last_uses.note(demo::STORE, &used);
        last_uses.write().await;
        assert_eq!(direct.account_last_used_at(&account).await, expected, "{fate:?}");
    }
}
