//! Fills tables as years of use would, without the API, which would take as long.

use crate::{NOW, TestStack, signed_with_demo_key};
use accounts::passwords;
use aws_sdk_dynamodb::{
    Client,
    types::{PutRequest, WriteRequest},
};
use futures_util::{StreamExt, stream};
use local::demo;
use serde_json::json;
use shared::scopes::Scopes;
use shared::tables::{
    directory::{BackendUser, Customer, CustomerLogin, Role, Store, customer_email_key, customer_key},
    items::{Item, email_key, key, number, string, to_item},
    tokens::{BLOCKS, EXPIRY_SHARD, EventChannel, NewToken, TOKENS, TokenRecord},
};
use std::iter;

/// Ids that share an item of live-counts, and those that share a count.
const BLOCK: u64 = 256;
const SIXTEENTH: u64 = BLOCK / 16;

/// Makes a store with the demo administrator, `made` tokens, of which `live` are left, and customers with the ids from 1 on and
/// e-mails as `c1@example.com`. All passwords are the administrator's.
pub async fn fill_store(stack: &TestStack, store_hash: &str, made: u64, live: u64, customers: u64) {
    let accounts = stack.accounts();
    accounts.put_store(store_hash, &Store { channels: vec![1], ..Store::default() }).await.unwrap();
    let password_hash = passwords::hash(&demo::ADMIN_PASSWORD.into()).unwrap();
    let user = BackendUser { email: demo::ADMIN_EMAIL.into(), password_hash, role: Role::Administrator, active: true };
    accounts.put_user(store_hash, &user).await.unwrap();
    fill_customers(&stack.dynamodb, &stack.configuration.directory_table, store_hash, customers, &user.password_hash)
        .await;
    fill_tokens(&stack.dynamodb, &stack.configuration.tokens_table, store_hash, made, live).await;
}

/// Tokens of a store that has none yet, each with its own end, in the order of their ids.
pub async fn fill_ending(stack: &TestStack, store_hash: &str, ends: &[u64]) {
    let tokens = (1..).zip(ends).map(|(id, end)| {
        let record = TokenRecord { exp: Some(*end), ends_at: Some(*end), ..kept(id) };
        let mut item = token_item(store_hash, &record);
        item.insert(EXPIRY_SHARD.into(), number(0));
        item
    });
    fill_with(&stack.dynamodb, &stack.configuration.tokens_table, store_hash, tokens, ends.len() as u64, 1).await;
}

/// Those that are left are as far from each other as can be, and the first is one of them.
async fn fill_tokens(client: &Client, table: &str, store_hash: &str, made: u64, live: u64) {
    let distance = made / live;
    let ids = (1..=made).step_by(usize::try_from(distance).unwrap());
    let tokens = ids.map(|id| token_item(store_hash, &kept(id)));
    fill_with(client, table, store_hash, tokens, made, distance).await;
}

fn token_item(store_hash: &str, record: &TokenRecord) -> Item {
    let mut item = to_item(key(store_hash, format!("{TOKENS}{:020}", record.id)), record).unwrap();
    item.insert("email_key".into(), string(email_key(&record.email)));
    item
}

/// These tokens, and what counts them if there is one at each `distance` of ids.
async fn fill_with(
    client: &Client,
    table: &str,
    store_hash: &str,
    tokens: impl Iterator<Item = Item>,
    made: u64,
    distance: u64,
) {
    let blocks = (0..made.div_ceil(BLOCK)).filter_map(|block| {
        // How many ids are live of so many after the first of the block.
        let live_of = |first: u64, count: u64| {
            let up_to = |last: u64| last.min(made).div_ceil(distance);
            up_to(block * BLOCK + first + count) - up_to(block * BLOCK + first)
        };
        let mut item = key(store_hash, format!("{BLOCKS}{block:020}"));
        item.insert("live".into(), number(live_of(0, BLOCK)));
        for sixteenth in 0..16 {
            // Where all are deleted, the count stays.
            item.insert(format!("{sixteenth:x}"), number(live_of(sixteenth * SIXTEENTH, SIXTEENTH)));
        }
        (live_of(0, BLOCK) > 0).then_some(item)
    });
    let mut counter = key(store_hash, "COUNTER".into());
    counter.extend([("last_id".into(), number(made)), ("made".into(), number(made))]);
    put_all(client, table, tokens.chain(blocks).chain(iter::once(counter))).await;
}

/// A token of a store that was filled.
pub fn kept_token(store_hash: &str, id: u64) -> String {
    signed_with_demo_key(&json!(kept(id).claims(store_hash)))
}

fn kept(id: u64) -> TokenRecord {
    let token = NewToken {
        name: format!("token {id}"),
        email: demo::ADMIN_EMAIL.into(),
        event_channel: EventChannel::Api,
        kid: "demo".into(),
        iat: NOW - 86_400,
        nbf: None,
        exp: None,
        scopes: Scopes::ALL,
        replaces: None,
    };
    TokenRecord { last_used_at: Some(NOW - 7200), ..token.record(id) }
}

async fn fill_customers(client: &Client, table: &str, store_hash: &str, customers: u64, password_hash: &str) {
    let items = (1..=customers).flat_map(|customer_id| {
        let email = format!("c{customer_id}@example.com");
        let by_email = key(store_hash, customer_email_key(&email));
        let customer = Customer { customer_id, email, channels: vec![1], active: true, tokens_valid_after: None };
        let by_id = to_item(key(store_hash, customer_key(customer_id)), &customer).unwrap();
        let login = CustomerLogin { customer, password_hash: password_hash.into() };
        [to_item(by_email, &login).unwrap(), by_id]
    });
    put_all(client, table, items).await;
}

async fn put_all(client: &Client, table: &str, mut items: impl Iterator<Item = Item>) {
    let batches = iter::from_fn(|| {
        let puts = items.by_ref().take(25).map(|item| PutRequest::builder().set_item(Some(item)).build().unwrap());
        let writes: Vec<_> = puts.map(|put| WriteRequest::builder().put_request(put).build()).collect();
        (!writes.is_empty()).then_some(writes)
    });
    let writes = stream::iter(batches).map(|batch| client.batch_write_item().request_items(table, batch).send());
    writes
        .buffer_unordered(4)
        .for_each(async |answer| {
            assert!(answer.unwrap().unprocessed_items.unwrap_or_default().is_empty(), "some were left over");
        })
        .await;
}
