//! The customers of the stores whose directory is BigCommerce.

use crate::{
    bigcommerce::{Account, AccountSecret, Api, Customer, Deadline, Failure, PRIVATE_TOKEN_LIFE},
    clock::Clock,
    configuration::{BigCommerceSettings, Configuration},
    fault::Fault,
    kept::Kept,
    keys::secret_cache::SecretCache,
    tables::call_budget::{Budget, CallBudget, Purpose},
};
use secrecy::SecretString;
use std::sync::Arc;
use tokio::time::timeout_at;

/// Seconds for which a look-up is good.
pub const LOOK_UP_LIFE: u64 = 60;

/// Seconds before a private token's end from which on it is not used.
const PRIVATE_TOKEN_MARGIN: u64 = 300;

/// A store's API account, or why there is none.
type AccountCache = SecretCache<Result<AccountSecret, &'static str>>;

/// BigCommerce's customers, asked for as their stores and within the stores' budgets. What is asked for by id is remembered for a
/// minute; credentials never are.
pub struct BigCommerceCustomers {
    api: Api,
    budget: CallBudget,
    secrets: aws_sdk_secretsmanager::Client,
    settings: BigCommerceSettings,
    clock: Clock,
    accounts: Kept<String, Arc<AccountCache>>,
    customers: Kept<(String, u64), Customer>,
    /// By store and channel.
    global_logins: Kept<(String, u64), bool>,
    /// Tokens for the storefronts, by store and channel.
    private_tokens: Kept<(String, u64), SecretString>,
}

impl BigCommerceCustomers {
    /// Reads nothing and connects to nothing before a store needs it.
    #[must_use]
    pub fn new(
        dynamodb: &aws_sdk_dynamodb::Client,
        secrets: &aws_sdk_secretsmanager::Client,
        configuration: &Configuration,
        clock: &Clock,
    ) -> Self {
        let settings = configuration.bigcommerce.clone();
        let table = configuration.login_attempts_table.clone();
        Self {
            api: Api::new(settings.addresses.clone(), clock.clone()),
            budget: CallBudget::new(dynamodb.clone(), table, settings.calls_per_window),
            secrets: secrets.clone(),
            settings,
            clock: clock.clone(),
            accounts: Kept::default(),
            customers: Kept::default(),
            global_logins: Kept::default(),
            private_tokens: Kept::default(),
        }
    }

    /// The id of the customer with this e-mail and password who may log in at the channel, if there is one.
    pub async fn log_in(
        &self,
        store_hash: &str,
        email: &str,
        password: &SecretString,
        channel_id: u64,
        deadline: Deadline,
    ) -> Result<Option<u64>, Failure> {
        let ask = |account: Account| async move {
            self.api.validate_credentials(&account, email, password, channel_id, deadline).await
        };
        self.as_account(store_hash, Purpose::Login, deadline, ask).await
    }

    /// The customer of this id, if there is one. What is known may be a minute old.
    pub async fn customer(&self, store_hash: &str, id: u64, deadline: Deadline) -> Result<Option<Customer>, Failure> {
        let (key, now) = ((store_hash.to_owned(), id), self.clock.now());
        if let Some(customer) = self.customers.get(&key, now) {
            return Ok(Some(customer));
        }
        let ask = |account: Account| async move { self.api.customer(&account, id, deadline).await };
        let customer = self.as_account(store_hash, Purpose::LookUp, deadline, ask).await?;
        // One who is not there may be there the next moment.
        if let Some(customer) = &customer {
            self.customers.put(key, customer.clone(), now + LOOK_UP_LIFE);
        }
        Ok(customer)
    }

    /// Whether a customer may log in at a channel.
    pub async fn may_use(
        &self,
        store_hash: &str,
        customer: &Customer,
        channel_id: u64,
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        if let Some(channels) = &customer.channel_ids {
            return Ok(channels.contains(&channel_id));
        }
        let (key, now) = ((store_hash.to_owned(), channel_id), self.clock.now());
        if let Some(allowed) = self.global_logins.get(&key, now) {
            return Ok(allowed);
        }
        let ask = |account: Account| async move { self.api.allows_global_logins(&account, channel_id, deadline).await };
        let allowed = self.as_account(store_hash, Purpose::LookUp, deadline, ask).await?;
        self.global_logins.put(key, allowed, now + LOOK_UP_LIFE);
        Ok(allowed)
    }

