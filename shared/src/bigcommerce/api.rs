//! The calls.

use super::{
    account::Account,
    addresses::Addresses,
    answers::{self, Customer, Malformed, Owner},
    connection::{Answer, Connection},
    failure::Failure,
    rate_limit,
};
use crate::{clock::Clock, kept::Kept};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The channel of the default storefront.
const DEFAULT_CHANNEL: u64 = 1;
/// The only question that is asked of a storefront.
const WHO_IS_IT: &str = "query { customer { entityId } }";
/// Seconds that a private token is good for.
pub const PRIVATE_TOKEN_LIFE: u64 = 24 * 60 * 60;

/// When the answers must be there that one request of a caller needs.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub(crate) Instant);

impl Deadline {
    /// From now on there is time for two attempts. What was read before may have taken three of the function's ten seconds.
    #[must_use]
    pub fn from_now() -> Self {
        Self(Instant::now() + Duration::from_secs(6))
    }
}

/// BigCommerce's API.
pub struct Api {
    addresses: Addresses,
    connection: Connection,
    clock: Clock,
    /// Stores of which nothing may be asked for a while.
    pauses: Kept<String, u64>,
}

/// What is asked for.
struct Call<'a> {
    method: &'static str,
    /// What follows the version of the API, without what a caller sent.
    name: &'static str,
    path: &'a str,
    body: Option<Value>,
    /// Whether it may be asked again where it may have been looked at.
    is_repeatable: bool,
}

impl Api {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(addresses: Addresses, clock: Clock) -> Self {
        Self { addresses, connection: Connection::default(), clock, pauses: Kept::default() }
    }

    /// The id of the customer with this e-mail and password who may log in at the channel, if there is one.
    pub async fn validate_credentials(
        &self,
        account: &Account,
        email: &str,
        password: &SecretString,
        channel_id: u64,
        deadline: Deadline,
    ) -> Result<Option<u64>, Failure> {
        let call = Call {
            method: "POST",
            name: "/customers/validate-credentials",
            path: "/customers/validate-credentials",
            body: Some(json!({"email": email, "password": password.expose_secret(), "channel_id": channel_id})),
            // Each may count as an attempt there.
            is_repeatable: false,
        };
        none_if_unacceptable(account, self.ask(account, &call, deadline, answers::credentials_of).await)
    }

    /// The customer of this id, if there is one.
    pub async fn customer(&self, account: &Account, id: u64, deadline: Deadline) -> Result<Option<Customer>, Failure> {
        let path = format!("/customers?id:in={id}");
        let call = Call { method: "GET", name: "/customers", path: &path, body: None, is_repeatable: true };
        none_if_unacceptable(account, self.ask(account, &call, deadline, |body| answers::customer(body, id)).await)
    }

    /// Whether a channel lets in customers who are limited to no channels.
    pub async fn allows_global_logins(
        &self,
        account: &Account,
        channel_id: u64,
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        let path = format!("/customers/settings/channels/{channel_id}");
        let call =
            Call { method: "GET", name: "/customers/settings/channels", path: &path, body: None, is_repeatable: true };
        self.ask(account, &call, deadline, |body| answers::allows_global_logins(body, channel_id == DEFAULT_CHANNEL))
            .await
    }

    /// A new token for the storefront of a channel, good for [`PRIVATE_TOKEN_LIFE`] seconds.
    pub async fn new_private_token(
        &self,
        account: &Account,
        channel_id: u64,
        deadline: Deadline,
    ) -> Result<SecretString, Failure> {
        let expires_at = self.clock.now() + PRIVATE_TOKEN_LIFE;
        let call = Call {
            method: "POST",
            name: "/storefront/api-token-private",
            path: "/storefront/api-token-private",
            body: Some(json!({"channel_ids": [channel_id], "expires_at": expires_at, "scopes": ["Customer"]})),
            is_repeatable: true,
        };
        self.ask(account, &call, deadline, answers::token).await
    }

    /// The id of the customer whose access token it is, if it is anyone's.
    pub async fn owner(
        &self,
        account: &Account,
        channel_id: u64,
        private_token: &SecretString,
        access_token: &SecretString,
        deadline: Deadline,
    ) -> Result<Option<u64>, Failure> {
        let address = self.addresses.of_graphql(&account.store_hash, channel_id);
        let body = json!({"query": WHO_IS_IT});
        let bearer = SecretString::from(format!("Bearer {}", private_token.expose_secret()));
        let headers = [
            ("authorization", bearer.expose_secret()),
            ("x-bc-customer-access-token", access_token.expose_secret()),
            // Without it a dead token is answered as none at all.
            ("x-bc-error-on-invalid-customer-access-token", "true"),
        ];
        // What cannot be sent is no token.
        let Some(request) = request("POST", &address, &headers, Some(&body)) else { return Ok(None) };
        let answer = self.send("POST /graphql", true, request, deadline).await?;
        if answer.status == 401 {
            return Err(Failure::PrivateTokenRefused);
        }
        let owner = read("POST /graphql", &answer, answers::owner).and_then(|owner| match owner {
            Owner::Customer(id) => Ok(Some(id)),
            Owner::Nobody => Ok(None),
            Owner::ScopeMissing => Err(Failure::refused("POST /graphql: the private token lacks the scope Customer")),
        });
        none_if_unacceptable(account, owner)
    }

