//! The API's description is what the service does: each example of an answer is what is answered, as often as one can bring it
//! about, and each example of a request gets the answer of the same name.

use crate::{
    scopes::NEEDED,
    template::{template, text},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, stream};
use local::demo;
use serde_json::{Value, json};
use shared::{
    scopes::{Scope, Scopes},
    tables::directory::Role,
};
use std::collections::{BTreeMap, BTreeSet};
use tests::{
    Answer, Call, Fate, NOW, Operation, Proxy, Service, Setup, TestStack, UpstreamFate, current_customer, fill_store,
    kept_token, members, operations, platform_jwt, with,
};

/// Its pages may call.
const ORIGIN: &str = "https://shop.example";

fn names(value: &'static Value) -> BTreeSet<&'static str> {
    members(value).map(|(name, _)| name).collect()
}

fn id_of((_, _, operation): Operation) -> &'static str {
    operation["operationId"].as_str().unwrap()
}

/// The examples of bodies, of requests or of answers, by name.
fn examples_of(message: &'static Value) -> &'static Value {
    &message["content"]["application/json"]["examples"]
}

/// The statuses of an operation, each with the names and bodies of its examples; without any where there is no body.
fn answers((_, _, operation): Operation) -> impl Iterator<Item = (u16, &'static str, &'static Value)> {
    members(&operation["responses"]).flat_map(|(status, response)| {
        let status = status.parse().unwrap();
        let examples = members(examples_of(response)).map(move |(name, example)| (status, name, &example["value"]));
        let without = response.get("content").is_none().then_some((status, "", &Value::Null));
        examples.chain(without)
    })
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

/// Headers that say who is calling.
type Credentials = Vec<(&'static str, String)>;

fn auth_token(token: &str) -> Credentials {
    vec![("authToken", token.into())]
}

async fn account(stack: &TestStack, scopes: &Scopes) -> Credentials {
    vec![("X-Auth-Token", stack.add_api_account(demo::STORE, scopes).await), ("X-Store-Hash", demo::STORE.into())]
}

/// A request in parts, all of which an example may need otherwise.
struct Sent {
    credentials: Credentials,
    headers: Vec<(&'static str, String)>,
    query: BTreeMap<&'static str, String>,
    content_type: &'static str,
    body: Option<String>,
}

impl Sent {
    /// As the description shows it: with the parameters and the body of this name, or those that stand for all.
    fn shown((_, _, operation): Operation, example: &str, credentials: Credentials) -> Self {
        let mut sent = Self {
            credentials,
            headers: Vec::new(),
            query: BTreeMap::new(),
            content_type: "application/json",
            body: None,
        };
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let value = parameter["examples"].get(example).map(|example| &example["value"]);
            let Some(value) = value.or(parameter.get("example")) else { continue };
            let value = text_of(value);
            let name = parameter["name"].as_str().unwrap();
            match parameter["in"].as_str().unwrap() {
                "query" => drop(sent.query.insert(name, value)),
                _ => sent.headers.push((name, value)),
            }
        }
        let bodies = examples_of(&operation["requestBody"]);
        let body = bodies.get(example).or_else(|| bodies.as_object()?.values().next());
        sent.body = body.map(|body| body["value"].to_string());
        sent
    }

    fn change(&mut self, name: &str, member: impl Into<Value>) {
        let body = serde_json::from_str(self.body.as_ref().unwrap()).unwrap();
        self.body = Some(with(body, name, member).to_string());
    }

    fn on(&self, stack: &TestStack, (method, path, _): Operation) -> Call {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        let call = stack.request(&method.to_uppercase(), &format!("{path}?{query}"));
        let headers = self.credentials.iter().chain(&self.headers);
        let call = headers.fold(call, |call, (name, value)| call.header(name, value));
        match &self.body {
            Some(body) => call.body(self.content_type, body.clone()),
            None => call,
        }
    }
}

/// The operation that makes the token with the id 2, of which the other examples tell.
fn create() -> Operation {
    operations().find(|operation| id_of(*operation) == "create-backend-token").unwrap()
}

async fn stack_with_a_token() -> TestStack {
    let stack = TestStack::start_with(Setup::for_pages_of(ORIGIN)).await;
    create_the_token(&stack).await;
    stack
}

async fn create_the_token(stack: &TestStack) {
    assert_eq!(Sent::shown(create(), "unlimited", Vec::new()).on(stack, create()).send().await.status, 200);
}

/// What says who is calling in this way, and may do everything.
async fn credentials(stack: &TestStack, way: &str) -> Credentials {
    match way {
        "authToken" => auth_token(&stack.demo_token),
        "accessToken" => account(stack, &Scopes::ALL).await,
        "bearer" => vec![("Authorization", format!("Bearer {}", stack.demo_token))],
        "basic" => {
            let pair = format!("{}:{}", demo::STORE, stack.add_api_account(demo::STORE, &Scopes::ALL).await);
            vec![("Authorization", format!("Basic {}", STANDARD.encode(pair)))]
        }
        other => panic!("{other}"),
    }
}

/// The ways to call, by the name of the header or scheme that stands for each.
fn ways_to_call((_, _, operation): Operation) -> impl Iterator<Item = &'static str> {
    operation["security"].as_array().unwrap().iter().map(|way| members(way).next().unwrap().0)
}

/// The request that gets a refusal of this name, where it is the request alone that brings it about.
async fn spoilt(stack: &TestStack, operation: Operation, example: &str) -> Sent {
    let id = id_of(operation);
    let mut sent = Sent::shown(operation, example, Vec::new());
    if let Some(way) = ways_to_call(operation).next() {
        sent.credentials = credentials(stack, way).await;
    }
    let other_customer = with(current_customer(NOW), "store_hash", demo::OTHER_STORE);
    match example {
        "notJson" => sent.body = Some("{".into()),
        "memberNamedTwice" => sent.body = Some(r#"{"id": 1, "id": 2}"#.into()),
        "bodyTooLarge" => sent.body = Some(" ".repeat(64 * 1024 + 1)),
        "otherContentType" => sent.content_type = "text/plain",
        "headerTwice" => sent.headers.extend(vec![("X-Store-Hash", demo::STORE.into()); 2]),
        "noCredentials" => sent.credentials.clear(),
        "noStoreHash" => sent.credentials = vec![("X-Auth-Token", "an access token".into())],
        "invalidToken" => sent.credentials = auth_token(&format!("{}A", stack.demo_token)),
        "scopeTooNarrow" => {
            let other = if id == "introspect-token" { Scope::Storefront } else { Scope::Introspect };
            sent.credentials = account(stack, &Scopes::only(&[other])).await;
        }
        "otherOrigin" => sent.headers = vec![("Origin", "https://other.example".into())],
        "otherStore" => match id {
            "create-backend-token" => sent.headers.push(("X-Store-Hash", demo::OTHER_STORE.into())),
            "exchange-customer-jwt" => {
                let claims = with(other_customer, "sub", demo::OTHER_STORE);
                sent.query.insert("jwtToken", platform_jwt(&claims));
            }
            _ => sent.change("storeHash", demo::OTHER_STORE),
        },
        "incorrectCredentials" | "customerAuthFailed" => sent.change("password", "wrong"),
        "roleForbidden" => {
            sent.change("email", demo::REP_EMAIL);
            sent.change("password", demo::REP_PASSWORD);
        }
        "noSuchToken" => sent.change("id", 999),
        "noSuchCustomer" => sent.change("customerId", 999),
        "invalidJwtToken" => drop(sent.query.insert("jwtToken", platform_jwt(&with(other_customer, "exp", 0)))),
        "invalidCustomerAccessToken" => sent.change("customerAccessToken", json!({"value": "somebody else's"})),
        "limitTooLarge" => drop(sent.query.insert("limit", "251".into())),
        "invalidFields" => match id {
            "create-backend-token" => {
                let body = json!({"storeHash": "demostore", "email": "admin", "password": ""});
                sent.body = Some(body.to_string());
            }
            "list-backend-tokens" => sent.query = BTreeMap::from([("limit", "0".into()), ("offset", "first".into())]),
            "exchange-customer-jwt" => sent.query = BTreeMap::from([("channelId", "0".into())]),
            "rotate-backend-token" => sent.change("overlapSeconds", 604_801),
            "login-customer" => sent.change("channelId", 0),
            "issue-storefront-token" => {
                sent.change("customerAccessToken", json!({"expires_at": "2024-12-31T00:00:00.0Z"}));
            }
            _ => sent.body = Some("{}".into()),
        },
        _ => {}
    }
    sent
}

/// What is answered where the request alone does not bring it about: a token is made, something came before, or is broken.
async fn answer_after(operation: Operation, example: &str, way: &str) -> Answer {
    let setup = Setup::for_pages_of(ORIGIN);
    let (mut stack, upstream) = if example.starts_with("directory") || example == "invalidCustomerAccessToken" {
        let (stack, upstream) = TestStack::start_on_bigcommerce_with(setup).await;
        (stack, Some(upstream))
    } else {
        (TestStack::start_with(setup).await, None)
    };
    if operation.1 != "/auth/backend" || operation.0 == "delete" {
        create_the_token(&stack).await;
    }
    let mut sent = spoilt(&stack, operation, example).await;
    if !sent.credentials.is_empty() {
        sent.credentials = credentials(&stack, way).await;
    }
    let answered = |status, headers| {
        upstream.as_ref().unwrap().fault_in("", UpstreamFate::Answered(status, headers, "{}".into()));
    };
    match example {
        "whoMayOnlyList" => sent.credentials = account(&stack, &Scopes::only(&[Scope::TokensRead])).await,
        "makerForbidden" => stack.add_user(demo::ADMIN_EMAIL, Role::Administrator, false).await,
        "alreadyReplaced" => assert_eq!(sent.on(&stack, operation).send().await.status, 200),
        "idempotencyKeyUsed" => {
            sent.headers.push(("Idempotency-Key", "5c1b1b1e-0f2a-4b8e-9d5c-3a6f1e7d2c90".into()));
            let good = sent.body.clone();
            sent.change("endAt", 1_900_000_000);
            assert_eq!(sent.on(&stack, operation).send().await.status, 200);
            sent.body = good;
        }
        "tooManyFailedLogins" => {
            let good = sent.body.clone();
            sent.change("password", "wrong");
            for _ in 0..10 {
                assert_eq!(sent.on(&stack, operation).send().await.status, 400);
            }
            // The last of them may no more turn out to be right.
            stack.clock.advance(60);
            sent.body = good;
        }
        "storeFull" => {
            fill_store(&stack, demo::STORE, 1000, 1000, 0).await;
            if !sent.credentials.is_empty() {
                sent.credentials = auth_token(&kept_token(demo::STORE, 1));
            }
        }
        "directoryBusy" => answered(429, vec![("X-Retry-After", "20".into())]),
        "directoryRefuses" => answered(401, Vec::new()),
        "directoryUnavailable" => answered(500, Vec::new()),
        "internalError" => {
            stack.put_keyring("{}").await;
            stack = stack.fresh_functions(stack.aws_url()).await;
        }
        "appUnusable" => {
            let put = stack.secrets.put_secret_value().secret_id(&stack.configuration.app_secret_id);
            put.secret_string("{}").send().await.unwrap();
            stack = stack.fresh_functions(stack.aws_url()).await;
        }
        "unavailable" => {
            let proxy = Proxy::start(stack.aws_url()).await;
            proxy.fault_of(Service::DynamoDb, Fate::CutOff);
            return sent.on(&stack.fresh_functions(&proxy.url).await, operation).send().await;
        }
        _ => {}
    }
    sent.on(&stack, operation).send().await
}

#[tokio::test]
async fn each_example_of_an_answer_is_what_is_answered() {
    // For refusals that change nothing.
    let shared_stack = stack_with_a_token().await;
    let examples = operations()
        .flat_map(|operation| answers(operation).map(move |(status, name, body)| (operation, status, name, body)))
        .filter(|(_, _, name, _)| *name != "throttled");
    let compared = stream::iter(examples).map(async |(operation, status, name, body)| {
        let needs_more = ["makerForbidden", "idempotencyKeyUsed", "invalidCustomerAccessToken"];
        let answer = if matches!(status, 400..=404 | 413..=422) && !needs_more.contains(&name) {
            spoilt(&shared_stack, operation, name).await.on(&shared_stack, operation).send().await
        } else {
            answer_after(operation, name, "authToken").await
        };
        let what = format!("{} {status} {name}", id_of(operation));
        let mut mistakes = Vec::new();
        if (answer.status, &answer.body) != (status, body) {
            mistakes.push(format!("{what}: {body} is shown, {} {} is answered", answer.status, answer.body));
        }
        for (header, _) in members(&operation.2["responses"][status.to_string()]["headers"]) {
            if !answer.headers.contains_key(header) {
                mistakes.push(format!("{what}: {header} is missing"));
            }
        }
        mistakes
    });
    let mistakes = compared.buffer_unordered(8).collect::<Vec<_>>().await.concat();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// Which nothing here can do.
#[test]
fn who_calls_too_often_is_told_what_the_gateway_answers() {
    let template = template();
    let response = &template["Resources"]["Api"]["Properties"]["GatewayResponses"]["THROTTLED"];
    let answered: Value = serde_json::from_str(text(&response["ResponseTemplates"]["application/json"])).unwrap();
    for operation in operations() {
        let shown = answers(operation).find(|(_, name, _)| *name == "throttled");
        assert_eq!(shown.unwrap(), (429, "throttled", &answered), "{}", id_of(operation));
    }
}

#[tokio::test]
async fn each_other_way_to_call_gets_the_same_answers() {
    for operation in operations() {
        for way in ways_to_call(operation).filter(|way| *way != "authToken") {
            for (status, name, body) in answers(operation) {
                if status == 200 && name != "whoMayOnlyList" {
                    let answer = answer_after(operation, name, way).await;
                    assert_eq!((answer.status, &answer.body), (200, body), "{} {name} {way}", id_of(operation));
                }
            }
        }
    }
}

/// What a link has for this answer: a value, or an expression that points to one.
fn of_answer(answer: &Answer, value: &Value) -> Value {
    let pointer = value.as_str().and_then(|text| text.strip_prefix("$response.body#"));
    pointer.map_or_else(|| value.clone(), |pointer| answer.body.pointer(pointer).unwrap().clone())
}

#[tokio::test]
async fn each_link_leads_on() {
    let mut followed = Vec::new();
    for source in operations() {
        for (_, link) in members(&source.2["responses"]["200"]["links"]) {
            let stack = TestStack::start().await;
            if id_of(source) != id_of(create()) {
                create_the_token(&stack).await;
            }
            let answer = spoilt(&stack, source, "").await.on(&stack, source).send().await;
            let target = operations().find(|operation| link["operationId"] == id_of(*operation)).unwrap();
            let mut sent = Sent::shown(target, "", auth_token(&stack.demo_token));
            sent.body = link["requestBody"].as_object().map(|members| {
                let members = members.iter().map(|(name, value)| (name.as_str(), of_answer(&answer, value)));
                members.collect::<Value>().to_string()
            });
            sent.query
                .extend(members(&link["parameters"]).map(|(name, value)| (name, text_of(&of_answer(&answer, value)))));
            let end = sent.on(&stack, target).send().await;
            assert_eq!((end.status, end.body["active"] == false), (200, false), "{} {link}", end.body);
            followed.push(format!("{} {}", id_of(source), id_of(target)));
        }
    }
    followed.sort();
    assert_eq!(
        followed,
        [
            "create-backend-token introspect-token",
            "create-backend-token list-backend-tokens",
            "list-backend-tokens delete-backend-token",
            "list-backend-tokens introspect-token",
            "list-backend-tokens rotate-backend-token",
            "rotate-backend-token delete-backend-token",
            "rotate-backend-token introspect-token",
        ]
    );
}

#[test]
fn each_answer_and_each_body_has_an_example_and_those_of_one_name_belong_together() {
    for operation in operations() {
        let (_, _, described) = operation;
        let with_example: BTreeSet<_> = answers(operation).map(|(status, ..)| status).collect();
        let all = names(&described["responses"]).into_iter().map(|status| status.parse().unwrap()).collect();
        assert_eq!(with_example, all, "{}", id_of(operation));
        if described.get("requestBody").is_some() {
            let answered = answers(operation).filter(|(status, ..)| *status == 200).map(|(_, name, _)| name).collect();
            assert_eq!(names(examples_of(&described["requestBody"])), answered, "{}", id_of(operation));
        }
    }
}

/// The scope of each way to call: the one that a refusal names.
#[test]
fn each_way_to_call_has_its_scope() {
    let said: BTreeSet<_> = operations()
        .flat_map(|(method, path, operation)| {
            let ways = operation["security"].as_array().unwrap().iter().flat_map(members);
            let scopes = ways.filter(|(scheme, _)| *scheme != "storeHash").map(|(_, scopes)| scopes.to_string());
            scopes.map(move |scopes| (format!("{} {path}", method.to_uppercase()), scopes))
        })
        .collect();
    assert_eq!(said, NEEDED.map(|(endpoint, scope, _)| (endpoint.to_owned(), json!([scope]).to_string())).into());
}

#[tokio::test]
async fn the_description_is_served() {
    let stack = TestStack::start().await;
    let served = reqwest::get(format!("{}/openapi.yaml", stack.url)).await.unwrap().text().await.unwrap();
    assert_eq!(served, include_str!("../../openapi.yaml"));
}
