//! Stores that have as many tokens as they may have, and what has ended in them.

use crate::{
    backend::tokens::{creation, new_token},
    expiry::{expire, ids_of, items_of, make},
};
use fastrand::Rng;
use local::{aws::sdk_config, demo};
use serde_json::json;
use shared::tables::tokens::{BLOCKS, Creation, EXPIRY_MARGIN, NewToken, NotCreated, TokenRecord, TokenTable, Wanted};
use std::time::Duration;
use tests::{
    Answer, Fate, NOW, Proxy, Request, Setup, Stopwatch, TestStack, admin_login, eventually, fill_ending, with,
};

/// A stack whose stores may have so many tokens.
async fn stack_for(max: u64) -> TestStack {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = max;
    TestStack::start_with(setup).await
}

async fn create(stack: &TestStack, end: Option<u64>) -> Answer {
    stack.post("/auth/backend", &with(admin_login("n"), "endAt", end)).send().await
}

async fn rotate(stack: &TestStack, id: u64, overlap: u64) -> Answer {
    let rotate = stack.post("/auth/backend/rotate", &json!({"id": id, "overlapSeconds": overlap}));
    rotate.token(&stack.demo_token).send().await
}

/// Makes a token without a look at its maker, in a store that may have `max`.
async fn try_to_make(
    table: &TokenTable,
    store_hash: &str,
    exp: Option<u64>,
    max: u64,
    now: u64,
) -> Result<TokenRecord, NotCreated> {
    let token = NewToken { exp, ..new_token("n") };
    let counter = table.counter(store_hash).await?;
    let created =
        table.create(&Creation { store_hash, max, now, ..creation(&token, counter) }, |_| Ok(Vec::new())).await?;
    Ok(created.unwrap())
}

#[tokio::test]
async fn what_ended_less_than_five_minutes_ago_takes_no_room_and_stays_and_then_it_is_freed() {
    for rotates in [false, true] {
        let stack = stack_for(4).await;
        for _ in 0..3 {
            make(&stack, demo::STORE, Some(NOW + 60)).await;
        }
        let make_another = async || {
            if !rotates {
                return create(&stack, None).await.status;
            }
            let last = *ids_of(&stack, demo::STORE).await.last().unwrap();
            rotate(&stack, if last == 4 { 1 } else { last }, 600_000).await.status
        };
        stack.clock.advance(59);
        assert_eq!(make_another().await, 507);
        assert_eq!(ids_of(&stack, demo::STORE).await, [1, 2, 3, 4]);
        stack.clock.advance(EXPIRY_MARGIN);
        // The id of one that was refused is lost where it was reserved.
        assert_eq!(make_another().await, 200);
        assert_eq!(ids_of(&stack, demo::STORE).await, [1, 2, 3, 4, 5], "rotates: {rotates}");
        stack.clock.advance(1);
        assert_eq!(make_another().await, 200);
        assert_eq!(ids_of(&stack, demo::STORE).await, [1, 5, 6], "rotates: {rotates}");
        assert_eq!(make_another().await, 200);
        assert_eq!(make_another().await, 507);
        assert_eq!(ids_of(&stack, demo::STORE).await, [1, 5, 6, 7]);
    }
}

#[tokio::test]
async fn who_replaces_a_token_at_once_needs_no_room_and_who_does_later_does() {
    let stack = stack_for(2).await;
    make(&stack, demo::STORE, None).await;
    assert_eq!(rotate(&stack, 2, 1).await.status, 507);
    assert_eq!(rotate(&stack, 2, 0).await.status, 200);
    assert_eq!(create(&stack, None).await.status, 507);
    assert_eq!(rotate(&stack, 3, 0).await.status, 200);
    assert_eq!(ids_of(&stack, demo::STORE).await, [1, 2, 3, 4]);
    stack.clock.advance(EXPIRY_MARGIN);
    assert_eq!(create(&stack, None).await.status, 507);
    // It was freed all the same.
    assert_eq!(ids_of(&stack, demo::STORE).await, [1, 4]);
}

