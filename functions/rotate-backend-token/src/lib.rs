//! `POST /auth/backend/rotate`: makes a server-to-server token in the place of another, which ends after an overlap.

use lambda_http::Request;
use serde_json::json;
use shared::{
    auth::caller::CredentialChecks,
    http::{
        envelope::Success,
        error::Error,
        fields::{integer_in, invalid_field, positive_integer, unix_seconds},
        request::{body_fields, idempotency_key},
    },
    lambda::Endpoint,
    services::Services,
    tables::tokens::{Counter, EventChannel, IdempotencyKey, NotRotated, Rotation, TokenRecord},
};

/// Seconds for which the old token stays good, if the caller does not say.
const DEFAULT_OVERLAP: u64 = 86_400;
const MAX_OVERLAP: u64 = 604_800;

pub struct RotateBackendToken;

struct Body {
    id: u64,
    overlap: u64,
    end_at: Option<u64>,
    idempotency_key: Option<IdempotencyKey>,
}

impl Endpoint for RotateBackendToken {
    const NAME: &'static str = "rotate-backend-token";

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let Services { auth, tokens, clock, .. } = services;
        let caller = auth.caller(request.headers(), None).await?;
        let body = caller.confirm_before_refusing(read(request, &caller.credential_ids())).await?;
        let caller = caller.who_changes(body.id);
        let checks = caller.checks()?;
        let key = body.idempotency_key.as_ref();
        let reads = |store_hash: &str| {
            let first_request = key.map(|key| tokens.first_request(store_hash, key));
            (tokens.record(store_hash, body.id), (tokens.counter(store_hash), first_request))
        };
        let (caller, (old, (counter, first_request)), ()) = caller.confirm_beside(reads, async |_| ()).await?;

        let (store_hash, now) = (caller.store_hash(), clock.now());
        let token = match tokens.made_before(store_hash, key, first_request.flatten(), now).await? {
            Some(token) => token,
            None => rotate(services, store_hash, &body, old, &checks, counter, now).await?,
        };
        let signed = services.sign(store_hash, &token).await?;
        Ok(Success::new(json!([{
            "id": token.id,
            "name": token.name,
            "token": signed,
            "replacesId": body.id,
            "replacedEndsAt": token.replaces.map(|replaced| replaced.ends_at),
        }])))
    }
}

async fn rotate(
    services: &Services,
    store_hash: &str,
    body: &Body,
    old: Option<TokenRecord>,
    checks: &CredentialChecks,
    counter: Option<Counter>,
    now: u64,
) -> Result<TokenRecord, Error> {
    let Services { configuration, keyring, tokens, directory, .. } = services;
    let old = &old.ok_or(Error::NoSuchToken)?;
    let maker = directory.token_maker_check(store_hash, &old.email, None)?;
    let keyring = keyring.get().await?;
    let rotation = Rotation {
        store_hash,
        old,
        overlap: body.overlap,
        exp: body.end_at,
        kid: &keyring.signing_key(now).kid,
        event_channel: EventChannel::Api,
        idempotency_key: body.idempotency_key.as_ref(),
        counter,
        max: configuration.max_tokens_per_store,
        now,
    };
    let rotated = tokens.rotate(&rotation, &checks.items, &maker).await;
    rotated.map_err(|not_rotated| refusal(not_rotated, checks))
}

fn refusal(not_rotated: NotRotated, checks: &CredentialChecks) -> Error {
    match not_rotated {
        NotRotated::NoSuchToken => Error::NoSuchToken,
        NotRotated::Replaced { by } => Error::AlreadyReplaced { by },
        NotRotated::EndsTooEarly => {
            invalid_field("endAt", "must lie in the future, and after the beginAt of the token that is replaced.")
        }
        NotRotated::EndsTooLate => invalid_field("endAt", "must not lie after the end of the token that is replaced."),
        NotRotated::MakerForbidden => Error::MakerForbidden,
        NotRotated::CheckFailed { position, is_present } => checks.denial(position, is_present).into(),
        NotRotated::NotCreated(not_created) => not_created.into(),
    }
}

fn read(request: &Request, caller: &[String]) -> Result<Body, Error> {
    body_fields(request)?.read(|fields| {
        let id = fields.required("id", positive_integer);
        let overlap = fields.optional("overlapSeconds", integer_in(0..=MAX_OVERLAP)).unwrap_or(DEFAULT_OVERLAP);
        let end_at = fields.optional("endAt", unix_seconds);
        // All that makes two requests the same. With a key that can be guessed, the bearer of the old token must not get the new one.
        let fingerprint = json!([RotateBackendToken::NAME, caller, id, overlap, end_at]);
        let idempotency_key = idempotency_key(request, fields).map(|key| IdempotencyKey::new(&key, &fingerprint));
        Body { id, overlap, end_at, idempotency_key }
    })
}
