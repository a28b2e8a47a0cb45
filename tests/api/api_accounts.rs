//! Calls with `X-Auth-Token` and `X-Store-Hash`.

use crate::every_endpoint::calls;
use accounts::Addition;
use futures_util::future::join_all;
use local::demo;
use serde_json::json;
use shared::scopes::Scopes;
use tests::{
    Answer, NOW, PASSWORD, TestStack, admin_login, buyer_login, current_customer, customer_login, platform_jwt,
    read_only, sha256, with,
};

const OTHER_STORE: &str = "The request is for another store than its token or its X-Store-Hash.";

#[track_caller]
fn is_too_narrow(answer: &Answer) {
    assert!(answer.body["data"]["errMsg"].as_str().unwrap().starts_with("This needs the scope "), "{}", answer.body);
    assert_eq!((answer.status, &answer.body["meta"]["message"]), (403, &json!("Forbidden")));
}

#[tokio::test]
async fn an_account_that_may_modify_may_call_every_endpoint() {
    let stack = TestStack::start().await;
    stack.create_token("mine").await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    for (name, call) in calls(&stack) {
        let answer = call.account(&account).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    // One was deleted, one replaced.
    assert_eq!(stack.total_count().await, 2);
}

#[tokio::test]
async fn an_account_that_may_read_may_only_list() {
    let stack = TestStack::start().await;
    stack.create_token("mine").await;
    let account = stack.add_api_account(demo::STORE, &read_only()).await;
    for (name, call) in calls(&stack) {
        let answer = call.account(&account).send().await;
        if name == "GET /backend/tokens" {
            assert_eq!(answer.total_count(), 2, "{}", answer.body);
        } else {
            is_too_narrow(&answer);
        }
    }
    assert_eq!(stack.total_count().await, 2);
}

#[tokio::test]
async fn who_may_only_read_is_shown_no_token() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    let read = stack.add_api_account(demo::STORE, &read_only()).await;
    let modify = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let list = stack.get("/backend/tokens");
    let mut whole = list.clone().account(&modify).send().await.body;
    assert_eq!(whole["data"][1]["token"], token);
    for entry in whole["data"].as_array_mut().unwrap() {
        entry["token"] = json!("");
    }
    // A token sent along does not widen what the account may do.
    for call in [list.clone().account(&read), list.token(&stack.demo_token).account(&read)] {
        let answer = call.send().await;
        assert_eq!(answer.body, whole);
    }
}

#[tokio::test]
async fn calls_beyond_the_scope_cost_the_customer_no_attempt() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &read_only()).await;
    let call = stack.post("/auth/customers", &buyer_login());
    for _ in 0..12 {
        is_too_narrow(&call.clone().account(&account).send().await);
    }
    assert_eq!(call.token(&stack.demo_token).send().await.status, 200);
}

#[tokio::test]
async fn credentials_that_are_no_good_account_of_the_store_all_read_the_same() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let of_other_store = stack.add_api_account(demo::OTHER_STORE, &Scopes::ALL).await;
    let third_store = stack.accounts().add_store("thirdstore", vec![1]).await.unwrap();
    assert_eq!(third_store, Addition::Added);
    let unknown = stack.add_api_account("thirdstore", &Scopes::ALL).await;
    let last = if account.ends_with('0') { "1" } else { "0" };
    let bad_checksum = format!("{}{last}", &account[..account.len() - 1]);
    let good_store = demo::STORE;
    for (access_token, store_hash) in [
        (unknown.as_str(), good_store),
        (&of_other_store, good_store),
        (&account, &"x".repeat(65)),
        (&account, &"x".repeat(3000)),
        (&account, demo::OTHER_STORE),
        (&account, "nostore"),
        (&account, "DEMOSTORE"),
        (&account, "#STORES"),
        (&account, "demostore,demostore"),
        (&account, "demostore/"),
        (&account, "\"demostore\""),
        ("x", good_store),
        ("b2ba_", good_store),
        (&account[1..], good_store),
        (&account[..account.len() - 1], good_store),
        (&format!("{account}0"), good_store),
        (&format!("Bearer {account}"), good_store),
        (&bad_checksum, good_store),
        (&account.to_uppercase(), good_store),
        (&account.replace("b2ba_", "B2BA_"), good_store),
        (&sha256(&account), good_store),
        (&format!("API_ACCOUNT#{}", sha256(&account)), good_store),
        (&stack.demo_token, good_store),
    ] {
        for (name, call) in calls(&stack) {
            let call = call.header("X-Auth-Token", access_token).header("X-Store-Hash", store_hash);
            let answer = call.send().await;
            assert_eq!(answer.status, 401, "{name} with {access_token} of {store_hash}");
            answer.is_invalid_token();
        }
    }
    for (_, call) in calls(&stack) {
        call.token(&account).header("X-Store-Hash", demo::STORE).send().await.is_invalid_token();
    }
    assert_eq!(stack.get("/backend/tokens").account(&account).send().await.status, 200);
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn an_access_token_without_a_store_says_what_is_missing() {
    let stack = TestStack::start().await;
    let public = TestStack::start_public().await;
    let missing = "X-Store-Hash is missing: it must name the store of the X-Auth-Token.";
    for stack in [&stack, &public] {
        let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
        for (_, call) in calls(stack) {
            for call in [call.clone(), call.clone().header("X-Store-Hash", " "), call.token(&stack.demo_token)] {
                call.header("X-Auth-Token", &account).send().await.is_error(401, missing, missing);
            }
        }
    }
    let good = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.get("/backend/tokens").token("x").header("X-Auth-Token", &good).send().await.is_invalid_token();
}

