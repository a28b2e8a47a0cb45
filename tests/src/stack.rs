//! A stack for each test.

use crate::{Answer, Call, LOG, Upstream, admin_login, backend_login, customer_login, deployed::Deployed};
use accounts::{Accounts, Addition, Edit, StoreChange, passwords};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_secretsmanager::Client as SecretsManager;
use local::{Options, Stack, aws, bigcommerce::BigCommerce, demo, gateway, server};
use secrecy::ExposeSecret;
use serde_json::Value;
use shared::{
    auth::access_token,
    aws::timeouts,
    bigcommerce::Addresses,
    clock::Clock,
    configuration::{BigCommerceSettings, Configuration, StorefrontAccess},
    scopes::{Scope, Scopes},
    services::Services,
    tables::{
        directory::{ApiAccount, BackendUser, Customer, CustomerDirectory, CustomerLogin, Directory, Role, STORE},
        items::{Item, from_item, key, number},
        tokens::TokenTable,
    },
};
use std::{
    any::Any,
    env, fs,
    net::Ipv4Addr,
    path::PathBuf,
    rc::Rc,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// When tests begin: 2027-01-15T08:00:00Z.
pub const NOW: u64 = 1_800_000_000;

/// Password of the users and customers that tests add.
pub const PASSWORD: &str = "a password that tests add";
static PASSWORD_HASH: LazyLock<String> = LazyLock::new(|| passwords::hash(&PASSWORD.into()).unwrap());

/// A clock that tests move.
#[derive(Clone)]
pub struct TestClock {
    start: Clock,
    ahead: Arc<AtomicU64>,
    /// Where functions of a deployed stack read it.
    file: Option<PathBuf>,
}

impl TestClock {
    fn new(start: Clock, deployed: Option<&Deployed>) -> Self {
        let file = deployed.map(|deployed| deployed.clock_file.clone());
        let clock = Self { start, ahead: Arc::default(), file };
        clock.advance(0);
        clock
    }

    pub fn advance(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
        if let Some(file) = &self.file {
            fs::write(file, self.now().to_string()).unwrap();
        }
    }

    pub fn now(&self) -> u64 {
        self.start.now() + self.ahead.load(Ordering::Relaxed)
    }

    pub fn clock(&self) -> Clock {
        let this = self.clone();
        Clock::new(move || this.now())
    }
}

/// The API over a database of its own.
pub struct TestStack {
    pub url: String,
    pub clock: TestClock,
    pub sdk_config: SdkConfig,
    pub dynamodb: DynamoDb,
    pub secrets: SecretsManager,
    pub configuration: Configuration,
    pub demo_token: String,
    http: reqwest::Client,
    /// What stops when it is dropped.
    running: Vec<Rc<dyn Any>>,
}

/// How a test's stack differs from the usual one.
pub struct Setup {
    pub configuration: Configuration,
    pub clock: Clock,
}

impl Default for Setup {
    fn default() -> Self {
        Self::at(NOW)
    }
}

impl Setup {
    /// The clock stands until the test moves it.
    pub fn at(now: u64) -> Self {
        Self { configuration: Configuration::local(StorefrontAccess::AuthToken), clock: Clock::new(move || now) }
    }

    /// Where the pages of these origins may call what is for browsers.
    pub fn for_pages_of(allowed_origins: &str) -> Self {
        let setup = Self::default();
        let allowed_origins = allowed_origins.parse().unwrap();
        Self { configuration: Configuration { allowed_origins, ..setup.configuration }, ..setup }
    }

    /// With the machine's clock, as programs that work on the stack have it.
    pub fn in_real_time() -> Self {
        Self { clock: Clock::system(), ..Self::default() }
    }
}

impl TestStack {
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub async fn start_public() -> Self {
        let configuration = Configuration::local(StorefrontAccess::Public);
        Self::start_with(Setup { configuration, ..Setup::default() }).await
    }

    pub async fn start_in_real_time() -> Self {
        Self::start_with(Setup::in_real_time()).await
    }

    /// A stack whose demo store has its customers at BigCommerce, and what is in BigCommerce's place.
    pub async fn start_on_bigcommerce() -> (Self, Upstream) {
        Self::start_on_bigcommerce_with(Setup::default()).await
    }

    pub async fn start_on_bigcommerce_with(Setup { mut configuration, clock }: Setup) -> (Self, Upstream) {
        let deployed = Deployed::from_env();
        let clock = TestClock::new(clock, deployed.as_ref());
        let upstream = Upstream::start(BigCommerce::new(clock.clock())).await;
        configuration.bigcommerce.addresses = Addresses::of_stand_in(&upstream.url);
        let stack = Self::start_at(deployed, Some(&upstream), configuration, clock).await;
        let (_, secret) = demo::bigcommerce_secret(&stack.configuration);
        stack.put_bigcommerce_secret(demo::STORE, &secret).await;
        stack.set_customer_directory(demo::STORE, CustomerDirectory::BigCommerce).await;
        (stack, upstream)
    }

    /// Uses the embedded DynamoDB, the AWS at `TEST_AWS_ENDPOINT_URL`, or a deployed stack.
    pub async fn start_with(Setup { configuration, clock }: Setup) -> Self {
        let deployed = Deployed::from_env();
        let clock = TestClock::new(clock, deployed.as_ref());
        Self::start_at(deployed, None, configuration, clock).await
    }

    async fn start_at(
        deployed: Option<Deployed>,
        upstream: Option<&Upstream>,
        configuration: Configuration,
        clock: TestClock,
    ) -> Self {
        LazyLock::force(&LOG);
        let mut http = reqwest::Client::builder();
        let (url, sdk_config, configuration, running) = if let Some(deployed) = deployed {
            let (sdk_config, configuration) = deployed.reset(configuration, upstream).await;
            http = http.resolve(&deployed.api_host, (Ipv4Addr::LOCALHOST, 0).into());
            let url = deployed.aws_url.replace("127.0.0.1", &deployed.api_host);
            (url, sdk_config, configuration, Vec::new())
        } else if let Ok(endpoint) = env::var("TEST_AWS_ENDPOINT_URL") {
            let configuration = with_unique_names(configuration);
            let sdk_config = aws::sdk_config(&endpoint).await;
            create_secrets(&sdk_config, &configuration).await;
            demo::prepare(&sdk_config, &configuration).await.unwrap();
            let listener = server::bind(0, "").await.unwrap();
            let api = gateway::start(listener, &sdk_config, &configuration, &clock.clock()).unwrap();
            (api.url.clone(), sdk_config, configuration, vec![Rc::new(api) as Rc<dyn Any>])
        } else {
            let options = Options::on_free_ports(configuration.clone(), clock.clock());
            let stack = Stack::start(options).await.unwrap();
            (stack.api.url.clone(), stack.sdk_config.clone(), configuration, vec![Rc::new(stack) as Rc<dyn Any>])
        };
        Self {
            url,
            clock,
            dynamodb: DynamoDb::new(&sdk_config),
            secrets: SecretsManager::new(&sdk_config),
            sdk_config,
            configuration,
            demo_token: demo::token(),
            http: http.build().unwrap(),
            running,
        }
    }

    /// The same database behind another API that uses these clients.
    pub async fn with_clients(&self, dynamodb: &DynamoDb, secrets: &SecretsManager) -> Self {
        let listener = server::bind(0, "").await.unwrap();
        let clock = self.clock.clock();
        let api = gateway::start_with_clients(listener, dynamodb, secrets, &self.configuration, &clock).unwrap();
        Self {
            url: api.url.clone(),
            clock: self.clock.clone(),
            sdk_config: self.sdk_config.clone(),
            dynamodb: self.dynamodb.clone(),
            secrets: self.secrets.clone(),
            configuration: self.configuration.clone(),
            demo_token: self.demo_token.clone(),
            http: self.http.clone(),
            running: self.running.iter().cloned().chain([Rc::new(api) as Rc<dyn Any>]).collect(),
        }
    }

    /// Functions as after a cold start in production: nothing is cached yet, and time-outs are short.
    pub async fn fresh_functions(&self, aws_url: &str) -> Self {
        let (dynamodb, secrets) = cold_clients(aws_url).await;
        self.with_clients(&dynamodb, &secrets).await
    }

    /// What a function of the stack works with that has answered nobody yet.
    pub fn services(&self) -> Services {
        self.services_with(&self.dynamodb, &self.secrets)
    }

    /// The same, with these clients.
    pub fn services_with(&self, dynamodb: &DynamoDb, secrets: &SecretsManager) -> Services {
        Services::new(dynamodb, secrets, self.configuration.clone(), self.clock.clock())
    }

    /// Address of its AWS.
    pub fn aws_url(&self) -> &str {
        self.sdk_config.endpoint_url().unwrap()
    }

    /// Whether it is a stack that the SAM CLI deployed, which has a name.
    pub fn is_deployed(&self) -> bool {
        !self.url.contains("127.0.0.1")
    }

    /// Address below which the endpoints are.
    pub fn api_url(&self) -> String {
        format!("{}/api/io", self.url)
    }

    pub fn request(&self, method: &str, path: &str) -> Call {
        Call(self.http.request(method.parse().unwrap(), format!("{}{path}", self.api_url())))
    }

    pub fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.request("POST", path).json(body)
    }

    pub fn delete(&self, body: &Value) -> Call {
        self.request("DELETE", "/auth/backend").json(body)
    }

    /// `POST /auth/backend/rotate`.
    pub fn rotate(&self, body: &Value) -> Call {
        self.post("/auth/backend/rotate", body)
    }

    /// Of the API that the authorizer protects.
    pub fn protected(&self, path: &str) -> Call {
        Call(self.http.get(format!("{}/example{path}", self.url)))
    }

    /// `GET /auth/storefront`.
    pub fn exchange(&self, jwt: &str) -> Call {
        self.get(&format!("/auth/storefront?jwtToken={jwt}"))
    }

    /// `POST /oauth/introspect`, as clients of OAuth send it.
    pub fn introspect(&self, token: &str) -> Call {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        self.request("POST", "/oauth/introspect").body("application/x-www-form-urlencoded", form)
    }

    /// What a backend user is answered who asks for a token.
    pub async fn ask_for_token(&self, store_hash: &str, email: &str, password: &str) -> Answer {
        self.post("/auth/backend", &backend_login(store_hash, email, password)).send().await
    }

    /// A new token of the demo store.
    pub async fn create_token(&self, name: &str) -> String {
        let answer = self.post("/auth/backend", &admin_login(name)).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.server_token().into()
    }

    /// A token of the other store.
    pub async fn other_store_token(&self) -> String {
        let answer = self.ask_for_token(demo::OTHER_STORE, demo::OTHER_ADMIN_EMAIL, demo::ADMIN_PASSWORD).await;
        answer.server_token().into()
    }

    /// What a customer of the demo store is answered who logs in.
    pub async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.post("/auth/customers", &customer_login(email, password)).token(&self.demo_token).send().await
    }

    /// A page of the tokens of the store, as listed for a caller.
    pub async fn list(&self, token: &str, query: &str) -> Answer {
        self.get(&format!("/backend/tokens{query}")).token(token).send().await
    }

    /// As if the demo store had made so many tokens and deleted nearly all.
    pub async fn set_made(&self, made: u64) {
        let counting = self.dynamodb.update_item().table_name(&self.configuration.tokens_table);
        let counting = counting.set_key(Some(key(demo::STORE, "COUNTER".into()))).update_expression("SET made = :made");
        counting.expression_attribute_values(":made", number(made)).send().await.unwrap();
    }

    /// What a table holds under a key.
    pub async fn item(&self, table: &str, key: Item) -> Option<Value> {
        let request = self.dynamodb.get_item().table_name(table).set_key(Some(key)).consistent_read(true);
        request.send().await.unwrap().item.map(|item| from_item(item).unwrap())
    }

    pub async fn total_count(&self) -> u64 {
        self.list(&self.demo_token, "").await.total_count()
    }

    pub fn directory(&self) -> Directory {
        Directory::new(self.dynamodb.clone(), self.configuration.directory_table.clone())
    }

    pub fn accounts(&self) -> Accounts {
        Accounts::new(&self.dynamodb, &self.configuration, self.clock.clock())
    }

    pub fn tokens(&self) -> TokenTable {
        TokenTable::new(self.dynamodb.clone(), self.configuration.tokens_table.clone())
    }

    /// Takes away the demo store's own item, and leaves all that belongs to the store.
    pub async fn delete_store_item(&self) {
        let delete = self.dynamodb.delete_item().table_name(&self.configuration.directory_table);
        delete.set_key(Some(key(demo::STORE, STORE.into()))).send().await.unwrap();
    }

    pub async fn put_keyring(&self, text: &str) {
        let put = self.secrets.put_secret_value().secret_id(&self.configuration.keyring_secret_id);
        put.secret_string(text).send().await.unwrap();
    }

    /// Whether there was one before or not.
    pub async fn put_bigcommerce_secret(&self, store_hash: &str, text: &str) {
        let name = self.configuration.bigcommerce.secret_id(store_hash);
        let create = self.secrets.create_secret().name(&name).secret_string(text).send().await;
        if create.is_err_and(|error| error.into_service_error().is_resource_exists_exception()) {
            self.secrets.put_secret_value().secret_id(name).secret_string(text).send().await.unwrap();
        }
    }

    pub async fn set_customer_directory(&self, store_hash: &str, customer_directory: CustomerDirectory) {
        let change = StoreChange::CustomerDirectory(customer_directory);
        assert_eq!(self.accounts().change_store(store_hash, &change).await.unwrap(), Edit::Done);
    }

    /// The access token of a new API account.
    pub async fn add_api_account(&self, store_hash: &str, scopes: &Scopes) -> String {
        let token = access_token::generate().unwrap().expose_secret().to_owned();
        let account = ApiAccount::new("account".into(), scopes, NOW);
        let added = self.accounts().add_api_account(store_hash, &sha256(&token), &account).await.unwrap();
        assert_eq!(added, Addition::Added);
        token
    }

    pub async fn revoke_api_account(&self, access_token: &str) {
        let removed = self.accounts().remove_api_account(demo::STORE, &sha256(access_token)).await.unwrap();
        assert_eq!(removed, Edit::Done);
    }

    /// When a token of the demo store was last used, as the table has it.
    pub async fn token_last_used_at(&self, id: u64) -> Option<u64> {
        self.tokens().record(demo::STORE, id).await.unwrap()?.last_used_at
    }

    /// When an API account of the demo store was last used, as the table of tokens has it.
    pub async fn account_last_used_at(&self, access_token: &str) -> Option<u64> {
        let last_use = self.tokens().last_use_of_api_account(demo::STORE, &sha256(access_token)).await.unwrap();
        last_use.map(|last_use| last_use.last_used_at)
    }

    pub async fn add_user(&self, email: &str, role: Role, active: bool) {
        let user = BackendUser { email: email.into(), password_hash: PASSWORD_HASH.clone(), role, active };
        self.accounts().put_user(demo::STORE, &user).await.unwrap();
    }

    /// Whoever looks at this user's password hash answers 500.
    pub async fn add_user_with_broken_hash(&self, email: &str) {
        let password_hash = "not a hash".into();
        let user = BackendUser { email: email.into(), password_hash, role: Role::Administrator, active: true };
        self.accounts().put_user(demo::STORE, &user).await.unwrap();
    }

    pub async fn add_customer(&self, customer_id: u64, email: &str, channels: &[u64], active: bool) {
        let customer =
            Customer { customer_id, email: email.into(), channels: channels.into(), active, tokens_valid_after: None };
        let login = CustomerLogin { customer, password_hash: PASSWORD_HASH.clone() };
        self.accounts().put_customer(demo::STORE, &login).await.unwrap();
    }
}