    /// Asks for something of a store, and notes what the answer says of the quota.
    async fn ask<T>(
        &self,
        account: &Account,
        call: &Call<'_>,
        deadline: Deadline,
        what: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, Failure> {
        let now = self.clock.now();
        if let Some(until) = self.pauses.get(&account.store_hash, now) {
            return Err(Failure::Busy {
                retry_after: until - now,
                cause: "the store's quota at BigCommerce is used up",
            });
        }
        let name = format!("{} {}", call.method, call.name);
        let address = self.addresses.of_api(&account.store_hash, call.path);
        let headers = [("x-auth-token", account.access_token.expose_secret())];
        let request = request(call.method, &address, &headers, call.body.as_ref());
        let request = request.ok_or_else(|| Failure::refused(format!("{name} cannot be sent")))?;
        let answer = self.send(&name, call.is_repeatable, request, deadline).await?;
        if let Some(seconds) = rate_limit::pause(&answer.headers) {
            self.pauses.put(account.store_hash.clone(), now + seconds, now + seconds);
        }
        read(&name, &answer, what)
    }

    async fn send(
        &self,
        name: &str,
        is_repeatable: bool,
        request: HttpRequest,
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        let answer = self.connection.send(request, deadline.0).await.map_err(|unanswered| Failure::Unavailable {
            cause: format!("{name}: {}", unanswered.cause),
            may_be_repeated: is_repeatable || unanswered.is_disconnected,
        })?;
        if is_failure_of_theirs(answer.status) {
            let cause = format!("{name} was answered with {}", answer.status);
            return Err(Failure::Unavailable { cause, may_be_repeated: is_repeatable });
        }
        Ok(answer)
    }
}

/// Nobody, where what a caller sent is nothing that BigCommerce would even look up. An operator could do nothing about it.
fn none_if_unacceptable<T>(account: &Account, answered: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match answered {
        Err(Failure::Refused { status: Some(400 | 413 | 414 | 422 | 431), cause }) => {
            let store = &account.store_hash;
            tracing::warn!(store, cause, "what a caller sent is nothing that BigCommerce looks up");
            Ok(None)
        }
        answered => answered,
    }
}

fn is_failure_of_theirs(status: u16) -> bool {
    status == 408 || status >= 500
}

/// None if a header cannot be sent.
fn request(method: &str, address: &str, headers: &[(&'static str, &str)], body: Option<&Value>) -> Option<HttpRequest> {
    let mut request = HttpRequest::get(address).ok()?;
    request.set_method(method).ok()?;
    request.headers_mut().insert("accept", "application/json");
    request.headers_mut().insert("user-agent", concat!("b2b-auth/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request.headers_mut().try_insert(*name, (*value).to_owned()).ok()?;
    }
    if let Some(body) = body {
        request.headers_mut().insert("content-type", "application/json");
        *request.body_mut() = SdkBody::from(body.to_string());
    }
    Some(request)
}

/// What an answer says, by its status and then by its body.
fn read<T>(name: &str, answer: &Answer, what: impl FnOnce(&[u8]) -> Result<T, Malformed>) -> Result<T, Failure> {
    match answer.status {
        200 => what(&answer.body).map_err(|Malformed(problem)| unavailable(format!("{name}: {problem}"))),
        429 => Err(Failure::Busy {
            retry_after: rate_limit::retry_after(&answer.headers),
            cause: "BigCommerce answered 429",
        }),
        ..300 => Err(unavailable(format!("{name} was answered with {}", answer.status))),
        status => {
            let hint = match status {
                401 => ": the access token is not accepted",
                403 => ": the API account lacks a scope, or is another store's",
                404 => ": there is no such store or storefront",
                300..=399 => ": a redirect, which is not followed",
                _ => "",
            };
            Err(Failure::Refused { status: Some(status), cause: format!("{name} was answered with {status}{hint}") })
        }
    }
}

fn unavailable(cause: String) -> Failure {
    Failure::Unavailable { cause, may_be_repeated: false }
}
