//! `POST /auth/backend`: an administrator's e-mail and password in, a server-to-server token out.

use lambda_http::Request;
use secrecy::SecretString;
use serde_json::json;
use shared::{
    auth::credentials,
    http::{
        envelope::Success,
        error::Error,
        fields::{MAX_NAME, email, password, scopes, store_hash, text},
        request::{body_fields, caller_address},
    },
    keys::jwt,
    lambda::Endpoint,
    scopes::Scopes,
    services::Services,
    tables::{
        directory::BackendUser,
        items::from_item,
        login_attempts::Reservation,
        reads::together,
        tokens::{Creation, EventChannel, TokenRecord},
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
}

impl Endpoint for CreateBackendToken {
    const NAME: &'static str = "create-backend-token";

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let Services { after_answer, configuration, clock, keyring, tokens, directory, .. } = services;
        let Services { backend_user_attempts, passwords, .. } = services;
        let body = read(request)?;
        credentials::check_named_store(request.headers(), &body.store_hash)?;
        let address = caller_address(request);
        let now = clock.now();

        let (reservation, read) = tokio::join!(
            backend_user_attempts.reserve(&body.store_hash, &body.email, address.as_str(), clock),
            together((directory.backend_user(&body.store_hash, &body.email), tokens.counter(&body.store_hash))),
        );
        let attempt = match reservation? {
            Reservation::Counted(attempt) => attempt,
            Reservation::Full { retry_after } => return Err(Error::TooManyFailedLogins { retry_after }),
        };
        let (user, counter) = read?;

        let password_hash = user.as_ref().map(|user| user.password_hash.as_str());
        let password_matches = passwords.check(&body.password, password_hash).await?;
        let Some(user) = user.filter(|user| password_matches && user.active) else {
            return Err(Error::IncorrectCredentials);
        };

        after_answer.push(attempt.succeeded(now));
        if !user.role.may_create_tokens() {
            return Err(Error::RoleForbidden);
        }

        let maker = directory.token_maker_check(&body.store_hash, &user)?;
        let keyring = keyring.get().await?;
        let key = keyring.signing_key(now);
        let record = |id| TokenRecord {
            id,
            name: body.name.clone(),
            email: user.email.clone(),
            event_channel: EventChannel::Api,
            kid: key.kid.clone(),
            iat: now,
            nbf: body.begin_at,
            exp: body.end_at,
            scopes: body.scopes.clone(),
            last_used_at: None,
        };
        let max = configuration.max_tokens_per_store;
        let token = match tokens.create(&body.store_hash, counter, max, now, &maker, record).await? {
            Creation::Created(token) => jwt::sign(&token.claims(&body.store_hash), key),
            Creation::MakerChanged(item) => {
                let present = item.map(from_item::<BackendUser>).transpose()?;
                let present = present.filter(|present| present.active && present.password_hash == user.password_hash);
                return Err(present.map_or(Error::IncorrectCredentials, |_| Error::RoleForbidden));
            }
            Creation::Full => return Err(Error::TooManyTokens { max }),
        };
        Ok(Success::new(json!([{"name": body.name, "token": token}])))
    }
}

fn read(request: &Request) -> Result<Body, Error> {
    body_fields(request)?.read(|fields| {
        let (begin_at, end_at) = fields.validity(None);
        Body {
            store_hash: fields.required("storeHash", store_hash),
            email: fields.required("email", email),
            password: fields.required("password", password),
            name: fields.required("name", text(0..=MAX_NAME)),
            begin_at,
            end_at,
            scopes: fields.optional("scopes", scopes).unwrap_or(Scopes::ALL),
        }
    })
}
