//! What credentials that are limited to scopes may do.

use crate::every_endpoint::calls;
use local::demo;
use serde_json::{Value, json};
use shared::{
    scopes::{Scope, Scopes},
    tables::{
        directory::api_account_key,
        items::{key, string},
    },
};
use tests::{Answer, Call, TestStack, admin_login, decode, read_only, sha256, signed_with_demo_key, with};

/// The endpoints, what their refusals name, and each scope that lets a call in.
pub const NEEDED: [(&str, &str, &[&str]); 7] = [
    ("DELETE /auth/backend", "tokens:write", &["tokens:write"]),
    ("POST /auth/backend/rotate", "tokens:write", &["tokens:write"]),
    ("GET /backend/tokens", "tokens:read", &["tokens:read", "tokens:write"]),
    ("GET /auth/storefront", "storefront", &["storefront"]),
    ("POST /auth/customers", "storefront", &["storefront"]),
    ("POST /auth/customers/storefront", "storefront", &["storefront"]),
    ("POST /oauth/introspect", "introspect", &["introspect"]),
];

/// Something that says who is calling.
#[derive(Clone, Debug)]
enum Shown {
    Token(String),
    Account(String),
}

impl Shown {
    fn on(&self, call: Call) -> Call {
        match self {
            Self::Token(token) => call.token(token),
            Self::Account(access_token) => call.account(access_token),
        }
    }
}

/// All scopes there are in every combination, and none.
fn combinations() -> impl Iterator<Item = Vec<&'static str>> {
    let all = Scope::ALL.map(Scope::name);
    (0..1 << all.len()).map(move |chosen| (0..all.len()).filter(|n| chosen >> n & 1 == 1).map(|n| all[n]).collect())
}

async fn create(stack: &TestStack, scopes: &[&str]) -> Answer {
    let body = admin_login("scoped");
    let body = if scopes.is_empty() { body } else { with(body, "scopes", scopes) };
    stack.post("/auth/backend", &body).send().await
}

async fn account(stack: &TestStack, scopes: &[&str]) -> String {
    let named: Vec<_> = scopes.iter().filter_map(|name| Scope::named(name)).collect();
    let scopes = if scopes.is_empty() { Scopes::ALL } else { Scopes::only(&named) };
    stack.add_api_account(demo::STORE, &scopes).await
}

/// What the token says.
fn claims(token: &str) -> Value {
    decode(token).1
}

/// The body that deletes the token, or rotates it.
fn deletion(token: &str) -> Value {
    json!({"id": claims(token)["jti"]})
}

/// The endpoint's call; one that changes a token changes one that is there for it.
async fn on_a_victim(stack: &TestStack, endpoint: &str, call: Call) -> Call {
    let change = match endpoint {
        "DELETE /auth/backend" => TestStack::delete,
        "POST /auth/backend/rotate" => TestStack::rotate,
        _ => return call,
    };
    change(stack, &deletion(&stack.create_token("victim").await))
}

