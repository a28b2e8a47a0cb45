//! `POST /auth/backend/rotate`.

use accounts::{Edit, UserChange};
use futures_util::future::join_all;
use local::demo;
use serde_json::{Value, json};
use shared::{
    scopes::{Scope, Scopes},
    tables::{
        directory::{Role, api_account_key},
        items::{key, string},
    },
};
use std::{collections::BTreeMap, time::Duration};
use tests::{
    Answer, Authorizer, Fate, NOW, PASSWORD, Setup, TestStack, admin_login, behind_proxy, decode, eventually,
    read_only, rest_event, rotated_keyring, sha256, with,
};

const DAY: u64 = 86_400;
const WEEK: u64 = 604_800;
const MAKER_FORBIDDEN: &str = "The user who made the token may make no more tokens.";
const TOO_EARLY: &str = "must lie in the future, and after the beginAt of the token that is replaced.";
const TOO_LATE: &str = "must not lie after the end of the token that is replaced.";
const NEEDS_WRITE: &str = "This needs the scope tokens:write.";

/// A new token of the demo store, made with these members besides.
async fn create(stack: &TestStack, members: Value) -> String {
    let mut body = admin_login("mine");
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let answer = stack.post("/auth/backend", &body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.server_token().into()
}

fn id(token: &str) -> u64 {
    decode(token).1["jti"].as_str().unwrap().parse().unwrap()
}

/// By the demo token.
async fn rotate(stack: &TestStack, body: Value) -> Answer {
    stack.rotate(&body).token(&stack.demo_token).send().await
}

/// What a rotation that succeeds gives.
async fn rotated(stack: &TestStack, body: Value) -> Value {
    let answer = rotate(stack, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["data"][0].clone()
}

/// What the list says of the demo store's tokens, by their ids, without their last use, which is written after the answer.
async fn listed(stack: &TestStack) -> BTreeMap<u64, Value> {
    let answer = stack.list(&stack.demo_token, "?limit=250").await;
    let entries = answer.body["data"].as_array().unwrap().iter();
    let without_use = |entry: &Value| {
        let mut entry = entry.clone();
        entry.as_object_mut().unwrap().remove("lastUsedAt").unwrap();
        entry
    };
    entries.map(|entry| (entry["id"].as_u64().unwrap(), without_use(entry))).collect()
}

/// Whether a token that has been replaced is good. Whatever looks at tokens must say the same.
async fn is_good(stack: &TestStack, account: &str, token: &str) -> bool {
    let (itself, nobody) = (id(token), json!({"id": 999}));
    let mut said = Vec::new();
    for (name, call, status) in [
        ("list", stack.get("/backend/tokens"), 200),
        ("issue", stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID})), 200),
        // Whether the token itself is another is looked at once the caller is known.
        ("delete itself", stack.delete(&json!({"id": itself, "name": "another"})), 404),
        ("delete", stack.delete(&nobody), 404),
        ("delete, with an account", stack.delete(&nobody).account(account), 404),
        ("rotate itself", stack.rotate(&json!({"id": itself})), 409),
        ("rotate", stack.rotate(&nobody), 404),
        ("rotate, with an account", stack.rotate(&nobody).account(account), 404),
    ] {
        let answer = call.token(token).send().await;
        if answer.status != status {
            answer.is_invalid_token();
        }
        said.push((name, answer.status == status));
    }
    let introspected = stack.introspect(token).account(account).send().await.body;
    said.push(("introspection", introspected["active"] == true));
    let asked = rest_event(&json!({"Authorization": format!("Bearer {token}")}));
    let entry = Authorizer::of(stack).ask("server", &asked).await.status();
    assert!([200, 401].contains(&entry), "{entry}");
    said.push(("authorizer", entry == 200));
    assert!(said.iter().all(|(_, is_good)| *is_good == said[0].1), "{said:?}");
    said[0].1
}

async fn change_maker(stack: &TestStack, change: UserChange) {
    let changed = stack.accounts().change_user(demo::STORE, demo::ADMIN_EMAIL, &change).await.unwrap();
    assert_eq!(changed, Edit::Done);
}

