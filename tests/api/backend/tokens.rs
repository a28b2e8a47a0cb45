//! `GET /backend/tokens`.

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::future::join_all;
use local::demo;
use serde_json::{Value, json};
use shared::{
    scopes::Scopes,
    tables::{
        items::key,
        tokens::{Counter, Creation, EventChannel, NewToken, NotCreated, Refused, TokenRecord, TokenTable},
    },
};
use tests::{NOW, TestStack, admin_login, behind_proxy, with};

pub fn ids(body: &Value) -> Vec<u64> {
    body["data"].as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).collect()
}

/// A token of the demo administrator.
pub fn new_token(name: &str) -> NewToken {
    NewToken {
        name: name.into(),
        email: demo::ADMIN_EMAIL.into(),
        event_channel: EventChannel::Api,
        kid: "demo".into(),
        iat: NOW,
        nbf: None,
        exp: None,
        scopes: Scopes::ALL,
        replaces: None,
    }
}

pub async fn fill(stack: &TestStack, count: u64) {
    let maker = administrator(stack).await;
    for n in 0..count {
        let created = create(&stack.tokens(), &maker, n).await.unwrap();
        created.unwrap();
    }
}

/// In a transaction, that the demo administrator may make tokens.
pub async fn administrator(stack: &TestStack) -> TransactWriteItem {
    let admin = stack.directory().backend_user(demo::STORE, demo::ADMIN_EMAIL).await.unwrap().unwrap();
    stack.directory().token_maker_check(demo::STORE, &admin.email, Some(&admin.password_hash)).unwrap()
}

/// Makes a token as the endpoint does, without looking at a password.
pub async fn create(
    table: &TokenTable,
    maker: &TransactWriteItem,
    n: u64,
) -> Result<Result<TokenRecord, Refused>, NotCreated> {
    let counter = table.counter(demo::STORE).await?;
    let token = new_token(&format!("token {n}"));
    table.create(&creation(&token, counter), |_| Ok(vec![maker.clone()])).await
}

/// Of a token of the demo store, which may have any number.
pub fn creation(token: &NewToken, counter: Option<Counter>) -> Creation<'_> {
    Creation { store_hash: demo::STORE, token, idempotency_key: None, counter, max: u64::MAX, now: NOW }
}

#[tokio::test]
async fn lists_the_very_strings_that_were_issued() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    let answer = stack.list(&token, "").await;
    assert_eq!(
        answer.body,
        json!({
            "code": 200,
            "data": [
                {
                    "id": 1, "name": "demo", "email": demo::ADMIN_EMAIL, "storeHash": demo::STORE,
                    "token": stack.demo_token, "eventChannel": "admin", "lastUsedAt": null, "beginAt": null,
                    "endAt": null, "scopes": null, "replacedById": null,
                },
                {
                    "id": 2, "name": "mine", "email": demo::ADMIN_EMAIL, "storeHash": demo::STORE,
                    "token": token, "eventChannel": "api", "lastUsedAt": null, "beginAt": null,
                    "endAt": null, "scopes": null, "replacedById": null,
                },
            ],
            "meta": {"message": "SUCCESS", "pagination": {"totalCount": 2, "offset": 0, "limit": 10}},
        })
    );
}

#[tokio::test]
async fn begin_and_end_are_listed_as_they_were_asked_for() {
    let stack = TestStack::start().await;
    for (begin, end) in [(Some(NOW - 7), None), (None, Some(NOW + 7)), (Some(NOW + 60), Some(NOW + 61))] {
        let body = with(with(admin_login("n"), "beginAt", begin), "endAt", end);
        assert_eq!(stack.post("/auth/backend", &body).send().await.status, 200);
        let listed = stack.list(&stack.demo_token, "").await.body["data"].as_array().unwrap().last().unwrap().clone();
        assert_eq!([&listed["beginAt"], &listed["endAt"]], [&json!(begin), &json!(end)]);
    }
}

#[tokio::test]
async fn lists_tokens_with_begin_and_end_as_issued() {
    let stack = TestStack::start().await;
    let body = with(with(admin_login("bounded"), "beginAt", 7), "endAt", NOW + 7);
    let issued = stack.post("/auth/backend", &body).send().await;
    let listed = stack.list(&stack.demo_token, "?offset=1").await;
    assert_eq!(listed.body["data"][0]["token"], issued.body["data"][0]["token"]);
}

