//! The whole stack on one machine, in one process.
//!
//! HTTP servers, on 127.0.0.1 unless told otherwise: one stands for API Gateway and calls the functions with the
//! events that API Gateway sends, beside a small API of somebody else's that the authorizer protects; one stands for AWS,
//! with DynamoDB (embedded) and the calls of Secrets Manager that read, rotate and retire signing keys; and where the demo
//! store has its customers there, one stands for BigCommerce.

pub mod aws;
pub mod bigcommerce;
pub mod demo;
pub mod gateway;
pub mod pages;
mod protected_api;
mod proxy_event;
mod recent_requests;
pub mod secrets_manager;
pub mod server;

use aws_config::SdkConfig;
use bigcommerce::BigCommerce;
use expire_tokens::ExpireTokens;
use pages::Pages;
use secrets_manager::SecretsManager;
use server::{Server, StartError};
use shared::{
    bigcommerce::Addresses,
    clock::Clock,
    configuration::Configuration,
    tables::{directory::CustomerDirectory, tokens::TokenTable},
};
use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use tokio::{task::JoinHandle, time::interval};

/// Between two runs of what removes ended tokens.
const EXPIRE_EVERY: Duration = Duration::from_hours(1);

/// How to start the stack.
#[derive(Debug)]
pub struct Options {
    /// Port of the API; 0 takes a free one.
    pub port: u16,
    /// Address of DynamoDB and Secrets Manager; port 0 takes a free one.
    pub aws_address: SocketAddr,
    /// Folder that keeps the data and the secrets; in memory where there is none.
    pub data: Option<PathBuf>,
    /// Where the demo store's customers are.
    pub customer_directory: CustomerDirectory,
    /// Port of what stands for BigCommerce, if they are there; 0 takes a free one.
    pub bigcommerce_port: u16,
    /// The deployment's settings.
    pub configuration: Configuration,
    /// The time.
    pub clock: Clock,
}

impl Options {
    /// On free ports of 127.0.0.1, with the data in memory and the customers in the table.
    #[must_use]
    pub fn on_free_ports(configuration: Configuration, clock: Clock) -> Self {
        Self {
            port: 0,
            aws_address: (Ipv4Addr::LOCALHOST, 0).into(),
            data: None,
            customer_directory: CustomerDirectory::Table,
            bigcommerce_port: 0,
            configuration,
            clock,
        }
    }

    /// Starts what stands for BigCommerce, if it is needed, and has the functions speak to it.
    async fn start_bigcommerce(&mut self) -> Result<Option<Server>, StartError> {
        if self.customer_directory == CustomerDirectory::Table {
            return Ok(None);
        }
        let listener = server::bind(self.bigcommerce_port, "--bigcommerce-port").await?;
        let server = Server::start(listener, BigCommerce::new(self.clock.clone()).router())?;
        self.configuration.bigcommerce.addresses = Addresses::of_stand_in(&server.url);
        Ok(Some(server))
    }
}

/// The running stack.
pub struct Stack {
    /// The API.
    pub api: Server,
    /// DynamoDB and Secrets Manager.
    pub aws: aws::LocalAws,
    /// What stands for BigCommerce, where it does.
    pub bigcommerce: Option<Server>,
    /// Configuration of SDK clients that speak to the local AWS.
    pub sdk_config: SdkConfig,
    expiry: JoinHandle<()>,
    _folder: Option<File>,
}

impl Stack {
    /// Starts the servers, and makes tables and demo data where there are none.
    ///
    /// # Errors
    /// If a port or the folder is taken, or the folder cannot be written or holds a broken file.
    pub async fn start(mut options: Options) -> Result<Self, StartError> {
        let api_listener = server::bind(options.port, "--port").await?;
        let aws_listener = server::bind_to(options.aws_address, "--aws-host or --aws-port").await?;
        let bigcommerce = options.start_bigcommerce().await?;
        let folder = options.data.as_deref().map(aws::take_folder).transpose()?;
        let database = aws::open_database(options.data.as_deref())?;
        let mut secrets = demo::secrets(&options.configuration);
        if options.customer_directory == CustomerDirectory::BigCommerce {
            secrets.extend([demo::bigcommerce_secret(&options.configuration)]);
        }
        let secrets_manager = SecretsManager::open(options.data.as_deref(), secrets, options.clock.clone())?;
        let aws = aws::LocalAws::start(aws_listener, database, secrets_manager).await?;
        let sdk_config = aws::sdk_config(&aws.server.url).await;
        demo::prepare(&sdk_config, &options.configuration).await?;
        demo::set_customer_directory(&sdk_config, &options.configuration, options.customer_directory).await?;
        let dynamodb = aws_sdk_dynamodb::Client::new(&sdk_config);
        let secrets = aws_sdk_secretsmanager::Client::new(&sdk_config);
        let api = gateway::api(&dynamodb, &secrets, &options.configuration, &options.clock);
        let pages = pages::router(Pages {
            services: api.authorizer,
            recent_requests: api.recent_requests,
            aws_url: aws.server.url.clone(),
            bigcommerce_url: bigcommerce.as_ref().map(|server| server.url.clone()),
        });
        let api = Server::start(api_listener, api.router.merge(pages))?;
        let expiry = tokio::spawn(expire_tokens(sdk_config.clone(), options.configuration.tokens_table, options.clock));
        Ok(Self { api, aws, bigcommerce, sdk_config, expiry, _folder: folder })
    }

    /// Lets open requests finish, and stops.
    pub async fn stop(self) {
        self.expiry.abort();
        self.api.stop().await;
        self.aws.stop().await;
        if let Some(bigcommerce) = self.bigcommerce {
            bigcommerce.stop().await;
        }
    }
}

/// Does what a schedule has the function `expire-tokens` do.
async fn expire_tokens(sdk_config: SdkConfig, table: String, clock: Clock) {
    let tokens = TokenTable::new(aws_sdk_dynamodb::Client::new(&sdk_config), table);
    let function = ExpireTokens::new(tokens, clock.clone());
    let mut hours = interval(EXPIRE_EVERY);
    loop {
        hours.tick().await;
        // It logs its failures, and the next run goes on.
        let _ = function.run(clock.now() + EXPIRE_EVERY.as_secs()).await;
    }
}
