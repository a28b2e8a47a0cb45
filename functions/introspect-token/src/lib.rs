//! `POST /oauth/introspect`: says what a token is, and whether it is good now (RFC 7662).

use lambda_http::Request;
use serde_json::{Value, json};
use shared::{
    auth::{denial::Denial, genuine_token::GenuineToken, server_token::ServerToken},
    http::{envelope::Success, error::Error, fields::text, request::form_or_json_fields},
    keys::claims::{SERVER, STOREFRONT},
    lambda::Endpoint,
    services::Services,
};

/// Longest token, in characters; no body is longer.
const MAX_TOKEN: usize = 65_536;

pub struct IntrospectToken;

impl Endpoint for IntrospectToken {
    const NAME: &'static str = "introspect-token";

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let auth = &services.auth;
        let caller = auth.introspecting_caller(request.headers()).await?;
        let token = caller.confirm_before_refusing(read(request)).await?;
        let token = match auth.genuine_token(&token).await {
            Ok(token) => Some(token),
            Err(Denial::Fault(fault)) => return Err(fault.into()),
            Err(_) => None,
        };

        let standing = |store_hash: &str| {
            let of_store = token.as_ref().filter(|token| token.store_hash() == store_hash);
            of_store.map(|token| auth.standing(token))
        };
        let (_, standing, ()) = caller.confirm_beside(standing, async |_| ()).await?;
        let (Some(token), Some(Ok(ends_at))) = (token, standing) else {
            return Ok(Success::without_envelope(json!({"active": false})));
        };
        auth.note_use_of(&token);
        Ok(Success::without_envelope(described(&token, ends_at)))
    }
}

fn read(request: &Request) -> Result<String, Error> {
    form_or_json_fields(request)?.read(|fields| fields.required("token", text(1..=MAX_TOKEN)))
}

/// The members that RFC 7662, section 2.2, names, and ours, as far as they apply. Whoever asks may keep the answer until `exp`, so
/// that is when the token ends, which may be before its own.
fn described(token: &GenuineToken, ends_at: Option<u64>) -> Value {
    let claims = match token {
        GenuineToken::Server(ServerToken { store_hash, identity }) => json!({
            "aud": SERVER,
            "sub": identity.email,
            "iat": identity.iat,
            "nbf": identity.nbf,
            "exp": ends_at,
            "jti": identity.id.to_string(),
            "scope": identity.scopes.names_or_all(),
            "store_hash": store_hash,
            "email": identity.email,
        }),
        GenuineToken::Storefront(claims) => json!({
            "aud": STOREFRONT,
            "sub": claims.bc_customer_id.to_string(),
            "iat": claims.iat,
            "nbf": claims.nbf,
            "exp": ends_at,
            "store_hash": claims.store_hash,
            "email": claims.email,
            "bc_customer_id": claims.bc_customer_id,
            "channel_id": claims.channel_id(),
        }),
    };
    let mut described = json!({"active": true, "token_type": "Bearer"});
    for (name, value) in claims.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        described[name] = value.clone();
    }
    described
}