#[tokio::test]
async fn the_new_token_is_the_old_one_but_for_its_id_and_when_it_was_issued() {
    let stack = TestStack::start().await;
    let members = json!({"beginAt": NOW - 7, "endAt": NOW + WEEK, "scopes": ["introspect", "tokens:read"]});
    let old = create(&stack, members).await;
    stack.clock.advance(10);
    let answer = rotate(&stack, json!({"id": 2})).await;
    let new = answer.server_token();
    assert_eq!(
        answer.body,
        json!({
            "code": 200,
            "data": [{
                "id": 3, "name": "mine", "token": new, "replacesId": 2, "replacedEndsAt": NOW + 10 + DAY,
            }],
            "meta": {"message": "SUCCESS"},
        })
    );
    let (header, claims) = decode(new);
    assert_eq!(header, decode(&old).0);
    assert_eq!(claims, with(with(decode(&old).1, "jti", "3"), "iat", NOW + 10));
    // The old one's string stays the one that was issued, whatever end counts.
    let mut listed = listed(&stack).await;
    let expected = json!({
        "id": 2, "name": "mine", "email": demo::ADMIN_EMAIL, "storeHash": demo::STORE, "token": old,
        "eventChannel": "api", "beginAt": NOW - 7, "endAt": NOW + 10 + DAY,
        "scopes": ["tokens:read", "introspect"], "replacedById": 3,
    });
    assert_eq!(listed.remove(&2), Some(expected.clone()));
    let of_new = json!({"id": 3, "token": new, "endAt": NOW + WEEK, "replacedById": null});
    let mut expected = expected;
    expected.as_object_mut().unwrap().extend(of_new.as_object().unwrap().clone());
    assert_eq!(listed.remove(&3), Some(expected));
    assert_eq!(listed[&1]["replacedById"], Value::Null);
    for token in [&old, new] {
        assert_eq!(stack.list(token, "").await.status, 200);
    }
    let told = stack.introspect(&old).token(&stack.demo_token).send().await.body;
    assert_eq!(told["exp"], json!(NOW + 10 + DAY), "when it ends, and not its claim");
}

#[tokio::test]
async fn whatever_made_the_old_token_the_api_has_made_the_new_one_which_has_no_end_if_the_old_one_had_none() {
    let stack = TestStack::start().await;
    let new = rotated(&stack, json!({"id": 1})).await;
    let entries = listed(&stack).await;
    assert_eq!([&entries[&1]["eventChannel"], &entries[&2]["eventChannel"]], [&json!("admin"), &json!("api")]);
    assert_eq!([&entries[&1]["endAt"], &entries[&2]["endAt"]], [&json!(NOW + DAY), &Value::Null]);
    assert_eq!(entries[&1]["token"], json!(stack.demo_token));
    let names = |token: &str| decode(token).1.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(new["token"].as_str().unwrap()), names(&stack.demo_token));
}

#[tokio::test]
async fn the_new_token_is_signed_with_the_key_of_now_and_the_old_one_is_listed_as_issued() {
    let (_, stack, proxy) = behind_proxy().await;
    let old = stack.create_token("mine").await;
    proxy.set_keyring(&rotated_keyring());
    stack.clock.advance(301);
    let new = rotated(&stack, json!({"id": 2})).await;
    let new = new["token"].as_str().unwrap();
    assert_eq!([&decode(&old).0["kid"], &decode(new).0["kid"]], [&json!("demo"), &json!("new")]);
    let entries = listed(&stack).await;
    assert_eq!([&entries[&2]["token"], &entries[&3]["token"]], [&json!(old), &json!(new)]);
}

