//! Tables and demo data, always the same.

use crate::aws::Secrets;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
    },
};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use shared::{
    aws,
    configuration::Configuration,
    http::error::Error,
    keys::{jwt, keyring::Keyring},
    passwords,
    tables::{
        directory::{BackendUser, Customer, CustomerLogin, Directory, Role, Store},
        dynamodb::built,
        tokens::{EventChannel, TokenRecord, TokenTable},
    },
};

/// The store that the examples use.
pub const STORE: &str = "demostore";
/// A second store, which must never see the first one's data.
pub const OTHER_STORE: &str = "otherstore";
/// Administrator of [`STORE`].
pub const ADMIN_EMAIL: &str = "admin@example.com";
/// Password of both stores' administrators.
pub const ADMIN_PASSWORD: &str = "demo-admin-password";
/// Backend user of [`STORE`] who may not create tokens.
pub const REP_EMAIL: &str = "rep@example.com";
/// Password of [`REP_EMAIL`].
pub const REP_PASSWORD: &str = "demo-rep-password";
/// Administrator of [`OTHER_STORE`].
pub const OTHER_ADMIN_EMAIL: &str = "admin@other.example";
/// Customer of [`STORE`].
pub const BUYER_EMAIL: &str = "buyer@example.com";
/// Id of [`BUYER_EMAIL`].
pub const BUYER_ID: u64 = 313;
/// Customer of [`OTHER_STORE`].
pub const OTHER_BUYER_EMAIL: &str = "buyer@other.example";
/// Id of [`OTHER_BUYER_EMAIL`].
pub const OTHER_BUYER_ID: u64 = 999;
/// Password of both stores' customers.
pub const BUYER_PASSWORD: &str = "demo-buyer-password";
/// Client id of the app that makes current-customer JWTs.
pub const APP_CLIENT_ID: &str = "demo-app-client-id";
/// Client secret of the app that makes current-customer JWTs.
pub const APP_CLIENT_SECRET: &str = "demo-app-client-secret-0123456789abcdef";

/// When the demo token was issued: 2024-01-01T00:00:00Z.
const TOKEN_IAT: u64 = 1_704_067_200;

/// The secrets that a local deployment begins with.
#[must_use]
pub fn secrets(configuration: &Configuration) -> Secrets {
    let app = json!({"clientId": APP_CLIENT_ID, "clientSecret": APP_CLIENT_SECRET});
    Secrets::from([
        (configuration.keyring_secret_id.clone(), keyring_secret()),
        (configuration.app_secret_id.clone(), app.to_string()),
    ])
}

fn keyring_secret() -> String {
    json!({"kid": "demo", "key": "demo-signing-key-0123456789abcdefghijklmnopqrstuvwxyz"}).to_string()
}

/// A server-to-server token of [`STORE`], the same at every start.
///
/// # Panics
/// Never: the demo keyring is good.
#[must_use]
pub fn token() -> String {
    #[expect(clippy::expect_used, reason = "the demo keyring is good")]
    let keyring = Keyring::parse(&keyring_secret()).expect("a keyring");
    jwt::sign(&token_record().claims(STORE), keyring.signing_key(TOKEN_IAT))
}

fn token_record() -> TokenRecord {
    TokenRecord {
        id: 1,
        name: "demo".into(),
        email: ADMIN_EMAIL.into(),
        event_channel: EventChannel::Admin,
        kid: "demo".into(),
        iat: TOKEN_IAT,
        nbf: None,
        exp: None,
        last_used_at: None,
    }
}

/// A current-customer JWT of [`BUYER_EMAIL`], as the platform makes them, but good for a day.
///
/// # Panics
/// Never: plain data can be signed.
#[must_use]
pub fn current_customer_jwt(now: u64) -> String {
    let claims = json!({
        "customer": {"id": BUYER_ID, "email": BUYER_EMAIL, "group_id": "1"},
        "iss": "bc/apps",
        "sub": STORE,
        "store_hash": STORE,
        "aud": APP_CLIENT_ID,
        "operation": "current_customer",
        "iat": now,
        "exp": now + jwt::DAY,
    });
    let key = EncodingKey::from_secret(APP_CLIENT_SECRET.as_bytes());
    #[expect(clippy::expect_used, reason = "plain data can be signed")]
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a JWT")
}