#[tokio::test]
async fn each_scope_opens_its_endpoints_and_no_other_for_tokens_and_accounts() {
    let stack = TestStack::start().await;
    for scopes in combinations() {
        let token = Shown::Token(create(&stack, &scopes).await.server_token().into());
        let account = Shown::Account(account(&stack, &scopes).await);
        for shown in [token, account] {
            for ((name, call), (endpoint, needed, open_to)) in calls(&stack).into_iter().zip(NEEDED) {
                assert_eq!(name, endpoint);
                let call = on_a_victim(&stack, name, call).await;
                let before = stack.total_count().await;
                let answer = shown.on(call).send().await;
                let after = stack.total_count().await;
                if scopes.is_empty() || scopes.iter().any(|scope| open_to.contains(scope)) {
                    assert_eq!(answer.status, 200, "{scopes:?} {shown:?} {name}: {}", answer.body);
                    let made = u64::from(name.ends_with("rotate"));
                    assert_eq!(after + u64::from(name.starts_with("DELETE")), before + made, "{name}");
                } else {
                    answer.is_error(403, "Forbidden", &format!("This needs the scope {needed}."));
                    assert_eq!(after, before, "{scopes:?} {shown:?} {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn of_two_credentials_both_must_have_the_scope() {
    let stack = TestStack::start().await;
    let storefront = create(&stack, &["storefront"]).await.server_token().to_owned();
    let whole = create(&stack, &[]).await.server_token().to_owned();
    let tokens = account(&stack, &["tokens:write"]).await;
    let all = account(&stack, &[]).await;
    for (token, account, statuses) in [
        (&storefront, &tokens, [403; 7]),
        (&storefront, &all, [403, 403, 403, 200, 200, 200, 403]),
        (&whole, &tokens, [200, 200, 200, 403, 403, 403, 403]),
        (&whole, &all, [200; 7]),
    ] {
        for ((name, call), status) in calls(&stack).into_iter().zip(statuses) {
            let call = on_a_victim(&stack, name, call).await;
            let answer = call.token(token).account(account).send().await;
            assert_eq!(answer.status, status, "{name}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_token_may_delete_itself_and_with_it_an_account_only_as_far_as_that_may() {
    let stack = TestStack::start().await;
    let read = stack.add_api_account(demo::STORE, &read_only()).await;
    for scopes in [vec!["introspect"], vec!["tokens:read"], vec!["storefront", "introspect"]] {
        let token = create(&stack, &scopes).await.server_token().to_owned();
        let delete = stack.delete(&deletion(&token)).token(&token);
        let refused = delete.clone().account(&read).send().await;
        refused.is_error(403, "Forbidden", "This needs the scope tokens:write.");
        assert_eq!(delete.clone().send().await.status, 200);
        delete.send().await.is_invalid_token();
    }
}

#[tokio::test]
async fn a_token_that_may_delete_only_itself_is_told_what_is_wrong_with_its_request() {
    let stack = TestStack::start().await;
    let token = create(&stack, &["introspect"]).await.server_token().to_owned();
    let delete = || stack.request("DELETE", "/auth/backend").token(&token);
    for (call, status) in [
        (delete().body("application/json", "{"), 400),
        (delete().body("text/plain", deletion(&token).to_string()), 415),
        (delete().json(&json!({})), 422),
        (delete().json(&with(deletion(&token), "email", "x")), 422),
        (delete().json(&with(deletion(&token), "name", "another")), 404),
        (delete().json(&json!({"id": 1})), 403),
        (delete().json(&json!({"id": 77})), 403),
        (delete().json(&deletion(&token)), 200),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

/// As the platform calls it, and as records have it that were made before there were scopes.
#[tokio::test]
async fn an_account_that_may_read_has_the_scope_to_list() {
    let stack = TestStack::start().await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let update = stack.dynamodb.update_item().table_name(&stack.configuration.directory_table);
    let update = update.set_key(Some(key(demo::STORE, api_account_key(&sha256(&account)))));
    let update = update.update_expression("SET #scope = :read").expression_attribute_names("#scope", "scope");
    update.expression_attribute_values(":read", string("read")).send().await.unwrap();
    let listed = stack.get("/backend/tokens").account(&account).send().await;
    assert_eq!((listed.status, &listed.body["data"][0]["token"]), (200, &json!("")));
    let deleted = stack.delete(&json!({"id": 1})).account(&account).send().await;
    deleted.is_error(403, "Forbidden", "This needs the scope tokens:write.");
}

#[tokio::test]
async fn a_deleted_token_is_unknown_before_it_is_too_narrow() {
    let stack = TestStack::start().await;
    let token = create(&stack, &["introspect"]).await.server_token().to_owned();
    assert_eq!(stack.delete(&deletion(&token)).token(&token).send().await.status, 200);
    for (_, call) in calls(&stack) {
        call.token(&token).send().await.is_invalid_token();
    }
}

#[tokio::test]
async fn scopes_stand_in_the_token_and_in_the_list() {
    let stack = TestStack::start().await;
    // The order of the table, whatever they were given in.
    for (given, claim, listed) in [
        (
            json!(["storefront", "tokens:read", "storefront"]),
            json!("tokens:read storefront"),
            json!(["tokens:read", "storefront"]),
        ),
        (json!(["introspect"]), json!("introspect"), json!(["introspect"])),
        (json!(null), json!(null), json!(null)),
    ] {
        let created = stack.post("/auth/backend", &with(admin_login("n"), "scopes", given)).send().await;
        let token = created.server_token();
        assert_eq!(claims(token)["scope"], claim);
        let others = stack.total_count().await - 1;
        let answer = stack.list(&stack.demo_token, &format!("?offset={others}")).await;
        let entry = &answer.body["data"][0];
        assert_eq!((&entry["scopes"], &entry["token"]), (&listed, &json!(token)));
    }
    assert!(!claims(&stack.demo_token).as_object().unwrap().contains_key("scope"));
}

#[tokio::test]
async fn scopes_that_there_are_not_are_refused_and_make_no_token() {
    let stack = TestStack::start().await;
    for scopes in
        [json!([]), json!(["all"]), json!("storefront"), json!(["storefront", 1]), json!({}), json!([["storefront"]])]
    {
        let answer = stack.post("/auth/backend", &with(admin_login("n"), "scopes", scopes)).send().await;
        answer.refuses_fields(&["scopes"]);
    }
    assert_eq!(stack.total_count().await, 1);
}

/// With a key that has leaked, a token could be signed that says more than the one that was issued.
#[tokio::test]
async fn a_token_with_other_scopes_than_its_record_is_refused() {
    let stack = TestStack::start().await;
    let issued = create(&stack, &["tokens:read", "introspect"]).await.server_token().to_owned();
    assert_eq!(stack.list(&issued, "").await.status, 200);
    let good = claims(&issued);
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("scope");
    let others = ["tokens:read", "introspect tokens:read", "tokens:read  introspect", "tokens:write", ""];
    let forged = others.map(|scope| with(good.clone(), "scope", scope));
    for forged in forged.into_iter().chain([without]) {
        let token = signed_with_demo_key(&forged);
        for (_, call) in calls(&stack) {
            call.token(&token).send().await.is_invalid_token();
        }
        stack.delete(&deletion(&token)).token(&token).send().await.is_invalid_token();
        stack.rotate(&deletion(&token)).token(&token).send().await.is_invalid_token();
    }
    let widened = with(claims(&stack.demo_token), "scope", "tokens:write");
    stack.list(&signed_with_demo_key(&widened), "").await.is_invalid_token();
    assert_eq!(stack.list(&issued, "").await.status, 200);
}