#[tokio::test]
async fn of_ten_rotations_in_a_row_each_old_token_is_good_until_its_end_and_not_a_second_longer() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let overlaps = [1, 2, 59, 60, 3600, 3601, DAY - 1, DAY, WEEK - 1, WEEK];
    let mut tokens = vec![stack.create_token("mine").await];
    for overlap in overlaps {
        let old = tokens.last().unwrap();
        let body = json!({"id": id(old), "overlapSeconds": overlap});
        let answer = stack.rotate(&body).token(old).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["data"][0]["replacedEndsAt"], json!(NOW + overlap));
        tokens.push(answer.server_token().to_owned());
    }
    for (old, overlap) in tokens.iter().zip(overlaps) {
        stack.clock.advance(NOW + overlap - 1 - stack.clock.now());
        assert!(is_good(&stack, &account, old).await, "a second before the end after {overlap} s");
        let told = stack.introspect(old).account(&account).send().await.body;
        assert_eq!(told["exp"], json!(NOW + overlap));
        stack.clock.advance(1);
        assert!(!is_good(&stack, &account, old).await, "at the end after {overlap} s");
    }
    assert_eq!(stack.list(tokens.last().unwrap(), "").await.status, 200);
}

#[tokio::test]
async fn a_token_that_ends_before_its_overlap_keeps_its_end_and_loses_its_leeway() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    for (overlap, end) in [(101, 100), (100, 100), (99, 99)] {
        let now = stack.clock.now();
        let old = create(&stack, json!({"endAt": now + 100})).await;
        let new = rotated(&stack, json!({"id": id(&old), "overlapSeconds": overlap})).await;
        assert_eq!(new["replacedEndsAt"], json!(now + end));
        let claims = decode(new["token"].as_str().unwrap()).1;
        assert_eq!(claims["exp"], json!(now + 100), "the new one inherits the old one's own end");
        assert_eq!(listed(&stack).await[&id(&old)]["endAt"], json!(now + end));
        stack.clock.advance(end - 1);
        assert!(is_good(&stack, &account, &old).await);
        stack.clock.advance(1);
        assert!(!is_good(&stack, &account, &old).await, "after {overlap} s");
    }
}

#[tokio::test]
async fn without_an_overlap_the_old_token_ends_at_once() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let old = create(&stack, json!({"scopes": ["storefront"]})).await;
    let itself = stack.rotate(&json!({"id": 2, "overlapSeconds": 0})).token(&old).header("Idempotency-Key", "k");
    let answer = itself.clone().send().await;
    assert_eq!((answer.status, &answer.body["data"][0]["replacedEndsAt"]), (200, &json!(NOW)));
    stack.list(&old, "").await.is_invalid_token();
    // It is nobody any more, whom its own request would be answered again.
    itself.send().await.is_invalid_token();
    let whole = create(&stack, json!({})).await;
    assert_eq!(rotated(&stack, json!({"id": id(&whole), "overlapSeconds": 0})).await["replacedEndsAt"], json!(NOW));
    assert!(!is_good(&stack, &account, &whole).await);
}

#[tokio::test]
async fn the_new_token_may_end_earlier_than_the_old_one_but_not_later_and_not_before_it_is_valid() {
    let stack = TestStack::start().await;
    for (of_old, end_at, refusal) in [
        (json!({}), json!(0), Some(TOO_EARLY)),
        (json!({}), json!(NOW - 1), Some(TOO_EARLY)),
        (json!({}), json!(NOW), Some(TOO_EARLY)),
        (json!({}), json!(NOW + 1), None),
        (json!({}), json!(253_402_300_799_u64), None),
        (json!({"beginAt": NOW - 5}), json!(NOW), Some(TOO_EARLY)),
        (json!({"beginAt": NOW + 50}), json!(NOW + 49), Some(TOO_EARLY)),
        (json!({"beginAt": NOW + 50}), json!(NOW + 50), Some(TOO_EARLY)),
        (json!({"beginAt": NOW + 50}), json!((NOW + 51).to_string()), None),
        (json!({"endAt": NOW + 100}), json!(NOW + 101), Some(TOO_LATE)),
        (json!({"endAt": NOW + 100}), json!(NOW + 100), None),
        (json!({"endAt": NOW + 100}), json!(NOW + 99), None),
        (json!({"endAt": NOW + 100}), Value::Null, None),
        (json!({"beginAt": NOW + 50, "endAt": NOW + 100}), json!(NOW + 50), Some(TOO_EARLY)),
    ] {
        let old = id(&create(&stack, of_old.clone()).await);
        let before = listed(&stack).await;
        let answer = rotate(&stack, json!({"id": old, "endAt": end_at})).await;
        if let Some(refusal) = refusal {
            answer.refuses_fields(&["endAt"]);
            assert_eq!(answer.body["data"]["errors"]["endAt"], json!([refusal]), "{of_old} {end_at}");
            assert_eq!(listed(&stack).await, before);
            continue;
        }
        let exp = decode(answer.server_token()).1["exp"].clone();
        let given = end_at.as_u64().or_else(|| end_at.as_str().map(|end| end.parse().unwrap()));
        assert_eq!(exp, json!(given.or(of_old["endAt"].as_u64())), "{of_old} {end_at}");
        // The old one's end is not moved by it.
        let expected = of_old["endAt"].as_u64().map_or(NOW + DAY, |end| end.min(NOW + DAY));
        assert_eq!(answer.body["data"][0]["replacedEndsAt"], json!(expected));
        assert_eq!(listed(&stack).await[&old]["endAt"], json!(expected));
    }
}

