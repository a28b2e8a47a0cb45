//! Customers of whom no more may be known than the id.

use crate::{failure::Failure, tool::Tool};
use serde::Serialize;
use serde_json::{Value, json};
use shared::tables::directory::Customer;

/// Who is disabled or enabled by id. One whom only BigCommerce knows can be disabled too.
pub async fn of_id(tool: &Tool, hash: &str, id: u64, active: bool) -> Result<Customer, Failure> {
    let store = tool.store(hash).await?;
    if store.is_at_bigcommerce() && !active && tool.stack.services.directory.customer(hash, id).await?.is_none() {
        return Ok(stranger(id));
    }
    tool.customer_of_id(hash, &store, id).await
}

/// One of whom nothing is known, and who is not kept out.
pub fn stranger(id: u64) -> Customer {
    Customer { active: true, ..Customer::removed(id, 0) }
}

/// What is shown of a customer besides the id; nothing where no more is known.
pub fn known(customer: &Customer, value: impl Serialize) -> Value {
    if customer.is_removed() { Value::Null } else { json!(value) }
}
