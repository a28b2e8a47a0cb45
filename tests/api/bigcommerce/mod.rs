//! Stores whose customers are at BigCommerce.

mod account;
mod answers;
mod budget;
mod exchange;
mod login;
mod revocation;
mod storefront;
mod stores;

use local::{
    bigcommerce::{Customer, Store},
    demo,
};
use serde_json::{Value, json};
use tests::{Answer, TestStack};

/// What the tests' names for calls stand for: parts of their paths.
const VALIDATE: &str = "/customers/validate-credentials";
const LOOK_UP: &str = "/customers?id:in=";
const CHANNEL_SETTINGS: &str = "/customers/settings/channels/";
const PRIVATE_TOKEN: &str = "/storefront/api-token-private";
const GRAPHQL: &str = "/graphql";

/// `POST /auth/customers/storefront`.
async fn issue(stack: &TestStack, body: &Value) -> Answer {
    stack.post("/auth/customers/storefront", body).token(&stack.demo_token).send().await
}

/// The same for the demo customer, who shows this access token.
async fn issue_for_access_token(stack: &TestStack, value: &str) -> Answer {
    issue(stack, &json!({"customerId": demo::BUYER_ID, "customerAccessToken": {"value": value}})).await
}

async fn log_in(stack: &TestStack) -> Answer {
    stack.log_in(demo::BUYER_EMAIL, demo::BUYER_PASSWORD).await
}

fn put_customer(store: &mut Store, id: u64, email: &str, password: &str, channel_ids: Option<Vec<u64>>) {
    let customer = Customer { email: email.into(), password: password.into(), channel_ids };
    store.customers.insert(id, customer);
}
