//! A stack for each test, and a client that checks the envelope of every answer.

use crate::deployed::Deployed;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use jsonwebtoken::{EncodingKey, Header};
use local::{Options, Stack, aws, demo, gateway, server};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::{
    auth::access_token,
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
    passwords,
    tables::{
        directory::{ApiAccount, BackendUser, Customer, CustomerLogin, Directory, Role, Scope, api_account_key},
        dynamodb,
        tokens::TokenTable,
    },
};
use std::{
    any::Any,
    env, fs, io,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// When tests begin: 2027-01-15T08:00:00Z.
pub const NOW: u64 = 1_800_000_000;

/// Password of the users and customers that tests add.
pub const PASSWORD: &str = "a password that tests add";
static PASSWORD_HASH: LazyLock<String> = LazyLock::new(|| passwords::hash(&PASSWORD.into()).unwrap());

/// Everything that was logged by any test so far.
pub static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let lines = tracing_subscriber::fmt::layer().json().with_writer({
        let log = log.clone();
        move || log.clone()
    });
    tracing_subscriber::registry().with(lines.with_filter(shared::logging::filter(LevelFilter::TRACE))).init();
    log
});

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A clock that tests move.
#[derive(Clone)]
pub struct TestClock {
    unix_seconds: Arc<AtomicU64>,
    /// Where functions of a deployed stack read it.
    file: Option<PathBuf>,
}

impl TestClock {
    fn at(unix_seconds: u64, file: Option<PathBuf>) -> Self {
        let clock = Self { unix_seconds: Arc::new(AtomicU64::new(unix_seconds)), file };
        clock.advance(0);
        clock
    }

    pub fn advance(&self, seconds: u64) {
        let before = self.unix_seconds.fetch_add(seconds, Ordering::Relaxed);
        if let Some(file) = &self.file {
            fs::write(file, (before + seconds).to_string()).unwrap();
        }
    }

    pub fn clock(&self) -> Clock {
        let unix_seconds = Arc::clone(&self.unix_seconds);
        Clock::new(move || unix_seconds.load(Ordering::Relaxed))
    }
}

/// The API over a database of its own.
pub struct TestStack {
    pub url: String,
    pub clock: TestClock,
    pub sdk_config: SdkConfig,
    pub configuration: Configuration,
    pub demo_token: String,
    http: reqwest::Client,
    _running: Box<dyn Any>,
}

/// How a test's stack differs from the usual one.
pub struct Setup {
    pub configuration: Configuration,
    pub now: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { configuration: Configuration::local(StorefrontAccess::AuthToken), now: NOW }
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

    /// Uses the embedded DynamoDB, the AWS at `TEST_AWS_ENDPOINT_URL`, or a deployed stack.
    pub async fn start_with(Setup { configuration, now }: Setup) -> Self {
        LazyLock::force(&LOG);
        let deployed = Deployed::from_env();
        let clock = TestClock::at(now, deployed.as_ref().map(|deployed| deployed.clock_file.clone()));
        let mut http = reqwest::Client::builder();
        let (url, sdk_config, configuration, running) = if let Some(deployed) = deployed {
            let (sdk_config, configuration) = deployed.reset(configuration).await;
            http = http.resolve(&deployed.api_host, (Ipv4Addr::LOCALHOST, 0).into());
            let url = deployed.aws_url.replace("127.0.0.1", &deployed.api_host);
            (url, sdk_config, configuration, Box::new(()) as Box<dyn Any>)
        } else if let Ok(endpoint) = env::var("TEST_AWS_ENDPOINT_URL") {
            let configuration = with_unique_names(configuration);
            let sdk_config = aws::sdk_config(&endpoint).await;
            create_secrets(&sdk_config, &configuration).await;
            demo::prepare(&sdk_config, &configuration).await.unwrap();
            let listener = server::bind(0, "").await.unwrap();
            let api = gateway::start(listener, &sdk_config, &configuration, &clock.clock()).unwrap();
            (api.url.clone(), sdk_config, configuration, Box::new(api) as Box<dyn Any>)
        } else {
            let clock = clock.clock();
            let options = Options::on_free_ports(configuration.clone(), clock);
            let stack = Stack::start(options).await.unwrap();
            (stack.api.url.clone(), stack.sdk_config.clone(), configuration, Box::new(stack) as Box<dyn Any>)
        };
        Self {
            url,
            clock,
            sdk_config,
            configuration,
            demo_token: demo::token(),
            http: http.build().unwrap(),
            _running: running,
        }
    }

