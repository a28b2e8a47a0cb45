//! `GET /auth/storefront`: a current-customer JWT in, a storefront token out.

mod current_customer;

use current_customer::{App, CurrentCustomer};
use serde_json::json;
use shared::{
    http::{
        envelope::Success,
        error::Error,
        fields::{invalid_field, positive_integer, text},
        request::Request,
    },
    keys::{
        jwt::{DAY, DB, STOREFRONT, StorefrontClaims, WRONG_SIGNATURE},
        secret_cache::SecretCache,
    },
    lambda::Function,
    services::Services,
    tables::directory::DEFAULT_CHANNEL,
};

/// Longest JWT, in characters: more than API Gateway lets through in a query.
const MAX_JWT: usize = 10_240;

/// The endpoint.
pub struct ExchangeCustomerJwt {
    services: Services,
    /// The app, or why it is not set.
    app: SecretCache<Result<App, &'static str>>,
}

impl ExchangeCustomerJwt {
    /// The endpoint with these services.
    #[must_use]
    pub fn new(services: Services) -> Self {
        let app = SecretCache::new(
            services.secrets.clone(),
            services.configuration.app_secret_id.clone(),
            |secret| Ok(App::parse(secret)),
            services.clock.clone(),
        );
        Self { services, app }
    }

    async fn verify(&self, jwt: &str, now: u64) -> Result<CurrentCustomer, Error> {
        let verify = |app: &Result<App, &'static str>| match app {
            Ok(app) => app.verify(jwt, now).map_err(Error::InvalidJwtToken),
            Err(problem) => Err(Error::AppNotSet(problem)),
        };
        match verify(&*self.app.get().await?) {
            // It may have been set since, or have a new secret.
            Err(Error::AppNotSet(_) | Error::InvalidJwtToken(WRONG_SIGNATURE)) => verify(&*self.app.get_newer().await?),
            verified => verified,
        }
    }
}

impl Function for ExchangeCustomerJwt {
    const NAME: &'static str = "exchange-customer-jwt";

    async fn warm_up(&self) -> Result<(), Error> {
        self.app.get().await.map(drop)
    }

    async fn handle(&self, request: &Request) -> Result<Success, Error> {
        let caller = self.services.storefront_caller(request).await?;
        let (jwt, channel_id) = self.services.read_for(caller.as_ref(), read(request)).await?;

        let now = self.services.clock.now();
        let verified = self.verify(&jwt, now).await;
        let customer = self.services.read_for(caller.as_ref(), verified).await?;

        let (confirmed, store, known_customer) = tokio::join!(
            self.services.confirm(caller.as_ref()),
            self.services.directory.store(&customer.store_hash),
            self.services.directory.customer(&customer.store_hash, customer.id),
        );
        confirmed?;
        if caller.is_some_and(|caller| caller.store_hash != customer.store_hash) {
            return Err(Error::OtherStore);
        }
        let store = store?.ok_or(Error::InvalidJwtToken("the store is not in the directory"))?;
        if customer.issued_at < store.created_at {
            return Err(Error::InvalidJwtToken("issued before the store was made anew"));
        }
        // The platform vouches for customers whom the directory does not know.
        let known_customer = known_customer?;
        if known_customer.as_ref().is_some_and(|known| !known.active) {
            return Err(Error::InvalidJwtToken("the customer is disabled"));
        }
        if known_customer.as_ref().is_some_and(|known| !known.accepts_issued_at(customer.issued_at)) {
            return Err(Error::InvalidJwtToken("issued before the customer's tokens were revoked"));
        }
        let channels = known_customer.map_or(store.channels, |known| known.channels);
        if !channels.contains(&channel_id) {
            return Err(invalid_field("channelId", "is not a channel of the store that the customer may use."));
        }

        // All times follow the JWT, so that the same JWT gives the same storefront token.
        let claims = StorefrontClaims {
            email: &customer.email,
            bc_customer_id: customer.id,
            store_hash: &customer.store_hash,
            db: DB,
            bc_channel_id: channel_id,
            aud: STOREFRONT,
            iat: customer.issued_at,
            exp: customer.issued_at + DAY,
        };
        let token = self.services.sign(&claims).await?;
        Ok(Success::new(json!({"token": token})))
    }
}

fn read(request: &Request) -> Result<(String, u64), Error> {
    request.query_fields().read(|fields| {
        let jwt = fields.required("jwtToken", text(1..=MAX_JWT));
        (jwt, fields.optional("channelId", positive_integer).unwrap_or(DEFAULT_CHANNEL))
    })
}