#[tokio::test]
async fn a_store_hash_alone_must_be_that_of_the_request() {
    let public = TestStack::start_public().await;
    let exchange = public.exchange(&platform_jwt(&current_customer(NOW)));
    let create = public.post("/auth/backend", &admin_login("n"));
    for call in [&exchange, &public.post("/auth/customers", &buyer_login()), &create] {
        for other in [demo::OTHER_STORE, "DEMOSTORE", "nostore", &"x".repeat(3000)] {
            let answer = call.clone().header("X-Store-Hash", other).send().await;
            answer.is_error(403, "Forbidden", OTHER_STORE);
        }
        for own in [demo::STORE, " "] {
            assert_eq!(call.clone().header("X-Store-Hash", own).send().await.status, 200, "{own}");
        }
    }
    assert_eq!(public.total_count().await, 3);
    // Whoever may not create a token learns nothing, and no attempt is counted.
    let wrong = public.post("/auth/backend", &with(admin_login("n"), "password", "wrong"));
    for _ in 0..11 {
        let answer = wrong.clone().header("X-Store-Hash", demo::OTHER_STORE).send().await;
        answer.is_error(403, "Forbidden", OTHER_STORE);
    }
    assert_eq!(create.send().await.status, 200);
    let jwt_of_stranger = public.exchange("x").header("X-Store-Hash", demo::OTHER_STORE).send().await;
    jwt_of_stranger.is_error(401, "Invalid jwtToken.", "Invalid jwtToken.");
}

#[tokio::test]
async fn a_store_hash_alone_is_no_credentials() {
    let stack = TestStack::start().await;
    for (_, call) in calls(&stack) {
        let answer = call.header("X-Auth-Token", " ").header("X-Store-Hash", demo::STORE).send().await;
        assert_eq!(answer.body["detail"], "Invalid token header. No credentials provided.");
    }
}

#[tokio::test]
async fn a_token_and_an_account_together_must_both_be_good_and_of_one_store() {
    let stack = TestStack::start().await;
    let (token, other_token) = (stack.demo_token.clone(), stack.other_store_token().await);
    let deleted = stack.create_token("deleted").await;
    assert_eq!(stack.delete(&json!({"id": 2})).token(&token).send().await.status, 200);
    stack.create_token("mine").await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let other_account = stack.add_api_account(demo::OTHER_STORE, &Scopes::ALL).await;
    let revoked = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.revoke_api_account(&revoked).await;
    for (token, account) in [
        (&other_token, &account),
        (&token, &other_account),
        (&deleted, &account),
        (&token, &revoked),
        (&deleted, &revoked),
        (&"x".into(), &account),
        (&token, &"x".into()),
        (&account, &account),
        (&token, &token),
    ] {
        for (name, call) in calls(&stack) {
            for call in [call.clone().token(token).account(account), call.account(account).token(token)] {
                let answer = call.send().await;
                assert_eq!(answer.status, 401, "{name} with {token} and {account}");
                answer.is_invalid_token();
            }
        }
        // Of the tokens themselves too, which the transaction checks as it deletes them.
        for id in [1, 2] {
            stack.delete(&json!({"id": id})).token(token).account(account).send().await.is_invalid_token();
        }
    }
    assert_eq!(stack.total_count().await, 2);
    for (name, call) in calls(&stack).into_iter().skip(1) {
        assert_eq!(call.token(&token).account(&account).send().await.status, 200, "{name}");
    }
    assert_eq!(stack.delete(&json!({"id": 3})).account(&account).token(&token).send().await.status, 200);
    assert_eq!(stack.delete(&json!({"id": 1})).token(&token).account(&account).send().await.status, 200);
}

