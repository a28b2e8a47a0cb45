//! `POST /auth/backend`: an administrator's e-mail and password in, a server-to-server token out.

use secrecy::SecretString;
use serde_json::json;
use shared::{
    http::{
        envelope::Success,
        error::Error,
        fields::{email, password, text},
        request::Request,
    },
    keys::jwt,
    lambda::Function,
    services::Services,
    tables::tokens::{EventChannel, TokenRecord},
};

/// The endpoint.
pub struct CreateBackendToken {
    services: Services,
}

struct Body {
    store_hash: String,
    email: String,
    password: SecretString,
    name: String,
    begin_at: Option<u64>,
    end_at: Option<u64>,
}

impl CreateBackendToken {
    /// The endpoint with these services.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services }
    }
}

impl Function for CreateBackendToken {
    const NAME: &'static str = "create-backend-token";

    async fn handle(&self, request: &Request) -> Result<Success, Error> {
        let Services { configuration, clock, keyring, tokens, directory, backend_user_attempts, passwords, .. } =
            &self.services;
        let body = read(request)?;
        let now = clock.now();

        let (reserved, user, counter) = tokio::join!(
            backend_user_attempts.reserve(&body.store_hash, &body.email, clock),
            directory.backend_user(&body.store_hash, &body.email),
            tokens.counter(&body.store_hash),
        );
        reserved?;
        let (user, counter) = (user?, counter?);

        let password_hash = user.as_ref().map(|user| user.password_hash.as_str());
        let password_matches = passwords.check(&body.password, password_hash).await?;
        let Some(user) = user.filter(|user| password_matches && user.active) else {
            return Err(Error::IncorrectCredentials);
        };

        let create = async {
            if !user.role.may_create_tokens() {
                return Err(Error::RoleForbidden);
            }
            let maker = directory.backend_user_check(&body.store_hash, &user)?;
            let keyring = keyring.get().await?;
            let key = keyring.signing_key(now);
            let token = TokenRecord {
                id: 0, // The table gives it one.
                name: body.name,
                email: user.email,
                event_channel: EventChannel::Api,
                kid: key.kid.clone(),
                iat: now,
                nbf: body.begin_at,
                exp: body.end_at,
                last_used_at: None,
            };
            let max = configuration.max_tokens_per_store;
            let token = tokens.create(&body.store_hash, token, counter, max, &maker).await?;
            Ok((jwt::sign(&token.claims(&body.store_hash), key), token.name))
        };
        let (created, ()) = tokio::join!(create, backend_user_attempts.clear(&body.store_hash, &body.email));
        let (token, name) = created?;
        Ok(Success::new(json!([{"name": name, "token": token}])))
    }
}

fn read(request: &Request) -> Result<Body, Error> {
    request.body_fields()?.read(|fields| {
        let (begin_at, end_at) = fields.validity(None);
        Body {
            store_hash: fields.required("storeHash", text(1..=64)),
            email: fields.required("email", email),
            password: fields.required("password", password),
            name: fields.required("name", text(0..=255)),
            begin_at,
            end_at,
        }
    })
}
