//! `POST /auth/backend`: an administrator's e-mail and password in, a server-to-server token out.

use lambda_http::Request;
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::{
    auth::credentials,
    http::{
        envelope::Success,
        error::Error,
        fields::{MAX_NAME, email, password, scopes, store_hash, text},
        request::{body_fields, caller_address, idempotency_key},
    },
    lambda::Endpoint,
    scopes::Scopes,
    services::Services,
    tables::{
        directory::BackendUser,
        items::{email_key, from_item},
        login_attempts::Reservation,
        reads::together,
        tokens::{Counter, Creation, EventChannel, IdempotencyKey, NewToken, TokenRecord},
    },
};

pub struct CreateBackendToken;

struct Body {
    store_hash: String,
    email: String,
    password: SecretString,
    name: String,
    begin_at: Option<u64>,
    end_at: Option<u64>,
    scopes: Scopes,
    idempotency_key: Option<IdempotencyKey>,
}

impl Endpoint for CreateBackendToken {
    const NAME: &'static str = "create-backend-token";

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let Services { after_answer, clock, tokens, directory, backend_user_attempts, passwords, .. } = services;
        let body = read(request)?;
        credentials::check_named_store(request.headers(), &body.store_hash)?;
        let address = caller_address(request);
        let now = clock.now();

        let first_request = body.idempotency_key.as_ref().map(|key| tokens.first_request(&body.store_hash, key));
        let before = (tokens.counter(&body.store_hash), first_request);
        let (reservation, read) = tokio::join!(
            backend_user_attempts.reserve(&body.store_hash, &body.email, address.as_str(), clock),
            together((directory.backend_user(&body.store_hash, &body.email), before)),
        );
        let attempt = match reservation? {
            Reservation::Counted(attempt) => attempt,
            Reservation::Full { retry_after } => return Err(Error::TooManyFailedLogins { retry_after }),
        };
        let (user, (counter, first_request)) = read?;

        let password_hash = user.as_ref().map(|user| user.password_hash.as_str());
        let password_matches = passwords.check(&body.password, password_hash).await?;
        let Some(user) = user.filter(|user| password_matches && user.active) else {
            return Err(Error::IncorrectCredentials);
        };

        after_answer.push(attempt.succeeded(now));
        if !user.role.may_create_tokens() {
            return Err(Error::RoleForbidden);
        }

        let key = body.idempotency_key.as_ref();
        let token = match tokens.made_before(&body.store_hash, key, first_request.flatten(), now).await? {
            Some(token) => token,
            None => create(services, &body, &user, counter, now).await?,
        };
        let signed = services.sign(&body.store_hash, &token).await?;
        Ok(Success::new(json!([{"name": token.name, "token": signed}])))
    }
}

async fn create(
    services: &Services,
    body: &Body,
    user: &BackendUser,
    counter: Option<Counter>,
    now: u64,
) -> Result<TokenRecord, Error> {
    let Services { configuration, keyring, tokens, directory, .. } = services;
    let token = NewToken {
        name: body.name.clone(),
        email: user.email.clone(),
        event_channel: EventChannel::Api,
        kid: keyring.get().await?.signing_key(now).kid.clone(),
        iat: now,
        nbf: body.begin_at,
        exp: body.end_at,
        scopes: body.scopes.clone(),
        replaces: None,
    };
    let creation = Creation {
        store_hash: &body.store_hash,
        token: &token,
        idempotency_key: body.idempotency_key.as_ref(),
        counter,
        max: configuration.max_tokens_per_store,
        now,
    };
    let maker = directory.token_maker_check(&body.store_hash, &user.email, Some(&user.password_hash))?;
    let refused = match tokens.create(&creation, |_| Ok(vec![maker.clone()])).await? {
        Ok(token) => return Ok(token),
        Err(refused) => refused,
    };
    // It may be a while since the password was looked at.
    let present = refused.item.map(from_item::<BackendUser>).transpose()?;
    let present = present.filter(|present| present.active && present.password_hash == user.password_hash);
    Err(present.map_or(Error::IncorrectCredentials, |_| Error::RoleForbidden))
}

fn read(request: &Request) -> Result<Body, Error> {
    body_fields(request)?.read(|fields| {
        let (begin_at, end_at) = fields.validity(None);
        let body = Body {
            store_hash: fields.required("storeHash", store_hash),
            email: fields.required("email", email),
            password: fields.required("password", password),
            name: fields.required("name", text(0..=MAX_NAME)),
            begin_at,
            end_at,
            scopes: fields.optional("scopes", scopes).unwrap_or(Scopes::ALL),
            idempotency_key: None,
        };
        let idempotency_key =
            idempotency_key(request, fields).map(|key| IdempotencyKey::new(&key, &fingerprint(&body)));
        Body { idempotency_key, ..body }
    })
}

/// All that makes two requests the same, but for the password: it is checked each time.
fn fingerprint(body: &Body) -> Value {
    let Body { email, name, begin_at, end_at, scopes, .. } = body;
    json!([CreateBackendToken::NAME, email_key(email), name, begin_at, end_at, scopes])
}