#[tokio::test]
async fn a_good_token_does_not_widen_the_scope_of_an_account() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &read_only()).await;
    for (name, call) in calls(&stack) {
        let answer = call.token(&stack.demo_token).account(&account).send().await;
        if name == "GET /backend/tokens" {
            assert_eq!(answer.status, 200, "{}", answer.body);
        } else {
            is_too_narrow(&answer);
        }
    }
    is_too_narrow(&stack.delete(&json!({"id": 1})).token(&stack.demo_token).account(&account).send().await);
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn headers_of_an_account_that_stand_twice_are_refused() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    for (name, value) in [("x-auth-token", account.as_str()), ("X-STORE-HASH", demo::STORE), ("X-Auth-Token", "")] {
        for (_, call) in calls(&stack) {
            call.account(&account).header(name, value).send().await.is_invalid_token();
        }
    }
}

#[tokio::test]
async fn header_names_are_taken_in_any_case() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &read_only()).await;
    for (token_header, store_header) in [("x-auth-token", "x-store-hash"), ("X-AUTH-TOKEN", "X-STORE-HASH")] {
        let call = stack.get("/backend/tokens").header(token_header, &account).header(store_header, demo::STORE);
        assert_eq!(call.send().await.status, 200, "{token_header}");
    }
}

#[tokio::test]
async fn credentials_are_checked_before_all_else() {
    let stack = TestStack::start().await;
    let modify = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let read = stack.add_api_account(demo::STORE, &read_only()).await;
    let revoked = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.revoke_api_account(&revoked).await;
    // What each comes to, and for who may only read. What is to be deleted has to be known first: a token may delete itself.
    for (call, status, for_reader) in [
        (stack.request("DELETE", "/auth/backend").body("text/plain", "{"), 415, 415),
        (stack.request("DELETE", "/auth/backend").body("application/json", "{"), 400, 400),
        (stack.delete(&json!({})), 422, 422),
        (stack.delete(&json!({"id": 77})), 404, 403),
        (stack.request("POST", "/auth/backend/rotate").body("text/plain", "{"), 415, 415),
        (stack.rotate(&json!({})), 422, 422),
        (stack.rotate(&json!({"id": 77})), 404, 403),
        (stack.get("/auth/storefront"), 422, 403),
        (stack.get("/auth/storefront?jwtToken=x"), 401, 403),
        (stack.post("/auth/customers", &json!({})), 422, 403),
        (stack.post("/auth/customers/storefront", &json!([])), 400, 403),
        (stack.post("/auth/customers/storefront", &json!({"customerId": 7})), 404, 403),
        (stack.introspect(""), 422, 403),
    ] {
        call.clone().account("x").send().await.is_invalid_token();
        call.clone().account(&revoked).send().await.is_invalid_token();
        assert_eq!(call.clone().account(&read).send().await.status, for_reader);
        let answer = call.account(&modify).send().await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_ne!(answer.body["detail"], "Invalid token.");
    }
    for query in ["?limit=x", "?limit=999"] {
        let call = stack.get(&format!("/backend/tokens{query}"));
        call.clone().account(&revoked).send().await.is_invalid_token();
        assert_ne!(call.account(&read).send().await.status, 401, "{query}");
    }
}

