//! `POST /auth/customers/storefront`: a customer's id in, a storefront token out.

use lambda_http::Request;
use serde_json::json;
use shared::{
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
    tables::directory::DEFAULT_CHANNEL,
};

/// Longest customer access token, in characters; it is not looked into.
const MAX_ACCESS_TOKEN: usize = 8192;

pub struct IssueStorefrontToken;

struct Body {
    customer_id: u64,
    channel_id: u64,
}

impl Endpoint for IssueStorefrontToken {
    const NAME: &'static str = "issue-storefront-token";

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let Services { auth, clock, directory, .. } = services;
        let caller = auth.caller(request.headers(), needed::TO_ISSUE_STOREFRONT_TOKENS).await?;
        let now = clock.now();
        let body = caller.confirm_before_refusing(read(request, now)).await?;

        let customer = |store_hash: &str| directory.customer(store_hash, body.customer_id);
        let (caller, customer, ()) = caller.confirm_beside(customer, async |_| ()).await?;
        let customer = customer.filter(|customer| customer.may_use(body.channel_id)).ok_or(Error::NoSuchCustomer)?;

        let claims = StorefrontClaims {
            email: &customer.email,
            bc_customer_id: customer.customer_id,
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

fn read(request: &Request, now: u64) -> Result<Body, Error> {
    body_fields(request)?.read(|fields| {
        fields.optional_object("customerAccessToken", |access_token| {
            access_token.optional("value", text(0..=MAX_ACCESS_TOKEN));
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
        }
    })
}
