//! `GET /backend/tokens`: lists a store's server-to-server tokens.

use lambda_http::Request;
use serde_json::{Value, json};
use shared::{
    auth::caller::Caller,
    http::{
        envelope::{Pagination, Success},
        error::Error,
        fields::saturating_count,
        request::query_fields,
    },
    keys::{jwt, keyring::Keyring},
    lambda::Endpoint,
    scopes::{Scope, needed},
    services::Services,
    tables::tokens::{TokenPage, TokenRecord},
};

const DEFAULT_LIMIT: u64 = 10;
const MAX_LIMIT: u64 = 250;

pub struct ListBackendTokens;

impl Endpoint for ListBackendTokens {
    const NAME: &'static str = "list-backend-tokens";

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let Services { auth, tokens, keyring, .. } = services;
        let caller = auth.caller(request.headers(), needed::TO_LIST_TOKENS).await?;
        let (limit, offset) = caller.confirm_before_refusing(read(request)).await?;

        let page = async |store_hash: &str| tokens.page(store_hash, offset, limit).await;
        let (caller, (), page) = caller.confirm_beside(|_| (), page).await?;
        let TokenPage { tokens, total_count } = page?;

        let keyring = keyring.with_keys(tokens.iter().map(|token| token.kid.as_str())).await?;
        let data = tokens.iter().map(|token| entry(token, &caller, &keyring)).collect();
        let pagination = Pagination { total_count, offset, limit };
        Ok(Success::new(Value::Array(data)).with_pagination(pagination))
    }
}

fn read(request: &Request) -> Result<(u64, u64), Error> {
    let (limit, offset) = query_fields(request).read(|fields| {
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

fn entry(token: &TokenRecord, caller: &Caller, keyring: &Keyring) -> Value {
    let store_hash = caller.store_hash();
    // A token whose key an operator has retired is good for nothing; it is listed so that it can be deleted. What may only read
    // must not be worth what it reads.
    let key = keyring.key(&token.kid).filter(|_| caller.may(Scope::TokensWrite));
    let signed = key.map_or_else(String::new, |key| jwt::sign(&token.claims(store_hash), key));
    json!({
        "id": token.id,
        "name": token.name,
        "email": token.email,
        "storeHash": store_hash,
        "token": signed,
        "eventChannel": token.event_channel,
        "lastUsedAt": token.last_used_at,
        "beginAt": token.nbf,
        "endAt": token.ends_at,
        "scopes": token.scopes.names(),
        "replacedById": token.replaced_by,
    })
}
