//! Requests with an `Idempotency-Key`, sent again.

use crate::backend::tokens::{administrator, creation, new_token};
use accounts::UserChange;
use aws_sdk_dynamodb::types::TimeToLiveStatus;
use expire_tokens::ExpireTokens;
use fastrand::Rng;
use futures_util::future::join_all;
use local::demo;
use serde_json::{Value, json};
use shared::{
    scopes::Scopes,
    tables::{
        directory::Role,
        items::Item,
        tokens::{BLOCKS, Creation, IDEMPOTENCY_KEYS, IdempotencyKey, TOKENS},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tests::{
    Answer, Call, Fate, NOW, PASSWORD, Proxy, Setup, TestStack, admin_login, backend_login, behind_proxy, decode,
    new_key, read_only, with,
};

const HEADER: &str = "Idempotency-Key";
const OTHER_REQUEST: &str = "was used for another request; a new request needs a new key.";
const TOKEN_GONE: &str = "its token is no longer there; a new request needs a new key.";

fn create(stack: &TestStack, key: &str, body: &Value) -> Call {
    stack.post("/auth/backend", body).header(HEADER, key)
}

/// By the demo token.
fn rotate(stack: &TestStack, key: &str, body: &Value) -> Call {
    stack.rotate(body).token(&stack.demo_token).header(HEADER, key)
}

/// What is answered to a call that succeeds.
async fn made(call: Call) -> Value {
    let answer = call.send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[track_caller]
fn refuses_key(answer: &Answer, message: &str) {
    answer.refuses_fields(&[HEADER]);
    assert_eq!(answer.body["data"]["errors"][HEADER], json!([message]));
}

/// All items of a table, whatever they are.
async fn items(stack: &TestStack, table: &str) -> Vec<Item> {
    let scan = stack.dynamodb.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    scan.collect::<Result<Vec<_>, _>>().await.unwrap()
}

/// The demo store's items of the table of tokens whose sort keys begin so.
async fn items_of(stack: &TestStack, prefix: &str) -> Vec<Item> {
    let text = |item: &Item, name: &str| item[name].as_s().unwrap().clone();
    let items = items(stack, &stack.configuration.tokens_table).await.into_iter();
    items.filter(|item| text(item, "pk") == demo::STORE && text(item, "sk").starts_with(prefix)).collect()
}

fn number(item: &Item, name: &str) -> u64 {
    item[name].as_n().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_same_request_is_answered_with_the_same_token_and_made_once() {
    let stack = TestStack::start().await;
    let body = with(with(admin_login("n"), "endAt", NOW + 1000), "scopes", ["tokens:read"]);
    let (creation, rotation) = (create(&stack, "k1", &body), rotate(&stack, "k2", &json!({"id": 1})));
    let (created, rotated) = (made(creation.clone()).await, made(rotation.clone()).await);
    assert_eq!((&rotated["data"][0]["id"], stack.total_count().await), (&json!(3), 3));
    for _ in 0..3 {
        stack.clock.advance(60);
        assert_eq!(made(creation.clone()).await, created);
        assert_eq!(made(rotation.clone()).await, rotated);
    }
    let other_functions = stack.fresh_functions(stack.aws_url()).await;
    let again = other_functions.rotate(&json!({"id": 1})).token(&stack.demo_token).header("idempotency-key", "k2");
    assert_eq!(made(again).await, rotated);
    assert_eq!(stack.total_count().await, 3);
}

/// Whoever has the token that was replaced, and guesses the key, is not given the one in its place.
#[tokio::test]
async fn a_rotation_that_somebody_else_asks_for_is_another_request() {
    let stack = TestStack::start().await;
    let account = async || stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let (account, another) = (account().await, account().await);
    let token = stack.create_token("n").await;
    let rotation = || stack.rotate(&json!({"id": 2})).header(HEADER, "r");
    let rotated = made(rotation().account(&account)).await;
    for call in [
        rotation().token(&token),
        rotation().token(&stack.demo_token),
        rotation().account(&another),
        rotation().account(&account).token(&token),
    ] {
        refuses_key(&call.send().await, OTHER_REQUEST);
    }
    assert_eq!(made(rotation().account(&account)).await, rotated);
    assert_eq!(stack.total_count().await, 3);
}

#[tokio::test]
async fn what_is_written_differently_and_means_the_same_is_the_same_request() {
    let stack = TestStack::start().await;
    let body = with(with(admin_login("n"), "beginAt", NOW - 5), "scopes", ["tokens:read", "introspect"]);
    let created = made(create(&stack, "k", &body)).await;
    for (name, value) in [
        ("email", json!(demo::ADMIN_EMAIL.to_uppercase())),
        ("beginAt", json!((NOW - 5).to_string())),
        ("endAt", Value::Null),
        ("scopes", json!(["introspect", "tokens:read", "introspect"])),
        ("unknown", json!(1)),
    ] {
        assert_eq!(made(create(&stack, "k", &with(body.clone(), name, value))).await, created, "{name}");
    }
    let rotated = made(rotate(&stack, "r", &json!({"id": 1}))).await;
    for body in [
        json!({"id": "1", "overlapSeconds": 86_400}),
        json!({"id": 1, "overlapSeconds": "86400", "endAt": null, "unknown": 1}),
    ] {
        assert_eq!(made(rotate(&stack, "r", &body)).await, rotated, "{body}");
    }
    assert_eq!(stack.total_count().await, 3);
}

#[tokio::test]
async fn without_a_key_or_with_another_each_request_makes_a_token() {
    let stack = TestStack::start().await;
    let body = admin_login("n");
    let mut tokens = BTreeSet::new();
    for _ in 0..2 {
        tokens.insert(made(stack.post("/auth/backend", &body)).await.to_string());
    }
    for key in ["k", "K", "kk", "k.", "\"k\"", "~"] {
        tokens.insert(made(create(&stack, key, &body)).await.to_string());
    }
    assert_eq!((tokens.len(), stack.total_count().await), (8, 9));
    assert_eq!(rotate(&stack, "r", &json!({"id": 1})).send().await.status, 200);
    for call in [stack.rotate(&json!({"id": 1})).token(&stack.demo_token), rotate(&stack, "R", &json!({"id": 1}))] {
        call.send().await.is_error(409, "Conflict", "The token has been replaced already, by the token 10.");
    }
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_refused() {
    let stack = TestStack::start().await;
    stack.add_user("other@example.com", Role::Administrator, true).await;
    let body = with(with(with(admin_login("n"), "beginAt", NOW), "endAt", NOW + 60), "scopes", ["introspect"]);
    let created = made(create(&stack, "k", &body)).await;
    let of_other = with(with(body.clone(), "email", "other@example.com"), "password", PASSWORD);
    let changed = |name: &str, value: Value| with(body.clone(), name, value);
    for other in [
        of_other,
        changed("name", json!("N")),
        changed("name", json!("")),
        changed("beginAt", json!(NOW + 1)),
        changed("beginAt", Value::Null),
        changed("endAt", json!(NOW + 61)),
        changed("endAt", Value::Null),
        changed("scopes", json!(["introspect", "tokens:read"])),
        changed("scopes", Value::Null),
    ] {
        refuses_key(&create(&stack, "k", &other).send().await, OTHER_REQUEST);
    }
    let rotation = json!({"id": 2, "overlapSeconds": 60, "endAt": NOW + 50});
    let rotated = made(rotate(&stack, "r", &rotation)).await;
    let changed = |name: &str, value: Value| with(rotation.clone(), name, value);
    for other in [
        changed("id", json!(1)),
        changed("id", json!(3)),
        changed("id", json!(99)),
        changed("overlapSeconds", json!(61)),
        changed("overlapSeconds", Value::Null),
        changed("endAt", json!(NOW + 49)),
        changed("endAt", Value::Null),
    ] {
        refuses_key(&rotate(&stack, "r", &other).send().await, OTHER_REQUEST);
    }
    // One key is for one request, of whichever endpoint.
    refuses_key(&rotate(&stack, "k", &json!({"id": 1})).send().await, OTHER_REQUEST);
    refuses_key(&create(&stack, "r", &body).send().await, OTHER_REQUEST);
    assert_eq!(made(create(&stack, "k", &body)).await, created);
    assert_eq!(made(rotate(&stack, "r", &rotation)).await, rotated);
    assert_eq!(stack.total_count().await, 3);
}

#[tokio::test]
async fn malformed_keys_are_refused_with_all_else_that_is_wrong() {
    let stack = TestStack::start().await;
    let malformed = "must be 1 to 255 visible ASCII characters.";
    let twice = "must not be given twice.";
    for (keys, message) in [
        (vec![String::new()], malformed),
        (vec!["x".repeat(256)], malformed),
        (vec!["x".repeat(5000)], malformed),
        (vec!["a b".into()], malformed),
        (vec!["a\tb".into()], malformed),
        (vec!["é".into()], malformed),
        (vec!["k\u{a0}".into()], malformed),
        (vec!["k".into(), "l".into()], twice),
        (vec!["k".into(), "k".into()], twice),
        (vec![String::new(), "k".into()], twice),
    ] {
        let keyed = |call: Call| keys.iter().fold(call, |call, key| call.header(HEADER, key));
        let login = admin_login("n");
        refuses_key(&keyed(stack.post("/auth/backend", &login)).send().await, message);
        let rotation = stack.rotate(&json!({"id": 1})).token(&stack.demo_token);
        refuses_key(&keyed(rotation).send().await, message);
        let wrong = stack.post("/auth/backend", &with(login, "email", "x"));
        keyed(wrong).send().await.refuses_fields(&[HEADER, "email"]);
        let wrong = stack.rotate(&json!({"overlapSeconds": -1})).token(&stack.demo_token);
        keyed(wrong).send().await.refuses_fields(&[HEADER, "id", "overlapSeconds"]);
    }
    assert_eq!(stack.total_count().await, 1);
    let visible = (b'!'..=b'~').map(char::from).collect::<String>();
    for key in [visible, "x".repeat(255), "x".into()] {
        let created = made(create(&stack, &key, &admin_login("n"))).await;
        assert_eq!(made(create(&stack, &key, &admin_login("n"))).await, created, "{key}");
    }
    assert_eq!(stack.total_count().await, 4);
}

/// Whoever guesses passwords learns nothing of keys.
#[tokio::test]
async fn with_a_wrong_password_a_known_key_is_answered_as_an_unknown_one() {
    let stack = TestStack::start().await;
    made(create(&stack, "known", &admin_login("n"))).await;
    for (name, value) in [("password", "wrong"), ("email", "nobody@example.com"), ("name", "another")] {
        let body = with(with(admin_login("n"), "password", "wrong"), name, value);
        let mut said = BTreeSet::new();
        for key in ["known", "unknown"] {
            let answer = create(&stack, key, &body).send().await;
            answer.is_error(
                400,
                "API logic error",
                "The email or password you have entered is incorrect. Please try again.",
            );
            let mut headers = answer.headers;
            for own in ["x-amzn-requestid", "date"] {
                headers.remove(own);
            }
            // The length is that of the body as it was sent.
            assert!(headers.contains_key("content-length"), "{headers:?}");
            said.insert((answer.body.to_string(), format!("{headers:?}")));
        }
        assert_eq!(said.len(), 1, "{said:?}");
    }
}

#[tokio::test]
async fn who_may_not_make_a_token_now_gets_none_by_a_known_key() {
    let stack = TestStack::start().await;
    let creation = create(&stack, "k", &admin_login("n"));
    let created = made(creation.clone()).await;
    let change = async |change: UserChange| {
        stack.accounts().change_user(demo::STORE, demo::ADMIN_EMAIL, &change).await.map(drop).unwrap();
    };
    change(UserChange::Role(Role::Other("sales_rep".into()))).await;
    creation.clone().send().await.is_error(400, "API logic error", "role forbidden");
    change(UserChange::Role(Role::Administrator)).await;
    change(UserChange::Active(false)).await;
    let incorrect = "The email or password you have entered is incorrect. Please try again.";
    creation.clone().send().await.is_error(400, "API logic error", incorrect);
    change(UserChange::Active(true)).await;
    assert_eq!(made(creation).await, created);
    // And so with whoever rotates.
    let caller = stack.create_token("caller").await;
    let rotation = |token: &str| stack.rotate(&json!({"id": 2})).token(token).header(HEADER, "r");
    let rotated = made(rotation(&caller)).await;
    assert_eq!(made(rotation(&caller)).await, rotated);
    let narrow = stack.post("/auth/backend", &with(admin_login("n"), "scopes", ["introspect"])).send().await;
    let refused = rotation(narrow.server_token()).send().await;
    refused.is_error(403, "Forbidden", "This needs the scope tokens:write.");
    let account = stack.add_api_account(demo::STORE, &read_only()).await;
    assert_eq!(rotation(&caller).account(&account).send().await.status, 403);
    assert_eq!(stack.delete(&json!({"id": 3})).token(&stack.demo_token).send().await.status, 200);
    rotation(&caller).send().await.is_invalid_token();
    let by_other_store = stack.rotate(&json!({"id": 2})).token(&stack.other_store_token().await).header(HEADER, "r");
    by_other_store.send().await.is_error(404, "Not Found Error", "No matching token was found.");
}

#[tokio::test]
async fn a_new_password_makes_it_no_other_request() {
    let stack = TestStack::start().await;
    let created = made(create(&stack, "k", &admin_login("n"))).await;
    stack.add_user(demo::ADMIN_EMAIL, Role::Administrator, true).await;
    assert_eq!(create(&stack, "k", &admin_login("n")).send().await.status, 400, "that was the old one");
    assert_eq!(made(create(&stack, "k", &with(admin_login("n"), "password", PASSWORD))).await, created);
}

#[tokio::test]
async fn after_a_day_a_key_is_new_again() {
    let stack = TestStack::start().await;
    let (creation, rotation) = (create(&stack, "k", &admin_login("n")), rotate(&stack, "r", &json!({"id": 2})));
    let (created, rotated) = (made(creation.clone()).await, made(rotation.clone()).await);
    stack.clock.advance(24 * 3600 - 1);
    assert_eq!([made(creation.clone()).await, made(rotation.clone()).await], [created.clone(), rotated]);
    refuses_key(&create(&stack, "k", &admin_login("other")).send().await, OTHER_REQUEST);
    stack.clock.advance(1);
    let again = made(create(&stack, "k", &admin_login("other"))).await;
    assert_ne!(again, created);
    assert_eq!(made(create(&stack, "k", &admin_login("other"))).await, again);
    refuses_key(&creation.send().await, OTHER_REQUEST);
    rotation.send().await.is_error(409, "Conflict", "The token has been replaced already, by the token 3.");
    assert_eq!((stack.total_count().await, items_of(&stack, IDEMPOTENCY_KEYS).await.len()), (4, 2));
}

#[tokio::test]
async fn a_key_whose_token_was_deleted_is_used_up() {
    let stack = TestStack::start().await;
    let (creation, rotation) = (create(&stack, "k", &admin_login("n")), rotate(&stack, "r", &json!({"id": 1})));
    made(creation.clone()).await;
    made(rotation.clone()).await;
    for id in [2, 3] {
        assert_eq!(stack.delete(&json!({"id": id})).token(&stack.demo_token).send().await.status, 200);
    }
    refuses_key(&creation.send().await, TOKEN_GONE);
    refuses_key(&rotation.send().await, TOKEN_GONE);
    refuses_key(&create(&stack, "k", &admin_login("other")).send().await, OTHER_REQUEST);
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn a_key_whose_token_cannot_be_signed_any_more_is_used_up() {
    let (_, stack, proxy) = behind_proxy().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let creation = create(&stack, "k", &admin_login("n"));
    let rotation = stack.rotate(&json!({"id": 1})).account(&account).header(HEADER, "r");
    made(creation.clone()).await;
    made(rotation.clone()).await;
    proxy.set_keyring(&new_key());
    stack.clock.advance(301);
    refuses_key(&creation.send().await, TOKEN_GONE);
    refuses_key(&rotation.send().await, TOKEN_GONE);
    assert_eq!(create(&stack, "new", &admin_login("n")).send().await.status, 200);
}

#[tokio::test]
async fn stores_have_their_own_keys() {
    let stack = TestStack::start().await;
    let other = backend_login(demo::OTHER_STORE, demo::OTHER_ADMIN_EMAIL, demo::ADMIN_PASSWORD);
    let (mine, others) = (create(&stack, "k", &admin_login("n")), create(&stack, "k", &other));
    let (my_token, their_token) = (made(mine.clone()).await, made(others.clone()).await);
    assert_eq!([made(mine).await, made(others).await], [my_token.clone(), their_token.clone()]);
    let store_of = |body: &Value| decode(body["data"][0]["token"].as_str().unwrap()).1["store_hash"].clone();
    assert_eq!([store_of(&my_token), store_of(&their_token)], [json!(demo::STORE), json!(demo::OTHER_STORE)]);
}

/// Sends it until it is neither too often nor in the way of others.
async fn insist(call: Call) -> Value {
    loop {
        let answer = call.clone().send().await;
        if ![429, 503].contains(&answer.status) {
            assert_eq!(answer.status, 200, "{}", answer.body);
            return answer.body;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_parallel_requests_to_two_sets_of_functions_one_makes_the_token() {
    twenty_in_parallel(1000, 200).await;
    // Where there is room for just one.
    twenty_in_parallel(2, 507).await;
}

/// In a store that may have so many tokens; then a request with another key is answered so.
async fn twenty_in_parallel(max: u64, status_of_another: u16) {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = max;
    let direct = TestStack::start_with(setup).await;
    let mut functions = Vec::new();
    for _ in 0..2 {
        let proxy = Proxy::start(direct.aws_url()).await;
        proxy.fault_in("TransactWriteItems", Fate::KeptOpen(Duration::from_millis(5)));
        functions.push((direct.fresh_functions(&proxy.url).await, proxy));
    }
    let (login, rotation) = (admin_login("n"), json!({"id": 2, "overlapSeconds": 0}));
    let seen = || functions.iter().map(|(_, proxy)| proxy.seen("TransactWriteItems")).sum::<usize>();
    let created = join_all((0..20).map(|n| insist(create(&functions[n % 2].0, "k", &login)))).await;
    let before = seen();
    let rotated = join_all((0..20).map(|n| insist(rotate(&functions[n % 2].0, "r", &rotation)))).await;
    assert!(before > 1 && seen() > before + 1, "none was beside another");
    let listed = direct.list(&direct.demo_token, "").await.body["data"].clone();
    for (answers, entry) in [(created, &listed[1]), (rotated, &listed[2])] {
        assert!(answers.iter().all(|answer| answer["data"][0]["token"] == entry["token"]), "{answers:?}");
    }
    assert_eq!((items_of(&direct, TOKENS).await.len(), items_of(&direct, IDEMPOTENCY_KEYS).await.len()), (3, 2));
    assert_eq!(create(&direct, "another", &login).send().await.status, status_of_another);
}

/// Of a request's reads that of its key may be older than that of the counter.
#[tokio::test]
async fn who_finds_the_store_full_by_the_same_request_is_given_its_token() {
    let stack = TestStack::start().await;
    let (tokens, maker, token) = (stack.tokens(), administrator(&stack).await, new_token("n"));
    let key = IdempotencyKey::new("k", &json!("the same request"));
    let create = async || {
        let counter = tokens.counter(demo::STORE).await.unwrap();
        let creation = Creation { idempotency_key: Some(&key), max: 2, ..creation(&token, counter) };
        tokens.create(&creation, |_| Ok(vec![maker.clone()])).await.unwrap().unwrap().id
    };
    assert_eq!([create().await, create().await], [2, 2]);
}

#[tokio::test]
async fn in_a_store_that_is_full_since_the_same_request_is_answered_all_the_same() {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = 3;
    let stack = TestStack::start_with(setup).await;
    let (creation, rotation) = (create(&stack, "k", &admin_login("n")), rotate(&stack, "r", &json!({"id": 1})));
    let (created, rotated) = (made(creation.clone()).await, made(rotation.clone()).await);
    assert_eq!(create(&stack, "other", &admin_login("n")).send().await.status, 507);
    assert_eq!(rotate(&stack, "other", &json!({"id": 2})).send().await.status, 507);
    assert_eq!([made(creation).await, made(rotation).await], [created, rotated]);
    // What was refused has not used its key.
    stack.clock.advance(24 * 3600 - 1);
    assert_eq!(create(&stack, "other", &admin_login("n")).send().await.status, 507);
    stack.clock.advance(1);
    made(create(&stack, "other", &admin_login("n"))).await;
}

#[tokio::test]
async fn a_rotation_is_answered_alike_when_the_old_token_is_gone() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let rotation = |id: u64, overlap: u64| {
        let body = json!({"id": id, "overlapSeconds": overlap});
        stack.rotate(&body).account(&account).header(HEADER, &format!("r{id}"))
    };
    made(create(&stack, "k", &with(admin_login("n"), "endAt", NOW + 30))).await;
    let answers = [made(rotation(1, 60)).await, made(rotation(2, 60)).await];
    let ends = answers.each_ref().map(|answer| answer["data"][0]["replacedEndsAt"].clone());
    assert_eq!(ends, [json!(NOW + 60), json!(NOW + 30)]);
    stack.clock.advance(60 + 300);
    let removing = ExpireTokens::new(stack.tokens(), stack.clock.clock());
    // The one that inherited its end has ended too.
    assert_eq!(removing.run(stack.clock.now() + 300).await.unwrap(), 3);
    assert_eq!(items_of(&stack, TOKENS).await.len(), 1);
    assert_eq!(made(rotation(1, 60)).await, answers[0]);
    refuses_key(&rotation(2, 60).send().await, TOKEN_GONE);
}

#[tokio::test]
async fn what_is_kept_of_a_request_is_for_a_day_and_nothing_of_it_can_be_used() {
    let stack = TestStack::start().await;
    let key = "a-key-that-is-not-kept";
    let body = with(admin_login("n"), "scopes", ["introspect"]);
    let created = made(create(&stack, key, &body)).await;
    let rotated = made(rotate(&stack, &format!("{key}-2"), &json!({"id": 1}))).await;
    stack.clock.advance(3600);
    made(create(&stack, key, &body)).await;
    let kept = items_of(&stack, IDEMPOTENCY_KEYS).await;
    assert_eq!(kept.len(), 2);
    assert_eq!(kept.iter().map(|item| number(item, "token_id")).collect::<BTreeSet<_>>(), BTreeSet::from([2, 3]));
    for item in kept {
        assert_eq!(number(&item, "expires_at"), NOW + 24 * 3600, "a repetition keeps it no longer");
        let names: BTreeSet<_> = item.keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(["pk", "sk", "fingerprint", "token_id", "expires_at"]));
    }
    let described = stack.dynamodb.describe_time_to_live().table_name(&stack.configuration.tokens_table).send().await;
    let time_to_live = described.unwrap().time_to_live_description.unwrap();
    assert_eq!(time_to_live.attribute_name.as_deref(), Some("expires_at"));
    assert_eq!(time_to_live.time_to_live_status, Some(TimeToLiveStatus::Enabled));
    let configuration = &stack.configuration;
    let tables = [&configuration.tokens_table, &configuration.directory_table, &configuration.login_attempts_table];
    let token = |body: &Value| body["data"][0]["token"].as_str().unwrap().to_owned();
    let (created, rotated) = (token(&created), token(&rotated));
    for table in tables {
        let items = items(&stack, table).await;
        assert!(!items.is_empty(), "{table}");
        let items = format!("{items:?}");
        for token in [&created, &rotated, &stack.demo_token] {
            let signature = token.rsplit_once('.').unwrap().1;
            assert!(!items.contains(token) && !items.contains(signature), "{table} holds a token");
        }
        for secret in [key, demo::ADMIN_PASSWORD, "demo-signing-key"] {
            assert!(!items.contains(secret), "{table} holds {secret}");
        }
    }
}

/// A request to the database, by its operation and how many of the same there were before it. From that on all are cut, so that
/// none of the SDK's repetitions arrives either.
type Step = (&'static str, usize);

/// What a call does that is the first with its key.
const STEPS: [Step; 4] = [
    ("BatchGetItem", 0),
    ("TransactWriteItems", 0),
    // What a creation does first; and a rotation, if others have taken its id.
    ("UpdateItem", 0),
    // The transaction under another id.
    ("TransactWriteItems", 1),
];

/// What it does when its token was made before.
const STEPS_AGAIN: [Step; 3] = [("BatchGetItem", 0), ("BatchGetItem", 1), ("UpdateItem", 0)];

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    /// The way to the database.
    Request,
    /// The way back.
    Answer,
    /// The caller's own connection, while the database has not got the request. It never gets it.
    CallerBefore,
    /// The same, while the database carries out a transaction, which it goes on with.
    CallerWhile,
    /// The caller's own, when all is done.
    CallerAfter,
}

const CUTS: [Cut; 5] = [Cut::Request, Cut::Answer, Cut::CallerBefore, Cut::CallerWhile, Cut::CallerAfter];

/// Somebody whose calls are cut.
struct Unlucky<'a> {
    proxy: &'a Proxy,
    stack: &'a TestStack,
    random: Rng,
    /// Whether the token has been made that is asked for, as far as one can know.
    is_made: bool,
    cuts: BTreeMap<String, usize>,
    requests: usize,
    calls: usize,
}

impl Unlucky<'_> {
    fn cut_count(&self) -> usize {
        self.cuts.values().sum()
    }

    /// Sends a call that is cut somewhere. What it is answered, if it gets so far all the same.
    async fn send_cut(&mut self, call: Call) -> Option<Value> {
        let mut cut = CUTS[self.random.usize(..CUTS.len())];
        let steps = if self.is_made { &STEPS_AGAIN[..] } else { &STEPS };
        let (operation, before) = steps[self.random.usize(..steps.len())];
        let is_transaction = operation == "TransactWriteItems";
        if cut == Cut::CallerWhile && !is_transaction {
            cut = Cut::CallerBefore;
        }
        let fate = match cut {
            Cut::Request => Fate::CutOff,
            Cut::Answer => Fate::AnswerLost,
            Cut::CallerBefore => Fate::Unanswered,
            Cut::CallerWhile => Fate::KeptOpen(Duration::from_millis(self.random.u64(1..60))),
            Cut::CallerAfter => Fate::Forwarded,
        };
        self.proxy.rule(move |request| {
            let is_cut = request.operation == operation && request.earlier >= before;
            if is_cut { fate.clone() } else { Fate::Forwarded }
        });
        self.calls += 1;
        let leaves_in_the_middle = matches!(cut, Cut::CallerBefore | Cut::CallerWhile);
        let leaving = async {
            while !leaves_in_the_middle || self.proxy.seen(operation) <= before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let answer = tokio::select! {
            answer = call.send() => Some(answer),
            () = leaving => None,
        };
        self.requests += self.proxy.take_requests().len();
        self.is_made |= matches!(cut, Cut::Answer | Cut::CallerWhile) && is_transaction || cut == Cut::CallerAfter;
        let step = match cut {
            Cut::CallerAfter => format!("{cut:?}"),
            _ => format!("{cut:?} {operation} {before}"),
        };
        match answer {
            Some(answer) if answer.status == 200 && cut != Cut::CallerAfter => {
                self.is_made = true;
                Some(answer.body)
            }
            Some(answer) if answer.status == 429 => {
                self.wait(&answer);
                None
            }
            answer => {
                let status = answer.map_or(0, |answer| answer.status);
                assert!([0, 200, 503].contains(&status), "{step}: {status}");
                *self.cuts.entry(step).or_default() += 1;
                None
            }
        }
    }

    /// Until more logins are let in.
    fn wait(&self, answer: &Answer) {
        self.stack.clock.advance(answer.retry_after.unwrap());
    }

    /// Sends the call until it succeeds.
    async fn send(&mut self, call: Call) -> Value {
        self.proxy.forward_all();
        loop {
            self.calls += 1;
            let answer = call.clone().send().await;
            self.requests += self.proxy.take_requests().len();
            match answer.status {
                200 => return answer.body,
                429 => self.wait(&answer),
                503 => {}
                _ => panic!("{}", answer.body),
            }
        }
    }

    /// Sends it several times and cut, then until it succeeds, and at least until two answers can be compared. What it is
    /// answered each time.
    async fn make(&mut self, call: Call) -> Value {
        let mut answers = Vec::new();
        self.is_made = false;
        for _ in 0..self.random.usize(2..=8) {
            answers.extend(self.send_cut(call.clone()).await);
        }
        answers.push(self.send(call.clone()).await);
        if answers.len() == 1 {
            answers.push(self.send(call).await);
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        answers[0]["data"][0].clone()
    }
}

/// A thousand connections are cut, at every request that a call makes to the database and on both ways, and at the caller's. The
/// same request again never makes a second token.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_thousand_cut_connections_each_request_has_made_one_token() {
    let started = Instant::now();
    let direct = TestStack::start().await;
    let account = direct.add_api_account(demo::STORE, &Scopes::ALL).await;
    let (account, direct) = (&account, &direct);
    // To look at a password takes a while, so most are rotations.
    let workers = [("create", 50), ("create", 50), ("rotate", 225), ("rotate", 225), ("itself", 225), ("itself", 225)];
    let workers = workers.iter().enumerate().map(async |(number, (kind, cuts))| {
        let proxy = Proxy::start(direct.aws_url()).await;
        let stack = direct.fresh_functions(&proxy.url).await;
        let random = Rng::with_seed(number as u64);
        let mut unlucky = Unlucky {
            proxy: &proxy,
            stack: &stack,
            random,
            is_made: false,
            cuts: BTreeMap::new(),
            requests: 0,
            calls: 0,
        };
        let email = format!("admin{number}@example.com");
        direct.add_user(&email, Role::Administrator, true).await;
        let login = backend_login(demo::STORE, &email, PASSWORD);
        let mut made: Vec<String> = Vec::new();
        while made.is_empty() || unlucky.cut_count() < *cuts {
            let key = format!("{number}-{}", made.len());
            let call = match made.last() {
                Some(old) if *kind != "create" => {
                    let body = json!({"id": decode(old).1["jti"], "overlapSeconds": 604_800});
                    let call = stack.rotate(&body).header(HEADER, &key);
                    if *kind == "itself" { call.token(old) } else { call.account(account) }
                }
                _ => create(&stack, &key, &with(login.clone(), "name", key.as_str())),
            };
            let token = unlucky.make(call).await;
            if *kind != "create" && !made.is_empty() {
                assert_eq!(token["replacesId"].to_string(), decode(made.last().unwrap()).1["jti"].as_str().unwrap());
            }
            made.push(token["token"].as_str().unwrap().into());
        }
        (made, unlucky.cuts, unlucky.requests, unlucky.calls)
    });
    let mut made = Vec::new();
    let mut cuts = BTreeMap::<String, usize>::new();
    let (mut requests, mut calls) = (0, 0);
    for (of_worker, cuts_of_worker, requests_of_worker, calls_of_worker) in join_all(workers).await {
        made.extend(of_worker);
        for (step, count) in cuts_of_worker {
            *cuts.entry(step).or_default() += count;
        }
        requests += requests_of_worker;
        calls += calls_of_worker;
    }
    let records = items_of(direct, TOKENS).await;
    let count: usize = cuts.values().sum();
    for (step, count) in &cuts {
        println!("{count:>5} cuts: {step}");
    }
    println!(
        "{count} cuts in {calls} calls and {requests} requests to the database: {} requests, {} records, {:?}",
        made.len(),
        records.len() - 1,
        started.elapsed()
    );
    assert!(count >= 1000, "{count}");
    for (operation, before) in STEPS.iter().chain(&STEPS_AGAIN) {
        for cut in [Cut::Request, Cut::Answer, Cut::CallerBefore] {
            let step = format!("{cut:?} {operation} {before}");
            assert!(cuts.contains_key(&step), "never: {step}");
        }
    }
    let different: BTreeSet<_> = made.iter().collect();
    assert_eq!((different.len(), records.len()), (made.len(), made.len() + 1));
    assert_eq!(items_of(direct, IDEMPOTENCY_KEYS).await.len(), made.len());
    let live: u64 = items_of(direct, BLOCKS).await.iter().map(|block| number(block, "live")).sum();
    let counter = items_of(direct, "COUNTER").await.remove(0);
    assert_eq!([live, number(&counter, "made"), direct.total_count().await], [records.len() as u64; 3]);
    let mut listed = BTreeSet::new();
    while listed.len() < made.len() {
        let page = direct.list(&direct.demo_token, &format!("?limit=250&offset={}", 1 + listed.len())).await;
        let entries = page.body["data"].as_array().unwrap().iter();
        listed.extend(entries.map(|entry| entry["token"].as_str().unwrap().to_owned()));
    }
    assert_eq!(listed, made.into_iter().collect());
}