    /// The id of the customer whose access token it is, if it is anyone's.
    pub async fn owner(
        &self,
        store_hash: &str,
        channel_id: u64,
        access_token: &SecretString,
        deadline: Deadline,
    ) -> Result<Option<u64>, Failure> {
        let ask = async |private_token: &SecretString| {
            let ask = |account: Account| async move {
                self.api.owner(&account, channel_id, private_token, access_token, deadline).await
            };
            self.as_account(store_hash, Purpose::LookUp, deadline, ask).await
        };
        if let Some(kept) = self.private_tokens.get(&(store_hash.to_owned(), channel_id), self.clock.now()) {
            match ask(&kept).await {
                // It may have been made void since.
                Err(Failure::PrivateTokenRefused) => {}
                answered => return answered,
            }
        }
        ask(&self.new_private_token(store_hash, channel_id, deadline).await?).await
    }

    async fn new_private_token(
        &self,
        store_hash: &str,
        channel_id: u64,
        deadline: Deadline,
    ) -> Result<SecretString, Failure> {
        let until = self.clock.now() + PRIVATE_TOKEN_LIFE - PRIVATE_TOKEN_MARGIN;
        let ask = |account: Account| async move { self.api.new_private_token(&account, channel_id, deadline).await };
        let token = self.as_account(store_hash, Purpose::LookUp, deadline, ask).await?;
        self.private_tokens.put((store_hash.into(), channel_id), token.clone(), until);
        Ok(token)
    }

    /// Asks as the store's account, within the store's budget; once more where the account has another access token by now, or where
    /// that may help.
    async fn as_account<T, F>(
        &self,
        store_hash: &str,
        purpose: Purpose,
        deadline: Deadline,
        ask: impl Fn(Account) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let asking = async {
            let cache = self.account(store_hash);
            let mut secret = cache.get().await.map_err(secret_unreadable)?;
            if secret.is_err() {
                // It may have been mended since.
                secret = cache.get_newer().await?;
            }
            let account = account_of(store_hash, &secret)?;
            self.count(store_hash, purpose).await?;
            let again = match ask(account.clone()).await {
                Err(Failure::Refused { status: Some(401), cause }) => {
                    let newer = account_of(store_hash, &*cache.get_newer().await?)?;
                    if newer.is(&account) {
                        return Err(Failure::Refused { status: Some(401), cause });
                    }
                    newer
                }
                Err(Failure::Unavailable { may_be_repeated: true, .. }) => account,
                answered => return answered,
            };
            self.count(store_hash, purpose).await?;
            ask(again).await
        };
        let too_slow = || "BigCommerce, and what it takes to ask it, took too long".into();
        let timed_out = |_| Err(Failure::Unavailable { cause: too_slow(), may_be_repeated: false });
        timeout_at(deadline.0, asking).await.unwrap_or_else(timed_out)
    }

    async fn count(&self, store_hash: &str, purpose: Purpose) -> Result<(), Failure> {
        match self.budget.count(store_hash, purpose, self.clock.now()).await? {
            Budget::Counted => Ok(()),
            Budget::UsedUp { retry_after } => {
                Err(Failure::Busy { retry_after, cause: "the store's budget of calls is used up" })
            }
        }
    }

    fn account(&self, store_hash: &str) -> Arc<AccountCache> {
        if let Some(cache) = self.accounts.get(&store_hash.to_owned(), 0) {
            return cache;
        }
        let secret_id = self.settings.secret_id(store_hash);
        let parse = |secret: &str, _| Ok(AccountSecret::parse(secret));
        let cache = Arc::new(SecretCache::new(self.secrets.clone(), secret_id, parse, self.clock.clone()));
        self.accounts.put(store_hash.into(), Arc::clone(&cache), u64::MAX);
        cache
    }
}

fn account_of(store_hash: &str, secret: &Result<AccountSecret, &'static str>) -> Result<Account, Failure> {
    match secret {
        Ok(secret) => Account::new(store_hash, secret),
        Err(problem) => Err(Failure::refused(*problem)),
    }
}

/// A secret that is not there, or is marked for deletion, is a matter for the operator, as one that cannot be used.
fn secret_unreadable(fault: Fault) -> Failure {
    match fault.code.as_deref() {
        Some("ResourceNotFoundException" | "InvalidRequestException") => {
            Failure::refused("there is no secret of the store's API account")
        }
        _ => Failure::Fault(fault),
    }
}
