//! `GET /backend/tokens`: lists a store's server-to-server tokens.

use serde_json::{Value, json};
use shared::{
    http::{
        envelope::{Pagination, Success},
        error::Error,
        fields::saturating_count,
        request::Request,
    },
    keys::{jwt, keyring::Keyring},
    lambda::Function,
    services::Services,
    tables::{
        directory::Scope,
        tokens::{TokenRecord, total},
    },
};

const DEFAULT_LIMIT: u64 = 10;
const MAX_LIMIT: u64 = 250;

/// The endpoint.
pub struct ListBackendTokens {
    services: Services,
}

impl ListBackendTokens {
    /// The endpoint with these services.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services }
    }
}

impl Function for ListBackendTokens {
    const NAME: &'static str = "list-backend-tokens";

    async fn handle(&self, request: &Request) -> Result<Success, Error> {
        let tokens = &self.services.tokens;
        let caller = self.services.caller(request, Scope::Read).await?;
        let (limit, offset) = self.services.read_for(Some(&caller), read(request)).await?;

        let (confirmed, counts) =
            tokio::join!(self.services.confirm(Some(&caller)), tokens.block_counts(&caller.store_hash));
        confirmed?;
        let counts = counts?;
        let page = tokens.page(&caller.store_hash, &counts, offset, limit).await?;

        let keys = self.services.keyring_with(page.iter().map(|token| token.kid.as_str())).await?;
        let data = page.iter().map(|token| entry(token, &caller.store_hash, &keys)).collect();
        let pagination = Pagination { total_count: total(&counts), offset, limit };
        Ok(Success::new(Value::Array(data)).with_pagination(pagination))
    }
}

fn read(request: &Request) -> Result<(u64, u64), Error> {
    let (limit, offset) = request.query_fields().read(|fields| {
        let limit = fields.optional("limit", saturating_count).unwrap_or(DEFAULT_LIMIT);
        if limit == 0 {
            fields.reject("limit", "must be 1 or more.");
        }
        (limit, fields.optional("offset", saturating_count).unwrap_or(0))
    })?;
    if limit > MAX_LIMIT {
        return Err(Error::TooLarge("limit: must not be over 250."));
    }
    Ok((limit, offset))
}

fn entry(token: &TokenRecord, store_hash: &str, keys: &Keyring) -> Value {
    // A token whose key an operator has retired is good for nothing; it is listed so that it can be deleted.
    let signed = keys.key(&token.kid).map_or_else(String::new, |key| jwt::sign(&token.claims(store_hash), key));
    json!({
        "id": token.id,
        "name": token.name,
        "email": token.email,
        "storeHash": store_hash,
        "token": signed,
        "eventChannel": token.event_channel,
        "lastUsedAt": token.last_used_at,
    })
}
