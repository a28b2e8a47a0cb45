//! What the authorizer lets in, and what it keeps out.

use crate::storefront_tokens::{bad_tokens, tokens};
use accounts::Edit;
use futures_util::future::join_all;
use local::demo;
use serde_json::{Map, Value, json};
use shared::{
    keys::jwt::DAY,
    scopes::{Scope, Scopes},
};
use std::time::{Duration, Instant};
use tests::{
    Authorizer, Call, Entry, Fate, NOW, PASSWORD, Service, TestStack, admin_login, behind_proxy, customer_login,
    decode, eventually, http_event, read_only, rest_event, signed_with_demo_key, with,
};

const ALIASES: [&str; 3] = ["live", "storefront", "server"];
const ALL_SCOPES: &str = "tokens:read tokens:write storefront introspect";

fn bearer(token: &str) -> Value {
    json!({"Authorization": format!("Bearer {token}")})
}

fn account_headers(access_token: &str) -> Value {
    json!({"X-Auth-Token": access_token, "X-Store-Hash": demo::STORE})
}

/// The events by which every kind of API asks that has an authorizer; whether its callers can get a 401.
fn events(headers: &Value) -> [(&'static str, Value, bool); 5] {
    let lower: Map<_, _> =
        headers.as_object().unwrap().iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    let multi: Map<_, _> =
        headers.as_object().unwrap().iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
    let rest = with(rest_event(headers), "multiValueHeaders", multi.clone());
    let payload_1 = with(with(rest_event(headers), "version", "1.0"), "identitySource", "x");
    let web_socket = json!({
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abc123/prod/$connect",
        "headers": headers,
        "multiValueHeaders": multi,
        "queryStringParameters": {},
        "stageVariables": {},
        "requestContext": {
            "routeKey": "$connect", "eventType": "CONNECT", "connectionId": "c", "stage": "prod", "requestId": "r",
            "apiId": "abc123", "identity": {"sourceIp": "192.0.2.1"},
        },
    });
    [
        ("REST API", rest, true),
        ("HTTP API, payload 1.0", payload_1, true),
        ("HTTP API, payload 2.0", http_event(&Value::Object(lower.clone())), false),
        ("HTTP API, payload 2.0, names as sent", http_event(headers), false),
        ("WebSocket API", web_socket, true),
    ]
}

/// Asks by every alias and from every kind of API, and checks that it is refused as bad.
async fn is_unauthorized(authorizer: &Authorizer, headers: &Value) {
    for (api, event, knows_401) in events(headers) {
        for alias in ALIASES {
            let expected = Entry::Refused(if knows_401 { 401 } else { 403 });
            assert_eq!(authorizer.ask(alias, &event).await, expected, "{api} {alias}: {headers}");
        }
    }
}

#[tokio::test]
async fn each_alias_lets_in_its_kinds_and_tells_whose_request_it_is() {
    let stack = TestStack::start().await;
    let authorizer = Authorizer::of(&stack);
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let customer = json!({
        "kind": "storefront", "storeHash": demo::STORE, "customerId": demo::BUYER_ID.to_string(),
        "email": demo::BUYER_EMAIL, "channelId": "1",
    });
    let token = json!({
        "kind": "server", "storeHash": demo::STORE, "email": demo::ADMIN_EMAIL, "tokenId": "1", "scope": ALL_SCOPES,
    });
    let api_account = json!({"kind": "apiAccount", "storeHash": demo::STORE, "scope": ALL_SCOPES});
    let mut shown = vec![
        ("server", bearer(&stack.demo_token), token.clone()),
        ("server", json!({"authToken": stack.demo_token}), token.clone()),
        ("server", json!({"authToken": stack.demo_token, "X-Store-Hash": demo::STORE}), token),
        ("server", account_headers(&account), api_account),
    ];
    for (_, storefront) in tokens(&stack).await {
        shown.push(("storefront", bearer(&storefront), customer.clone()));
    }
    println!("{:<38} {:<11} {:<11} status", "API", "alias", "kind");
    for (kind, headers, context) in shown {
        for (api, event, _) in events(&headers) {
            for alias in ALIASES {
                let entry = authorizer.ask(alias, &event).await;
                let is_let_in = ["live", kind].contains(&alias);
                let expected = if is_let_in { Entry::LetIn(context.clone()) } else { Entry::Refused(403) };
                assert_eq!(entry, expected, "{api} {alias} {kind}");
                println!("{api:<38} {alias:<11} {kind:<11} {}", if is_let_in { 200 } else { 403 });
            }
        }
    }
}

#[tokio::test]
async fn an_authorizer_that_is_attached_otherwise_lets_nobody_in() {
    let stack = TestStack::start().await;
    let authorizer = Authorizer::of(&stack);
    let good = bearer(&stack.demo_token);
    for (api, event, _) in events(&good) {
        for alias in ["", "1", "$LATEST", "Server", "storefront2"] {
            assert_eq!(authorizer.ask(alias, &event).await, Entry::Refused(500), "{api} {alias}");
        }
        assert_eq!(authorizer.ask_by_arn("", &event).await, Entry::Refused(500), "{api}");
    }
    let token_event = json!({
        "type": "TOKEN", "authorizationToken": good["Authorization"],
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abc123/test/GET/orders",
    });
    assert_eq!(authorizer.ask("live", &token_event).await, Entry::Refused(500));
}

#[tokio::test]
async fn no_credentials_and_bad_ones_are_a_401_where_the_api_knows_one() {
    let stack = TestStack::start().await;
    let authorizer = Authorizer::of(&stack);
    let good = stack.demo_token.clone();
    let (_, storefront) = tokens(&stack).await.remove(2);
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    let revoked = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    stack.revoke_api_account(&revoked).await;
    let of_a_header = [String::new(), format!("{good},{good}"), format!("{good} {good}")];
    for token in bad_tokens(&stack).await.iter().chain(&of_a_header) {
        is_unauthorized(&authorizer, &bearer(token)).await;
        is_unauthorized(&authorizer, &json!({"authToken": token})).await;
    }
    let both = |mut one: Value, other: Value| {
        one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        one
    };
    for headers in [
        json!({}),
        json!({"Authorization": "", "authToken": " "}),
        json!({"X-Store-Hash": demo::STORE}),
        // Under such a value an answer could be kept, and then serve whoever sends it.
        both(json!({"Authorization": "\u{a0}"}), json!({"authToken": good})),
        both(json!({"authToken": "\u{3000}"}), bearer(&good)),
        both(json!({"X-Auth-Token": "\u{b}"}), bearer(&good)),
        json!({"Authorization": good}),
        json!({"Authorization": format!("Bearer{good}")}),
        json!({"Authorization": format!("Basic {good}")}),
        json!({"Authorization": format!("Token {good}")}),
        // A storefront token is nobody's server-to-server token.
        json!({"authToken": storefront}),
        json!({"X-Auth-Token": account}),
        json!({"X-Auth-Token": account, "X-Store-Hash": demo::OTHER_STORE}),
        json!({"X-Auth-Token": account, "X-Store-Hash": "no store"}),
        json!({"X-Auth-Token": good, "X-Store-Hash": demo::STORE}),
        account_headers(&revoked),
        // Nothing is guessed from two.
        both(bearer(&good), json!({"authToken": good})),
        both(bearer(&storefront), json!({"authToken": good})),
        both(bearer(&good), account_headers(&account)),
        both(json!({"authToken": good}), account_headers(&account)),
        both(bearer(&storefront), json!({"X-Store-Hash": demo::OTHER_STORE})),
        both(json!({"authToken": good}), json!({"X-Store-Hash": demo::OTHER_STORE})),
    ] {
        is_unauthorized(&authorizer, &headers).await;
    }
}

#[tokio::test]
async fn header_names_are_taken_in_any_case_and_repeated_ones_are_refused() {
    let stack = TestStack::start().await;
    let authorizer = Authorizer::of(&stack);
    let token = format!("Bearer {}", stack.demo_token);
    for (headers, multi, entry) in [
        (json!({"AUTHORIZATION": token}), Value::Null, 200),
        (json!({"authorization": token.replace("Bearer", "bEARER ")}), json!({}), 200),
        (Value::Null, json!({"aUthorization": [token]}), 200),
        (json!({"Authorization": token}), json!({"Authorization": [token]}), 200),
        (json!({"AuthToken": stack.demo_token, "x-store-HASH": demo::STORE}), Value::Null, 200),
        (json!({"Authorization": token}), json!({"Authorization": [token, token]}), 401),
        (json!({"Authorization": token}), json!({"authorization": [token]}), 401),
        (json!({"Authorization": token, "authorization": token}), Value::Null, 401),
        (json!({"authToken": stack.demo_token}), json!({"AUTHTOKEN": [stack.demo_token]}), 401),
        (json!({"authToken": stack.demo_token}), json!({"X-Store-Hash": [demo::STORE, demo::STORE]}), 401),
        (json!({"Authorization": null}), json!({"Authorization": null}), 401),
        (json!({"Authorization": token, "bad name": "x", "": "\u{0}"}), Value::Null, 200),
        (json!({"Authorization": [token]}), Value::Null, 500),
        (json!([token]), Value::Null, 500),
        (Value::Null, json!({"Authorization": token}), 500),
    ] {
        let event = with(rest_event(&headers), "multiValueHeaders", multi.clone());
        let status = authorizer.ask("live", &event).await.status();
        assert_eq!(status, entry, "{headers} {multi}");
    }
}

#[tokio::test]
async fn credentials_that_are_limited_are_let_in_where_the_api_names_one_of_their_scopes() {
    let stack = TestStack::start().await;
    let authorizer = Authorizer::of(&stack);
    let (_, storefront) = tokens(&stack).await.remove(0);
    for scopes in [&[Scope::TokensRead][..], &[Scope::TokensWrite], &[Scope::Storefront, Scope::Introspect], &[]] {
        let account = stack.add_api_account(demo::STORE, &Scopes::only(scopes)).await;
        let mut shown = vec![account_headers(&account)];
        if !scopes.is_empty() {
            let names: Vec<_> = scopes.iter().map(|scope| scope.name()).collect();
            let created = stack.post("/auth/backend", &with(admin_login("n"), "scopes", names.clone())).send().await;
            shown.push(bearer(created.server_token()));
        }
        for (variable, named) in [
            (None, &[][..]),
            (Some("tokens:read"), &[Scope::TokensRead]),
            (Some("tokens:write"), &[Scope::TokensWrite]),
            (Some("introspect,tokens:read"), &[Scope::Introspect, Scope::TokensRead]),
            (Some("storefront"), &[Scope::Storefront]),
        ] {
            let is_let_in = named.iter().any(|scope| Scopes::only(scopes).allow(*scope));
            for (api, event, _) in shown.iter().flat_map(events) {
                let event = with(event, "stageVariables", json!({"other": "x", "b2bAuthScopes": variable}));
                let event = if variable.is_none() { with(event, "stageVariables", Value::Null) } else { event };
                let entry = authorizer.ask("server", &event).await;
                assert_eq!(matches!(entry, Entry::LetIn(_)), is_let_in, "{api} {scopes:?} {variable:?}");
                assert!(is_let_in || entry == Entry::Refused(403), "{api} {scopes:?} {variable:?}: {entry:?}");
            }
        }
    }
    // What is not limited, and what has no scopes, is let in by any rule; by none that is misspelt.
    for headers in [bearer(&stack.demo_token), bearer(&storefront)] {
        for (variable, is_let_in) in [("tokens:read", true), ("", false), ("orders", false), ("storefront,", false)] {
            for (api, event, _) in events(&headers) {
                let event = with(event, "stageVariables", json!({"b2bAuthScopes": variable}));
                let entry = authorizer.ask("live", &event).await;
                assert_eq!(matches!(entry, Entry::LetIn(_)), is_let_in, "{api} {variable}");
                assert!(is_let_in || entry == Entry::Refused(500), "{api} {variable}: {entry:?}");
            }
        }
    }
}

/// The status of each of the local stack's two routes.
async fn statuses(stack: &TestStack, shown: impl Fn(Call) -> Call) -> [u16; 2] {
    let status = async |path| shown(stack.protected(path)).send().await.status;
    [status("/orders").await, status("/stock").await]
}

#[tokio::test]
async fn the_request_after_a_revocation_is_refused() {
    let stack = TestStack::start().await;
    let customer = json!({
        "kind": "storefront", "storeHash": demo::STORE, "customerId": "700", "email": "c@example.com", "channelId": "1",
    });
    let log_in = async || {
        stack.add_customer(700, "c@example.com", &[1], true).await;
        let call = stack.post("/auth/customers", &customer_login("c@example.com", PASSWORD)).token(&stack.demo_token);
        call.send().await.storefront_token().to_owned()
    };
    let token = log_in().await;
    let allowed = stack.protected("/orders").bearer(&token).send().await;
    assert_eq!((allowed.status, &allowed.body), (200, &customer));
    assert_eq!(statuses(&stack, |call| call.bearer(&token)).await, [200, 403]);
    stack.add_customer(700, "c@example.com", &[1], false).await;
    assert_eq!(statuses(&stack, |call| call.bearer(&token)).await, [401, 401]);

    let (token, account) = (stack.create_token("n").await, stack.add_api_account(demo::STORE, &Scopes::ALL).await);
    let narrow = stack.add_api_account(demo::STORE, &read_only()).await;
    assert_eq!(statuses(&stack, |call| call.bearer(&token)).await, [403, 200]);
    assert_eq!(statuses(&stack, |call| call.token(&token)).await, [403, 200]);
    assert_eq!(statuses(&stack, |call| call.account(&account)).await, [403, 200]);
    assert_eq!(statuses(&stack, |call| call.account(&narrow)).await, [403, 403]);
    assert_eq!(statuses(&stack, |call| call).await, [401, 401]);
    stack.delete(&json!({"id": decode(&token).1["jti"]})).token(&token).send().await;
    stack.revoke_api_account(&account).await;
    assert_eq!(statuses(&stack, |call| call.bearer(&token)).await, [401, 401]);
    assert_eq!(statuses(&stack, |call| call.account(&account)).await, [401, 401]);

    let token = log_in().await;
    stack.clock.advance(DAY + 5);
    assert_eq!(statuses(&stack, |call| call.bearer(&token)).await, [401, 401]);
    assert_eq!(statuses(&stack, |call| call.bearer(&stack.demo_token)).await, [403, 200]);
    stack.put_keyring(&tests::new_key().to_string()).await;
    stack.clock.advance(300);
    assert_eq!(statuses(&stack, |call| call.bearer(&stack.demo_token)).await, [401, 401]);
}

#[tokio::test]
async fn a_use_elsewhere_is_noted_where_it_is_let_in_or_only_kept_out() {
    let stack = TestStack::start().await;
    let token = stack.create_token("n").await;
    assert_eq!(stack.protected("/stock").bearer(&format!("{token}x")).send().await.status, 401);
    assert_eq!(stack.token_last_used_at(2).await, None);
    assert_eq!(stack.protected("/stock").bearer(&token).send().await.status, 200);
    eventually(async || stack.token_last_used_at(2).await == Some(NOW)).await;
    let account = stack.add_api_account(demo::STORE, &Scopes::ALL).await;
    assert_eq!(stack.protected("/stock").account(&account).send().await.status, 200);
    eventually(async || stack.account_last_used_at(&account).await == Some(NOW)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_lets_nobody_in() {
    let (direct, stack, proxy) = behind_proxy().await;
    let (_, storefront) = tokens(&direct).await.remove(0);
    let account = direct.add_api_account(demo::STORE, &Scopes::ALL).await;
    let shown = [bearer(&storefront), bearer(&direct.demo_token), account_headers(&account)];
    for fault in [Fate::CutOff, Fate::error("ThrottlingException"), Fate::internal_error(), Fate::Unanswered] {
        for (service, of_warm) in [(Service::DynamoDb, 500), (Service::SecretsManager, 200)] {
            proxy.fault_of(service, fault.clone());
            let cold = direct.fresh_functions(&proxy.url).await;
            let calls = [(&stack, of_warm), (&cold, 500)].into_iter().flat_map(|(stack, expected)| {
                let orders = stack.protected("/orders").bearer(&storefront);
                [(orders, expected), (stack.protected("/stock").bearer(&stack.demo_token), expected)]
            });
            let started = Instant::now();
            join_all(calls.map(async |(call, expected)| {
                assert_eq!(call.send().await.status, expected, "{service:?} {fault:?}");
            }))
            .await;
            assert!(started.elapsed() < Duration::from_secs(10), "{service:?} {fault:?} took {:?}", started.elapsed());
            proxy.forward_all();
        }
        proxy.fault_of(Service::DynamoDb, fault.clone());
        let authorizer = Authorizer::cold(&direct, &proxy.url).await;
        join_all(shown.iter().flat_map(events).map(async |(api, event, _)| {
            assert_eq!(authorizer.ask("live", &event).await, Entry::Refused(500), "{api}, {fault:?}");
        }))
        .await;
        proxy.forward_all();
    }
}

/// Values that API Gateway sends nowhere.
fn odd_values() -> [Value; 15] {
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("2.0"),
        json!("REQUEST"),
        json!("\u{0}\u{e9}\u{1f600} %zz"),
        json!("arn:aws:execute-api:*:*:*/*/*"),
        json!([]),
        json!([null, "a"]),
        json!({}),
        json!({"": [""]}),
        json!({"Authorization": "Bearer x", "authorization": ["x"]}),
        serde_json::from_str(&deep).unwrap(),
    ]
}

#[tokio::test]
async fn no_event_without_good_credentials_is_let_in_whatever_it_looks_like() {
    let stack = TestStack::start().await;
    let authorizer = Authorizer::of(&stack);
    let mut random = fastrand::Rng::with_seed(11);
    let odd = odd_values();
    let good = bearer(&stack.demo_token);
    let bad = bearer(&format!("{}x", stack.demo_token));
    let mut let_in = 0;
    for round in 0..20_000 {
        let has_good = round % 40 == 0;
        let events = events(if has_good { &good } else { &bad });
        let (_, mut event, _) = events[random.usize(0..events.len())].clone();
        for _ in 0..=random.usize(0..3) {
            let names: Vec<String> = event.as_object().unwrap().keys().cloned().collect();
            let name = &names[random.usize(0..names.len())];
            let value = odd[random.usize(0..odd.len())].clone();
            match event[name].as_object_mut().filter(|members| !members.is_empty() && random.bool()) {
                Some(members) => {
                    let member = members.keys().nth(random.usize(0..members.len())).unwrap().clone();
                    members.insert(member, value);
                }
                None => event[name] = value,
            }
        }
        // A policy is checked against the ARN that was asked about.
        if let Entry::LetIn(_) = authorizer.ask("live", &event).await {
            assert!(has_good, "{event}");
            let_in += 1;
        }
    }
    assert!(let_in > 100, "{let_in}");
    for not_an_object in ["null", "7", "[]", "\"REQUEST\"", "{}"] {
        let event = serde_json::from_str(not_an_object).unwrap();
        assert_eq!(authorizer.ask("live", &event).await, Entry::Refused(500), "{not_an_object}");
    }
}

#[tokio::test]
async fn no_token_that_was_changed_is_let_in() {
    let stack = TestStack::start().await;
    let authorizer = Authorizer::of(&stack);
    let (_, storefront) = tokens(&stack).await.remove(1);
    let mut random = fastrand::Rng::with_seed(12);
    for round in 0..10_000 {
        let good = if round % 2 == 0 { &stack.demo_token } else { &storefront };
        let mut bytes = good.clone().into_bytes();
        for _ in 0..=random.usize(0..2) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..4) {
                0 => bytes[at] = random.alphanumeric() as u8,
                1 => bytes.insert(at, b".-_=A"[random.usize(0..5)]),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let token = String::from_utf8(bytes).unwrap();
        if token == *good {
            continue;
        }
        let event = rest_event(&bearer(&token));
        assert_eq!(authorizer.ask("live", &event).await, Entry::Refused(401), "{token}");
    }
}

#[tokio::test]
async fn a_customer_whom_only_the_platform_knows_is_let_in_until_the_directory_removes_him() {
    let stack = TestStack::start().await;
    let (_, issued) = tokens(&stack).await.remove(2);
    let stranger = signed_with_demo_key(&with(decode(&issued).1, "bc_customer_id", 4927));
    let shown = |call: Call| call.bearer(&stranger);
    assert_eq!(statuses(&stack, shown).await, [200, 403]);
    stack.add_customer(4927, "stranger@example.com", &[1], true).await;
    assert_eq!(statuses(&stack, shown).await, [200, 403]);
    let login = stack.directory().customer_login(demo::STORE, "stranger@example.com").await.unwrap().unwrap();
    assert_eq!(stack.accounts().remove_customer(demo::STORE, &login.customer).await.unwrap(), Edit::Done);
    assert_eq!(statuses(&stack, shown).await, [401, 401]);
}
