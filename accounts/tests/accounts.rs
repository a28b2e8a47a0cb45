//! What becomes of writes that others were in the way of, or that what they were decided on does not hold for any more.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

use accounts::{Accounts, Addition, CustomerChange, Edit, Taken, UserChange};
use aws_sdk_dynamodb::Client;
use local::{aws, demo};
use serde_json::json;
use shared::{
    clock::Clock,
    fault::Fault,
    keys::jwt::LEEWAY,
    tables::directory::{BackendUser, Customer, CustomerLogin, Role},
};
use tests::{Fate, NOW, Proxy, TestStack};

fn customer(customer_id: u64, email: &str, tokens_valid_after: Option<u64>) -> CustomerLogin {
    let customer = Customer { customer_id, email: email.into(), channels: vec![1], active: true, tokens_valid_after };
    CustomerLogin { customer, password_hash: "$argon2id$".into() }
}

async fn demo_customer(stack: &TestStack) -> Customer {
    stack.directory().customer(demo::STORE, demo::BUYER_ID).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_is_taken_or_has_no_store_is_not_added() {
    let stack = TestStack::start().await;
    let accounts = stack.accounts();
    let user = BackendUser {
        email: "ADMIN@example.com".into(),
        password_hash: "$argon2id$".into(),
        role: Role::StoreOwner,
        active: true,
    };
    let add = async |logins: &[CustomerLogin]| accounts.add_customers(demo::STORE, logins).await.unwrap();
    assert_eq!(accounts.add_store(demo::STORE, vec![9]).await.unwrap(), Addition::Taken(Taken::StoreHash));
    assert_eq!(accounts.add_user(demo::STORE, &user).await.unwrap(), Addition::Taken(Taken::Email));
    assert_eq!(accounts.add_user("nostore", &user).await.unwrap(), Addition::NoStore);
    let free = customer(7, "seven@example.com", None);
    let same_email = customer(8, "BUYER@example.com", None);
    let same_id = customer(demo::BUYER_ID, "eight@example.com", None);
    assert_eq!(add(&[free.clone(), same_email]).await, Addition::Taken(Taken::Email));
    assert_eq!(add(&[free.clone(), same_id]).await, Addition::Taken(Taken::CustomerId));
    assert_eq!(accounts.add_customer("nostore", &free).await.unwrap(), Addition::NoStore);
    assert!(stack.directory().customer(demo::STORE, 7).await.unwrap().is_none(), "all or nothing");
    assert_eq!(stack.directory().store(demo::STORE).await.unwrap().unwrap().channels, [1, 2]);
    assert_eq!(add(&[free]).await, Addition::Added);
}

#[tokio::test]
async fn who_takes_the_place_of_a_removed_customer_cannot_make_its_tokens_good_again() {
    let stack = TestStack::start().await;
    let accounts = stack.accounts();
    let buyer = demo_customer(&stack).await;
    assert_eq!(accounts.remove_customer(demo::STORE, &buyer).await.unwrap(), Edit::Done);
    assert_eq!(accounts.remove_customer(demo::STORE, &buyer).await.unwrap(), Edit::NotFound);
    let place = accounts.place(demo::STORE, demo::BUYER_EMAIL, demo::BUYER_ID).await.unwrap();
    assert!(place.by_email.is_none() && place.by_id.is_none());
    let revoked = place.tokens_valid_after.unwrap();
    assert_eq!(revoked, NOW + LEEWAY);
    // As where the removal came between look-up and write.
    for (tokens_valid_after, expected) in [
        (None, Addition::Taken(Taken::CustomerId)),
        (Some(revoked - 1), Addition::Taken(Taken::CustomerId)),
        (Some(revoked), Addition::Added),
    ] {
        let login = customer(demo::BUYER_ID, "new@example.com", tokens_valid_after);
        assert_eq!(accounts.add_customer(demo::STORE, &login).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_change_sets_what_it_names_and_only_where_it_was_decided_on() {
    let stack = TestStack::start().await;
    let (accounts, directory) = (stack.accounts(), stack.directory());
    let before = directory.backend_user(demo::STORE, demo::REP_EMAIL).await.unwrap().unwrap();
    for change in [
        UserChange::Role(Role::Other("sales_rep".into())),
        UserChange::Active(true),
        UserChange::PasswordHash(before.password_hash.clone()),
    ] {
        assert_eq!(accounts.change_user(demo::STORE, "nobody@example.com", &change).await.unwrap(), Edit::NotFound);
        assert_eq!(accounts.change_user(demo::STORE, "REP@example.com", &change).await.unwrap(), Edit::Done);
    }
    let after = directory.backend_user(demo::STORE, demo::REP_EMAIL).await.unwrap().unwrap();
    assert_eq!(json!(after), json!(before));

    let buyer = demo_customer(&stack).await;
    let change = async |customer: &Customer, change: CustomerChange| {
        accounts.change_customer(demo::STORE, customer, &change).await.unwrap()
    };
    assert_eq!(change(&buyer, CustomerChange::Channels(vec![2])).await, Edit::Done);
    assert_eq!(json!(demo_customer(&stack).await), json!(Customer { channels: vec![2], ..buyer.clone() }));
    for revoking in [CustomerChange::PasswordHash("$argon2id$".into()), CustomerChange::Active(false)] {
        assert_eq!(change(&buyer, revoking).await, Edit::Done);
    }
    let after = directory.customer_login(demo::STORE, demo::BUYER_EMAIL).await.unwrap().unwrap();
    assert_eq!((after.password_hash.as_str(), after.customer.active), ("$argon2id$", false));
    assert_eq!(after.customer.tokens_valid_after, Some(NOW + LEEWAY));
    assert_eq!(json!(demo_customer(&stack).await), json!(after.customer));
    // Another customer has taken the e-mail since.
    let stale = Customer { customer_id: 7, ..buyer };
    assert_eq!(change(&stale, CustomerChange::Active(true)).await, Edit::NotFound);
    assert!(!demo_customer(&stack).await.active);
}

#[tokio::test]
async fn one_of_whom_only_the_id_is_known_can_be_disabled_and_enabled() {
    let stack = TestStack::start().await;
    let accounts = stack.accounts();
    let known = async || stack.directory().customer(demo::STORE, 7).await.unwrap();
    let stranger = Customer { active: true, ..Customer::removed(7, 0) };
    let change = async |store: &str, customer: &Customer, change: CustomerChange| {
        accounts.change_customer(store, customer, &change).await.unwrap()
    };
    assert_eq!(change("nostore", &stranger, CustomerChange::Active(false)).await, Edit::NotFound);
    for no_change in [CustomerChange::Channels(vec![1]), CustomerChange::PasswordHash("$argon2id$".into())] {
        assert_eq!(change(demo::STORE, &stranger, no_change).await, Edit::NotFound);
    }
    assert!(known().await.is_none());
    for active in [false, true] {
        assert_eq!(change(demo::STORE, &stranger, CustomerChange::Active(active)).await, Edit::Done);
        let expected = Customer { active, ..Customer::removed(7, NOW + LEEWAY) };
        assert_eq!(json!(known().await), json!(expected));
    }
    let place = accounts.place(demo::STORE, "seven@example.com", 7).await.unwrap();
    assert!(place.by_id.is_none() && place.tokens_valid_after == Some(NOW + LEEWAY), "whom the id is free for");
    // Somebody has got the id since.
    let login = customer(7, "seven@example.com", place.tokens_valid_after);
    assert_eq!(accounts.add_customer(demo::STORE, &login).await.unwrap(), Addition::Added);
    assert_eq!(change(demo::STORE, &stranger, CustomerChange::Active(false)).await, Edit::NotFound);
    assert!(known().await.unwrap().active);
}

#[tokio::test]
async fn what_dynamodb_leaves_of_a_deletion_is_sent_again() {
    let stack = TestStack::start().await;
    let proxy = Proxy::start(stack.aws_url()).await;
    let client = Client::new(&aws::sdk_config(&proxy.url).await);
    let accounts = Accounts::new(&client, &stack.configuration, Clock::system());
    let left = |body: &serde_json::Value| Fate::Answered(200, json!({"UnprocessedItems": body["RequestItems"]}));
    proxy.rule(move |request| match (request.operation, request.earlier) {
        ("BatchWriteItem", 0..3) => left(request.body),
        _ => Fate::Forwarded,
    });
    accounts.erase_store(demo::STORE, &|_| Ok::<_, Fault>(())).await.unwrap();
    assert!(stack.directory().store(demo::STORE).await.unwrap().is_none());
    assert!(accounts.is_listed(demo::STORE).await.unwrap(), "until all else is gone");
    accounts.unlist_store(demo::STORE).await.unwrap();
    assert!(!accounts.is_listed(demo::STORE).await.unwrap());
}
