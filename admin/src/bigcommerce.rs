//! BigCommerce as a store's customer directory: whether the store's API account there may do all that the functions ask, and the
//! secret that holds its access token.

use crate::{
    commands::key::keyring::random_id,
    failure::{Failure, Kind},
    stack::Stack,
};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use secrecy::ExposeSecret;
use shared::{
    bigcommerce::{self, Account, AccountSecret, Api, Deadline, is_store_hash},
    fault::Fault,
    tables::directory::{DEFAULT_CHANNEL, Store},
};

/// The scopes that the account needs, as the store's control panel calls them.
const CUSTOMERS: &str = "Customers: modify";
const STOREFRONT_TOKENS: &str = "Storefront API Tokens: manage";
/// The e-mail of nobody: there is no such domain.
const NOBODY: &str = "doctor@b2b-auth.invalid";
/// Any will do, also one that is nobody's.
const SOME_CUSTOMER: u64 = 1;

/// Why a store's customers cannot be asked for at BigCommerce, and what to do.
pub struct Problem {
    kind: Kind,
    pub says: String,
    pub mend: String,
}

impl Problem {
    fn new(kind: Kind, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { kind, says: says.into(), mend: mend.into() }
    }
}

impl From<Problem> for Failure {
    fn from(Problem { kind, says, mend }: Problem) -> Self {
        Self::new(kind, format!("{says} {mend} Nothing was changed."))
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind, "BigCommerce could not be asked.", failure.message)
    }
}

/// That a store of this hash can be one of BigCommerce's.
pub fn check_hash(hash: &str) -> Result<(), Problem> {
    if is_store_hash(hash) {
        return Ok(());
    }
    let says = format!("{hash} is the hash of no store at BigCommerce: those are letters and digits alone.");
    Err(Problem::new(Kind::Invalid, says, "Add the store under the hash that it has there."))
}

/// That the account may do all that the functions ask of it, found out by asking. All scopes that it lacks are named at once.
pub async fn check(stack: &Stack, hash: &str, store: &Store, secret: &AccountSecret) -> Result<(), Problem> {
    check_hash(hash)?;
    let channel = store.channels.first().copied().unwrap_or(DEFAULT_CHANNEL);
    let mut missing = Vec::new();
    let mut note = |scope, failure| match failure {
        bigcommerce::Failure::Refused { status: Some(403), .. } => {
            if !missing.contains(&scope) {
                missing.push(scope);
            }
            Ok(())
        }
        failure => Err(problem(failure, hash, channel)),
    };

    let account = Account::new(hash, secret).map_err(|failure| problem(failure, hash, channel))?;
    let api = Api::new(stack.configuration().bigcommerce.addresses.clone(), stack.services.clock.clone());
    let password = random_id()?.into();
    if let Err(failure) = api.customer(&account, SOME_CUSTOMER, Deadline::from_now()).await {
        note(CUSTOMERS, failure)?;
    }
    if let Err(failure) = api.validate_credentials(&account, NOBODY, &password, channel, Deadline::from_now()).await {
        note(CUSTOMERS, failure)?;
    }
    if let Err(failure) = api.new_private_token(&account, channel, Deadline::from_now()).await {
        note(STOREFRONT_TOKENS, failure)?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    let scopes = if missing.len() == 1 { "scope" } else { "scopes" };
    Err(Problem::new(
        Kind::NotGood,
        format!("At BigCommerce the account needs the {scopes} {}.", missing.join(" and ")),
        format!(
            "The scopes of an account cannot be changed: make another in the store's control panel under Settings > Store-level API \
             accounts, and give its access token to `b2b-auth store set-directory {hash} bigcommerce`. If it has them, it is another store's."
        ),
    ))
}

/// What to do about a failure other than a missing scope.
fn problem(failure: bigcommerce::Failure, hash: &str, channel: u64) -> Problem {
    use bigcommerce::Failure::{Busy, Fault, PrivateTokenRefused, Refused, Unavailable};
    match failure {
        Refused { status: Some(401), .. } => Problem::new(
            Kind::NotGood,
            "BigCommerce does not accept the access token.",
            format!("Give a good one to `b2b-auth store set-directory {hash} bigcommerce`."),
        ),
        Refused { status: Some(404), .. } => Problem::new(
            Kind::NotGood,
            format!("BigCommerce has no store {hash}."),
            "Its hash is what follows /stores/ in the API path that BigCommerce shows beside an access token.",
        ),
        Refused { status: Some(422), cause } => Problem::new(
            Kind::NotGood,
            format!("BigCommerce does not take the store's channel {channel}: {cause}."),
            format!("`b2b-auth store set-channels {hash}` sets those that it has there."),
        ),
        Refused { cause, .. } => Problem::new(
            Kind::NotGood,
            format!("BigCommerce refuses what it is asked: {cause}."),
            "Check BIGCOMMERCE_API_URL, if it is set: something else may have answered.",
        ),
        PrivateTokenRefused => Problem::new(
            Kind::NotGood,
            "BigCommerce does not accept a private token that it has just made.",
            "Check BIGCOMMERCE_STOREFRONT_URL, if it is set: something else may have answered.",
        ),
        Busy { retry_after, cause } => Problem::new(
            Kind::Unavailable,
            format!("BigCommerce may not be asked now: {cause}."),
            format!("Run the same command again in {retry_after} seconds."),
        ),
        Unavailable { cause, .. } => Problem::new(
            Kind::Unavailable,
            format!("BigCommerce does not answer as it should: {cause}."),
            "Check the network, and BIGCOMMERCE_API_URL if it is set, and run the same command again.",
        ),
        Fault(fault) => Failure::from(fault).into(),
    }
}

/// Keeps the access token, in place of one that is there.
pub async fn put_secret(stack: &Stack, hash: &str, secret: &AccountSecret) -> Result<(), Failure> {
    let (id, text) = (stack.configuration().bigcommerce.secret_id(hash), secret.text());
    let create = stack
        .secrets
        .create_secret()
        .name(&id)
        .description("Access token of a store's API account at BigCommerce")
        .set_kms_key_id(stack.kms_key.clone())
        .secret_string(text.expose_secret());
    match create.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("ResourceExistsException") => {
            let put = stack.secrets.put_secret_value().secret_id(&id).secret_string(text.expose_secret());
            put.send().await.map_err(|error| Fault::of_aws("PutSecretValue", error))?;
            Ok(())
        }
        // Nothing else about a new secret depends on what is there.
        Err(error) if error.code() == Some("InvalidRequestException") => Err(Failure::new(
            Kind::Conflict,
            format!(
                "The secret {id} is being deleted. Run the same command again in a minute; if it was deleted by other means than this \
                 tool, then after aws secretsmanager restore-secret --secret-id {id}."
            ),
        )),
        Err(error) => Err(Fault::of_aws("CreateSecret", error).into()),
    }
}

/// Deletes the access token for good, if there is one: a new one takes minutes to make.
pub async fn delete_secret(stack: &Stack, hash: &str) -> Result<(), Failure> {
    let id = stack.configuration().bigcommerce.secret_id(hash);
    let delete = stack.secrets.delete_secret().secret_id(id).force_delete_without_recovery(true);
    match delete.send().await {
        Err(error) if error.code() != Some("ResourceNotFoundException") => {
            Err(Fault::of_aws("DeleteSecret", error).into())
        }
        _ => Ok(()),
    }
}
