//! What both targets share: a stack of their own, good credentials of it, and what the functions log.

use accounts::{Accounts, Addition};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_secretsmanager::Client as SecretsManager;
use base64::{Engine, engine::general_purpose::STANDARD};
use create_backend_token::CreateBackendToken;
use delete_backend_token::DeleteBackendToken;
use introspect_token::IntrospectToken;
use issue_storefront_token::IssueStorefrontToken;
use lambda_http::{Body, Response};
use local::{Options, Stack, demo};
use secrecy::ExposeSecret;
use serde_json::{Value, json, value::RawValue};
use shared::{
    auth::access_token,
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
    http::guard,
    lambda::{Endpoint, answer},
    logging,
    scopes::Scopes,
    services::Services,
    tables::directory::ApiAccount,
};
use std::{
    collections::HashMap,
    io, mem,
    sync::{LazyLock, Mutex},
};
use tokio::runtime::{Builder, Runtime};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// 2027-01-15T08:00:00Z, always.
const NOW: u64 = 1_800_000_000;
const ALL_SCOPES: &str = "tokens:read tokens:write storefront introspect";

/// The stack, started by the first input.
pub static FUZZED: LazyLock<Fuzzed> = LazyLock::new(Fuzzed::start);
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

pub struct Fuzzed {
    pub services: Services,
    pub credentials: Vec<Credential>,
    /// Of one thread, on which the stack runs too: it stands still between two inputs.
    runtime: Runtime,
    _stack: Stack,
}

