//! `GET /auth/storefront`: a current-customer JWT in, a storefront token out.

mod current_customer;

use lambda_http::Request;
use serde_json::json;
use shared::{
    bigcommerce::Deadline,
    bigcommerce_customers::BigCommerceCustomers,
    fault::Fault,
    http::{
        envelope::Success,
        error::Error,
        fields::{invalid_field, positive_integer, text},
        request::query_fields,
    },
    keys::{
        app::AppSecret,
        claims::{DB, STOREFRONT, StorefrontClaims},
        jwt::{DAY, WRONG_SIGNATURE},
    },
    lambda::Endpoint,
    services::Services,
    tables::directory::{DEFAULT_CHANNEL, Store},
};

use current_customer::CurrentCustomer;

/// Longest JWT, in characters: more than API Gateway lets through in a query.
const MAX_JWT: usize = 10_240;

pub struct ExchangeCustomerJwt;

impl Endpoint for ExchangeCustomerJwt {
    const NAME: &'static str = "exchange-customer-jwt";
    const BROWSER_METHOD: Option<&'static str> = Some("GET");

    async fn warm_up(services: &Services) -> Result<(), Fault> {
        services.app.get().await.map(drop)
    }

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let Services { auth, bigcommerce, directory, .. } = services;
        let caller = auth.storefront_caller(request.headers()).await?;
        let (jwt, channel_id) = caller.confirm_before_refusing(read(request)).await?;
        let verified = verify(services, &jwt).await;
        let customer = caller.confirm_before_refusing(verified).await?;

        let caller = caller.of_store(&customer.store_hash).await?;
        let known = |store_hash: &str| (directory.store(store_hash), directory.customer(store_hash, customer.id));
        let (caller, (store, known_customer), ()) = caller.confirm_beside(known, async |_| ()).await?;
        let store = store.ok_or(Error::InvalidJwtToken("the store is not in the directory"))?;
        if customer.issued_at < store.created_at {
            return Err(Error::InvalidJwtToken("issued before the store was made anew"));
        }
        // The platform vouches for customers whom the directory does not know.
        if known_customer.as_ref().is_some_and(|known| !known.active) {
            return Err(Error::InvalidJwtToken("the customer is disabled"));
        }
        if known_customer.as_ref().is_some_and(|known| !known.accepts_issued_at(customer.issued_at)) {
            return Err(Error::InvalidJwtToken("issued before the customer's tokens were revoked"));
        }
        let may_use_channel = store.channels_of(known_customer.as_ref()).contains(&channel_id)
            && may_use_at_bigcommerce(bigcommerce, &store, caller.store_hash(), &customer, channel_id).await?;
        if !may_use_channel {
            return Err(invalid_field("channelId", "is not a channel of the store that the customer may use."));
        }

        // All times follow the JWT, so that the same JWT gives the same storefront token.
        let claims = StorefrontClaims {
            email: &customer.email,
            bc_customer_id: customer.id,
            store_hash: caller.store_hash(),
            db: DB,
            bc_channel_id: channel_id,
            aud: STOREFRONT,
            iat: customer.issued_at,
            exp: customer.issued_at + DAY,
        };
        let token = auth.issue_storefront_token(&caller, &claims).await?;
        Ok(Success::new(json!({"token": token})))
    }
}

/// Whether BigCommerce lets the customer into the channel, where it knows the customers. Of a store's only channel the JWT says it: a
/// storefront makes it for whoever is logged in.
async fn may_use_at_bigcommerce(
    bigcommerce: &BigCommerceCustomers,
    store: &Store,
    store_hash: &str,
    customer: &CurrentCustomer,
    channel_id: u64,
) -> Result<bool, Error> {
    if !store.is_at_bigcommerce() || store.channels.len() == 1 {
        return Ok(true);
    }
    let deadline = Deadline::from_now();
    let known = bigcommerce.customer(store_hash, customer.id, deadline).await?;
    let known = known.ok_or(Error::InvalidJwtToken("BigCommerce does not know the customer any more"))?;
    Ok(bigcommerce.may_use(store_hash, &known, channel_id, deadline).await?)
}

async fn verify(services: &Services, jwt: &str) -> Result<CurrentCustomer, Error> {
    let now = services.clock.now();
    let verify = |app: &Result<AppSecret, &'static str>| match app {
        Ok(app) => current_customer::verify(jwt, app, now).map_err(Error::InvalidJwtToken),
        Err(problem) => Err(Error::AppUnusable(problem)),
    };
    match verify(&*services.app.get().await?) {
        // It may have been set or mended since, or have a new secret.
        Err(Error::AppUnusable(_) | Error::InvalidJwtToken(WRONG_SIGNATURE)) => {
            verify(&*services.app.get_newer().await?)
        }
        verified => verified,
    }
}

fn read(request: &Request) -> Result<(String, u64), Error> {
    query_fields(request).read(|fields| {
        let jwt = fields.required("jwtToken", text(1..=MAX_JWT));
        (jwt, fields.optional("channelId", positive_integer).unwrap_or(DEFAULT_CHANNEL))
    })
}