#[tokio::test]
async fn a_creation_frees_what_one_transaction_can_and_the_next_ones_need_not_look_again() {
    let max = 230;
    let stack = stack_for(max).await;
    fill_ending(&stack, "store", &[NOW; 230]).await;
    stack.clock.advance(EXPIRY_MARGIN);
    let stopwatch = Stopwatch::default();
    let table = TokenTable::new(stopwatch.watch(&stack.sdk_config), stack.configuration.tokens_table.clone());
    let requests = async || {
        try_to_make(&table, "store", None, max, stack.clock.now()).await.unwrap();
        stopwatch.take().len()
    };
    // The counter, the counts, what has ended, fifty of it or the thirty that come last, and the token.
    assert_eq!(requests().await, 3 + 1 + 1);
    let left = ids_of(&stack, "store").await;
    assert!([231 - 50, 231 - 30].contains(&left.len()), "{left:?}");
    assert_eq!(left.last(), Some(&231));
    assert_eq!([requests().await, requests().await], [2, 2]);
}

/// Two at once for the last place, which is free already or is to be freed.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_parallel_creations_for_one_place_one_gets_it() {
    let stack = stack_for(u64::MAX).await;
    let proxy = Proxy::start(stack.aws_url()).await;
    let table = TokenTable::new(
        aws_sdk_dynamodb::Client::new(&sdk_config(&proxy.url).await),
        stack.configuration.tokens_table.clone(),
    );
    proxy.fault_in("TransactWriteItems", Fate::KeptOpen(Duration::from_millis(2)));
    let mut living = 1;
    for round in 0..24 {
        // Room for one more, and some that have ended: none, lately, or long enough ago to be freed.
        let ended = round % 4;
        for _ in 0..ended {
            make(&stack, demo::STORE, Some(stack.clock.now() + 1)).await;
        }
        stack.clock.advance(if round % 8 < 4 { EXPIRY_MARGIN } else { EXPIRY_MARGIN + 1 });
        let now = stack.clock.now();
        let max = living + 1;
        let (one, other) = tokio::join!(
            try_to_make(&table, demo::STORE, None, max, now),
            try_to_make(&table, demo::STORE, None, max, now)
        );
        let (made, full) = if one.is_ok() { (one, other) } else { (other, one) };
        assert!(made.is_ok(), "in round {round}: {made:?}");
        assert!(matches!(full, Err(NotCreated::Full { .. })), "in round {round}: {full:?}");
        living += 1;
        let items = items_of(&stack, demo::STORE).await;
        let now_living = items.iter().filter(|item| item.contains_key("id") && !item.contains_key("ends_at")).count();
        assert_eq!(now_living as u64, living, "in round {round}");
    }
    expire(&stack).await;
    assert_eq!(ids_of(&stack, demo::STORE).await.len() as u64, living);
}

