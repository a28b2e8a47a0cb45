//! Many at once in one store, where transactions are in the way of one another as those of the real DynamoDB are.

use crate::backend::tokens::{administrator, create, fill, ids};
use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, CancellationReason, ConditionCheck, Put, TransactWriteItem},
};
use futures_util::future::join_all;
use local::{aws::sdk_config, demo};
use shared::tables::{
    items::{key, string},
    retries::PATIENCE,
    tokens::{Deletion, TokenTable, Wanted},
    transactions::Part,
};
use std::{collections::BTreeSet, time::Duration};
use tests::{Fate, NOW, behind_proxy, eventually};

/// How long every transaction is open.
const OPEN: Duration = Duration::from_millis(5);

/// So many tokens are made, by one user, while others are deleted, by one caller, each within the patience.
async fn all_succeed(creates: u64, deletes: u64, patience: Duration) {
    let (direct, _, proxy) = behind_proxy().await;
    fill(&direct, deletes).await;
    let maker = administrator(&direct).await;
    let caller = direct.tokens().record(demo::STORE, 1).await.unwrap().unwrap().identity();
    // Not through HTTP: to hash a hundred passwords would keep the creates apart, and a hundred functions have more than the two
    // processors of one machine.
    let client = Client::new(&sdk_config(&proxy.url).await);
    let table = TokenTable::new(client, direct.configuration.tokens_table.clone()).with_patience(patience);
    proxy.fault_in("TransactWriteItems", Fate::KeptOpen(OPEN));
    let delete = async |id| {
        let caller = table.identity_check(demo::STORE, &caller, NOW).unwrap();
        table.delete(demo::STORE, &Wanted::by_id(id), None, NOW, vec![caller]).await
    };
    let (creations, deletions) = tokio::join!(
        join_all((0..creates).map(|n| create(&table, &maker, n))),
        join_all((2..2 + deletes).map(delete)),
    );
    assert!(proxy.seen("TransactWriteItems") as u64 > creates + deletes, "none was in the way of another");
    let mut left = BTreeSet::from([1]);
    let mut failures = Vec::new();
    for creation in creations {
        match creation {
            Ok(Ok(token)) => assert!(left.insert(token.id), "{token:?} has the id of another"),
            other => failures.push(format!("{other:?}")),
        }
    }
    for deletion in deletions.into_iter().filter(|deletion| !matches!(deletion, Ok(Deletion::Deleted))) {
        failures.push(format!("{deletion:?}"));
    }
    assert!(failures.is_empty(), "{} failed, such as {}", failures.len(), failures[0]);
    let listed = direct.list(&direct.demo_token, "?limit=250").await;
    assert_eq!(listed.total_count(), 1 + creates);
    assert_eq!(ids(&listed.body), left.into_iter().collect::<Vec<_>>());
}

/// What a hundred functions have to themselves is here done by two processors, which other tests use too: so a hundred have more
/// time, and those that have no more than a caller would give them are fewer.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_parallel_creates_and_deletes_all_succeed() {
    let patience = Duration::from_secs(30);
    all_succeed(100, 0, patience).await;
    all_succeed(0, 100, patience).await;
    all_succeed(50, 50, patience).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_parallel_creates_and_deletes_succeed_while_a_caller_waits() {
    all_succeed(20, 0, PATIENCE).await;
    all_succeed(0, 20, PATIENCE).await;
}

/// On what the others stand: the proxy refuses what the real DynamoDB refuses.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_is_in_the_way_of_parallel_writes_and_not_of_reads() {
    let (direct, _, proxy) = behind_proxy().await;
    let table = &direct.configuration.tokens_table;
    let client = Client::new(&sdk_config(&proxy.url).await);
    let put = |sk: &str, value: &str| {
        let mut item = key(demo::STORE, sk.into());
        item.insert("value".into(), string(value));
        Put::builder().table_name(table).set_item(Some(item)).build().part().unwrap()
    };
    let put_alone = async |sk: &str| {
        let item = put(sk, "alone").put.unwrap().item;
        client.put_item().table_name(table).set_item(Some(item)).send().await
    };
    let check = |sk: &str| {
        let check = ConditionCheck::builder().table_name(table).set_key(Some(key(demo::STORE, sk.into())));
        check.condition_expression("attribute_not_exists(pk)").build().part().unwrap()
    };
    let transact = |items: Vec<TransactWriteItem>, token: &str| {
        client.transact_write_items().set_transact_items(Some(items)).client_request_token(token).send()
    };
    let value = async |sk: &str| {
        let get = client.get_item().table_name(table).set_key(Some(key(demo::STORE, sk.into())));
        let item = get.consistent_read(true).send().await.unwrap().item?;
        item["value"].as_s().ok().cloned()
    };
    let is_conflict = |code: Option<&str>| assert_eq!(code, Some("TransactionConflictException"));

    proxy.rule(|request| match (request.operation, request.earlier) {
        ("TransactWriteItems", 0) => Fate::KeptOpen(Duration::from_secs(3)),
        _ => Fate::Forwarded,
    });
    let first = tokio::spawn(transact(vec![put("A", "first"), check("B")], "first"));
    eventually(async || proxy.seen("TransactWriteItems") == 1).await;
    let again = transact(vec![put("A", "first"), check("B")], "first").await.unwrap_err();
    assert_eq!(again.code(), Some("TransactionInProgressException"));
    for (item, held) in [(put("A", "second"), "A"), (check("A"), "A"), (put("B", "second"), "B"), (check("B"), "B")] {
        let error = transact(vec![put("C", "second"), item], held).await.unwrap_err();
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
            panic!("{error:?}");
        };
        let reasons: Vec<_> = cancelled.cancellation_reasons().iter().filter_map(CancellationReason::code).collect();
        assert_eq!(reasons, ["None", "TransactionConflict"]);
    }
    is_conflict(put_alone("A").await.unwrap_err().code());
    let update = client.update_item().table_name(table).set_key(Some(key(demo::STORE, "B".into())));
    let update = update.update_expression("SET v = :v").expression_attribute_values(":v", AttributeValue::Null(true));
    is_conflict(update.send().await.unwrap_err().code());
    let delete = client.delete_item().table_name(table).set_key(Some(key(demo::STORE, "A".into())));
    is_conflict(delete.send().await.unwrap_err().code());
    assert_eq!((value("A").await, value("C").await), (None, None));
    put_alone("C").await.unwrap();
    assert!(!first.is_finished(), "it was not open for long enough");
    first.await.unwrap().unwrap();
    assert_eq!((value("A").await.as_deref(), value("C").await.as_deref()), (Some("first"), Some("alone")));
    put_alone("A").await.unwrap();
}