    /// The same database behind another API that uses these clients.
    pub fn with_clients(
        &self,
        dynamodb: &Client,
        secrets: &aws_sdk_secretsmanager::Client,
        listener: tokio::net::TcpListener,
    ) -> Self {
        let api =
            gateway::start_with_clients(listener, dynamodb, secrets, &self.configuration, &self.clock.clock()).unwrap();
        Self {
            url: api.url.clone(),
            clock: self.clock.clone(),
            sdk_config: self.sdk_config.clone(),
            configuration: self.configuration.clone(),
            demo_token: self.demo_token.clone(),
            http: self.http.clone(),
            _running: Box::new(api),
        }
    }

    pub fn request(&self, method: &str, path: &str) -> Call {
        Call(self.http.request(method.parse().unwrap(), format!("{}/api/io{path}", self.url)))
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

    /// A new token of the demo store.
    pub async fn create_token(&self, name: &str) -> String {
        let answer = self.post("/auth/backend", &credentials(name)).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["data"][0]["token"].as_str().unwrap().into()
    }

    /// A token of the other store.
    pub async fn other_store_token(&self) -> String {
        let body = json!({
            "storeHash": demo::OTHER_STORE, "email": demo::OTHER_ADMIN_EMAIL, "password": demo::ADMIN_PASSWORD, "name": "",
        });
        let answer = self.post("/auth/backend", &body).send().await;
        answer.body["data"][0]["token"].as_str().unwrap().into()
    }

    /// A page of the tokens of the store, as listed for a caller.
    pub async fn list(&self, token: &str, query: &str) -> Answer {
        self.get(&format!("/backend/tokens{query}")).token(token).send().await
    }

    pub async fn total_count(&self) -> u64 {
        self.list(&self.demo_token, "").await.body["meta"]["pagination"]["totalCount"].as_u64().unwrap()
    }

    pub fn directory(&self) -> Directory {
        Directory::new(Client::new(&self.sdk_config), self.configuration.directory_table.clone())
    }

    pub fn tokens(&self) -> TokenTable {
        TokenTable::new(Client::new(&self.sdk_config), self.configuration.tokens_table.clone())
    }

    /// The access token of a new API account.
    pub async fn add_api_account(&self, store_hash: &str, scope: Scope) -> String {
        let token = access_token::generate().unwrap().expose_secret().to_owned();
        let account = ApiAccount { name: "account".into(), scope, created_at: NOW };
        let item = dynamodb::to_item(dynamodb::key(store_hash, api_account_key(&sha256(&token))), &account).unwrap();
        let put = Client::new(&self.sdk_config).put_item().table_name(&self.configuration.directory_table);
        put.set_item(Some(item)).send().await.unwrap();
        token
    }

    pub async fn revoke_api_account(&self, access_token: &str) {
        let key = dynamodb::key(demo::STORE, api_account_key(&sha256(access_token)));
        let client = Client::new(&self.sdk_config);
        client.delete_item().table_name(&self.configuration.directory_table).set_key(Some(key)).send().await.unwrap();
    }

    /// When a token of the demo store was last used, as the table has it.
    pub async fn token_last_used_at(&self, id: u64) -> Option<u64> {
        self.tokens().record(demo::STORE, id).await.unwrap()?.last_used_at
    }

    /// When an API account of the demo store was last used, as the table of tokens has it.
    pub async fn account_last_used_at(&self, access_token: &str) -> Option<u64> {
        let key = dynamodb::key(demo::STORE, api_account_key(&sha256(access_token)));
        let client = Client::new(&self.sdk_config);
        let item: Option<Value> = dynamodb::get(&client, &self.configuration.tokens_table, key).await.unwrap();
        item?["last_used_at"].as_u64()
    }

    pub async fn add_user(&self, email: &str, role: Role, active: bool) {
        let user = BackendUser { email: email.into(), password_hash: PASSWORD_HASH.clone(), role, active };
        self.directory().put_backend_user(demo::STORE, &user).await.unwrap();
    }

    /// Whoever looks at this user's password hash answers 500.
    pub async fn add_user_with_broken_hash(&self, email: &str) {
        let password_hash = "not a hash".into();
        let user = BackendUser { email: email.into(), password_hash, role: Role::Administrator, active: true };
        self.directory().put_backend_user(demo::STORE, &user).await.unwrap();
    }

    pub async fn add_customer(&self, customer_id: u64, email: &str, channels: &[u64], active: bool) {
        let customer =
            Customer { customer_id, email: email.into(), channels: channels.into(), active, tokens_valid_after: None };
        let login = CustomerLogin { customer, password_hash: PASSWORD_HASH.clone() };
        self.directory().put_customer(demo::STORE, &login).await.unwrap();
    }
}

pub fn sha256(access_token: &str) -> String {
    access_token::sha256(access_token).unwrap()
}

/// Waits until it holds: the last use is written after the answer.
pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
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
        ..configuration
    }
}

async fn create_secrets(sdk_config: &SdkConfig, configuration: &Configuration) {
    let client = aws_sdk_secretsmanager::Client::new(sdk_config);
    for (id, secret) in demo::secrets(configuration) {
        client.create_secret().name(id).secret_string(secret).send().await.unwrap();
    }
}

