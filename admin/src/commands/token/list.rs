//! `b2b-auth token list`.

use super::filter::{Filter, matching};
use crate::{failure::Failure, output::Rows, tool::Tool};
use accounts::StoredToken;
use serde_json::{Value, json};

pub async fn run(tool: &Tool, store: Option<&str>, filter: &Filter) -> Result<(), Failure> {
    let mut rows = rows(tool, store);
    let mut tokens = matching(tool, store, filter).await?;
    while let Some(token) = tokens.next().await? {
        rows.push(row(&token, store))?;
    }
    rows.end()
}

/// Of one store the first is left out.
const COLUMNS: &[&str] = &[
    "store",
    "id",
    "name",
    "email",
    "eventChannel",
    "key",
    "issuedAt",
    "expiresAt",
    "replacedById",
    "lastUsedAt",
    "scopes",
];

/// For tokens of one store, or of all.
pub fn rows(tool: &Tool, store: Option<&str>) -> Rows {
    tool.output.rows(if store.is_some() { &COLUMNS[1..] } else { COLUMNS })
}

pub fn row(StoredToken { store_hash, record }: &StoredToken, store: Option<&str>) -> Vec<Value> {
    let mut row = vec![
        json!(record.id),
        json!(record.name),
        json!(record.email),
        json!(record.event_channel),
        json!(record.kid),
        json!(record.iat),
        json!(record.ends_at),
        json!(record.replaced_by),
        json!(record.last_used_at),
        json!(record.scopes.names()),
    ];
    if store.is_none() {
        row.insert(0, json!(store_hash));
    }
    row
}
