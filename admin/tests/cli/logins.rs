//! `b2b-auth login`, and what `show` says of who is locked out.

use crate::support::{OperatedStack, in_store};
use local::demo;
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    tables::login_attempts::{Account, LoginAttempts, Reservation, WINDOW},
};

const NOBODY: &str = "nobody@example.com";

/// Attempts that were counted.
async fn attempts(
    stack: &OperatedStack,
    account: Account,
    store: &str,
    email: &str,
    address: &str,
    times: u32,
    ago: u64,
) {
    let table = stack.configuration.login_attempts_table.clone();
    let attempts = LoginAttempts::new(stack.dynamodb.clone(), table, account);
    let clock = Clock::new(move || Clock::system().now() - ago);
    for _ in 0..times {
        let reserved = attempts.reserve(store, email, address, &clock).await.unwrap();
        assert!(matches!(reserved, Reservation::Counted(_)));
    }
}

/// What is listed of the demo store, without the times.
fn listed(stack: &OperatedStack) -> Vec<Value> {
    let rows = stack.json(&in_store(&["login", "list"]));
    let now = Clock::system().now();
    let row = |row: &Value| {
        let ends = row["endsAt"].as_u64().unwrap();
        assert!((now + WINDOW - 60..=now + WINDOW).contains(&ends), "{row}");
        json!([row["email"], row["account"], row["address"], row["attempts"], row["lockedOut"]])
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_locked_out_is_listed_with_address_and_end() {
    let stack = OperatedStack::start().await;
    assert_eq!(listed(&stack), [] as [Value; 0]);
    let (admin, buyer) = (demo::ADMIN_EMAIL, demo::BUYER_EMAIL);
    attempts(&stack, Account::Customer, demo::STORE, buyer, "192.0.2.1", 10, 5).await;
    attempts(&stack, Account::Customer, demo::STORE, buyer, "2001:db8::/64", 2, 5).await;
    attempts(&stack, Account::BackendUser, demo::STORE, buyer, "192.0.2.1", 1, 5).await;
    for n in 0..10 {
        attempts(&stack, Account::BackendUser, demo::STORE, admin, &format!("198.51.100.{n}"), 10, 5).await;
    }
    // What has ended, and what is of other stores, one of which has a name that only callers can make up.
    attempts(&stack, Account::Customer, demo::STORE, "ended@example.com", "192.0.2.1", 10, WINDOW + 1).await;
    attempts(&stack, Account::Customer, demo::OTHER_STORE, "other@example.com", "192.0.2.1", 10, 5).await;
    let made_up = format!("{} x", demo::STORE);
    attempts(&stack, Account::Customer, &made_up, "other@example.com", "192.0.2.1", 10, 5).await;
    // Logged in, and known since.
    assert_eq!(stack.ask_for_token(demo::STORE, demo::REP_EMAIL, demo::REP_PASSWORD).await.status, 400);
    assert_eq!(stack.log_in("SELDOM@example.com", "wrong").await.status, 400);

    let of_admin = |address: &str, attempts: u64| json!([admin, "backend user", address, attempts, true]);
    let mut expected: Vec<Value> = (0..10).map(|n| of_admin(&format!("198.51.100.{n}"), 10)).collect();
    expected.insert(0, of_admin("all", 100));
    expected.push(json!([buyer, "customer", "192.0.2.1", 10, true]));
    let last = listed(&stack);
    assert_eq!(last[..12], expected);
    let others: Vec<_> = last[12..].iter().filter(|row| row[0] == buyer).cloned().collect();
    assert_eq!(
        others,
        [
            json!([buyer, "backend user", "all", 1, false]),
            json!([buyer, "backend user", "192.0.2.1", 1, false]),
            json!([buyer, "customer", "all", 12, false]),
            json!([buyer, "customer", "2001:db8::/64", 2, false]),
        ]
    );
    assert!(last[12..].iter().any(|row| row[0] == "seldom@example.com" && row[2] == "127.0.0.1"), "{last:?}");
    assert!(!json!(last).to_string().contains("other@example.com"), "{last:?}");
    stack.b2b_auth(&["login", "list", "--store", "nostore"]).fails(3, "There is no store nostore.");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_shown_says_from_where_it_is_locked_out() {
    let stack = OperatedStack::start().await;
    let locked = |noun: &str, email: &str| {
        let shown = stack.json(&in_store(&[noun, "show", email]));
        (shown["lockedOutFrom"].clone(), shown["lockoutEndsAt"].as_u64())
    };
    for (noun, account, email) in
        [("customer", Account::Customer, demo::BUYER_EMAIL), ("user", Account::BackendUser, demo::ADMIN_EMAIL)]
    {
        attempts(&stack, account, demo::STORE, email, "192.0.2.1", 9, 5).await;
        assert_eq!(locked(noun, email), (json!([]), None));
        attempts(&stack, account, demo::STORE, email, "192.0.2.1", 1, 0).await;
        let (from, ends) = locked(noun, &email.to_uppercase());
        assert_eq!(from, json!(["192.0.2.1"]));
        let now = Clock::system().now();
        assert!((now + WINDOW - 60..=now + WINDOW).contains(&ends.unwrap()), "{ends:?}");
        stack.b2b_auth(&in_store(&["login", "unlock", email])).changes("login unlock");
        assert_eq!(locked(noun, email), (json!([]), None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_cannot_be_unlocked() {
    let stack = OperatedStack::start().await;
    let unlock = |email: &str| stack.b2b_auth(&in_store(&["login", "unlock", email]));
    let ended = unlock(NOBODY);
    ended.fails(3, "The store demostore has neither a backend user nor a customer nobody@example.com");
    assert_eq!(ended.lines(), [] as [Value; 0]);

    let nothing = unlock("Buyer@example.com");
    nothing.changes("login unlock");
    assert!(nothing.stderr.contains("There was nothing to clear"), "{nothing:?}");

    // Who guesses need not guess at one who is there.
    attempts(&stack, Account::BackendUser, demo::STORE, NOBODY, "192.0.2.1", 3, 5).await;
    let cleared = unlock(NOBODY);
    cleared.changes("login unlock");
    assert!(cleared.stderr.contains("Cleared: 3 attempts as a backend user, 0 as a customer."), "{cleared:?}");
    unlock(NOBODY).fails(3, "neither");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_an_address_are_cleared_after_those_of_the_account_have_ended() {
    let stack = OperatedStack::start().await;
    let table = stack.configuration.login_attempts_table.clone();
    let attempts_of_users = LoginAttempts::new(stack.dynamodb.clone(), table, Account::Customer);
    let earlier = Clock::new(|| Clock::system().now() - WINDOW - 1);
    let reserved = attempts_of_users.reserve(demo::STORE, demo::BUYER_EMAIL, "192.0.2.1", &earlier).await.unwrap();
    let Reservation::Counted(login) = reserved else { panic!("full") };
    login.succeeded(earlier.now()).await;
    for n in 0..10 {
        let address = format!("198.51.100.{n}");
        attempts(&stack, Account::Customer, demo::STORE, demo::BUYER_EMAIL, &address, 10, WINDOW + 1).await;
    }
    // From an address that is known, while the account is full: its count goes on for longer.
    attempts(&stack, Account::Customer, demo::STORE, demo::BUYER_EMAIL, "192.0.2.1", 10, WINDOW - 30).await;
    let rows = stack.json(&in_store(&["login", "list"]));
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!((&rows[0]["address"], &rows[0]["lockedOut"]), (&json!("192.0.2.1"), &json!(true)));
    let unlocked = stack.b2b_auth(&in_store(&["login", "unlock", demo::BUYER_EMAIL]));
    assert!(unlocked.stderr.contains("10 as a customer"), "{unlocked:?}");
}
