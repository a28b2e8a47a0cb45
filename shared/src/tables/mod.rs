//! What is kept in DynamoDB. Knows nothing of HTTP: a table says what became of a request to it, or gives a
//! [`Fault`](crate::fault::Fault); what a caller hears of it is for others to say.

pub mod call_budget;
pub mod directory;
pub mod items;
pub mod login_attempts;
pub mod reads;
pub mod retries;
pub mod tokens;
pub mod transactions;
