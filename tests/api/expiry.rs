//! `expire-tokens`, and that what it does not finish, or does beside others, leaves nothing wrong behind.

use crate::backend::tokens::{administrator, creation, new_token};
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use expire_tokens::ExpireTokens;
use futures_util::future::join_all;
use local::{aws::sdk_config, demo};
use serde_json::json;
use shared::{
    aws::timeouts,
    clock::Clock,
    tables::{
        items::{Item, key, number, string},
        tokens::{
            BLOCKS, Creation, Deletion, ENDS_AT, EXPIRING_TOKENS, EXPIRY_MARGIN, EXPIRY_SHARD, EXPIRY_SHARDS,
            EventChannel, NewToken, Rotation, TOKENS, TokenRecord, TokenTable, Wanted,
        },
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tests::{
    Call, Fate, NOW, Request, Stopwatch, TestStack, Trip, admin_login, behind_proxy, eventually, fill_ending,
    fill_store, signed_with_demo_key, with,
};

/// Seconds that a run has.
const RUN: u64 = 300;

/// A run at the stack's time, on this table. Gives how many it removed.
pub async fn run(stack: &TestStack, table: TokenTable) -> Result<u64, String> {
    let run = ExpireTokens::new(table, stack.clock.clock()).run(stack.clock.now() + RUN).await;
    run.map_err(|fault| fault.to_string())
}

pub async fn expire(stack: &TestStack) -> u64 {
    run(stack, stack.tokens()).await.unwrap()
}

/// A token that ends then, made without looking at who makes it.
pub async fn make(stack: &TestStack, store_hash: &str, exp: Option<u64>) -> TokenRecord {
    let tokens = stack.tokens();
    let counter = tokens.counter(store_hash).await.unwrap();
    let token = NewToken { exp, ..new_token("n") };
    let creation = Creation { store_hash, ..creation(&token, counter) };
    tokens.create(&creation, |_| Ok(Vec::new())).await.unwrap().unwrap()
}

/// The next token of the store has the id after this one.
pub async fn skip_ids(stack: &TestStack, store_hash: &str, last_id: u64) {
    let update = stack.dynamodb.update_item().table_name(&stack.configuration.tokens_table);
    let update = update.set_key(Some(key(store_hash, "COUNTER".into()))).update_expression("SET last_id = :last_id");
    update.expression_attribute_values(":last_id", number(last_id)).send().await.unwrap();
}

/// The table behind another AWS, as functions reach it, for who has little patience.
pub async fn table_at(stack: &TestStack, url: &str) -> TokenTable {
    let sdk_config = sdk_config(url).await.into_builder().timeout_config(timeouts()).build();
    let table = TokenTable::new(Client::new(&sdk_config), stack.configuration.tokens_table.clone());
    table.with_patience(Duration::from_millis(200))
}

pub async fn is_accepted(stack: &TestStack, token: &str) -> bool {
    let answer = stack.list(token, "?limit=1").await;
    assert!([200, 401].contains(&answer.status), "{}", answer.body);
    answer.status == 200
}

pub async fn items_of(stack: &TestStack, store_hash: &str) -> Vec<Item> {
    let query = stack.dynamodb.query().table_name(&stack.configuration.tokens_table).consistent_read(true);
    let query = query.key_condition_expression("pk = :pk").expression_attribute_values(":pk", string(store_hash));
    query.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
}

async fn index(stack: &TestStack) -> Vec<Item> {
    let scan = stack.dynamodb.scan().table_name(&stack.configuration.tokens_table).index_name(EXPIRING_TOKENS);
    scan.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    match &item[name] {
        AttributeValue::S(text) | AttributeValue::N(text) => text,
        other => panic!("{name} is {other:?}"),
    }
}

/// The ids of a store's tokens, on which all must agree that finds, counts or lists them.
pub async fn ids_of(stack: &TestStack, store_hash: &str) -> Vec<u64> {
    let items = items_of(stack, store_hash).await;
    let of_tokens = || items.iter().filter(|item| text(item, "sk").starts_with(TOKENS));
    let ids: Vec<u64> = of_tokens().map(|item| text(item, "id").parse().unwrap()).collect();

    let mut expected = BTreeMap::<_, BTreeMap<_, u64>>::new();
    for id in &ids {
        let counts = expected.entry(format!("{BLOCKS}{:020}", (id - 1) / 256)).or_default();
        *counts.entry("live".to_owned()).or_default() += 1;
        *counts.entry(format!("{:x}", (id - 1) % 256 / 16)).or_default() += 1;
    }
    let counted: BTreeMap<_, BTreeMap<_, u64>> = items
        .iter()
        .filter(|item| text(item, "sk").starts_with(BLOCKS))
        .map(|item| {
            let counts =
                item.iter().filter_map(|(name, count)| Some((name.clone(), count.as_n().ok()?.parse().unwrap())));
            (text(item, "sk").to_owned(), counts.filter(|(_, count)| *count != 0).collect())
        })
        .collect();
    assert_eq!(counted, expected, "what is counted in {store_hash} is not what there is");

    let ends = |item: &Item| [ENDS_AT, EXPIRY_SHARD, "sk"].map(|name| text(item, name).to_owned());
    let ending: BTreeSet<_> = of_tokens().filter(|item| item.contains_key(ENDS_AT)).map(ends).collect();
    let indexed: BTreeSet<_> =
        index(stack).await.iter().filter(|item| text(item, "pk") == store_hash).map(ends).collect();
    assert_eq!(indexed, ending, "in the index of what ends is not what ends");
    let shards: BTreeSet<_> = indexed.iter().map(|[_, shard, _]| shard).collect();
    assert!(shards.len() <= 1, "{store_hash} is in several parts of the index");

    let tokens = stack.tokens();
    for offset in (0..=ids.len()).step_by(1 + ids.len() / 8) {
        let page = tokens.page(store_hash, offset as u64, 3).await.unwrap();
        let listed: Vec<_> = page.tokens.iter().map(|token| token.id).collect();
        let expected: Vec<_> = ids.iter().copied().skip(offset).take(3).collect();
        assert_eq!((listed, page.total_count), (expected, ids.len() as u64), "at {offset}");
    }
    ids
}

#[tokio::test]
async fn what_ended_five_minutes_ago_is_removed_and_nothing_that_is_accepted() {
    let stack = TestStack::start().await;
    // The ids and ends of all that is there.
    let mut present = BTreeMap::from([(1, None)]);
    for end in [Some(NOW + 100), Some(NOW + 101), None, None, Some(NOW + 2000)] {
        present.insert(make(&stack, demo::STORE, end).await.id, end);
    }
    for (id, overlap, new_end) in [(5, 60, None), (6, 500, Some(NOW + 2000))] {
        let rotate = stack.post("/auth/backend/rotate", &json!({"id": id, "overlapSeconds": overlap}));
        let answer = rotate.token(&stack.demo_token).send().await;
        present.insert(id, Some(NOW + overlap));
        present.insert(answer.body["data"][0]["id"].as_u64().unwrap(), new_end);
    }
    for (seconds, gone) in [
        (0, None),
        (359, None),
        (360, Some(5)),
        (399, None),
        (400, Some(2)),
        (401, Some(3)),
        (799, None),
        (800, Some(6)),
        (2299, None),
        (2300, Some(8)),
        (100_000_000, None),
    ] {
        stack.clock.advance(NOW + seconds - stack.clock.now());
        assert_eq!(expire(&stack).await, u64::from(gone.is_some()), "after {seconds} seconds");
        if let Some(gone) = gone {
            present.remove(&gone).unwrap();
        }
        assert_eq!(ids_of(&stack, demo::STORE).await, present.keys().copied().collect::<Vec<_>>());
        for id in present.iter().filter(|(_, end)| end.is_none_or(|end| end > stack.clock.now())).map(|(id, _)| *id) {
            let record = stack.tokens().record(demo::STORE, id).await.unwrap().unwrap();
            let token = signed_with_demo_key(&json!(record.claims(demo::STORE)));
            assert!(is_accepted(&stack, &token).await, "{id} after {seconds} seconds");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_nearly_five_minutes_ahead_removes_nothing_that_is_accepted() {
    let stack = TestStack::start().await;
    let ending = make(&stack, demo::STORE, Some(NOW + 100)).await;
    let token = signed_with_demo_key(&json!(ending.claims(demo::STORE)));
    // The last second in which it is accepted: a token's own end has five seconds of leeway.
    stack.clock.advance(104);
    let clock = stack.clock.clone();
    let ahead = Clock::new(move || clock.now() + EXPIRY_MARGIN - 5);
    let removed = ExpireTokens::new(stack.tokens(), ahead).run(u64::MAX).await.unwrap();
    assert!(is_accepted(&stack, &token).await);
    assert_eq!(removed, 0);
    stack.clock.advance(1);
    assert!(!is_accepted(&stack, &token).await);
}

#[tokio::test]
async fn the_item_of_a_block_goes_with_its_last_tokens_and_its_neighbour_stays() {
    let stack = TestStack::start().await;
    skip_ids(&stack, demo::STORE, 250).await;
    for end in [10; 9].into_iter().chain([20, 20, 30]) {
        make(&stack, demo::STORE, Some(NOW + end)).await;
    }
    stack.clock.advance(EXPIRY_MARGIN);
    for (removed, left) in [(9, &[1, 260, 261, 262][..]), (2, &[1, 262]), (1, &[1])] {
        stack.clock.advance(10);
        assert_eq!(expire(&stack).await, removed);
        assert_eq!(ids_of(&stack, demo::STORE).await, left);
    }
}

#[tokio::test]
async fn as_many_are_removed_of_a_block_as_have_ended() {
    let stack = TestStack::start().await;
    let stores = [1, 2, 49, 50, 51, 101].map(|count| (format!("store{count}"), count));
    for (store_hash, count) in &stores {
        let ends: Vec<_> = (0..*count).map(|n| NOW + n % 7).collect();
        fill_ending(&stack, store_hash, &ends).await;
        if count % 2 == 1 {
            make(&stack, store_hash, None).await;
        }
    }
    stack.clock.advance(EXPIRY_MARGIN + 7);
    assert_eq!(expire(&stack).await, stores.iter().map(|(_, count)| count).sum::<u64>());
    for (store_hash, count) in &stores {
        let left = if count % 2 == 1 { vec![count + 1] } else { Vec::new() };
        assert_eq!(ids_of(&stack, store_hash).await, left, "{store_hash}");
    }
}

#[tokio::test]
async fn all_stores_are_looked_through_and_a_second_run_finds_nothing() {
    let stack = TestStack::start().await;
    let stores: Vec<_> = (0..12).map(|n| format!("store{n:02}")).collect();
    for store_hash in &stores {
        for end in [Some(NOW + 5), Some(NOW + 10_000), None] {
            make(&stack, store_hash, end).await;
        }
    }
    let shards: BTreeSet<u64> =
        index(&stack).await.iter().map(|item| text(item, EXPIRY_SHARD).parse().unwrap()).collect();
    assert_eq!(shards, (0..EXPIRY_SHARDS).collect(), "the stores are not in all parts of the index");
    stack.clock.advance(EXPIRY_MARGIN + 5);
    assert_eq!((expire(&stack).await, expire(&stack).await), (12, 0));
    for store_hash in &stores {
        assert_eq!(ids_of(&stack, store_hash).await, [2, 3], "{store_hash}");
    }
}

#[tokio::test]
async fn a_run_stops_before_its_deadline_and_the_next_goes_on() {
    let stack = TestStack::start().await;
    let stores: Vec<_> = (0..5).map(|n| format!("store{n}")).collect();
    for store_hash in &stores {
        make(&stack, store_hash, Some(NOW)).await;
    }
    let start = NOW + EXPIRY_MARGIN;
    // Whoever looks at it finds that a second has passed.
    let seconds = AtomicU64::new(0);
    let clock = Clock::new(move || start + seconds.fetch_add(1, Ordering::Relaxed));
    let function = ExpireTokens::new(stack.tokens(), clock);
    assert_eq!(function.run(start + 30).await.unwrap(), 0);
    // It looks once at its start, and once before each transaction.
    assert_eq!(function.run(start + 2 + 30 + 3).await.unwrap(), 2);
    let left = join_all(stores.iter().map(|store_hash| ids_of(&stack, store_hash))).await;
    assert_eq!(left.concat().len(), 3);
    assert_eq!(function.run(u64::MAX).await.unwrap(), 3);
}

#[tokio::test]
async fn a_thousand_that_ended_while_no_run_came_are_removed_by_the_next() {
    let stack = TestStack::start().await;
    let ends: Vec<_> = (0..1000).map(|n| NOW + n * 600).collect();
    fill_ending(&stack, "store", &ends).await;
    stack.clock.advance(7 * 86_400);
    let stopwatch = Stopwatch::default();
    let table = TokenTable::new(stopwatch.watch(&stack.sdk_config), stack.configuration.tokens_table.clone());
    assert_eq!(run(&stack, table).await, Ok(1000));
    assert!(ids_of(&stack, "store").await.is_empty());
    let trips = stopwatch.take();
    let count = |operation: &str| trips.iter().filter(|trip| trip.operation == operation).count();
    // Of 256, 256, 256 and 232 in a block at most 50 at once; the last ones of each are tried twice.
    assert_eq!((count("Query"), count("TransactWriteItems"), trips.len()), (8, 6 + 6 + 6 + 5 + 4, 35));
}

#[tokio::test]
async fn a_run_costs_what_has_ended_at_any_depth_of_what_lives() {
    let mut costs = Vec::new();
    // Each time ten ids of a block are before those that end.
    for living in [10, 8 * 256 + 10] {
        let stack = TestStack::start().await;
        fill_store(&stack, "store", living, living, 1).await;
        let stopwatch = Stopwatch::default();
        let table = TokenTable::new(stopwatch.watch(&stack.sdk_config), stack.configuration.tokens_table.clone());
        let mut cost = async |ended| {
            let started = Instant::now();
            assert_eq!(run(&stack, table.clone()).await, Ok(ended));
            let elapsed = started.elapsed();
            let trips = stopwatch.take();
            let units = |units: fn(&Trip) -> f64| trips.iter().map(units).sum::<f64>();
            let (read, write) = (units(|trip| trip.read_units), units(|trip| trip.write_units));
            println!("{ended} of {living}: {} requests, {read} read and {write} write units, {elapsed:?}", trips.len());
            costs.push((trips.len(), read, write));
        };
        cost(0).await;
        for _ in 0..100 {
            make(&stack, "store", Some(NOW)).await;
        }
        stack.clock.advance(EXPIRY_MARGIN);
        cost(100).await;
    }
    assert_eq!(costs[..2], costs[2..], "what lives is paid for");
    assert_eq!((costs[0].0, costs[1].0), (8, 10));
}

/// What AWS charges for, as the embedded database counts: a transaction twice, its writes to the index once.
#[tokio::test]
async fn a_tokens_life_costs_so_many_write_units() {
    let direct = TestStack::start().await;
    let stopwatch = Stopwatch::default();
    let stack = direct.with_clients(&stopwatch.watch(&direct.sdk_config), &direct.secrets).await;
    let written = async |call: Call| {
        stopwatch.take();
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let trips = stopwatch.take();
        let transactions = trips.iter().filter(|trip| trip.operation == "TransactWriteItems");
        transactions.map(|trip| trip.write_units).sum::<f64>()
    };
    let create = |end: Option<u64>| stack.post("/auth/backend", &with(admin_login("n"), "endAt", end));
    let rotate = |id: u64, token: &str| stack.post("/auth/backend/rotate", &json!({"id": id})).token(token);
    let delete = |id: u64| stack.delete(&json!({"id": id})).token(&stack.demo_token);
    let token = async |id| {
        let record = stack.tokens().record(demo::STORE, id).await.unwrap().unwrap();
        signed_with_demo_key(&json!(record.claims(demo::STORE)))
    };
    let end = Some(NOW + 1_000_000);
    let key = |call: Call, key| call.header("Idempotency-Key", key);
    let mut costs = vec![
        ("create", written(create(None)).await),
        ("create, ends", written(create(end)).await),
        ("create, with a key", written(key(create(None), "a")).await),
        ("rotate, by itself", written(rotate(2, &token(2).await)).await),
        ("rotate, ends, by itself", written(rotate(3, &token(3).await)).await),
        ("rotate, by another", written(rotate(4, &stack.demo_token)).await),
        ("rotate, by another, with a key", written(key(rotate(5, &stack.demo_token), "b")).await),
        ("delete, by another", written(delete(8)).await),
        ("delete, ends, by another", written(delete(6)).await),
        ("delete, by itself", written(stack.delete(&json!({"id": 7})).token(&token(7).await)).await),
    ];
    let table = TokenTable::new(stopwatch.watch(&stack.sdk_config), stack.configuration.tokens_table.clone());
    for (name, count) in [("expire none", 0), ("expire 1", 1), ("expire 10", 10), ("expire 50", 50)] {
        for _ in 0..count {
            make(&direct, demo::STORE, Some(NOW)).await;
        }
        let ahead = Clock::new(|| NOW + EXPIRY_MARGIN);
        stopwatch.take();
        assert_eq!(ExpireTokens::new(table.clone(), ahead).run(u64::MAX).await.unwrap(), count);
        let trips = stopwatch.take();
        let queries = trips.iter().filter(|trip| trip.operation == "Query");
        assert_eq!(queries.map(|trip| trip.read_units).collect::<Vec<_>>(), [0.5; 8]);
        costs.push((name, trips.iter().map(|trip| trip.write_units).sum()));
    }
    for (name, units) in &costs {
        println!("{name:<32} {units:>6}");
    }
    let units: Vec<_> = costs.into_iter().map(|(_, units)| units).collect();
    assert_eq!(units, [8.0, 9.0, 10.0, 11.0, 13.0, 13.0, 15.0, 6.0, 7.0, 4.0, 0.0, 5.0, 32.0, 152.0]);
}

/// Two runs, deletions, rotations and creations, all at once and in the way of one another.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_runs_and_changes_of_the_same_tokens_leave_what_should_be_left() {
    let (stack, _, proxy) = behind_proxy().await;
    let maker = &administrator(&stack).await;
    let client = Client::new(&sdk_config(&proxy.url).await);
    let table =
        TokenTable::new(client, stack.configuration.tokens_table.clone()).with_patience(Duration::from_secs(30));
    proxy.fault_in("TransactWriteItems", Fate::KeptOpen(Duration::from_millis(3)));
    let mut left = BTreeSet::from([1]);
    for round in 0..8 {
        let now = stack.clock.now();
        let mut made = Vec::new();
        for n in 0..24 {
            // Those that end are among those that live.
            made.push(make(&stack, demo::STORE, (n % 2 == 0).then_some(now + 1)).await);
        }
        stack.clock.advance(1 + EXPIRY_MARGIN);
        let now = stack.clock.now();
        let (ended, living): (Vec<_>, Vec<_>) = made.into_iter().partition(|token| token.exp.is_some());
        let (deleted, rotated) = living.split_at(4);
        let delete = async |token: &TokenRecord| {
            table.delete(demo::STORE, &Wanted::by_id(token.id), None, now, Vec::new()).await.unwrap()
        };
        let rotate = async |old: &TokenRecord| {
            let rotation = Rotation {
                store_hash: demo::STORE,
                old,
                overlap: 0,
                exp: None,
                kid: "demo",
                event_channel: EventChannel::Api,
                idempotency_key: None,
                counter: table.counter(demo::STORE).await.unwrap(),
                max: u64::MAX - 1,
                now,
            };
            table.rotate(&rotation, &[], maker).await.unwrap().id
        };
        let create = async |_| {
            let token = new_token("n");
            let counter = table.counter(demo::STORE).await.unwrap();
            table.create(&creation(&token, counter), |_| Ok(Vec::new())).await.unwrap().unwrap().id
        };
        let (one, other, of_ended, of_living, new, others) = tokio::join!(
            run(&stack, table.clone()),
            run(&stack, table.clone()),
            join_all(ended[..4].iter().map(delete)),
            join_all(deleted.iter().map(delete)),
            join_all(rotated.iter().map(rotate)),
            join_all((0..4).map(create)),
        );
        let deleted_first = of_ended.iter().filter(|deletion| **deletion == Deletion::Deleted).count() as u64;
        assert!(of_ended.iter().all(|deletion| [Deletion::Deleted, Deletion::NoSuchToken].contains(deletion)));
        assert_eq!(one.unwrap() + other.unwrap() + deleted_first, ended.len() as u64, "in round {round}");
        assert!(of_living.iter().all(|deletion| *deletion == Deletion::Deleted));
        // What was replaced ended only now.
        let now_present = left.iter().copied().chain(rotated.iter().map(|token| token.id)).chain(new).chain(others);
        left = now_present.collect();
        assert_eq!(ids_of(&stack, demo::STORE).await, left.iter().copied().collect::<Vec<_>>(), "in round {round}");
        for token in rotated {
            left.remove(&token.id);
        }
        stack.clock.advance(EXPIRY_MARGIN);
        assert_eq!(expire(&stack).await, rotated.len() as u64);
    }
    assert_eq!(ids_of(&stack, demo::STORE).await, left.into_iter().collect::<Vec<_>>());
}

/// What goes wrong in a run.
mod faults {
    use super::*;

    /// Stores of which one has tokens that end in two blocks.
    async fn fill(stack: &TestStack, name: &str) -> [String; 2] {
        let stores = [format!("{name}a"), format!("{name}b")];
        let now = stack.clock.now();
        make(stack, &stores[0], None).await;
        skip_ids(stack, &stores[0], 254).await;
        for end in [now, now, now] {
            make(stack, &stores[0], Some(end)).await;
        }
        for end in [Some(now), None, Some(now)] {
            make(stack, &stores[1], end).await;
        }
        stack.clock.advance(EXPIRY_MARGIN);
        stores
    }

    /// Of what [`fill`] made, only tokens that had ended have gone, and so many are left.
    async fn left(stack: &TestStack, stores: &[String; 2]) -> usize {
        let [one, other] = [ids_of(stack, &stores[0]).await, ids_of(stack, &stores[1]).await];
        assert!(one.contains(&1) && other.contains(&2), "{one:?} {other:?}");
        one.len() + other.len()
    }

    /// Transactions of a run over what [`fill`] made: the last one of a block is tried twice.
    const TRANSACTIONS: usize = 4;

    fn fates() -> [fn(&Request<'_>) -> Fate; 7] {
        [
            |_| Fate::CutOff,
            |_| Fate::AnswerLost,
            |_| Fate::Unanswered,
            |_| Fate::internal_error(),
            |_| Fate::error("ThrottlingException"),
            |request| request.cancelled("TransactionConflict"),
            |request| request.cancelled("ThrottlingError"),
        ]
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_goes_wrong_once_with_any_write_is_made_good_by_the_same_run() {
        let (stack, _, proxy) = behind_proxy().await;
        let table = table_at(&stack, &proxy.url).await;
        for position in 0..TRANSACTIONS {
            for (n, fate) in fates().into_iter().enumerate() {
                let stores = fill(&stack, &format!("{n}at{position}")).await;
                proxy.rule(move |request| match (request.operation, request.earlier) {
                    ("TransactWriteItems", earlier) if earlier == position => fate(request),
                    _ => Fate::Forwarded,
                });
                assert_eq!(run(&stack, table.clone()).await, Ok(5), "fate {n} of write {position}");
                assert_eq!(proxy.seen("TransactWriteItems"), TRANSACTIONS + 1);
                assert_eq!(left(&stack, &stores).await, 2);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_that_fails_from_any_write_on_leaves_the_rest_to_the_next() {
        let (stack, _, proxy) = behind_proxy().await;
        let table = table_at(&stack, &proxy.url).await;
        for position in 0..TRANSACTIONS {
            for (n, fate) in fates().into_iter().enumerate().filter(|(n, _)| position == 1 || *n == 3) {
                let stores = fill(&stack, &format!("{n}from{position}")).await;
                proxy.rule(move |request| match (request.operation, request.earlier) {
                    ("TransactWriteItems", earlier) if earlier >= position => fate(request),
                    _ => Fate::Forwarded,
                });
                run(&stack, table.clone()).await.unwrap_err();
                let left_over = left(&stack, &stores).await - 2;
                // Who gets no answer may have done it.
                assert!(left_over > 0 || n == 1, "fate {n} from write {position} on");
                proxy.forward_all();
                assert_eq!(run(&stack, table.clone()).await, Ok(left_over as u64));
                assert_eq!(left(&stack, &stores).await, 2);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_that_ends_in_the_midst_of_any_write_leaves_the_rest_to_the_next() {
        let (stack, _, proxy) = behind_proxy().await;
        let table = table_at(&stack, &proxy.url).await;
        for position in 0..TRANSACTIONS {
            // The write is lost; or it is made while the next run is under way already.
            for (n, fate) in [Fate::Unanswered, Fate::KeptOpen(Duration::from_millis(50))].into_iter().enumerate() {
                let stores = fill(&stack, &format!("{n}in{position}")).await;
                proxy.rule(move |request| match (request.operation, request.earlier) {
                    ("TransactWriteItems", earlier) if earlier == position => fate.clone(),
                    _ => Fate::Forwarded,
                });
                tokio::select! {
                    run = run(&stack, table.clone()) => panic!("{run:?}"),
                    () = eventually(async || proxy.seen("TransactWriteItems") > position) => {}
                }
                run(&stack, table.clone()).await.unwrap();
                assert_eq!(left(&stack, &stores).await, 2, "fate {n} of write {position}");
            }
        }
    }

    /// The index may be behind the table, by what no test can wait for.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_index_says_and_the_table_does_not_is_not_removed() {
        let (stack, _, proxy) = behind_proxy().await;
        for end in [Some(NOW), Some(NOW + 1), None, Some(NOW), Some(NOW)] {
            make(&stack, demo::STORE, end).await;
        }
        stack.tokens().delete(demo::STORE, &Wanted::by_id(5), None, NOW, Vec::new()).await.unwrap();
        stack.clock.advance(EXPIRY_MARGIN);
        let entry = |id: u64| json!({"pk": {"S": demo::STORE}, "sk": {"S": format!("{TOKENS}{id:020}")}});
        let entries: Vec<_> = (1..=7).map(entry).collect();
        proxy.rule(move |request| match request.operation {
            "Query" if request.earlier == 0 => Fate::Answered(200, json!({"Items": entries})),
            "Query" => Fate::Answered(200, json!({"Items": []})),
            _ => Fate::Forwarded,
        });
        let table = table_at(&stack, &proxy.url).await;
        assert_eq!(run(&stack, table).await, Ok(2));
        assert_eq!(ids_of(&stack, demo::STORE).await, [1, 3, 4]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_broken_of_one_store_does_not_keep_what_is_of_others() {
        let block = format!("{BLOCKS}{:020}", 0);
        let end = || [(ENDS_AT, number(NOW)), (EXPIRY_SHARD, number(0))];
        let broken = [
            (block.clone(), vec![("live", string("many"))]),
            (block.clone(), vec![("live", number(9)), ("0", string("many"))]),
            ("NOTE#1".into(), end().to_vec()),
            (format!("{TOKENS}x"), end().to_vec()),
        ];
        for (sk, attributes) in broken {
            let stack = TestStack::start().await;
            // Before, beside and after the others in the index.
            for store_hash in ["@", "H", "P", "a", "h", "p"] {
                make(&stack, store_hash, Some(NOW)).await;
                make(&stack, store_hash, Some(NOW)).await;
            }
            let others: Vec<_> = (0..8).map(|n| format!("store{n}")).collect();
            for store_hash in &others {
                make(&stack, store_hash, Some(NOW)).await;
            }
            for store_hash in ["@", "P", "p"] {
                let mut item = key(store_hash, sk.clone());
                item.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
                let put = stack.dynamodb.put_item().table_name(&stack.configuration.tokens_table);
                put.set_item(Some(item)).send().await.unwrap();
            }
            stack.clock.advance(EXPIRY_MARGIN);
            let table = stack.tokens().with_patience(Duration::from_millis(100));
            // What is no token is left where it is.
            assert_eq!(run(&stack, table).await.is_err(), sk == block, "{sk} {attributes:?}");
            for store_hash in others.iter().map(String::as_str).chain(["H", "a", "h"]) {
                let tokens = stack.tokens().page(store_hash, 0, 10).await.unwrap().tokens;
                assert!(tokens.is_empty(), "{sk} {attributes:?} keeps those of {store_hash}");
            }
        }
    }
}
