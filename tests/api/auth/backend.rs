//! `POST /auth/backend` and `DELETE /auth/backend`.

use crate::backend::tokens::{creation, new_token};
use futures_util::future::join_all;
use local::demo;
use serde_json::{Value, json};
use shared::tables::{
    directory::{BackendUser, Role},
    login_attempts::{Account, LoginAttempts},
};
use std::collections::BTreeSet;
use tests::{NOW, PASSWORD, Setup, TestStack, admin_login, backend_login, decode, eventually, with};

#[tokio::test]
async fn creates_a_token_that_carries_the_platforms_claims() {
    let stack = TestStack::start().await;
    let answer = stack.post("/auth/backend", &admin_login("name")).send().await;
    assert_eq!(answer.body["meta"], json!({"message": "SUCCESS"}));
    assert_eq!(answer.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(answer.body["data"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "token"]);
    assert_eq!(answer.body["data"][0]["name"], "name");
    let (header, claims) = decode(answer.server_token());
    assert_eq!(header, json!({"typ": "JWT", "alg": "HS256", "kid": "demo"}));
    assert_eq!(
        claims,
        json!({
            "email": demo::ADMIN_EMAIL, "store_hash": demo::STORE, "db": "default", "jti": "2", "aud": "server",
            "iat": NOW,
        })
    );
}

#[tokio::test]
async fn begin_and_end_become_claims_and_bound_the_validity() {
    let stack = TestStack::start().await;
    let body = with(with(admin_login("name"), "beginAt", NOW + 100), "endAt", (NOW + 200).to_string());
    let answer = stack.post("/auth/backend", &body).send().await;
    let token = answer.server_token();
    let (_, claims) = decode(token);
    assert_eq!((&claims["nbf"], &claims["exp"]), (&json!(NOW + 100), &json!(NOW + 200)));
    for (at, accepted) in [(0, false), (94, false), (95, true), (199, true), (204, true), (205, false), (1000, false)] {
        let clock = NOW + at;
        stack.clock.advance(clock - stack.clock.now());
        assert_eq!(stack.list(token, "").await.status == 200, accepted, "{at} seconds later");
    }
}

#[tokio::test]
async fn e_mails_compare_in_any_case_and_come_back_as_stored() {
    let stack = TestStack::start().await;
    stack.add_user("Åsa.Öberg@Example.com", Role::StoreOwner, true).await;
    let answer = stack.ask_for_token(demo::STORE, "åSA.öberg@eXAMPLE.COM", PASSWORD).await;
    let (_, claims) = decode(answer.server_token());
    assert_eq!(claims["email"], "Åsa.Öberg@Example.com");
}

#[tokio::test]
async fn an_auth_token_header_is_ignored() {
    let stack = TestStack::start().await;
    let answer = stack.post("/auth/backend", &admin_login("name")).token("not a token").send().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn wrong_password_unknown_e_mail_unknown_store_and_disabled_user_read_the_same() {
    let stack = TestStack::start().await;
    stack.add_user("gone@example.com", Role::Administrator, false).await;
    for (store_hash, email, password) in [
        (demo::STORE, demo::ADMIN_EMAIL, "wrong"),
        (demo::STORE, demo::ADMIN_EMAIL, "Demo-admin-password"),
        (demo::STORE, demo::REP_EMAIL, "wrong"),
        (demo::STORE, "nobody@example.com", demo::ADMIN_PASSWORD),
        (demo::STORE, demo::OTHER_ADMIN_EMAIL, demo::ADMIN_PASSWORD),
        (demo::STORE, demo::BUYER_EMAIL, demo::BUYER_PASSWORD),
        ("nostore", demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD),
        (demo::OTHER_STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD),
        (demo::STORE, "gone@example.com", PASSWORD),
    ] {
        let answer = stack.ask_for_token(store_hash, email, password).await;
        answer.is_error(
            400,
            "API logic error",
            "The email or password you have entered is incorrect. Please try again.",
        );
    }
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn only_store_owners_and_administrators_may_create_tokens() {
    let stack = TestStack::start().await;
    stack.add_user("owner@example.com", Role::StoreOwner, true).await;
    stack.add_user("odd@example.com", Role::Other("Administrator".into()), true).await;
    for (email, password, allowed) in [
        (demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD, true),
        ("owner@example.com", PASSWORD, true),
        (demo::REP_EMAIL, demo::REP_PASSWORD, false),
        ("odd@example.com", PASSWORD, false),
    ] {
        let answer = stack.ask_for_token(demo::STORE, email, password).await;
        if allowed {
            assert_eq!(answer.status, 200, "{email}");
        } else {
            answer.is_error(400, "API logic error", "role forbidden");
        }
    }
    assert_eq!(stack.total_count().await, 3);
}

#[tokio::test]
async fn bad_fields_are_all_named_and_change_nothing() {
    let stack = TestStack::start().await;
    let good = || with(with(admin_login("name"), "beginAt", 1000), "endAt", 2000);
    for (field, values) in [
        ("storeHash", vec![json!(""), json!("x".repeat(65)), json!(7), json!([]), json!({})]),
        ("email", vec![json!(""), json!("string"), json!("a b@c"), json!("x".repeat(254) + "@b"), json!(true)]),
        ("password", vec![json!(""), json!("x".repeat(1025)), json!("é".repeat(513)), json!(7)]),
        ("name", vec![json!("x".repeat(256)), json!(7)]),
        ("beginAt", vec![json!("x"), json!(-1), json!(1.5), json!(""), json!(253_402_300_800_u64), json!([])]),
        ("endAt", vec![json!("x"), json!(-1), json!(1000), json!(999), json!("1000"), json!(1e300), json!(false)]),
    ] {
        for value in values {
            let body = with(good(), field, value);
            stack.post("/auth/backend", &body).send().await.refuses_fields(&[field]);
        }
    }
    for field in ["storeHash", "email", "password", "name"] {
        let mut body = with(good(), field, Value::Null);
        let answer = stack.post("/auth/backend", &body).send().await;
        answer.refuses_fields(&[field]);
        assert_eq!(answer.body["data"]["errors"][field], json!(["a value is required."]));
        body.as_object_mut().unwrap().remove(field);
        stack.post("/auth/backend", &body).send().await.refuses_fields(&[field]);
    }
    let all = stack.post("/auth/backend", &json!({"beginAt": "x", "endAt": []})).send().await;
    all.refuses_fields(&["beginAt", "email", "endAt", "name", "password", "storeHash"]);
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn edges_of_the_fields_are_accepted() {
    let stack = TestStack::start().await;
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("é".repeat(255))),
        ("name", json!("\"\\\u{0}\u{1f600}")),
        ("beginAt", Value::Null),
        ("endAt", Value::Null),
        ("endAt", json!(253_402_300_799_u64)),
        ("beginAt", json!(0)),
        ("unknown", json!({"a": [1, 2, 3]})),
    ] {
        let body = with(admin_login("name"), field, value.clone());
        let answer = stack.post("/auth/backend", &body).send().await;
        assert_eq!(answer.status, 200, "{field} {value}: {}", answer.body);
        if field == "name" {
            assert_eq!(answer.body["data"][0]["name"], value);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_parallel_creates_give_a_hundred_ids() {
    let stack = TestStack::start().await;
    for user in 0..10 {
        stack.add_user(&format!("admin{user}@example.com"), Role::Administrator, true).await;
    }
    let creates = (0..100).map(|n| {
        let body = backend_login(demo::STORE, &format!("admin{}@example.com", n % 10), PASSWORD);
        stack.post("/auth/backend", &with(body, "name", format!("{n}"))).send()
    });
    let answers = join_all(creates).await;
    let mut ids = BTreeSet::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let (_, claims) = decode(answer.server_token());
        ids.insert(claims["jti"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 100);
    let listed = stack.list(&stack.demo_token, "?limit=250").await;
    assert_eq!(listed.total_count(), 101);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_holds_against_parallel_creates_and_a_delete_makes_room() {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = 4;
    let stack = TestStack::start_with(setup).await;
    let body = admin_login("n");
    let answers = join_all((0..9).map(|_| stack.post("/auth/backend", &body).send())).await;
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status, &answer.body["meta"]["message"]), (507, &json!("Insufficient Storage")));
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    assert_eq!(stack.total_count().await, 4);
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(stack.post("/auth/backend", &admin_login("n")).send().await.status, 200);
    assert_eq!(stack.post("/auth/backend", &admin_login("n")).send().await.status, 507);
    let other_store = stack.other_store_token().await;
    assert_eq!(stack.list(&other_store, "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_have_ended_take_no_room_from_parallel_creates() {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = 4;
    let stack = TestStack::start_with(setup).await;
    let until = |end: u64| stack.post("/auth/backend", &with(admin_login("n"), "endAt", end));
    for _ in 0..3 {
        assert_eq!(until(NOW + 60).send().await.status, 200);
    }
    assert_eq!(until(NOW + 60).send().await.status, 507);
    stack.clock.advance(59);
    assert_eq!(until(NOW + 120).send().await.status, 507);
    stack.clock.advance(1);
    let answers = join_all((0..9).map(|_| until(NOW + 120).send())).await;
    let full = answers.iter().find(|answer| answer.status != 200).unwrap();
    full.is_error(
        507,
        "Insufficient Storage",
        "The store already has 4 tokens that have not ended, which is as many as it may have. Delete one that is no longer used.",
    );
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    // One that has ended before it was made takes none either.
    stack.clock.advance(120);
    for _ in 0..6 {
        assert_eq!(until(NOW + 100).send().await.status, 200);
    }
    for _ in 0..3 {
        assert_eq!(stack.post("/auth/backend", &admin_login("n")).send().await.status, 200);
    }
    assert_eq!(stack.post("/auth/backend", &admin_login("n")).send().await.status, 507);
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    assert_eq!(stack.post("/auth/backend", &admin_login("n")).send().await.status, 507, "what was deleted had ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demotion_holds_against_parallel_creates() {
    let stack = TestStack::start().await;
    let admin = stack.directory().backend_user(demo::STORE, demo::ADMIN_EMAIL).await.unwrap().unwrap();
    let demoted = BackendUser { role: Role::Other("sales_rep".into()), ..admin };
    let creates = join_all((0..30).map(|_| stack.post("/auth/backend", &admin_login("n")).send()));
    let demotion = async {
        // Some are at their hashes then, and one has perhaps been written.
        eventually(async || stack.total_count().await > 1).await;
        stack.accounts().put_user(demo::STORE, &demoted).await.unwrap();
        stack.total_count().await
    };
    let (answers, count) = tokio::join!(creates, demotion);
    for answer in answers.iter().filter(|answer| ![200, 429, 503].contains(&answer.status)) {
        answer.is_error(400, "API logic error", "role forbidden");
    }
    assert_eq!(stack.total_count().await, count, "no token is written after the demotion");
    assert!(answers.iter().any(|answer| answer.status == 400), "none was under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_parallel_guesses_cost_at_most_ten_hashes() {
    let stack = TestStack::start().await;
    // The 500s count the looks at the hash.
    stack.add_user_with_broken_hash("broken@example.com").await;
    let guess = || stack.ask_for_token(demo::STORE, "broken@example.com", "guess");
    let answers = join_all((0..50).map(|_| guess())).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(500), count(429)), (10, 40));
    let fault = "The request could not be completed because of an internal error.";
    answers.iter().find(|answer| answer.status == 500).unwrap().is_error(500, "Internal Server Error", fault);
}

#[tokio::test]
async fn after_ten_failures_even_the_right_password_waits_until_the_window_has_passed() {
    let stack = TestStack::start().await;
    for email in [demo::ADMIN_EMAIL, "nobody@example.com"] {
        let with_right_password = || stack.ask_for_token(demo::STORE, email, demo::ADMIN_PASSWORD);
        for attempt in 0..10 {
            assert_eq!(stack.ask_for_token(demo::STORE, email, "wrong").await.status, 400, "attempt {attempt}");
        }
        stack.clock.advance(400);
        let answer = stack.ask_for_token(demo::STORE, &email.to_uppercase(), demo::ADMIN_PASSWORD).await;
        assert_eq!(answer.retry_after, Some(500));
        answer.is_error(429, "Too Many Requests", "Too many failed logins. Try again in 500 seconds.");
        stack.clock.advance(499);
        assert_eq!(with_right_password().await.retry_after, Some(1));
        stack.clock.advance(1);
        let expected = if email == demo::ADMIN_EMAIL { 200 } else { 400 };
        assert_eq!(with_right_password().await.status, expected);
    }
}

#[tokio::test]
async fn a_successful_login_clears_the_count_and_other_stores_have_their_own() {
    let stack = TestStack::start().await;
    let guess = async |store_hash| stack.ask_for_token(store_hash, demo::ADMIN_EMAIL, "wrong").await.status;
    let table = stack.configuration.login_attempts_table.clone();
    let attempts = LoginAttempts::new(stack.dynamodb.clone(), table, Account::BackendUser);
    for _ in 0..3 {
        for _ in 0..9 {
            assert_eq!(guess(demo::STORE).await, 400);
        }
        assert_eq!(stack.post("/auth/backend", &admin_login("")).send().await.status, 200);
        // That of the address is cleared once the answer is sent, and the next guess may be faster.
        eventually(async || {
            let open = attempts.open(demo::STORE, demo::ADMIN_EMAIL, &stack.clock.clock()).await.unwrap();
            open.iter().all(|window| window.address.is_none())
        })
        .await;
    }
    for _ in 0..10 {
        assert_eq!(guess(demo::STORE).await, 400);
    }
    assert_eq!(guess(demo::OTHER_STORE).await, 400);
    assert_eq!(guess(demo::STORE).await, 429);
}

#[tokio::test]
async fn attempts_spread_over_windows_never_exceed_ten_in_fifteen_minutes() {
    let stack = TestStack::start().await;
    let mut looked_at = Vec::new();
    for _ in 0..60 {
        if stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, "wrong").await.status == 400 {
            looked_at.push(stack.clock.now());
        }
        stack.clock.advance(80);
    }
    assert!(looked_at.len() > 20, "{looked_at:?}");
    for (first, eleventh) in looked_at.iter().zip(looked_at.iter().skip(10)) {
        assert!(eleventh - first >= 900, "{looked_at:?}");
    }
}

#[tokio::test]
async fn deletes_a_token_which_is_refused_at_once() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    assert_eq!(stack.list(&token, "").await.status, 200);
    let answer = stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await;
    assert_eq!(answer.body, json!({"code": 200, "data": [], "meta": {"message": "SUCCESS"}}));
    stack.list(&token, "").await.is_invalid_token();
    stack.delete(&json!({"id": 1})).token(&token).send().await.is_invalid_token();
    stack
        .post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID}))
        .token(&token)
        .send()
        .await
        .is_invalid_token();
    let again = stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await;
    again.is_error(404, "Not Found Error", "No matching token was found.");
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn a_deleted_token_hears_of_that_before_its_other_mistakes() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await;
    stack.list(&token, "?limit=x").await.is_invalid_token();
    stack.list(&token, "?limit=999").await.is_invalid_token();
    stack.delete(&json!({})).token(&token).send().await.is_invalid_token();
    stack.delete(&json!({"id": 77})).token(&token).send().await.is_invalid_token();
    stack.delete(&json!({"id": 2})).token(&token).send().await.is_invalid_token();
    stack.request("DELETE", "/auth/backend").body("text/plain", "x").token(&token).send().await.is_invalid_token();
    stack.get("/auth/storefront").token(&token).send().await.is_invalid_token();
    stack.get("/auth/storefront?jwtToken=x").token(&token).send().await.is_invalid_token();
    stack.post("/auth/customers", &json!({})).token(&token).send().await.is_invalid_token();
    stack.post("/auth/customers/storefront", &json!([])).token(&token).send().await.is_invalid_token();
}

#[tokio::test]
async fn a_token_may_delete_itself() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    let other_name = stack.delete(&json!({"id": 2, "name": "other"})).token(&token).send().await;
    other_name.is_error(404, "Not Found Error", "No matching token was found.");
    assert_eq!(stack.delete(&json!({"id": 2, "name": "mine"})).token(&token).send().await.status, 200);
    stack.delete(&json!({"id": 2})).token(&token).send().await.is_invalid_token();
}

#[tokio::test]
async fn name_and_e_mail_must_be_the_tokens_own() {
    let stack = TestStack::start().await;
    stack.create_token("mine").await;
    stack.create_token("mine").await;
    for (body, status) in [
        (json!({"id": 2, "name": "other"}), 404),
        (json!({"id": 2, "name": ""}), 404),
        (json!({"id": 2, "name": "Mine"}), 404),
        (json!({"id": 2, "email": demo::REP_EMAIL}), 404),
        (json!({"id": 2, "name": "mine", "email": "nobody@example.com"}), 404),
        (json!({"id": 4, "name": "mine"}), 404),
        (json!({"id": "2", "name": "mine", "email": "ADMIN@Example.com"}), 200),
        (json!({"id": 3, "name": null, "email": null}), 200),
    ] {
        let answer = stack.delete(&body).token(&stack.demo_token).send().await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
}

#[tokio::test]
async fn id_and_name_may_stand_in_the_query() {
    let stack = TestStack::start().await;
    stack.create_token("a b").await;
    let delete = |query: &str| stack.request("DELETE", &format!("/auth/backend{query}")).token(&stack.demo_token);
    delete("?id=2&name=other").send().await.is_error(404, "Not Found Error", "No matching token was found.");
    delete("?id=2&id=3").send().await.refuses_fields(&["id"]);
    delete("?id=2").json(&json!({"id": 3})).send().await.refuses_fields(&["id"]);
    delete("?id=2&name=x").json(&json!({"name": "a b"})).send().await.refuses_fields(&["name"]);
    // As the published page's curl does: a content type, and no body.
    let answer = delete("?id=2&name=a%20b").header("Content-Type", "application/json").send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn a_bad_delete_changes_nothing() {
    let stack = TestStack::start().await;
    stack.create_token("mine").await;
    for id in [json!(0), json!(-1), json!("x"), json!(1.5), json!(""), json!([2]), json!(1e30), Value::Null] {
        stack.delete(&json!({"id": id})).token(&stack.demo_token).send().await.refuses_fields(&["id"]);
    }
    let answer = stack.delete(&json!({"id": 2, "name": 7, "email": "x"})).token(&stack.demo_token).send().await;
    answer.refuses_fields(&["email", "name"]);
    for id in [json!(u64::MAX), json!("18446744073709551615"), json!(9_007_199_254_740_993_u64)] {
        assert_eq!(stack.delete(&json!({"id": id})).token(&stack.demo_token).send().await.status, 404);
    }
    assert_eq!(stack.request("DELETE", "/auth/backend").token(&stack.demo_token).send().await.status, 422);
    assert_eq!(stack.total_count().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_deletes_of_one_token_exactly_one_succeeds() {
    let stack = TestStack::start().await;
    for id in 2..6 {
        stack.create_token("mine").await;
        let body = json!({"id": id});
        let answers = join_all((0..20).map(|_| stack.delete(&body).token(&stack.demo_token).send())).await;
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(200), count(404)), (1, 19));
        assert_eq!(stack.total_count().await, 1);
    }
}

#[tokio::test]
async fn ids_are_never_used_again() {
    let stack = TestStack::start().await;
    for id in 2..5 {
        let (_, claims) = decode(&stack.create_token("mine").await);
        assert_eq!(claims["jti"], id.to_string());
        assert_eq!(stack.delete(&json!({"id": id})).token(&stack.demo_token).send().await.status, 200);
    }
}

#[tokio::test]
async fn another_stores_tokens_cannot_be_deleted() {
    let stack = TestStack::start().await;
    let other = stack.other_store_token().await;
    stack.create_token("mine").await;
    let answer = stack.delete(&json!({"id": 2})).token(&other).send().await;
    answer.is_error(404, "Not Found Error", "No matching token was found.");
    assert_eq!(stack.delete(&json!({"id": 1})).token(&other).send().await.status, 200);
    stack.list(&other, "").await.is_invalid_token();
    assert_eq!(stack.total_count().await, 2);
}

#[tokio::test]
async fn a_user_who_is_shut_out_while_the_password_is_looked_at_gets_no_token() {
    let stack = TestStack::start().await;
    let tokens = stack.tokens();
    let user = stack.directory().backend_user(demo::STORE, demo::ADMIN_EMAIL).await.unwrap().unwrap();
    let maker = stack.directory().token_maker_check(demo::STORE, &user.email, Some(&user.password_hash)).unwrap();
    let token = new_token("");
    let create = async |counter| tokens.create(&creation(&token, counter), |_| Ok(vec![maker.clone()])).await.unwrap();
    for changed in [
        BackendUser { active: false, ..user.clone() },
        BackendUser { password_hash: "another".into(), ..user.clone() },
        BackendUser { role: Role::Other("sales_rep".into()), ..user.clone() },
    ] {
        stack.accounts().put_user(demo::STORE, &changed).await.unwrap();
        // The first counter is out of date.
        for counter in [None, tokens.counter(demo::STORE).await.unwrap()] {
            assert!(create(counter).await.unwrap_err().item.is_some());
        }
    }
    stack.accounts().put_user(demo::STORE, &user).await.unwrap();
    create(None).await.unwrap();
    assert_eq!(stack.total_count().await, 2);
}