/// The demo administrator's body for `POST /auth/backend`.
pub fn credentials(name: &str) -> Value {
    json!({"storeHash": demo::STORE, "email": demo::ADMIN_EMAIL, "password": demo::ADMIN_PASSWORD, "name": name})
}

/// The demo customer's body for `POST /auth/customers`.
pub fn customer_credentials() -> Value {
    json!({
        "storeHash": demo::STORE, "email": demo::BUYER_EMAIL, "password": demo::BUYER_PASSWORD,
        "channelId": 1, "name": "web",
    })
}

/// A request that waits to be sent.
pub struct Call(reqwest::RequestBuilder);

impl Clone for Call {
    fn clone(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }
}

impl Call {
    pub fn token(self, token: &str) -> Self {
        self.header("authToken", token)
    }

    /// As an API account of the demo store.
    pub fn account(self, access_token: &str) -> Self {
        self.header("X-Auth-Token", access_token).header("X-Store-Hash", demo::STORE)
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("Content-Type", content_type).body(body))
    }

    /// Sends it, and checks what every answer must have.
    pub async fn send(self) -> Answer {
        let response = self.0.timeout(Duration::from_mins(1)).send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        assert_eq!(headers["content-type"], "application/json", "{text}");
        assert_eq!(headers["cache-control"], "no-store", "{text}");
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["code"], status, "{text}");
        assert!(body["meta"]["message"].is_string(), "{text}");
        if status == 200 {
            assert!(body["data"].is_array() || body["data"].is_object(), "{text}");
            assert!(body.get("detail").is_none(), "{text}");
        } else {
            assert!(body["data"]["errMsg"].as_str().is_some_and(|text| !text.is_empty()), "{text}");
            assert_eq!(body["detail"], body["data"]["errMsg"], "{text}");
        }
        let retry_after = headers.get("retry-after").map(|seconds| seconds.to_str().unwrap().parse().unwrap());
        let request_id = headers["x-amzn-requestid"].to_str().unwrap().into();
        Answer { status, retry_after, request_id, body }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub request_id: String,
    pub body: Value,
}

impl Answer {
    /// Checks status, `meta.message` and `errMsg`.
    #[track_caller]
    pub fn is_error(&self, status: u16, message: &str, err_msg: &str) {
        let said = (self.status, &self.body["meta"]["message"], &self.body["data"]["errMsg"]);
        assert_eq!(said, (status, &json!(message), &json!(err_msg)), "{}", self.body);
    }

    /// Checks that just these fields are refused.
    #[track_caller]
    pub fn refuses_fields(&self, fields: &[&str]) {
        assert_eq!(
            (self.status, &self.body["meta"]["message"]),
            (422, &json!("Missing or Invalid Data")),
            "{}",
            self.body
        );
        let errors = self.body["data"]["errors"].as_object().unwrap();
        assert_eq!(errors.keys().collect::<Vec<_>>(), fields, "{}", self.body);
        for (field, messages) in errors {
            for message in messages.as_array().unwrap() {
                let named = format!("{field}: {}", message.as_str().unwrap());
                assert!(self.body["data"]["errMsg"].as_str().unwrap().contains(&named), "{}", self.body);
            }
        }
    }

    #[track_caller]
    pub fn is_invalid_token(&self) {
        self.is_error(401, "Invalid token.", "Invalid token.");
    }

    /// The storefront token of any of the three storefront endpoints.
    #[track_caller]
    pub fn storefront_token(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.body);
        let token = &self.body["data"]["token"];
        token.as_str().or_else(|| token[0].as_str()).unwrap()
    }
}

/// Header and claims of a JWT, whose signature is not looked at.
#[track_caller]
pub fn decode(token: &str) -> (Value, Value) {
    let decoded = jsonwebtoken::dangerous::insecure_decode::<Value>(token).unwrap();
    (serde_json::to_value(decoded.header).unwrap(), decoded.claims)
}

/// Claims of a current-customer JWT of the demo store's customer.
pub fn current_customer(now: u64) -> Value {
    json!({
        "customer": {"id": demo::BUYER_ID, "email": demo::BUYER_EMAIL, "group_id": "6"},
        "iss": "bc/apps",
        "sub": demo::STORE,
        "store_hash": demo::STORE,
        "aud": demo::APP_CLIENT_ID,
        "operation": "current_customer",
        "iat": now,
        "exp": now + 900,
        "version": 1,
        "application_id": demo::APP_CLIENT_ID,
    })
}

/// Signs claims as the platform does.
pub fn platform_jwt(claims: &Value) -> String {
    sign(&Header::default(), claims, demo::APP_CLIENT_SECRET)
}

pub fn sign(header: &Header, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}
