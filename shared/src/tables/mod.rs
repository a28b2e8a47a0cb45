//! What is kept in DynamoDB.

pub mod directory;
pub mod dynamodb;
pub mod login_attempts;
pub mod tokens;