#[tokio::test]
async fn bad_fields_are_all_named_and_change_nothing() {
    let stack = TestStack::start().await;
    let before = listed(&stack).await;
    for (field, values) in [
        ("id", vec![json!(0), json!(-1), json!("x"), json!(1.5), json!(""), json!([1]), json!({}), Value::Null]),
        (
            "overlapSeconds",
            vec![
                json!(-1),
                json!(WEEK + 1),
                json!((WEEK + 1).to_string()),
                json!(1.5),
                json!("1.0"),
                json!(""),
                json!("x"),
                json!([]),
                json!({}),
                json!(true),
                json!(1e300),
            ],
        ),
        ("endAt", vec![json!("x"), json!(-1), json!(1.5), json!(""), json!(253_402_300_800_u64), json!([])]),
    ] {
        for value in values {
            let body = with(json!({"id": 1}), field, value.clone());
            rotate(&stack, body).await.refuses_fields(&[field]);
        }
    }
    rotate(&stack, json!({"overlapSeconds": -1, "endAt": "x"})).await.refuses_fields(&[
        "endAt",
        "id",
        "overlapSeconds",
    ]);
    rotate(&stack, json!({})).await.refuses_fields(&["id"]);
    for (content_type, body, status) in [
        ("text/plain", r#"{"id": 1}"#, 415),
        ("application/json", "", 400),
        ("application/json", "{", 400),
        ("application/json", "[1]", 400),
        ("application/json", r#"{"id": 1, "id": 1}"#, 400),
    ] {
        let call = stack.request("POST", "/auth/backend/rotate").token(&stack.demo_token);
        let answer = call.body(content_type, body).send().await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    // Not in the query, as where a body cannot be sent.
    let in_query = stack.post("/auth/backend/rotate?id=1", &json!({})).token(&stack.demo_token);
    in_query.send().await.refuses_fields(&["id"]);
    assert_eq!(listed(&stack).await, before);
}

#[tokio::test]
async fn the_overlap_is_up_to_a_week_and_a_day_where_none_is_given() {
    let stack = TestStack::start().await;
    for (overlap, expected) in [
        (json!(0), 0),
        (json!("0"), 0),
        (json!(1), 1),
        (json!(60.0), 60),
        (json!("0060"), 60),
        (json!(WEEK), WEEK),
        (json!("604800"), WEEK),
        (Value::Null, DAY),
    ] {
        let old = stack.create_token("mine").await;
        let body = json!({"id": id(&old).to_string(), "overlapSeconds": overlap, "unknown": [1]});
        assert_eq!(rotated(&stack, body).await["replacedEndsAt"], json!(NOW + expected), "{overlap}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_has_ended_is_not_found() {
    let stack = TestStack::start().await;
    let (deleted, ended) = (stack.create_token("n").await, create(&stack, json!({"endAt": NOW + 60})).await);
    assert_eq!(stack.delete(&json!({"id": id(&deleted)})).token(&stack.demo_token).send().await.status, 200);
    stack.clock.advance(59);
    let still_good = create(&stack, json!({"endAt": NOW + 60})).await;
    rotated(&stack, json!({"id": id(&still_good)})).await;
    stack.clock.advance(1);
    let before = listed(&stack).await;
    for wanted in [json!(2), json!(id(&ended)), json!(99), json!(u64::MAX), json!("18446744073709551615")] {
        let answer = rotate(&stack, json!({"id": wanted})).await;
        answer.is_error(404, "Not Found Error", "No matching token was found.");
    }
    // The leeway that its own claims have lets it call, and no more.
    let itself = stack.rotate(&json!({"id": id(&ended)})).token(&ended).send().await;
    itself.is_error(404, "Not Found Error", "No matching token was found.");
    assert_eq!(listed(&stack).await, before);
}

#[tokio::test]
async fn another_stores_tokens_cannot_be_rotated() {
    let stack = TestStack::start().await;
    let other = stack.other_store_token().await;
    stack.create_token("mine").await;
    let before = listed(&stack).await;
    let rotate = |id: u64| stack.rotate(&json!({"id": id})).token(&other);
    rotate(2).send().await.is_error(404, "Not Found Error", "No matching token was found.");
    let answer = rotate(1).send().await;
    assert_eq!(decode(answer.server_token()).1["store_hash"], demo::OTHER_STORE);
    assert_eq!(listed(&stack).await, before);
}

#[tokio::test]
async fn a_token_is_replaced_once_and_the_refusal_names_the_one_in_its_place() {
    let stack = TestStack::start().await;
    let old = stack.create_token("mine").await;
    rotated(&stack, json!({"id": 2})).await;
    let conflict = async |body: Value| {
        rotate(&stack, body).await.is_error(409, "Conflict", "The token has been replaced already, by the token 3.");
    };
    conflict(json!({"id": 2})).await;
    conflict(json!({"id": 2, "overlapSeconds": 0})).await;
    assert_eq!(stack.list(&old, "").await.status, 200, "the first rotation's end stays");
    rotated(&stack, json!({"id": 3})).await;
    // Whether it has ended since, or the one in its place is gone.
    stack.clock.advance(DAY);
    conflict(json!({"id": 2})).await;
    assert_eq!(stack.delete(&json!({"id": 3})).token(&stack.demo_token).send().await.status, 200);
    conflict(json!({"id": 2})).await;
    stack.list(&old, "").await.is_invalid_token();
    assert_eq!(stack.total_count().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_parallel_rotations_of_one_token_exactly_one_succeeds() {
    let stack = TestStack::start().await;
    for _ in 0..4 {
        let (before, old) = (listed(&stack).await.len(), id(&stack.create_token("mine").await));
        let answers = join_all((0..20).map(|_| rotate(&stack, json!({"id": old})))).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((made.len(), refused.len()), (1, 19));
        let new = made[0].body["data"][0]["id"].as_u64().unwrap();
        for answer in refused {
            let by = format!("The token has been replaced already, by the token {new}.");
            answer.is_error(409, "Conflict", &by);
        }
        let entries = listed(&stack).await;
        assert_eq!((entries.len(), &entries[&old]["replacedById"]), (before + 2, &json!(new)));
    }
}

#[tokio::test]
async fn whoever_made_the_token_must_still_be_allowed_to_make_one() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let token = stack.create_token("mine").await;
    let before = listed(&stack).await;
    let refused = async || {
        for call in [stack.rotate(&json!({"id": 2})).account(&account), stack.rotate(&json!({"id": 2})).token(&token)] {
            call.send().await.is_error(403, "Forbidden", MAKER_FORBIDDEN);
        }
        assert_eq!(listed(&stack).await, before);
    };
    for (change, back) in [
        (UserChange::Active(false), UserChange::Active(true)),
        (UserChange::Role(Role::Other("sales_rep".into())), UserChange::Role(Role::StoreOwner)),
    ] {
        change_maker(&stack, change).await;
        refused().await;
        change_maker(&stack, back).await;
    }
    // What the user's password is meanwhile does not matter: nobody shows it.
    change_maker(&stack, UserChange::PasswordHash("another".into())).await;
    let user = stack.directory().backend_user(demo::STORE, demo::ADMIN_EMAIL).await.unwrap().unwrap();
    assert_eq!(stack.accounts().remove_user(demo::STORE, demo::ADMIN_EMAIL).await.unwrap(), Edit::Done);
    refused().await;
    stack.accounts().put_user(demo::STORE, &user).await.unwrap();
    assert_eq!(stack.rotate(&json!({"id": 2})).token(&token).send().await.status, 200);
}

#[tokio::test]
async fn the_maker_is_who_made_the_first_one_whoever_rotates() {
    let stack = TestStack::start().await;
    stack.add_user("Owner@example.com", Role::StoreOwner, true).await;
    let token = stack.ask_for_token(demo::STORE, "owner@EXAMPLE.com", PASSWORD).await.server_token().to_owned();
    let new = rotated(&stack, json!({"id": id(&token)})).await;
    assert_eq!(decode(new["token"].as_str().unwrap()).1["email"], "Owner@example.com");
    assert_eq!(listed(&stack).await[&3]["email"], "Owner@example.com");
    let removed = stack.accounts().remove_user(demo::STORE, "Owner@example.com").await.unwrap();
    assert_eq!(removed, Edit::Done);
    rotate(&stack, json!({"id": 3})).await.is_error(403, "Forbidden", MAKER_FORBIDDEN);
}

#[tokio::test]
async fn a_token_rotates_itself_whatever_its_scopes_and_others_only_with_the_scope() {
    let stack = TestStack::start().await;
    let victim = id(&stack.create_token("victim").await);
    for scopes in [vec!["introspect"], vec!["tokens:read"], vec!["storefront", "introspect"]] {
        let token = create(&stack, json!({"scopes": scopes})).await;
        for other in [victim, 99] {
            let refused = stack.rotate(&json!({"id": other})).token(&token).send().await;
            refused.is_error(403, "Forbidden", NEEDS_WRITE);
        }
        let answer = stack.rotate(&json!({"id": id(&token)})).token(&token).send().await;
        let claim = |token: &str| decode(token).1["scope"].clone();
        assert_eq!(claim(answer.server_token()), claim(&token), "no more than the old one");
        // The new one is another.
        let refused = stack.rotate(&json!({"id": id(answer.server_token())})).token(&token).send().await;
        refused.is_error(403, "Forbidden", NEEDS_WRITE);
    }
    let writer = create(&stack, json!({"scopes": ["tokens:write"]})).await;
    assert_eq!(stack.rotate(&json!({"id": victim})).token(&writer).send().await.status, 200);
}

#[tokio::test]
async fn of_two_credentials_both_must_be_allowed_to_rotate() {
    let stack = TestStack::start().await;
    let account = async |scopes: &Scopes| stack.add_api_account(demo::STORE, scopes).await;
    let writes = account(&Scopes::only(&[Scope::TokensWrite])).await;
    let reads = account(&read_only()).await;
    let narrow = create(&stack, json!({"scopes": ["introspect"]})).await;
    for (account, with_token, status) in
        [(&writes, false, 200), (&reads, false, 403), (&writes, true, 200), (&reads, true, 403)]
    {
        let (token, other) = (stack.create_token("mine").await, stack.create_token("other").await);
        for wanted in [&token, &other] {
            let call = stack.rotate(&json!({"id": id(wanted)})).account(account);
            let call = if with_token { call.token(&token) } else { call };
            let answer = call.send().await;
            assert_eq!(answer.status, status, "{}", answer.body);
            if status == 403 {
                answer.is_error(403, "Forbidden", NEEDS_WRITE);
            }
        }
    }
    let with_writer = |id: u64| stack.rotate(&json!({"id": id})).token(&narrow).account(&writes);
    with_writer(1).send().await.is_error(403, "Forbidden", NEEDS_WRITE);
    assert_eq!(with_writer(id(&narrow)).send().await.status, 200);
    for scopes in [Scopes::only(&[Scope::Storefront, Scope::Introspect]), read_only()] {
        let other = account(&scopes).await;
        stack.rotate(&json!({"id": 1})).account(&other).send().await.is_error(403, "Forbidden", NEEDS_WRITE);
    }
    let whole = account(&Scopes::ALL).await;
    assert_eq!(stack.rotate(&json!({"id": 1})).account(&whole).send().await.status, 200);
}

/// Each of these happens while the transaction is under way that was to write the new token.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_since_it_was_read_counts() {
    let no_such_token = (404, "No matching token was found.");
    let invalid = (401, "Invalid token.");
    for (change, (status, err_msg)) in [
        ("the old token is deleted", no_such_token),
        ("the old token is replaced", (409, "The token has been replaced already, by the token 4.")),
        ("the old token is another", no_such_token),
        ("the caller's token is deleted", invalid),
        ("the caller's account is revoked", invalid),
        ("the caller's account may only read", (403, NEEDS_WRITE)),
        ("the maker is disabled", (403, MAKER_FORBIDDEN)),
        ("the maker is removed", (403, MAKER_FORBIDDEN)),
        ("nothing", (200, "")),
    ] {
        let (direct, stack, proxy) = behind_proxy().await;
        let caller = direct.create_token("caller").await;
        let account = direct.add_api_account(demo::STORE, &Scopes::ALL).await;
        direct.create_token("old").await;
        let update = |table: &str, sk: String, expression: &str| {
            let update = direct.dynamodb.update_item().table_name(table).set_key(Some(key(demo::STORE, sk)));
            update.update_expression(expression)
        };
        proxy.fault_in("TransactWriteItems", Fate::KeptOpen(Duration::from_millis(300)));
        let call = stack.rotate(&json!({"id": 3})).token(&caller).account(&account).send();
        let changing = async {
            eventually(async || proxy.seen("TransactWriteItems") == 1).await;
            let delete =
                async |id: u64| direct.delete(&json!({"id": id})).token(&direct.demo_token).send().await.status;
            match change {
                "the old token is deleted" => assert_eq!(delete(3).await, 200),
                "the old token is replaced" => assert_eq!(rotate(&direct, json!({"id": 3})).await.status, 200),
                // As in a store that was removed and made anew.
                "the old token is another" => {
                    let update =
                        update(&direct.configuration.tokens_table, format!("TOKEN#{:020}", 3), "SET kid = :kid");
                    update.expression_attribute_values(":kid", string("another")).send().await.map(drop).unwrap();
                }
                "the caller's token is deleted" => assert_eq!(delete(2).await, 200),
                "the caller's account is revoked" => direct.revoke_api_account(&account).await,
                "the caller's account may only read" => {
                    let sk = api_account_key(&sha256(&account));
                    let update = update(&direct.configuration.directory_table, sk, "SET #scope = :read");
                    let update = update.expression_attribute_names("#scope", "scope");
                    update.expression_attribute_values(":read", string("read")).send().await.map(drop).unwrap();
                }
                "the maker is disabled" => change_maker(&direct, UserChange::Active(false)).await,
                "the maker is removed" => {
                    direct.accounts().remove_user(demo::STORE, demo::ADMIN_EMAIL).await.map(drop).unwrap();
                }
                _ => {}
            }
            direct.total_count().await
        };
        let (answer, count) = tokio::join!(call, changing);
        assert_eq!(answer.status, status, "{change}: {}", answer.body);
        if status != 200 {
            assert_eq!(answer.body["data"]["errMsg"], err_msg, "{change}");
        }
        assert_eq!(direct.total_count().await, count + u64::from(status == 200), "{change}");
    }
}

#[tokio::test]
async fn in_a_full_store_only_a_token_that_ends_at_once_is_replaced() {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = 3;
    let stack = TestStack::start_with(setup).await;
    for _ in 0..2 {
        stack.create_token("mine").await;
    }
    let full = "The store already has 3 tokens that have not ended, which is as many as it may have. \
                Delete one that is no longer used.";
    for overlap in [json!(1), Value::Null] {
        let answer = rotate(&stack, json!({"id": 2, "overlapSeconds": overlap})).await;
        answer.is_error(507, "Insufficient Storage", full);
    }
    assert_eq!(listed(&stack).await[&2]["replacedById"], Value::Null);
    // As often as one likes: what was replaced takes no room.
    let mut last = 2;
    for _ in 0..5 {
        let new = rotated(&stack, json!({"id": last, "overlapSeconds": 0})).await;
        last = new["id"].as_u64().unwrap();
        assert_eq!(stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD).await.status, 507);
        rotate(&stack, json!({"id": 3, "overlapSeconds": 1})).await.is_error(507, "Insufficient Storage", full);
    }
    assert_eq!(stack.total_count().await, 8, "what has ended is listed for a while");
    assert_eq!(stack.delete(&json!({"id": last})).token(&stack.demo_token).send().await.status, 200);
    stack.create_token("in its place").await;
    assert_eq!(stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD).await.status, 507);
}

/// The limit was lowered, for one.
#[tokio::test]
async fn in_a_store_with_more_tokens_than_it_may_have_one_that_has_leaked_can_be_replaced() {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = 3;
    let stack = TestStack::start_with(setup).await;
    crate::backend::tokens::fill(&stack, 5).await;
    assert_eq!(rotate(&stack, json!({"id": 2})).await.status, 507);
    rotated(&stack, json!({"id": 2, "overlapSeconds": 0})).await;
    assert_eq!(stack.total_count().await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_full_store_parallel_rotations_without_overlap_succeed_and_none_comes_in_besides() {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = 9;
    let stack = TestStack::start_with(setup).await;
    for _ in 0..8 {
        stack.create_token("mine").await;
    }
    let replacing = join_all((2..=9).map(|id| rotate(&stack, json!({"id": id, "overlapSeconds": 0}))));
    let creating = join_all((0..4).map(|_| stack.post("/auth/backend", &admin_login("n")).send()));
    let (replaced, created) = tokio::join!(replacing, creating);
    for answer in replaced {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    for answer in created {
        assert_eq!(answer.status, 507, "{}", answer.body);
    }
    assert_eq!(stack.total_count().await, 17);
    assert_eq!(stack.post("/auth/backend", &admin_login("n")).send().await.status, 507);
}

#[tokio::test]
async fn a_token_that_was_replaced_takes_room_until_the_second_in_which_it_ends() {
    let mut setup = Setup::default();
    setup.configuration.max_tokens_per_store = 3;
    let stack = TestStack::start_with(setup).await;
    stack.create_token("mine").await;
    rotated(&stack, json!({"id": 2, "overlapSeconds": 60})).await;
    let create = || stack.ask_for_token(demo::STORE, demo::ADMIN_EMAIL, demo::ADMIN_PASSWORD);
    assert_eq!(create().await.status, 507);
    stack.clock.advance(59);
    assert_eq!(create().await.status, 507);
    stack.clock.advance(1);
    assert_eq!(create().await.status, 200);
    assert_eq!(create().await.status, 507);
}

#[tokio::test]
async fn a_token_that_was_replaced_may_still_delete_itself_and_be_deleted() {
    let stack = TestStack::start().await;
    let old = stack.create_token("mine").await;
    let new = rotated(&stack, json!({"id": 2})).await["token"].as_str().unwrap().to_owned();
    assert_eq!(stack.delete(&json!({"id": 2})).token(&old).send().await.status, 200);
    stack.list(&old, "").await.is_invalid_token();
    assert_eq!(stack.list(&new, "").await.status, 200);
    rotated(&stack, json!({"id": 3})).await;
    assert_eq!(stack.delete(&json!({"id": 3})).token(&stack.demo_token).send().await.status, 200);
    stack.list(&new, "").await.is_invalid_token();
    assert_eq!(stack.total_count().await, 2);
}

#[tokio::test]
async fn without_good_credentials_nobody_is_told_of_mistakes() {
    let stack = TestStack::start().await;
    let token = stack.create_token("mine").await;
    assert_eq!(stack.delete(&json!({"id": 2})).token(&stack.demo_token).send().await.status, 200);
    for body in [json!({}), json!({"id": 1, "overlapSeconds": -1}), json!({"id": 1}), json!({"id": 2}), json!([])] {
        stack.rotate(&body).token(&token).send().await.is_invalid_token();
        let nobody = stack.rotate(&body).send().await;
        assert_eq!(nobody.body["detail"], "Invalid token header. No credentials provided.");
    }
    assert_eq!(stack.total_count().await, 1);
}
