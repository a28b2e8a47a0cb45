//! How many requests to the database, one after the other, an answer waits for: the budget of the design.

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
    },
    error::BoxError,
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use local::{demo, gateway::ROUTES};
use serde_json::json;
use shared::tables::directory::Scope;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Instant,
};
use tests::{
    Answer, Call, NOW, TestStack, admin_login, buyer_login, current_customer, decode, eventually, platform_jwt, with,
};

/// Notes when each request to the database was sent and answered.
#[derive(Clone, Debug, Default)]
struct Stopwatch(Arc<Mutex<Vec<Trip>>>);

#[derive(Clone, Debug)]
struct Trip {
    operation: String,
    sent: Instant,
    answered: Option<Instant>,
}

impl Intercept for Stopwatch {
    fn name(&self) -> &'static str {
        "Stopwatch"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let mut trips = self.0.lock().unwrap();
        config.interceptor_state().store_put(TripIndex(trips.len()));
        trips.push(Trip { operation, sent: Instant::now(), answered: None });
        Ok(())
    }

    fn read_after_execution(
        &self,
        _: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(TripIndex(index)) = config.load::<TripIndex>() {
            self.0.lock().unwrap()[*index].answered = Some(Instant::now());
        }
        Ok(())
    }
}

#[derive(Debug)]
struct TripIndex(usize);

impl Storable for TripIndex {
    type Storer = StoreReplace<Self>;
}

impl Stopwatch {
    /// Sends the call; gives the operations in the order of their names, and how many had to follow one another.
    async fn measure(&self, call: Call) -> (Answer, Vec<String>, usize) {
        self.0.lock().unwrap().clear();
        let answer = call.send().await;
        let mut trips = self.0.lock().unwrap().clone();
        trips.sort_by_key(|trip| trip.answered);
        let mut waits = 0;
        let mut waited_until = None;
        for trip in &trips {
            if waited_until.is_none_or(|until| trip.sent >= until) {
                waits += 1;
                waited_until = trip.answered;
            }
        }
        let mut operations: Vec<_> = trips.into_iter().map(|trip| trip.operation).collect();
        operations.sort();
        (answer, operations, waits)
    }
}

/// A stack whose requests to the database are measured.
async fn measured_stack() -> (TestStack, Stopwatch) {
    let direct = TestStack::start().await;
    let stopwatch = Stopwatch::default();
    let config = aws_sdk_dynamodb::config::Builder::from(&direct.sdk_config).interceptor(stopwatch.clone()).build();
    let stack = direct.with_clients(&Client::from_conf(config), &direct.secrets).await;
    // Its first use is written late, and would be counted with a later call.
    stack.list(&stack.demo_token, "").await;
    eventually(async || stack.token_last_used_at(1).await.is_some()).await;
    (stack, stopwatch)
}

#[tokio::test]
async fn every_endpoint_keeps_to_its_budget() {
    let (stack, stopwatch) = measured_stack().await;
    let account = stack.add_api_account(demo::STORE, Scope::Modify).await;
    stack.get("/backend/tokens").account(&account).send().await;
    eventually(async || stack.account_last_used_at(&account).await.is_some()).await;
    let jwt = platform_jwt(&current_customer(NOW));
    let token = stack.demo_token.clone();
    let wrong = with(admin_login("n"), "password", "wrong");
    println!("{:<36} {:>6} {:>6}  operations", "endpoint", "status", "waits");
    let mut endpoints = BTreeSet::new();
    let check = async |name: &str, call: Call, status: u16, expected_operations: &str, expected_waits: usize| {
        let (answer, operations, waits) = stopwatch.measure(call).await;
        println!("{name:<36} {:>6} {waits:>6}  {}", answer.status, operations.join(" "));
        let measured = (answer.status, operations.join(" "), waits);
        assert_eq!(measured, (status, expected_operations.into(), expected_waits), "{name}");
    };
    for (authenticated, secret) in [(Call::token as fn(Call, &str) -> Call, &token), (Call::account, &account)] {
        let id = decode(&stack.create_token("mine").await).1["jti"].clone();
        for (name, call, status, operations, waits) in [
            (
                "create",
                stack.post("/auth/backend", &admin_login("n")),
                200,
                "GetItem GetItem TransactWriteItems UpdateItem UpdateItem",
                2,
            ),
            ("create, wrong password", stack.post("/auth/backend", &wrong), 400, "GetItem GetItem UpdateItem", 1),
            ("list", stack.get("/backend/tokens"), 200, "GetItem Query Query", 2),
            ("list, past the end", stack.get("/backend/tokens?offset=9"), 200, "GetItem Query", 1),
            ("list, bad limit", stack.get("/backend/tokens?limit=x"), 422, "GetItem", 1),
            ("delete", stack.delete(&json!({"id": id})), 200, "TransactWriteItems", 1),
            ("delete, not there", stack.delete(&json!({"id": id})), 404, "TransactWriteItems", 1),
            ("exchange", stack.exchange(&jwt), 200, "GetItem GetItem GetItem", 1),
            ("login", stack.post("/auth/customers", &buyer_login()), 200, "GetItem GetItem UpdateItem UpdateItem", 2),
            (
                "issue",
                stack.post("/auth/customers/storefront", &json!({"customerId": demo::BUYER_ID})),
                200,
                "GetItem GetItem",
                1,
            ),
        ] {
            endpoints.extend(name.split(',').next());
            check(name, authenticated(call, secret), status, operations, waits).await;
        }
    }
    assert_eq!(endpoints.len(), ROUTES.len(), "an endpoint has no budget");
    for _ in 0..10 {
        stack.post("/auth/backend", &wrong).send().await;
    }
    check("create, too often", stack.post("/auth/backend", &wrong), 429, "GetItem GetItem UpdateItem", 1).await;
    let both = |call: Call| call.token(&token).account(&account);
    check("list, both", both(stack.get("/backend/tokens")), 200, "GetItem GetItem Query Query", 2).await;
    check("delete, both", both(stack.delete(&json!({"id": 9}))), 404, "TransactWriteItems", 1).await;
    check("delete itself", both(stack.delete(&json!({"id": 1}))), 200, "TransactWriteItems", 1).await;
    check("list, deleted token", stack.get("/backend/tokens").token(&token), 401, "GetItem Query", 1).await;
    stack.revoke_api_account(&account).await;
    check("list, revoked account", stack.get("/backend/tokens").account(&account), 401, "GetItem Query", 1).await;
}

#[tokio::test]
async fn a_page_costs_the_same_at_any_depth() {
    let (stack, stopwatch) = measured_stack().await;
    crate::backend::tokens::fill(&stack, 600).await;
    for offset in [0, 250, 255, 256, 400, 590] {
        let call = stack.get(&format!("/backend/tokens?limit=10&offset={offset}")).token(&stack.demo_token);
        let (answer, operations, waits) = stopwatch.measure(call).await;
        assert_eq!(answer.body["data"].as_array().unwrap().len(), 10);
        assert_eq!((operations.join(" ").as_str(), waits), ("GetItem Query Query", 2), "offset {offset}");
    }
}