#[tokio::test]
async fn pages_a_thousand_tokens_with_gaps() {
    let stack = TestStack::start().await;
    fill(&stack, 1010).await;
    for id in (2..=1011).step_by(101) {
        assert_eq!(stack.delete(&json!({"id": id})).token(&stack.demo_token).send().await.status, 200);
    }
    let mut all = Vec::new();
    while (all.len() as u64) < 1001 {
        let answer = stack.list(&stack.demo_token, &format!("?limit=250&offset={}", all.len())).await;
        assert_eq!(answer.total_count(), 1001);
        all.extend(ids(&answer.body));
    }
    let expected: Vec<u64> = (1..=1011).filter(|id| *id == 1 || (id - 2) % 101 != 0).collect();
    assert_eq!(all, expected);
    for (query, first, count) in [
        ("", Some(1), 10),
        ("?limit=1", Some(1), 1),
        ("?limit=1&offset=1000", Some(1011), 1),
        ("?limit=250&offset=1000", Some(1011), 1),
        ("?limit=250&offset=0", Some(1), 250),
        ("?limit=10&offset=1001", None, 0),
        ("?offset=5000", None, 0),
        ("?offset=18446744073709551615", None, 0),
        ("?offset=99999999999999999999999999999999999999999999", None, 0),
        ("?limit=3&offset=255", Some(expected[255]), 3),
        ("?limit=3&offset=512", Some(expected[512]), 3),
    ] {
        let answer = stack.list(&stack.demo_token, query).await;
        let ids = ids(&answer.body);
        assert_eq!((ids.first().copied(), ids.len()), (first, count), "{query}");
        assert_eq!(answer.total_count(), 1001, "{query}");
    }
}

#[tokio::test]
async fn limit_and_offset_have_edges() {
    let stack = TestStack::start().await;
    let token = stack.demo_token.clone();
    for (query, fields) in [
        ("?limit=0", ["limit"].as_slice()),
        ("?limit=-1", &["limit"]),
        ("?limit=", &["limit"]),
        ("?limit=ten", &["limit"]),
        ("?limit=1.5", &["limit"]),
        ("?limit=1&limit=2", &["limit"]),
        ("?offset=-1", &["offset"]),
        ("?offset=x", &["offset"]),
        ("?limit=0&offset=x", &["limit", "offset"]),
        ("?limit=999&offset=x", &["offset"]),
    ] {
        stack.list(&token, query).await.refuses_fields(fields);
    }
    for query in ["?limit=251", "?limit=99999999999999999999999999999999999999999999"] {
        stack.list(&token, query).await.is_error(413, "Request Entity Too Large", "limit: must not be over 250.");
    }
    for query in ["?limit=250", "?limit=1&unknown=x&unknown=y", "?limit=2&limit=2", "?limit=007&offset=0"] {
        assert_eq!(stack.list(&token, query).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn stores_never_see_each_others_tokens() {
    let stack = TestStack::start().await;
    let other = stack.other_store_token().await;
    let mine = stack.create_token("mine").await;
    let listed = stack.list(&other, "?limit=250").await;
    assert_eq!(listed.total_count(), 1);
    assert_eq!(listed.body["data"][0]["storeHash"], demo::OTHER_STORE);
    assert_eq!(listed.body["data"][0]["token"], other);
    assert!(!stack.list(&mine, "").await.body.to_string().contains(&other));
}

#[tokio::test]
async fn a_page_reads_few_tokens_more_than_it_shows_at_any_depth() {
    let (direct, stack, proxy) = behind_proxy().await;
    fill(&direct, 520).await;
    for id in (3..=510).step_by(3) {
        assert_eq!(direct.delete(&json!({"id": id})).token(&direct.demo_token).send().await.status, 200);
    }
    for limit in [1, 10, 100] {
        for offset in 0..352 {
            proxy.take_requests();
            let listed = stack.list(&direct.demo_token, &format!("?limit={limit}&offset={offset}")).await;
            assert_eq!(listed.body["data"].as_array().unwrap().len() as u64, limit.min(351 - offset), "{offset}");
            let requests = proxy.take_requests();
            let limits: Vec<_> = requests.iter().filter_map(|(_, body)| body["Limit"].as_u64()).collect();
            let most = if offset == 0 { limit } else { limit + 15 };
            assert!(limits.iter().all(|read| (limit..=most).contains(read)), "{offset}: {limits:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_without_tokens_leaves_no_item_even_after_parallel_deletes() {
    let stack = TestStack::start().await;
    fill(&stack, 299).await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let blocks = async || {
        let items = [0, 1].map(|block| key(demo::STORE, format!("BLOCK#{block:020}")));
        join_all(items.map(|key| stack.item(&stack.configuration.tokens_table, key))).await
    };
    let delete = async |id: u64| stack.delete(&json!({"id": id})).account(&account).send().await.status;
    assert_eq!(join_all((257..=300).map(delete)).await, [200; 44]);
    let [first, second] = blocks().await.try_into().unwrap();
    assert_eq!((&first.unwrap()["live"], second), (&json!(256), None));
    for id in 1..=255 {
        assert_eq!(delete(id).await, 200);
    }
    let first = blocks().await.remove(0).unwrap();
    assert_eq!((&first["live"], &first["f"], &first["e"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(delete(255).await, 404);
    assert_eq!(blocks().await.remove(0), Some(first));
    assert_eq!(delete(256).await, 200);
    assert_eq!(blocks().await, [None, None]);
    let listed = stack.get("/backend/tokens").account(&account).send().await;
    assert_eq!((&listed.body["data"], listed.total_count()), (&json!([]), 0));
    let token = stack.create_token("new").await;
    assert_eq!(stack.list(&token, "").await.body["data"][0]["id"], 301);
}