/// Makes the tables and the demo data that are not there yet. Demo data that was changed or deleted stays so.
///
/// # Errors
/// Says what failed.
pub async fn prepare(sdk_config: &SdkConfig, configuration: &Configuration) -> Result<(), Error> {
    let client = Client::new(sdk_config);
    create_table(&client, &configuration.tokens_table, &["pk", "sk"]).await?;
    create_table(&client, &configuration.directory_table, &["pk", "sk"]).await?;
    if create_table(&client, &configuration.login_attempts_table, &["pk"]).await? {
        let ttl = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true);
        let request = client
            .update_time_to_live()
            .table_name(&configuration.login_attempts_table)
            .time_to_live_specification(built(ttl.build())?);
        request.send().await.map_err(|fault| aws::error("UpdateTimeToLive", &fault))?;
    }
    fill(&client, configuration).await
}

/// Whether the table was not there yet.
async fn create_table(client: &Client, name: &str, key_attributes: &[&str]) -> Result<bool, Error> {
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, key_type) in key_attributes.iter().zip([KeyType::Hash, KeyType::Range]) {
        let definition =
            AttributeDefinition::builder().attribute_name(*attribute).attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name(*attribute).key_type(key_type);
        request = request.attribute_definitions(built(definition.build())?).key_schema(built(key.build())?);
    }
    match request.send().await {
        Ok(_) => Ok(true),
        Err(fault) if fault.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => Ok(false),
        Err(fault) => Err(aws::error("CreateTable", &fault)),
    }
}

async fn fill(client: &Client, configuration: &Configuration) -> Result<(), Error> {
    let directory = Directory::new(client.clone(), configuration.directory_table.clone());
    if directory.store(OTHER_STORE).await?.is_some() {
        return Ok(());
    }
    for (store_hash, email, password, role) in [
        (STORE, ADMIN_EMAIL, ADMIN_PASSWORD, Role::Administrator),
        (STORE, REP_EMAIL, REP_PASSWORD, Role::Other("sales_rep".into())),
        (OTHER_STORE, OTHER_ADMIN_EMAIL, ADMIN_PASSWORD, Role::Administrator),
    ] {
        let password_hash = passwords::hash(&password.into())?;
        let user = BackendUser { email: email.into(), password_hash, role, active: true };
        directory.put_backend_user(store_hash, &user).await?;
    }
    for (store_hash, customer_id, email) in
        [(STORE, BUYER_ID, BUYER_EMAIL), (OTHER_STORE, OTHER_BUYER_ID, OTHER_BUYER_EMAIL)]
    {
        let customer =
            Customer { customer_id, email: email.into(), channels: vec![1], active: true, tokens_valid_after: None };
        let login = CustomerLogin { customer, password_hash: passwords::hash(&BUYER_PASSWORD.into())? };
        directory.put_customer(store_hash, &login).await?;
    }
    let tokens = TokenTable::new(client.clone(), configuration.tokens_table.clone());
    let counter = tokens.counter(STORE).await?;
    if counter.last_id == 0
        && let Some(admin) = directory.backend_user(STORE, ADMIN_EMAIL).await?
    {
        let maker = directory.backend_user_check(STORE, &admin)?;
        tokens.create(STORE, token_record(), counter, configuration.max_tokens_per_store, &maker).await?;
    }
    // The other store comes last: it says that all is there.
    directory.put_store(STORE, &Store { channels: vec![1, 2], created_at: 0 }).await?;
    directory.put_store(OTHER_STORE, &Store { channels: vec![1], created_at: 0 }).await
}
