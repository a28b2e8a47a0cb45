//! `POST /auth/customers`: a customer's e-mail and password in, a storefront token out.

use secrecy::SecretString;
use serde_json::json;
use shared::{
    http::{
        envelope::Success,
        error::Error,
        fields::{email, password, positive_integer, text},
        request::Request,
    },
    keys::jwt::{CustomerLoginClaims, DAY, DB, STOREFRONT},
    lambda::Function,
    services::Services,
};

/// `token_type` of a token made by a login, as the platform numbers it.
const LOGIN_TOKEN: u8 = 3;

/// The endpoint.
pub struct LoginCustomer {
    services: Services,
}

struct Body {
    store_hash: String,
    email: String,
    password: SecretString,
    channel_id: u64,
    name: String,
    begin_at: u64,
    end_at: u64,
}

impl LoginCustomer {
    /// The endpoint with these services.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services }
    }
}

impl Function for LoginCustomer {
    const NAME: &'static str = "login-customer";

    async fn handle(&self, request: &Request) -> Result<Success, Error> {
        let caller = self.services.storefront_caller(request).await?;
        let now = self.services.clock.now();
        let body = self.services.read_for(caller.as_ref(), read(request, now)).await?;
        if caller.as_ref().is_some_and(|caller| caller.store_hash != body.store_hash) {
            self.services.confirm(caller.as_ref()).await?;
            return Err(Error::OtherStore);
        }

        let (confirmed, reserved, login) = tokio::join!(
            self.services.confirm(caller.as_ref()),
            self.services.customer_attempts.reserve(&body.store_hash, &body.email, &self.services.clock),
            self.services.directory.customer_login(&body.store_hash, &body.email),
        );
        if confirmed.is_err() && reserved.is_ok() {
            self.services.customer_attempts.take_back(&body.store_hash, &body.email).await;
        }
        confirmed?;
        reserved?;
        let login = login?;

        let password_hash = login.as_ref().map(|login| login.password_hash.as_str());
        let password_matches = self.services.passwords.check(&body.password, password_hash).await?;
        let customer = login
            .map(|login| login.customer)
            .filter(|customer| password_matches && customer.may_use(body.channel_id))
            .ok_or(Error::CustomerAuthFailed)?;
        self.services.customer_attempts.clear(&body.store_hash, &body.email).await;

        let claims = CustomerLoginClaims {
            email: &customer.email,
            store_hash: &body.store_hash,
            db: DB,
            name: &body.name,
            channel_ids: [body.channel_id],
            token_type: LOGIN_TOKEN,
            bc_customer_id: customer.customer_id,
            aud: STOREFRONT,
            iat: now,
            nbf: body.begin_at,
            exp: body.end_at,
        };
        let token = self.services.sign(&claims).await?;
        Ok(Success::new(json!({"name": body.name, "token": token})))
    }
}

fn read(request: &Request, now: u64) -> Result<Body, Error> {
    request.body_fields()?.read(|fields| {
        let (begin_at, end_at) = fields.validity(Some(now));
        let begin_at = begin_at.unwrap_or(now);
        Body {
            store_hash: fields.required("storeHash", text(1..=64)),
            email: fields.required("email", email),
            password: fields.required("password", password),
            channel_id: fields.required("channelId", positive_integer),
            name: fields.required("name", text(1..=255)),
            begin_at,
            end_at: end_at.unwrap_or(begin_at + DAY),
        }
    })
}