#[tokio::test]
async fn an_account_that_is_revoked_is_refused_at_once() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.create_token("mine").await;
    assert_eq!(stack.get("/backend/tokens").account(&account).send().await.status, 200);
    stack.revoke_api_account(&account).await;
    for (_, call) in calls(&stack) {
        call.account(&account).send().await.is_invalid_token();
    }
    assert_eq!(stack.total_count().await, 2);
}

#[tokio::test]
async fn where_no_credentials_are_needed_those_that_are_sent_must_be_good() {
    let public = TestStack::start_public().await;
    let modify = public.add_api_account(demo::STORE, &Scopes::ALL).await;
    let read = public.add_api_account(demo::STORE, &read_only()).await;
    let revoked = public.add_api_account(demo::STORE, &Scopes::ALL).await;
    public.revoke_api_account(&revoked).await;
    for (name, call) in
        calls(&public).into_iter().filter(|(name, _)| ["GET /auth/storefront", "POST /auth/customers"].contains(name))
    {
        assert_eq!(call.clone().send().await.status, 200, "{name}");
        assert_eq!(call.clone().account(&modify).send().await.status, 200, "{name}");
        is_too_narrow(&call.clone().account(&read).send().await);
        call.clone().account(&revoked).send().await.is_invalid_token();
        call.clone().account("x").send().await.is_invalid_token();
    }
}

#[tokio::test]
async fn an_account_deletes_tokens_of_its_own_store_only() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let other_token = stack.other_store_token().await;
    let token = stack.create_token("mine").await;
    let delete = |id: u64, name: &str| stack.delete(&json!({"id": id, "name": name})).account(&account).send();
    let not_found = |answer: Answer| answer.is_error(404, "Not Found Error", "No matching token was found.");
    not_found(delete(77, "mine").await);
    not_found(delete(2, "other").await);
    let answer = delete(2, "mine").await;
    assert_eq!(answer.body, json!({"code": 200, "data": [], "meta": {"message": "SUCCESS"}}));
    stack.list(&token, "").await.is_invalid_token();
    not_found(delete(2, "mine").await);
    assert_eq!(delete(1, "demo").await.status, 200);
    assert_eq!(stack.get("/backend/tokens").account(&account).send().await.body["data"], json!([]));
    // Its id is 1 too.
    not_found(delete(1, "").await);
    assert_eq!(stack.list(&other_token, "").await.total_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_deletes_through_an_account_one_succeeds() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.create_token("mine").await;
    let call = stack.delete(&json!({"id": 2})).account(&account);
    let answers = join_all((0..8).map(|_| call.clone().send())).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    // One that others keep crossing may have to be tried again.
    assert_eq!((count(200), count(404) + count(503)), (1, 7));
    assert_eq!(stack.total_count().await, 1);
}

#[tokio::test]
async fn the_store_of_the_account_decides() {
    let stack = TestStack::start().await;
    stack.add_customer(7, "seven@example.com", &[1], true).await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let other = stack.add_api_account(demo::OTHER_STORE, &Scopes::ALL).await;
    let jwt = platform_jwt(&current_customer(NOW));
    let login = stack.post("/auth/customers", &customer_login("seven@example.com", PASSWORD));
    for call in [stack.exchange(&jwt), login] {
        assert_eq!(call.clone().account(&account).send().await.status, 200);
        let answer = call.header("X-Auth-Token", &other).header("X-Store-Hash", demo::OTHER_STORE).send().await;
        answer.is_error(403, "Forbidden", OTHER_STORE);
    }
    let issue = stack.post("/auth/customers/storefront", &json!({"customerId": 7}));
    let answer = issue.clone().header("X-Auth-Token", &other).header("X-Store-Hash", demo::OTHER_STORE).send().await;
    answer.is_error(404, "Not Found Error", "No matching customer was found.");
    assert_eq!(issue.account(&account).send().await.status, 200);
}

#[tokio::test]
async fn creating_a_token_needs_a_password_whatever_else_is_sent() {
    let stack = TestStack::start().await;
    let read = stack.add_api_account(demo::STORE, &read_only()).await;
    let modify = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let wrong = with(admin_login("n"), "password", "wrong");
    for account in [&read, &modify, &"x".into()] {
        assert_eq!(stack.post("/auth/backend", &admin_login("n")).account(account).send().await.status, 200);
        assert_eq!(stack.post("/auth/backend", &wrong).account(account).send().await.status, 400);
    }
}