/// As after a cold start in production, with the AWS at this address: nothing is connected yet, and time-outs are short.
pub(crate) async fn cold_clients(aws_url: &str) -> (DynamoDb, SecretsManager) {
    let sdk_config = aws::sdk_config(aws_url).await.into_builder().timeout_config(timeouts()).build();
    (DynamoDb::new(&sdk_config), SecretsManager::new(&sdk_config))
}

pub fn sha256(access_token: &str) -> String {
    access_token::sha256(access_token).unwrap()
}

/// Waits until it holds: the last use is written after the answer, and programs take their time.
pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let patience = Instant::now() + Duration::from_mins(1);
    while !holds().await {
        assert!(Instant::now() < patience, "it does not come to hold");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn with_unique_names(configuration: Configuration) -> Configuration {
    static STACKS: AtomicU64 = AtomicU64::new(0);
    let suffix = format!("{}-{}", std::process::id(), STACKS.fetch_add(1, Ordering::Relaxed));
    let unique = |name: String| format!("{name}-{suffix}");
    Configuration {
        tokens_table: unique(configuration.tokens_table),
        directory_table: unique(configuration.directory_table),
        login_attempts_table: unique(configuration.login_attempts_table),
        keyring_secret_id: unique(configuration.keyring_secret_id),
        app_secret_id: unique(configuration.app_secret_id),
        bigcommerce: BigCommerceSettings {
            secret_prefix: format!("{}{suffix}/", configuration.bigcommerce.secret_prefix),
            ..configuration.bigcommerce
        },
        ..configuration
    }
}

async fn create_secrets(sdk_config: &SdkConfig, configuration: &Configuration) {
    let client = SecretsManager::new(sdk_config);
    for (id, secret) in demo::secrets(configuration) {
        client.create_secret().name(id).secret_string(secret).send().await.unwrap();
    }
}

/// The scopes of who may only list.
#[must_use]
pub fn read_only() -> Scopes {
    Scopes::only(&[Scope::TokensRead])
}