/// What the counter says may lag behind, but never leads to more tokens than there may be, nor to fewer.
#[tokio::test]
async fn a_store_takes_what_it_has_room_for_after_hundreds_of_changes() {
    for seed in 0..2 {
        let max = 12;
        let stack = stack_for(max).await;
        let table = stack.tokens();
        let mut rng = Rng::with_seed(seed);
        let mut made = 1;
        for step in 0..250 {
            let now = stack.clock.now();
            let tokens = table.page(demo::STORE, 0, 250).await.unwrap().tokens;
            let living = tokens.iter().filter(|token| token.ends_at.is_none_or(|end| end > now)).count() as u64;
            match rng.u32(..100) {
                0..55 => {
                    let exp = rng.bool().then(|| now + rng.u64(1..900));
                    match try_to_make(&table, demo::STORE, exp, max, now).await {
                        Ok(_) => {
                            assert!(living < max, "made in a full store: seed {seed}, step {step}");
                            made += 1;
                        }
                        Err(NotCreated::Full { .. }) => {
                            assert!(living >= max, "refused: seed {seed}, step {step}");
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
                55..80 if tokens.len() > 1 => {
                    let token = &tokens[rng.usize(1..tokens.len())];
                    table.delete(demo::STORE, &Wanted::by_id(token.id), None, now, Vec::new()).await.unwrap();
                }
                80..85 => {
                    expire(&stack).await;
                }
                _ => stack.clock.advance(rng.u64(1..200)),
            }
            let items = items_of(&stack, demo::STORE).await;
            let counter = items.iter().find(|item| item["sk"].as_s().is_ok_and(|sk| sk == "COUNTER")).unwrap();
            let count = |name| counter.get(name).map_or(0, |count| count.as_n().unwrap().parse().unwrap());
            let present = items.iter().filter(|item| item.contains_key("id")).count() as u64;
            assert_eq!(count("made"), made, "seed {seed}, step {step}");
            assert!(count("deleted") <= made - present, "more than were deleted: seed {seed}, step {step}");
        }
        ids_of(&stack, demo::STORE).await;
    }
}

mod faults {
    use super::*;
    use shared::tables::retries::PATIENCE;

    fn frees(request: &Request<'_>) -> bool {
        request.operation == "TransactWriteItems" && request.body["TransactItems"][0].get("Delete").is_some()
    }

    /// A full store whose tokens have ended, but for the demo token, behind functions with a proxy before AWS.
    async fn full_of_ended(max: u64) -> (TestStack, TestStack, Proxy) {
        let direct = stack_for(max).await;
        for _ in 1..max {
            make(&direct, demo::STORE, Some(NOW)).await;
        }
        direct.clock.advance(EXPIRY_MARGIN);
        let proxy = Proxy::start(direct.aws_url()).await;
        let stack = direct.fresh_functions(&proxy.url).await;
        (direct, stack, proxy)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_cannot_free_what_has_ended_makes_a_token_all_the_same() {
        let fates: [fn(&Request<'_>) -> Fate; 6] = [
            |_| Fate::CutOff,
            |_| Fate::AnswerLost,
            |_| Fate::Unanswered,
            |_| Fate::internal_error(),
            |_| Fate::error("ValidationException"),
            |request| request.cancelled("TransactionConflict"),
        ];
        for (n, fate) in fates.into_iter().enumerate() {
            let (direct, stack, proxy) = full_of_ended(4).await;
            proxy.rule(move |request| if frees(request) { fate(request) } else { Fate::Forwarded });
            let started = std::time::Instant::now();
            for end in [NOW + 86_400, NOW + 1000, NOW + 1000] {
                let answer = create(&stack, Some(end)).await;
                assert_eq!(answer.status, 200, "fate {n}: {}", answer.body);
            }
            assert!(started.elapsed() < PATIENCE * 3 + Duration::from_secs(6), "fate {n}: {:?}", started.elapsed());
            assert_eq!(create(&stack, None).await.status, 507, "fate {n}");
            let ids = ids_of(&direct, demo::STORE).await;
            // Whose answer is lost was freed.
            let expected = if n == 1 { &[1, 5, 6, 7][..] } else { &[1, 2, 3, 4, 5, 6, 7] };
            assert_eq!(ids, expected, "fate {n}");
        }
    }

    /// Who has reserved an id is counted only once its token is written.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_place_is_not_given_again_to_who_read_the_counter_before_it_was_taken() {
        let stack = stack_for(2).await;
        let proxy = Proxy::start(stack.aws_url()).await;
        let client = aws_sdk_dynamodb::Client::new(&sdk_config(&proxy.url).await);
        let slow = TokenTable::new(client, stack.configuration.tokens_table.clone());
        proxy.rule(|request| match (request.operation, request.earlier) {
            ("TransactWriteItems", 1) => Fate::KeptOpen(Duration::from_millis(500)),
            _ => Fate::Forwarded,
        });
        let token = new_token("n");
        // Who knows no counter has to reserve an id.
        let of_first = Creation { max: 2, ..creation(&token, None) };
        let (first, counter) = tokio::join!(slow.create(&of_first, |_| Ok(Vec::new())), async {
            eventually(async || proxy.seen("TransactWriteItems") == 2).await;
            stack.tokens().counter(demo::STORE).await.unwrap()
        });
        assert_eq!(first.unwrap().unwrap().id, 2);
        let of_second = Creation { max: 2, ..creation(&token, counter) };
        let second = stack.tokens().create(&of_second, |_| Ok(Vec::new())).await;
        assert!(matches!(second, Err(NotCreated::Full { .. })), "{second:?}");
        assert_eq!(ids_of(&stack, demo::STORE).await, [1, 2]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_is_not_full_whose_ended_tokens_are_removed_while_they_are_counted() {
        let (direct, stack, proxy) = full_of_ended(4).await;
        // The counts as they were before, and then what has ended as it is now.
        let items = items_of(&direct, demo::STORE).await;
        let block = items.into_iter().find(|item| item["sk"].as_s().unwrap().starts_with(BLOCKS)).unwrap();
        let counts = ["live", "0"].map(|name| (name, json!({"N": block[name].as_n().unwrap()})));
        let mut item = json!({"pk": {"S": demo::STORE}, "sk": {"S": block["sk"].as_s().unwrap()}});
        for (name, count) in counts {
            item[name] = count;
        }
        assert_eq!(expire(&direct).await, 3);
        proxy.rule(move |request| match (request.operation, request.earlier) {
            ("Query", 0) => Fate::Answered(200, json!({"Items": [item], "Count": 1, "ScannedCount": 1})),
            _ => Fate::Forwarded,
        });
        let answer = create(&stack, None).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}
