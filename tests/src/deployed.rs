//! A stack that `sam deploy` has made in a local AWS, which `e2e/run` describes in the file at `TEST_DEPLOYED_STACK`.
//!
//! There is one for all tests, so they must run one after the other: each finds the demo data only, its own settings and its
//! own time. Settings and time reach the functions as an operator's would, by an update of their configuration; the time by
//! way of libfaketime.

use crate::Upstream;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use local::{aws, demo};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::configuration::{BigCommerceSettings, Configuration, StorefrontAccess};
use std::{env, fs, path::PathBuf};

#[derive(Deserialize)]
pub struct Deployed {
    /// Host of the API, whose address is that of the local AWS.
    pub api_host: String,
    /// Addresses of a local AWS are `http://127.0.0.1:…`.
    pub aws_url: String,
    function_names: Vec<String>,
    tokens_table: String,
    directory_table: String,
    login_attempts_table: String,
    keyring_secret_id: String,
    app_secret_id: String,
    bigcommerce_secret_prefix: String,
    libfaketime: PathBuf,
    /// Holds the time, in Unix seconds.
    pub clock_file: PathBuf,
}

impl Deployed {
    /// The deployed stack, if tests shall use one.
    pub fn from_env() -> Option<Self> {
        let file = env::var("TEST_DEPLOYED_STACK").ok()?;
        Some(serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
    }

    /// Makes it as new, with these settings and this in BigCommerce's place; gives its own names of tables and secrets.
    pub async fn reset(&self, configuration: Configuration, upstream: Option<&Upstream>) -> (SdkConfig, Configuration) {
        let configuration = Configuration {
            tokens_table: self.tokens_table.clone(),
            directory_table: self.directory_table.clone(),
            login_attempts_table: self.login_attempts_table.clone(),
            keyring_secret_id: self.keyring_secret_id.clone(),
            app_secret_id: self.app_secret_id.clone(),
            bigcommerce: BigCommerceSettings {
                secret_prefix: self.bigcommerce_secret_prefix.clone(),
                ..configuration.bigcommerce
            },
            ..configuration
        };
        let sdk_config = aws::sdk_config(&self.aws_url).await;
        let client = Client::new(&sdk_config);
        for (table, key_attributes) in [
            (&self.tokens_table, ["pk", "sk"].as_slice()),
            (&self.directory_table, &["pk", "sk"]),
            (&self.login_attempts_table, &["pk"]),
        ] {
            empty(&client, table, key_attributes).await;
        }
        let secrets = aws_sdk_secretsmanager::Client::new(&sdk_config);
        for (id, secret) in demo::secrets(&configuration) {
            secrets.put_secret_value().secret_id(id).secret_string(secret).send().await.unwrap();
        }
        demo::prepare(&sdk_config, &configuration).await.unwrap();
        for name in &self.function_names {
            self.configure(name, &configuration, upstream).await;
        }
        (sdk_config, configuration)
    }

    async fn configure(&self, function_name: &str, configuration: &Configuration, upstream: Option<&Upstream>) {
        let url = format!("{}/2015-03-31/functions/{function_name}/configuration", self.aws_url);
        let present: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        let mut environment = present["Environment"].clone();
        let variables = environment["Variables"].as_object_mut().unwrap();
        variables.extend([
            ("STOREFRONT_ACCESS".into(), storefront_access(configuration).into()),
            ("MAX_TOKENS_PER_STORE".into(), configuration.max_tokens_per_store.to_string().into()),
            ("BIGCOMMERCE_CALLS".into(), configuration.bigcommerce.calls_per_window.to_string().into()),
            ("LD_PRELOAD".into(), json!(self.libfaketime)),
            ("FAKETIME_TIMESTAMP_FILE".into(), json!(self.clock_file)),
            ("FAKETIME_FMT".into(), "%s".into()),
            // A function runs on, and the time changes.
            ("FAKETIME_NO_CACHE".into(), "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
        ]);
        for name in ["BIGCOMMERCE_API_URL", "BIGCOMMERCE_STOREFRONT_URL"] {
            match upstream {
                Some(upstream) => variables.insert(name.into(), upstream.url.as_str().into()),
                None => variables.remove(name),
            };
        }
        let alias = format!("{}/2015-03-31/functions/{function_name}/aliases/live", self.aws_url);
        for (url, update) in
            [(url, json!({"Environment": environment})), (alias, json!({"FunctionVersion": "$LATEST"}))]
        {
            reqwest::Client::new().put(url).json(&update).send().await.unwrap().error_for_status().unwrap();
        }
    }
}

fn storefront_access(configuration: &Configuration) -> &'static str {
    match configuration.storefront_access {
        StorefrontAccess::AuthToken => "authToken",
        StorefrontAccess::Public => "public",
    }
}

async fn empty(client: &Client, table: &str, key_attributes: &[&str]) {
    let mut items = client.scan().table_name(table).into_paginator().items().send();
    while let Some(item) = items.next().await {
        let mut item = item.unwrap();
        item.retain(|name, _| key_attributes.contains(&name.as_str()));
        client.delete_item().table_name(table).set_key(Some(item)).send().await.unwrap();
    }
}