/// A credential, for which a short name stands in the inputs: so they hold no secrets, and good ones live through mutations.
pub struct Credential {
    /// Its name and itself, in each form in which it may be shown.
    forms: Vec<(&'static str, String)>,
    /// What an API is told of whoever shows it; nothing for one that is not good.
    pub context: Value,
}

impl Credential {
    fn new<const N: usize>(forms: [(&'static str, String); N], context: Value) -> Self {
        Self { forms: forms.into(), context }
    }

    /// Whether the text holds all of it.
    pub fn stands_in(&self, text: &str) -> bool {
        self.forms.iter().any(|(_, form)| text.contains(form))
    }

    /// Whether it is limited to some scopes.
    pub fn is_limited(&self) -> bool {
        self.context["scope"].as_str().is_some_and(|scope| scope != ALL_SCOPES)
    }
}

impl Fuzzed {
    fn start() -> Self {
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(|| Log);
        tracing_subscriber::registry().with(lines.with_filter(logging::filter(LevelFilter::INFO))).init();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let configuration = Configuration::local(StorefrontAccess::AuthToken);
        let clock = Clock::new(|| NOW);
        let options = Options::on_free_ports(configuration.clone(), clock.clone());
        let (stack, services, credentials) = runtime.block_on(async {
            let stack = Stack::start(options).await.unwrap();
            let dynamodb = DynamoDb::new(&stack.sdk_config);
            let secrets = SecretsManager::new(&stack.sdk_config);
            let accounts = Accounts::new(&dynamodb, &configuration, clock.clone());
            let services = Services::new(&dynamodb, &secrets, configuration, clock);
            let credentials = credentials(&services, &accounts).await;
            (stack, services, credentials)
        });
        Self { services, credentials, runtime, _stack: stack }
    }

    /// What is answered, once all is done that is left for after the answer, and what the function logs.
    pub fn run<T>(&self, answering: impl Future<Output = T>) -> (T, Value) {
        mem::take(&mut *LOG.lock().unwrap());
        let answered = self.runtime.block_on(async {
            let answered = answering.await;
            self.services.after_answer.finish().await;
            answered
        });
        let log = mem::take(&mut *LOG.lock().unwrap());
        let lines = str::from_utf8(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap());
        let of_functions: Vec<Value> = lines.filter(|line: &Value| line["function"].is_string()).collect();
        let [line] = &of_functions[..] else { panic!("not one line of the function's: {of_functions:?}") };
        (answered, line.clone())
    }

    /// An input with credentials where it names them.
    pub fn with_credentials(&self, input: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(input).into_owned();
        for (name, form) in self.credentials.iter().flat_map(|credential| &credential.forms) {
            if text.contains(name) {
                text = text.replace(name, form);
            }
        }
        text
    }

    /// The good credentials that a text holds.
    pub fn good_in(&self, text: &str) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter(move |credential| credential.context.is_object() && credential.stands_in(text))
    }
}

/// Those members of an event that are asked for, each as its text.
pub fn members(event: &str, names: &[&str]) -> String {
    let members: HashMap<String, &RawValue> = serde_json::from_str(event).unwrap_or_default();
    names.iter().filter_map(|name| members.get(*name)).map(|member| member.get()).collect::<Vec<_>>().join("\n")
}

/// The body of an answer, which is always JSON.
pub fn body_of(response: &Response<Body>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

async fn credentials(services: &Services, accounts: &Accounts) -> Vec<Credential> {
    let server = demo::token();
    let limited = create_token(services, demo::STORE, demo::ADMIN_EMAIL, &json!(["storefront"])).await;
    let deleted = create_token(services, demo::STORE, demo::ADMIN_EMAIL, &Value::Null).await;
    let other = create_token(services, demo::OTHER_STORE, demo::OTHER_ADMIN_EMAIL, &Value::Null).await;
    call::<DeleteBackendToken>(services, "DELETE", &server, json!({"id": 3})).await;
    let forged = format!("{}.{}", server.rsplit_once('.').unwrap().0, limited.rsplit_once('.').unwrap().1);
    let customer = json!({"customerId": demo::BUYER_ID, "channelId": 1});
    let storefront = call::<IssueStorefrontToken>(services, "POST", &server, customer).await;
    let storefront = storefront["data"]["token"][0].as_str().unwrap().to_owned();
    let account = access_token::generate().unwrap().expose_secret().to_owned();
    let sha256 = access_token::sha256(&account).unwrap();
    let record = ApiAccount::new("fuzzed".into(), &Scopes::ALL, NOW);
    let added = accounts.add_api_account(demo::STORE, &sha256, &record).await;
    assert_eq!(added.unwrap(), Addition::Added);

    let account_context = json!({"kind": "apiAccount", "storeHash": demo::STORE, "scope": ALL_SCOPES});
    let storefront_context = json!({
        "kind": "storefront",
        "storeHash": demo::STORE,
        "customerId": demo::BUYER_ID.to_string(),
        "email": demo::BUYER_EMAIL,
        "channelId": "1",
    });
    let basic = ("<basic>", STANDARD.encode(format!("{}:{account}", demo::STORE)));
    let form = ("<form>", STANDARD.encode(format!("token={storefront}")));
    let credentials = vec![
        Credential::new([("<server>", server)], context(demo::STORE, demo::ADMIN_EMAIL, "1", ALL_SCOPES)),
        Credential::new([("<limited>", limited)], context(demo::STORE, demo::ADMIN_EMAIL, "2", "storefront")),
        Credential::new([("<other>", other)], context(demo::OTHER_STORE, demo::OTHER_ADMIN_EMAIL, "1", ALL_SCOPES)),
        Credential::new([("<deleted>", deleted)], Value::Null),
        Credential::new([("<forged>", forged)], Value::Null),
        Credential::new([("<storefront>", storefront), form], storefront_context),
        Credential::new([("<account>", account), basic], account_context),
    ];
    // If none were let in, nothing that must not happen could.
    for Credential { forms, context } in
        credentials.iter().filter(|credential| credential.context["kind"] != "apiAccount")
    {
        let body =
            call::<IntrospectToken>(services, "POST", &credentials[0].forms[0].1, json!({"token": forms[0].1})).await;
        assert_eq!(body["active"], context["storeHash"] == demo::STORE, "{}", forms[0].0);
    }
    credentials
}

/// Of a server-to-server token.
fn context(store_hash: &str, email: &str, id: &str, scope: &str) -> Value {
    json!({"kind": "server", "storeHash": store_hash, "email": email, "tokenId": id, "scope": scope})
}

async fn create_token(services: &Services, store_hash: &str, email: &str, scopes: &Value) -> String {
    let login = json!({
        "storeHash": store_hash, "email": email, "password": demo::ADMIN_PASSWORD, "name": "fuzzed", "scopes": scopes,
    });
    let body = call::<CreateBackendToken>(services, "POST", "", login).await;
    body["data"][0]["token"].as_str().unwrap().into()
}

async fn call<E: Endpoint>(services: &Services, method: &str, token: &str, body: Value) -> Value {
    let headers = json!({"Content-Type": "application/json", "authToken": token});
    let event = json!({"httpMethod": method, "headers": headers, "body": body.to_string()});
    let response = answer::<E>(services, &guard::request(event.to_string().as_bytes()).unwrap()).await;
    assert_eq!(response.status(), 200, "{}", body_of(&response));
    body_of(&response)
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
