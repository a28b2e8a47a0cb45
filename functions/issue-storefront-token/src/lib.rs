//! `POST /auth/customers/storefront`: a customer's id in, a storefront token out.

use lambda_http::Request;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use shared::{
    bigcommerce::Deadline,
    bigcommerce_customers::BigCommerceCustomers,
    http::{
        envelope::Success,
        error::Error,
        fields::{iso8601, positive_integer, text},
        request::body_fields,
    },
    keys::{
        claims::{DB, STOREFRONT, StorefrontClaims},
        jwt::{DAY, LEEWAY},
    },
    lambda::Endpoint,
    scopes::needed,
    services::Services,
    tables::directory::{Customer, DEFAULT_CHANNEL, Store},
};

/// Longest customer access token, in characters. Only BigCommerce knows whose it is.
const MAX_ACCESS_TOKEN: usize = 8192;

pub struct IssueStorefrontToken;

struct Body {
    customer_id: u64,
    channel_id: u64,
    /// Empty where one is shown that has no value.
    access_token: Option<SecretString>,
}

impl Endpoint for IssueStorefrontToken {
    const NAME: &'static str = "issue-storefront-token";

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let Services { auth, bigcommerce, clock, directory, .. } = services;
        let caller = auth.caller(request.headers(), needed::TO_ISSUE_STOREFRONT_TOKENS).await?;
        let now = clock.now();
        let body = caller.confirm_before_refusing(read(request, now)).await?;

        let reads = |store_hash: &str| (directory.store(store_hash), directory.customer(store_hash, body.customer_id));
        let (caller, (store, known), ()) = caller.confirm_beside(reads, async |_| ()).await?;
        let email = match store {
            Some(store) if store.is_at_bigcommerce() => {
                email_at_bigcommerce(bigcommerce, &store, caller.store_hash(), known.as_ref(), &body).await?
            }
            _ => known.filter(|customer| customer.may_use(body.channel_id)).map(|customer| customer.email),
        };
        let email = email.ok_or(Error::NoSuchCustomer)?;

        let claims = StorefrontClaims {
            email: &email,
            bc_customer_id: body.customer_id,
            store_hash: caller.store_hash(),
            db: DB,
            bc_channel_id: body.channel_id,
            aud: STOREFRONT,
            iat: now,
            exp: now + DAY,
        };
        let token = auth.issue_storefront_token(&caller, &claims).await?;
        Ok(Success::new(json!({"token": [token]})).with_message("success"))
    }
}

/// The e-mail of a customer whom BigCommerce knows and who may use the channel, if there is one. The table has no more of him than
/// what was revoked here.
async fn email_at_bigcommerce(
    bigcommerce: &BigCommerceCustomers,
    store: &Store,
    store_hash: &str,
    known: Option<&Customer>,
    Body { customer_id, channel_id, access_token }: &Body,
) -> Result<Option<String>, Error> {
    if !store.channels.contains(channel_id) || known.is_some_and(|known| !known.active) {
        return Ok(None);
    }
    let deadline = Deadline::from_now();
    let Some(customer) = bigcommerce.customer(store_hash, *customer_id, deadline).await? else { return Ok(None) };
    if !bigcommerce.may_use(store_hash, &customer, *channel_id, deadline).await? {
        return Ok(None);
    }
    if let Some(access_token) = access_token {
        if access_token.expose_secret().is_empty() {
            return Err(Error::InvalidCustomerAccessToken("it has no value"));
        }
        match bigcommerce.owner(store_hash, *channel_id, access_token, deadline).await? {
            Some(owner) if owner == *customer_id => {}
            Some(_) => return Err(Error::InvalidCustomerAccessToken("another customer's")),
            None => return Err(Error::InvalidCustomerAccessToken("nobody's, or ended")),
        }
    }
    Ok(Some(customer.email))
}

fn read(request: &Request, now: u64) -> Result<Body, Error> {
    body_fields(request)?.read(|fields| {
        let mut shown = None;
        fields.optional_object("customerAccessToken", |access_token| {
            shown = Some(access_token.optional("value", text(0..=MAX_ACCESS_TOKEN)).unwrap_or_default());
            // If both are there neither may have passed.
            for name in ["expires_at", "expiresAt"] {
                if let Some(expires_at) = access_token.optional(name, iso8601)
                    && i64::try_from(now).is_ok_and(|now| expires_at.saturating_add_unsigned(LEEWAY) <= now)
                {
                    access_token.reject(name, "lies in the past: the customer access token has expired.");
                }
            }
        });
        Body {
            customer_id: fields.required("customerId", positive_integer),
            channel_id: fields.optional("channelId", positive_integer).unwrap_or(DEFAULT_CHANNEL),
            access_token: shown.map(SecretString::from),
        }
    })
}
