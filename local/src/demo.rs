//! Tables and demo data, always the same.

use crate::secrets_manager::Secrets;
use accounts::{Accounts, StoreChange, passwords};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TimeToLiveSpecification,
    },
};
use serde_json::json;
use shared::{
    clock::Clock,
    configuration::Configuration,
    fault::Fault,
    keys::{app::AppSecret, jwt, keyring::Keyring},
    scopes::Scopes,
    tables::{
        directory::{BackendUser, Customer, CustomerDirectory, CustomerLogin, Directory, Role, Store},
        items::built,
        tokens::{Creation, ENDS_AT, EXPIRING_TOKENS, EXPIRY_SHARD, EventChannel, NewToken, NotCreated, TokenTable},
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
/// Customer of [`STORE`] at BigCommerce alone, who may log in at channel 2 and nowhere else.
pub const CHANNEL_2_BUYER_EMAIL: &str = "outlet@example.com";
/// Id of [`CHANNEL_2_BUYER_EMAIL`].
pub const CHANNEL_2_BUYER_ID: u64 = 314;
/// Customer access token of [`BUYER_EMAIL`] at BigCommerce.
pub const BUYER_ACCESS_TOKEN: &str = "demo-customer-access-token";
/// Access token of the API account that [`STORE`] has at BigCommerce.
pub const BIGCOMMERCE_ACCESS_TOKEN: &str = "demo-bigcommerce-access-token";
/// Client id of the app that makes current-customer JWTs.
pub const APP_CLIENT_ID: &str = "demo-app-client-id";
/// Client secret of the app that makes current-customer JWTs.
pub const APP_CLIENT_SECRET: &str = "demo-app-client-secret-0123456789abcdef";

/// Id of the demo token: the first of its store.
const TOKEN_ID: u64 = 1;
/// When the demo token was issued: 2024-01-01T00:00:00Z.
const TOKEN_IAT: u64 = 1_704_067_200;

/// The secrets that a local deployment begins with.
#[must_use]
pub fn secrets(configuration: &Configuration) -> Secrets {
    Secrets::from([
        (configuration.keyring_secret_id.clone(), keyring_secret()),
        (configuration.app_secret_id.clone(), json!(app()).to_string()),
    ])
}

/// Name and text of the secret that a deployment has besides, if [`STORE`] has its customers at BigCommerce.
#[must_use]
pub fn bigcommerce_secret(configuration: &Configuration) -> (String, String) {
    (configuration.bigcommerce.secret_id(STORE), json!({"accessToken": BIGCOMMERCE_ACCESS_TOKEN}).to_string())
}

fn app() -> AppSecret {
    AppSecret { client_id: APP_CLIENT_ID.into(), client_secret: APP_CLIENT_SECRET.into() }
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
    jwt::sign(&new_token().record(TOKEN_ID).claims(STORE), keyring.signing_key(TOKEN_IAT))
}

fn new_token() -> NewToken {
    NewToken {
        name: "demo".into(),
        email: ADMIN_EMAIL.into(),
        event_channel: EventChannel::Admin,
        kid: "demo".into(),
        iat: TOKEN_IAT,
        nbf: None,
        exp: None,
        scopes: Scopes::ALL,
        replaces: None,
    }
}

/// A current-customer JWT of [`BUYER_EMAIL`], as the platform makes them, but good for a day.
#[must_use]
pub fn current_customer_jwt(now: u64) -> String {
    accounts::current_customer_jwt(&app(), STORE, BUYER_ID, BUYER_EMAIL, now, jwt::DAY)
}

/// Makes the tables and the demo data that are not there yet. Demo data that was changed or deleted stays so.
///
/// # Errors
/// Says what failed.
pub async fn prepare(sdk_config: &SdkConfig, configuration: &Configuration) -> Result<(), Fault> {
    let client = Client::new(sdk_config);
    // DynamoDB warns of whatever it refuses, such as to make a table again.
    let listed = client.list_tables().into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let present = listed.map_err(|error| Fault::of_aws("ListTables", error))?;
    let Configuration { tokens_table, directory_table, login_attempts_table, .. } = configuration;
    let store_keys = [("pk", ScalarAttributeType::S), ("sk", ScalarAttributeType::S)];
    let index_keys = [(EXPIRY_SHARD, ScalarAttributeType::N), (ENDS_AT, ScalarAttributeType::N)];
    for (name, keys, index, expires) in [
        (tokens_table, &store_keys[..], Some((EXPIRING_TOKENS, index_keys)), true),
        (directory_table, &store_keys[..], None, false),
        (login_attempts_table, &store_keys[..1], None, true),
    ] {
        if !present.contains(name) {
            create_table(&client, name, keys, index).await?;
            if expires {
                remove_expired(&client, name).await?;
            }
        }
    }
    fill(&client, configuration).await
}

/// Sets where the customers of [`STORE`] are, if the store is there.
///
/// # Errors
/// Says what failed.
pub async fn set_customer_directory(
    sdk_config: &SdkConfig,
    configuration: &Configuration,
    customer_directory: CustomerDirectory,
) -> Result<(), Fault> {
    let accounts = Accounts::new(&Client::new(sdk_config), configuration, Clock::system());
    accounts.change_store(STORE, &StoreChange::CustomerDirectory(customer_directory)).await.map(drop)
}

type KeyAttribute = (&'static str, ScalarAttributeType);

async fn create_table(
    client: &Client,
    name: &str,
    keys: &[KeyAttribute],
    index: Option<(&str, [KeyAttribute; 2])>,
) -> Result<(), Fault> {
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let of_index = index.iter().flat_map(|(_, keys)| keys);
    for (attribute, kind) in keys.iter().chain(of_index) {
        let definition = AttributeDefinition::builder().attribute_name(*attribute).attribute_type(kind.clone());
        request = request.attribute_definitions(built(definition.build())?);
    }
    request = request.set_key_schema(Some(key_schema(keys)?));
    if let Some((name, keys)) = &index {
        let index = GlobalSecondaryIndex::builder()
            .index_name(*name)
            .set_key_schema(Some(key_schema(keys)?))
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build());
        request = request.global_secondary_indexes(built(index.build())?);
    }
    request.send().await.map_err(|error| Fault::of_aws("CreateTable", error))?;
    Ok(())
}

fn key_schema(keys: &[KeyAttribute]) -> Result<Vec<KeySchemaElement>, Fault> {
    let kinds = [KeyType::Hash, KeyType::Range];
    let keys = keys.iter().zip(kinds);
    keys.map(|((name, _), kind)| built(KeySchemaElement::builder().attribute_name(*name).key_type(kind).build()))
        .collect()
}

async fn remove_expired(client: &Client, table: &str) -> Result<(), Fault> {
    let ttl = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true);
    let request = client.update_time_to_live().table_name(table).time_to_live_specification(built(ttl.build())?);
    request.send().await.map_err(|error| Fault::of_aws("UpdateTimeToLive", error))?;
    Ok(())
}

async fn fill(client: &Client, configuration: &Configuration) -> Result<(), Fault> {
    let directory = Directory::new(client.clone(), configuration.directory_table.clone());
    let clock = Clock::system();
    let accounts = Accounts::new(client, configuration, clock.clone());
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
        accounts.put_user(store_hash, &user).await?;
    }
    for (store_hash, customer_id, email) in
        [(STORE, BUYER_ID, BUYER_EMAIL), (OTHER_STORE, OTHER_BUYER_ID, OTHER_BUYER_EMAIL)]
    {
        let customer =
            Customer { customer_id, email: email.into(), channels: vec![1], active: true, tokens_valid_after: None };
        let login = CustomerLogin { customer, password_hash: passwords::hash(&BUYER_PASSWORD.into())? };
        accounts.put_customer(store_hash, &login).await?;
    }
    let tokens = TokenTable::new(client.clone(), configuration.tokens_table.clone());
    let counter = tokens.counter(STORE).await?;
    if counter.is_none()
        && let Some(admin) = directory.backend_user(STORE, ADMIN_EMAIL).await?
    {
        let maker = directory.token_maker_check(STORE, &admin.email, Some(&admin.password_hash))?;
        let creation = Creation {
            store_hash: STORE,
            token: &new_token(),
            idempotency_key: None,
            counter,
            max: configuration.max_tokens_per_store,
            now: clock.now(),
        };
        // Nothing else stands against the first token of a store.
        if let Err(NotCreated::Fault(fault)) = tokens.create(&creation, |_| Ok(vec![maker.clone()])).await {
            return Err(fault);
        }
    }
    // The other store comes last: it says that all is there.
    accounts.put_store(STORE, &Store { channels: vec![1, 2], ..Store::default() }).await?;
    accounts.put_store(OTHER_STORE, &Store { channels: vec![1], ..Store::default() }).await
}
