//! `POST /auth/customers`: a customer's e-mail and password in, a storefront token out.

use lambda_http::Request;
use secrecy::SecretString;
use serde_json::json;
use shared::{
    auth::caller::Refused,
    bigcommerce::Deadline,
    http::{
        envelope::Success,
        error::Error,
        fields::{MAX_NAME, email, password, positive_integer, store_hash, text},
        request::{body_fields, caller_address},
    },
    keys::{
        claims::{CustomerLoginClaims, DB, STOREFRONT},
        jwt::DAY,
    },
    lambda::Endpoint,
    passwords::Passwords,
    services::Services,
    tables::{
        directory::{CustomerLogin, Store},
        login_attempts::{Origin, Reservation},
        reads::together,
    },
};

/// `token_type` of a token made by a login, as the platform numbers it.
const LOGIN_TOKEN: u8 = 3;

pub struct LoginCustomer;

struct Body {
    store_hash: String,
    email: String,
    password: SecretString,
    channel_id: u64,
    name: String,
    begin_at: u64,
    end_at: u64,
}

/// Who has logged in.
struct LoggedIn {
    id: u64,
    /// In the directory's spelling.
    email: String,
}

impl Endpoint for LoginCustomer {
    const NAME: &'static str = "login-customer";
    const BROWSER_METHOD: Option<&'static str> = Some("POST");

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let Services { after_answer, auth, clock, directory, customer_attempts, passwords, .. } = services;
        let caller = auth.storefront_caller(request.headers()).await?;
        let now = clock.now();
        let body = caller.confirm_before_refusing(read(request, now)).await?;

        let caller = caller.of_store(&body.store_hash).await?;
        let origin = Origin::at_channel(&caller_address(request), body.channel_id);
        let reads = |store_hash: &str| (directory.store(store_hash), directory.customer_login(store_hash, &body.email));
        let reserve = async |store_hash: &str| customer_attempts.reserve(store_hash, &body.email, origin, clock).await;
        let (caller, (store, login), reservation) = match caller.confirm_beside(reads, reserve).await {
            Err(Refused { denial, beside: Ok(Reservation::Counted(attempt)) }) => {
                attempt.take_back(now).await;
                return Err(denial.into());
            }
            confirmed => confirmed?,
        };
        let attempt = match reservation? {
            Reservation::Counted(attempt) => attempt,
            Reservation::Full { retry_after } => return Err(Error::TooManyFailedLogins { retry_after }),
        };

        let found = match store {
            Some(store) if store.is_at_bigcommerce() => {
                at_bigcommerce(services, &store, caller.store_hash(), &body).await
            }
            _ => in_table(passwords, login, &body).await,
        };
        let customer = match found {
            Ok(customer) => customer.ok_or(Error::CustomerAuthFailed)?,
            Err(error) => {
                // Nobody has said whether the password is right.
                after_answer.push(attempt.take_back(now));
                return Err(error);
            }
        };
        after_answer.push(attempt.succeeded(now));

        let claims = CustomerLoginClaims {
            email: &customer.email,
            store_hash: caller.store_hash(),
            db: DB,
            name: &body.name,
            channel_ids: [body.channel_id],
            token_type: LOGIN_TOKEN,
            bc_customer_id: customer.id,
            aud: STOREFRONT,
            iat: now,
            nbf: body.begin_at,
            exp: body.end_at,
        };
        let token = auth.issue_storefront_token(&caller, &claims).await?;
        Ok(Success::new(json!({"name": body.name, "token": token})))
    }
}

/// The customer whose e-mail and password they are, if he may log in at the channel.
async fn in_table(passwords: &Passwords, login: Option<CustomerLogin>, body: &Body) -> Result<Option<LoggedIn>, Error> {
    let password_hash = login.as_ref().map(|login| login.password_hash.as_str());
    let password_matches = passwords.check(&body.password, password_hash).await?;
    let customer = login.map(|login| login.customer);
    let customer = customer.filter(|customer| password_matches && customer.may_use(body.channel_id));
    Ok(customer.map(|customer| LoggedIn { id: customer.customer_id, email: customer.email }))
}

/// The same where BigCommerce knows the customers, and the table only whom it must not let in.
async fn at_bigcommerce(
    services: &Services,
    store: &Store,
    store_hash: &str,
    Body { email, password, channel_id, .. }: &Body,
) -> Result<Option<LoggedIn>, Error> {
    let Services { bigcommerce, directory, .. } = services;
    if !store.channels.contains(channel_id) {
        return Ok(None);
    }
    let deadline = Deadline::from_now();
    let Some(id) = bigcommerce.log_in(store_hash, email, password, *channel_id, deadline).await? else {
        return Ok(None);
    };
    let (known, customer) =
        tokio::join!(together(directory.customer(store_hash, id)), bigcommerce.customer(store_hash, id, deadline));
    let is_refused_here = known?.is_some_and(|known| !known.active);
    // That the channel is open to those who are limited to none, BigCommerce has said by accepting the password.
    let may_use = |channels: &Vec<u64>| channels.contains(channel_id);
    let customer = customer?.filter(|customer| customer.channel_ids.as_ref().is_none_or(may_use) && !is_refused_here);
    Ok(customer.map(|customer| LoggedIn { id, email: customer.email }))
}

fn read(request: &Request, now: u64) -> Result<Body, Error> {
    body_fields(request)?.read(|fields| {
        let (begin_at, end_at) = fields.validity(Some(now));
        let begin_at = begin_at.unwrap_or(now);
        Body {
            store_hash: fields.required("storeHash", store_hash),
            email: fields.required("email", email),
            password: fields.required("password", password),
            channel_id: fields.required("channelId", positive_integer),
            name: fields.required("name", text(1..=MAX_NAME)),
            begin_at,
            end_at: end_at.unwrap_or(begin_at + DAY),
        }
    })
}
