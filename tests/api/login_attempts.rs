//! How many passwords are looked at, from where, and for whom.

use axum::body::to_bytes;
use futures_util::future::join_all;
use local::{demo, gateway::Functions};
use serde_json::{Value, json};
use shared::tables::{
    directory::Role,
    items::{self, key},
    login_attempts::{Account, KNOWN_FOR, LoginAttempts, Reservation, WINDOW},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use tests::{NOW, PASSWORD, TestStack, admin_login, backend_login, customer_login, with};

/// A backend user of the demo store. While the hash is broken, an answer of 500 means that it was looked at.
const EMAIL: &str = "guessed@example.com";
const LOOKED_AT: u16 = 500;
const DAY: u64 = 86_400;

/// Functions that are called from any address.
struct Logins {
    stack: TestStack,
    functions: Functions,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Value,
}

impl Logins {
    async fn start() -> Self {
        let stack = TestStack::start().await;
        let functions = Functions::new(&stack.dynamodb, &stack.secrets, &stack.configuration, &stack.clock.clock());
        Self { stack, functions }
    }

    async fn invoke(&self, function: &str, identity: Value, headers: Value, body: &Value) -> Answer {
        let mut event = json!({
            "httpMethod": "POST", "headers": headers, "body": body.to_string(),
            "requestContext": {"httpMethod": "POST", "identity": identity},
        });
        event["headers"]["Content-Type"] = json!("application/json");
        let answer = self.functions.invoke(function, &event.to_string()).await.unwrap();
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after").map(|seconds| seconds.to_str().unwrap().parse().unwrap());
        let body = serde_json::from_slice(&to_bytes(answer.into_body(), 100_000).await.unwrap()).unwrap();
        Answer { status, retry_after, body }
    }

    async fn create(&self, from: &str, body: &Value) -> Answer {
        self.invoke("create-backend-token", json!({"sourceIp": from}), json!({}), body).await
    }

    /// As the backend user.
    async fn as_user(&self, from: &str, password: &str) -> Answer {
        self.create(from, &backend_login(demo::STORE, EMAIL, password)).await
    }

    /// As a customer of the demo store.
    async fn as_customer(&self, from: &str, token: &str, email: &str, password: &str) -> Answer {
        let body = customer_login(email, password);
        self.invoke("login-customer", json!({"sourceIp": from}), json!({"authToken": token}), &body).await
    }

    async fn with_broken_hash(&self) {
        self.stack.add_user_with_broken_hash(EMAIL).await;
    }

    async fn with_good_hash(&self) {
        self.stack.add_user(EMAIL, Role::Administrator, true).await;
    }

    /// Guesses, ten from each of as many addresses as it takes.
    async fn guess(&self, network: &str, count: usize) {
        for n in 0..count {
            let answer = self.as_user(&format!("{network}.{}", n / 10), "guess").await;
            assert_eq!(answer.status, LOOKED_AT, "{n}: {answer:?}");
        }
    }

    /// What the table holds of the backend user.
    async fn item(&self) -> BTreeMap<String, Value> {
        let mut key = key(&format!("USER#{} {EMAIL}", demo::STORE), String::new());
        key.remove("sk");
        let table = &self.stack.configuration.login_attempts_table;
        serde_json::from_value(self.stack.item(table, key).await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn ten_of_an_address_are_looked_at_and_whoever_is_elsewhere_goes_in() {
    let logins = Logins::start().await;
    let guess = with(admin_login("n"), "password", "wrong");
    for email in [demo::ADMIN_EMAIL, "nobody@example.com"] {
        let found = if email == demo::ADMIN_EMAIL { 200 } else { 400 };
        let (guess, right) = (with(guess.clone(), "email", email), with(admin_login("n"), "email", email));
        for attempt in 0..10 {
            assert_eq!(logins.create("192.0.2.1", &guess).await.status, 400, "attempt {attempt}");
        }
        for _ in 0..3 {
            let refused = logins.create("192.0.2.1", &right).await;
            assert_eq!((refused.status, refused.retry_after), (429, Some(1)));
            assert_eq!(refused.body["detail"], "Too many failed logins. Try again in 1 second.");
        }
        assert_eq!(logins.create("192.0.2.2", &right).await.status, found);
        logins.stack.clock.advance(2);
        let refused = logins.create("192.0.2.1", &right).await;
        assert_eq!((refused.status, refused.retry_after), (429, Some(898)));
        assert_eq!(refused.body["detail"], "Too many failed logins. Try again in 898 seconds.");
        logins.stack.clock.advance(897);
        assert_eq!(logins.create("192.0.2.1", &right).await.retry_after, Some(1));
        logins.stack.clock.advance(1);
        assert_eq!(logins.create("192.0.2.1", &right).await.status, found);
    }
}

#[tokio::test]
async fn a_hundred_of_all_addresses_are_looked_at_and_whoever_logged_in_before_goes_in() {
    let logins = Logins::start().await;
    logins.with_good_hash().await;
    assert_eq!(logins.as_user("192.0.2.1", PASSWORD).await.status, 200);
    logins.with_broken_hash().await;
    logins.guess("198.51.100", 100).await;
    logins.stack.clock.advance(5);
    for from in ["203.0.113.1", "198.51.100.1"] {
        let refused = logins.as_user(from, "guess").await;
        assert_eq!((refused.status, refused.retry_after), (429, Some(895)), "{from}");
    }
    // The owner's own mistakes are counted as anybody's.
    for _ in 0..10 {
        assert_eq!(logins.as_user("192.0.2.1", "guess").await.status, LOOKED_AT);
    }
    assert_eq!(logins.as_user("192.0.2.1", "guess").await.status, 429);
    logins.with_good_hash().await;
    assert_eq!(logins.as_user("203.0.113.1", PASSWORD).await.retry_after, Some(895), "the owner has extended it");
    logins.stack.clock.advance(895);
    assert_eq!(logins.as_user("203.0.113.1", PASSWORD).await.status, 200);
    assert_eq!(logins.as_user("192.0.2.1", PASSWORD).await.status, 429);
    logins.stack.clock.advance(5);
    assert_eq!(logins.as_user("192.0.2.1", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn an_address_is_known_for_thirty_days_from_its_last_login() {
    for (days, seconds, is_known) in [(29, DAY - 1, true), (30, 0, false), (31, 0, false)] {
        let logins = Logins::start().await;
        logins.with_good_hash().await;
        for _ in 0..2 {
            logins.stack.clock.advance(DAY);
            assert_eq!(logins.as_user("192.0.2.1", PASSWORD).await.status, 200);
        }
        logins.with_broken_hash().await;
        logins.stack.clock.advance(days * DAY + seconds);
        logins.guess("198.51.100", 100).await;
        let status = logins.as_user("192.0.2.1", "guess").await.status;
        assert_eq!(status == LOOKED_AT, is_known, "{days} days and {seconds} seconds: {status}");
    }
}

#[tokio::test]
async fn a_login_drops_the_addresses_that_are_known_no_more() {
    let logins = Logins::start().await;
    logins.with_good_hash().await;
    for (days, from, known) in [(0, "192.0.2.1", 1), (29, "192.0.2.2", 2), (1, "192.0.2.2", 1)] {
        logins.stack.clock.advance(days * DAY);
        assert_eq!(logins.as_user(from, PASSWORD).await.status, 200);
        let item = logins.item().await;
        assert_eq!(item.keys().filter(|name| name.contains('#')).count(), known, "{item:?}");
        assert_eq!(item[&format!("known#{from}")], json!(logins.stack.clock.now() + KNOWN_FOR));
    }
}

#[tokio::test]
async fn a_count_outlives_what_was_known_of_its_address() {
    let logins = Logins::start().await;
    logins.with_good_hash().await;
    assert_eq!(logins.as_user("192.0.2.1", PASSWORD).await.status, 200);
    logins.with_broken_hash().await;
    for (seconds, from) in [(30 * DAY - 10, "192.0.2.1"), (20, "192.0.2.2")] {
        logins.stack.clock.advance(seconds);
        for _ in 0..10 {
            assert_eq!(logins.as_user(from, "guess").await.status, LOOKED_AT);
        }
        let item = logins.item().await;
        let expires_at = item["expires_at"].as_u64().unwrap();
        let expected = logins.stack.clock.now() + 900;
        assert!((expected..expected + 900).contains(&expires_at), "{item:?}");
    }
    assert_eq!(logins.as_user("192.0.2.1", "guess").await.status, 429);
}

#[tokio::test]
async fn without_a_login_nothing_is_kept_for_longer_than_the_window() {
    let logins = Logins::start().await;
    logins.with_broken_hash().await;
    logins.guess("198.51.100", 100).await;
    assert_eq!(logins.as_user("203.0.113.1", "guess").await.status, 429);
    let item = logins.item().await;
    assert_eq!(item["expires_at"], json!(NOW + 900), "{item:?}");
    // DynamoDB may delete it days later, and until then it is as if it were gone.
    logins.stack.clock.advance(900);
    assert_eq!(logins.as_user("203.0.113.1", "guess").await.status, LOOKED_AT);
    let item = logins.item().await;
    assert_eq!(item["attempts"], json!(1));
    assert!(!item.keys().any(|name| name.contains("198.51.100")), "{item:?}");
}

#[tokio::test]
async fn an_ipv6_address_counts_as_its_64_and_a_mapped_one_as_ipv4() {
    let logins = Logins::start().await;
    logins.with_broken_hash().await;
    for n in 0..10 {
        assert_eq!(logins.as_user(&format!("2001:db8:0:1:{n}::{n}"), "guess").await.status, LOOKED_AT);
        let mapped = if n % 2 == 0 { "" } else { "::ffff:" };
        assert_eq!(logins.as_user(&format!("{mapped}192.0.2.1"), "guess").await.status, LOOKED_AT);
    }
    for (from, status) in [
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", 429),
        ("2001:0DB8:0000:0001::", 429),
        ("2001:db8:0:2::1", LOOKED_AT),
        ("192.0.2.1", 429),
        ("::ffff:192.0.2.1", 429),
        ("::ffff:c000:201", 429),
        ("::ffff:192.0.2.2", LOOKED_AT),
    ] {
        assert_eq!(logins.as_user(from, "guess").await.status, status, "{from}");
    }
}

#[tokio::test]
async fn requests_without_a_sound_address_share_one_count_and_no_header_is_believed() {
    let logins = Logins::start().await;
    logins.with_broken_hash().await;
    let body = backend_login(demo::STORE, EMAIL, "guess");
    let odd = [
        json!(null),
        json!(7),
        json!([]),
        json!("192.0.2.1"),
        json!({}),
        json!({"sourceIp": null}),
        json!({"sourceIp": 7}),
        json!({"sourceIp": "test-invoke-source-ip"}),
        json!({"sourceIp": "192.0.2.1, 192.0.2.2"}),
        json!({"sourceIp": ["192.0.2.1"], "userAgent": {}}),
        json!({"sourceIp": ""}),
    ];
    let last = odd.len() - 1;
    for (n, identity) in odd.into_iter().enumerate() {
        let headers = json!({"X-Forwarded-For": format!("192.0.2.{n}"), "Forwarded": format!("for=192.0.2.{n}")});
        let answer = logins.invoke("create-backend-token", identity.clone(), headers, &body).await;
        assert_eq!(answer.status, if n == last { 429 } else { LOOKED_AT }, "{identity}");
    }
    assert_eq!(logins.as_user("192.0.2.1", "guess").await.status, LOOKED_AT);
}

#[tokio::test]
async fn the_local_stack_tells_callers_apart() {
    let stack = TestStack::start().await;
    for attempt in 0..10 {
        let answer = stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, "wrong").await;
        assert_eq!(answer.status, 400, "attempt {attempt}");
    }
    for (from, status) in [([127, 0, 0, 1], 429), ([127, 0, 0, 2], 200)] {
        let client = reqwest::Client::builder().local_address(IpAddr::from(from)).build().unwrap();
        let call = client.post(format!("{}/auth/backend", stack.api_url())).header("X-Forwarded-For", "127.0.0.3");
        assert_eq!(call.json(&admin_login("n")).send().await.unwrap().status(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_parallel_guesses_of_an_address_cost_ten_hashes() {
    let logins = Logins::start().await;
    logins.with_broken_hash().await;
    for round in 0..2 {
        let answers = join_all((0..200).map(|_| logins.as_user("192.0.2.1", "guess"))).await;
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(LOOKED_AT), count(429)), (10, 190), "round {round}");
        assert!(answers.iter().all(|answer| answer.status == LOOKED_AT || answer.retry_after == Some(1)));
        // The next ones find a window that has ended.
        logins.stack.clock.advance(900);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_guesses_of_fifty_addresses_cost_a_hundred_hashes() {
    let logins = Logins::start().await;
    logins.with_good_hash().await;
    assert_eq!(logins.as_user("192.0.2.1", PASSWORD).await.status, 200);
    logins.with_broken_hash().await;
    for round in 0..2 {
        let addresses: Vec<_> = (0..500).map(|n| format!("198.51.100.{}", n % 50)).collect();
        let answers = join_all(addresses.iter().map(|from| logins.as_user(from, "guess"))).await;
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(LOOKED_AT), count(429)), (100, 400), "round {round}");
        assert_eq!(logins.as_user("192.0.2.1", "guess").await.status, LOOKED_AT, "round {round}");
        logins.stack.clock.advance(900);
    }
}

#[tokio::test]
async fn customers_and_backend_users_are_counted_apart() {
    let logins = Logins::start().await;
    logins.stack.add_customer(7, EMAIL, &[1], true).await;
    logins.with_broken_hash().await;
    logins.guess("198.51.100", 100).await;
    assert_eq!(logins.as_user("203.0.113.1", "guess").await.status, 429);
    let token = &logins.stack.demo_token;
    assert_eq!(logins.as_customer("203.0.113.1", token, EMAIL, PASSWORD).await.status, 200);
    // Nor does a customer's login make the address known for the backend user, or clear its count.
    assert_eq!(logins.as_user("203.0.113.1", "guess").await.status, 429);
    assert_eq!(logins.as_customer("198.51.100.1", token, EMAIL, PASSWORD).await.status, 200);
    logins.stack.clock.advance(899);
    assert_eq!(logins.as_user("198.51.100.1", "guess").await.status, 429);
}

#[tokio::test]
async fn a_login_is_no_failed_login() {
    let logins = Logins::start().await;
    logins.with_broken_hash().await;
    logins.guess("198.51.100", 99).await;
    logins.with_good_hash().await;
    for n in 0..3 {
        assert_eq!(logins.as_user(&format!("203.0.113.{n}"), PASSWORD).await.status, 200);
    }
    // The count of its own address is cleared, and of no other.
    assert_eq!(logins.as_user("198.51.100.9", PASSWORD).await.status, 200);
    logins.with_broken_hash().await;
    assert_eq!(logins.as_user("198.51.100.8", "guess").await.status, 429);
    assert_eq!(logins.as_user("192.0.2.1", "guess").await.status, LOOKED_AT);
    assert_eq!(logins.as_user("192.0.2.2", "guess").await.status, 429);
    for _ in 0..10 {
        assert_eq!(logins.as_user("198.51.100.9", "guess").await.status, LOOKED_AT);
    }
}

#[tokio::test]
async fn refused_attempts_neither_count_nor_extend_anything() {
    let logins = Logins::start().await;
    logins.with_broken_hash().await;
    logins.guess("198.51.100", 90).await;
    logins.stack.clock.advance(800);
    for _ in 0..50 {
        assert_eq!(logins.as_user("198.51.100.1", "guess").await.status, 429);
    }
    assert_eq!(logins.item().await["attempts"], json!(90));
    logins.stack.clock.advance(100);
    logins.guess("203.0.113", 100).await;
    logins.stack.clock.advance(800);
    for n in 0..50 {
        assert_eq!(logins.as_user(&format!("192.0.2.{n}"), "guess").await.status, 429);
    }
    let item = logins.item().await;
    assert_eq!(item["attempts"], json!(100));
    assert!(!item.keys().any(|name| name.contains("192.0.2.")), "{item:?}");
    logins.stack.clock.advance(100);
    logins.guess("192.0.2", 100).await;
}

#[tokio::test]
async fn a_refused_caller_costs_neither_the_address_nor_the_account_an_attempt() {
    let logins = Logins::start().await;
    logins.stack.add_customer(7, EMAIL, &[1], true).await;
    let token = logins.stack.create_token("mine").await;
    logins.stack.delete(&json!({"id": 2})).token(&logins.stack.demo_token).send().await;
    for n in 0..110 {
        let from = if n < 12 { "192.0.2.1".to_owned() } else { format!("198.51.100.{n}") };
        assert_eq!(logins.as_customer(&from, &token, EMAIL, PASSWORD).await.status, 401, "{n}");
    }
    let table = &logins.stack.configuration.login_attempts_table;
    let scanned = logins.stack.dynamodb.scan().table_name(table).send().await.unwrap();
    let items = format!("{:?}", scanned.items());
    assert!(items.contains(EMAIL) && !items.contains("192.0.2.1") && !items.contains("198.51.100"), "{items}");
    for from in ["192.0.2.1", "203.0.113.1"] {
        assert_eq!(logins.as_customer(from, &logins.stack.demo_token, EMAIL, PASSWORD).await.status, 200);
    }
}

#[tokio::test]
async fn an_item_of_another_form_keeps_nobody_out() {
    let logins = Logins::start().await;
    logins.with_broken_hash().await;
    let item = [
        ("pk".to_owned(), items::string(format!("USER#{} {EMAIL}", demo::STORE))),
        ("attempts".to_owned(), items::number(10)),
        ("expires_at".to_owned(), items::number(NOW + 900)),
    ];
    let table = &logins.stack.configuration.login_attempts_table;
    logins.stack.dynamodb.put_item().table_name(table).set_item(Some(item.into())).send().await.unwrap();
    logins.guess("198.51.100", 100).await;
    assert_eq!(logins.as_user("203.0.113.1", "guess").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_refused_callers_in_parallel_leave_no_attempt_behind() {
    let logins = Logins::start().await;
    let token = logins.stack.create_token("mine").await;
    logins.stack.delete(&json!({"id": 2})).token(&logins.stack.demo_token).send().await;
    let addresses: Vec<_> = (0..100).map(|n| format!("198.51.100.{}", n / 10)).collect();
    let calls = addresses.iter().map(|from| logins.as_customer(from, &token, EMAIL, PASSWORD));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.status == 401), "{answers:?}");
    let table = &logins.stack.configuration.login_attempts_table;
    let scanned = logins.stack.dynamodb.scan().table_name(table).send().await.unwrap();
    let item = scanned.items().iter().find(|item| item["pk"].as_s().unwrap().contains(EMAIL)).unwrap();
    assert!(item["attempts"].as_n().unwrap() == "0" && item.keys().all(|name| !name.contains('#')), "{item:?}");
}

#[tokio::test]
async fn forgetting_the_attempts_lets_everybody_in_and_keeps_the_known_addresses() {
    let logins = Logins::start().await;
    logins.with_good_hash().await;
    assert_eq!(logins.as_user("192.0.2.1", PASSWORD).await.status, 200);
    logins.with_broken_hash().await;
    for _ in 0..10 {
        assert_eq!(logins.as_user("192.0.2.1", "guess").await.status, LOOKED_AT);
    }
    logins.guess("198.51.100", 90).await;
    let table = logins.stack.configuration.login_attempts_table.clone();
    let attempts = LoginAttempts::new(logins.stack.dynamodb.clone(), table, Account::BackendUser);
    for forgotten in [100, 0] {
        assert_eq!(attempts.forget(demo::STORE, EMAIL, &logins.stack.clock.clock()).await.unwrap(), forgotten);
    }
    assert_eq!(attempts.forget(demo::STORE, "nobody@example.com", &logins.stack.clock.clock()).await.unwrap(), 0);
    logins.guess("198.51.100", 100).await;
    assert_eq!(logins.as_user("203.0.113.1", "guess").await.status, 429);
    assert_eq!(logins.as_user("192.0.2.1", "guess").await.status, LOOKED_AT);
}

/// What was counted, one by one: how many of them are in the window, and when it ends.
fn window(counted: &[(u64, bool)], now: u64) -> (usize, u64) {
    let (mut attempts, mut ends) = (0, 0);
    for (at, extends) in counted {
        if *at >= ends {
            attempts = 0;
        }
        attempts += 1;
        ends = if *extends { at + WINDOW } else { ends };
    }
    if now < ends { (attempts, ends) } else { (0, 0) }
}

/// Takes the last one back. That the window restarted with it stays so.
fn take_back(counted: &mut Vec<(u64, bool)>, before: usize, now: u64) {
    let (_, extends) = counted.pop().unwrap();
    if before > 0 && extends {
        *counted.last_mut().unwrap() = (now, true);
    }
}

/// Whatever happens, the table says what a list of all that happened says.
#[tokio::test]
async fn the_counts_are_those_of_a_list_of_all_attempts() {
    let stack = TestStack::start().await;
    let clock = stack.clock.clock();
    let table = stack.configuration.login_attempts_table.clone();
    let attempts = LoginAttempts::new(stack.dynamodb.clone(), table, Account::Customer);
    let mut random = fastrand::Rng::with_seed(11);
    let mut of_account: Vec<(u64, bool)> = Vec::new();
    let mut of_addresses: BTreeMap<usize, Vec<(u64, bool)>> = BTreeMap::new();
    let mut known_until: BTreeMap<usize, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for step in 0..2500 {
        // Bursts, quiet hours, and now and then weeks.
        let pause = match random.u32(0..1000) {
            0 => random.u64(0..KNOWN_FOR),
            1..5 => random.u64(0..2 * WINDOW),
            5..400 => random.u64(0..5),
            _ => 0,
        };
        stack.clock.advance(pause);
        let now = clock.now();
        let address = if random.bool() { random.usize(0..5) } else { random.usize(0..40) };
        let is_known = known_until.get(&address).is_some_and(|until| *until > now);
        let of_address = of_addresses.entry(address).or_default();
        let (in_address, _) = window(of_address, now);
        let (in_account, _) = window(&of_account, now);
        let fits = in_address < 10 && (is_known || in_account < 100);
        let reservation = attempts.reserve("s", "e@x", format!("192.0.2.{address}").as_str(), &clock).await.unwrap();
        let Reservation::Counted(attempt) = reservation else {
            assert!(!fits, "{step}: refused with {in_address} and {in_account}");
            seen.insert(if in_address < 10 { "account full" } else { "address full" });
            continue;
        };
        assert!(fits, "{step}: let through with {in_address} and {in_account}");
        of_address.push((now, true));
        of_account.push((now, in_account < 100));
        seen.insert(if in_account < 100 { "counted" } else { "counted though full" });
        match random.u32(0..40) {
            0 => {
                attempt.succeeded(now).await;
                of_address.clear();
                known_until.insert(address, now + KNOWN_FOR);
            }
            1 => {
                attempt.take_back(now).await;
                take_back(of_address, in_address, now);
            }
            _ => continue,
        }
        take_back(&mut of_account, in_account, now);
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}
