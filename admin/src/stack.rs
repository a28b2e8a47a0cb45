//! The stack that a command works on: one that was deployed, or the one that `cargo run` started.

use crate::{
    connection,
    date::AwsClock,
    failure::{Failure, Kind},
    output::{escaped, say},
    values,
    waiting::{Waiting, patiently},
};
use accounts::Accounts;
use aws_config::{
    Region, SdkConfig,
    environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain,
    profile::{self, ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    provider_config::ProviderConfig,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_cloudformation::{error::ProvideErrorMetadata, types::Stack as Description};
use aws_sdk_dynamodb::config::Credentials;
use clap::{Args, builder::NonEmptyStringValueParser};
use shared::{
    aws,
    bigcommerce::Addresses,
    clock::Clock,
    configuration::{BigCommerceSettings, Configuration, StorefrontAccess},
    fault::{Chain, Fault},
    keys::jwt::LEEWAY,
    services::Services,
};
use std::time::Duration;
use tokio::sync::OnceCell;

/// DynamoDB and Secrets Manager of the stack that `cargo run` starts.
const LOCAL_AWS: &str = "http://127.0.0.1:8000";
/// Its API.
const LOCAL_API: &str = "http://127.0.0.1:3000/api/io";

/// Names the stack where `--stack-name` does not.
const STACK_NAME: &str = "B2B_AUTH_STACK_NAME";
/// What it holds for the local stack. No stack can be named so.
const LOCAL: &str = "--local";

/// Which stack.
#[derive(Args)]
pub struct TargetArguments {
    /// Stack that was deployed with `sam deploy`; its outputs name tables, secrets and API. Otherwise `B2B_AUTH_STACK_NAME` names it.
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Which stack")]
    pub stack_name: Option<String>,
    /// The stack that `cargo run` started on this machine, whatever the environment names. `B2B_AUTH_STACK_NAME=--local` means it too.
    #[arg(long, global = true, help_heading = "Which stack")]
    pub local: bool,
    /// Address of another AWS than the real one; without --stack-name, that of a `cargo run` with an --aws-port of its own.
    #[arg(long, global = true, value_name = "URL", value_parser = values::url, help_heading = "Which stack")]
    pub aws_endpoint: Option<String>,
    /// Address that the paths of the endpoints follow, if it is not the one in the stack's outputs.
    #[arg(long, global = true, value_name = "URL", value_parser = values::url, help_heading = "Which stack")]
    pub api_url: Option<String>,
    /// Profile of the AWS CLI's configuration. Its credentials and its region win over those of the environment.
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Which stack")]
    pub profile: Option<String>,
    /// AWS region.
    #[arg(long, global = true, value_name = "NAME", value_parser = values::region, help_heading = "Which stack")]
    pub region: Option<String>,
}

impl TargetArguments {
    /// The name of the deployed stack that is meant, or none for the local one. `clap` does not see what stands on both sides of a
    /// command.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if it is not clear which is meant.
    fn deployed(&self) -> Result<Option<String>, Failure> {
        let wrong = |problem: String| Err(Failure::new(Kind::Invalid, problem));
        let named = std::env::var(STACK_NAME).ok().filter(|name| !name.is_empty());
        let is_local = self.local || self.stack_name.is_none() && named.as_deref() == Some(LOCAL);
        match (&self.stack_name, named, &self.aws_endpoint) {
            _ if is_local => {}
            (None, None, Some(_)) => {}
            (Some(name), ..) => return Ok(Some(name.clone())),
            (None, Some(name), None) => return Ok(Some(name)),
            (None, Some(name), Some(endpoint)) => {
                return wrong(format!(
                    "{STACK_NAME} names the stack {name}, and --aws-endpoint {endpoint} another AWS. If the stack is there, add \
                     --stack-name {name}; if `cargo run` is, add --local."
                ));
            }
            (None, None, None) => {
                return wrong(format!(
                    "Which stack? Name the one that you deployed with --stack-name or {STACK_NAME}, or use --local for the one that \
                     `cargo run` started."
                ));
            }
        }
        let of_deployed =
            [("--stack-name", &self.stack_name), ("--profile", &self.profile), ("--region", &self.region)];
        match of_deployed.into_iter().find(|(_, value)| value.is_some()) {
            Some((option, _)) => wrong(format!(
                "{option} is for a stack that was deployed, and --local, also in {STACK_NAME}, or --aws-endpoint without \
                 --stack-name, means the one that `cargo run` started. Leave one of them out."
            )),
            None => Ok(None),
        }
    }

    /// That it is known where the API of the stack is, and not only where it is by default: there may be that of another.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if it is not.
    pub fn api_is_known(&self) -> Result<(), Failure> {
        match &self.aws_endpoint {
            Some(endpoint) if self.stack_name.is_none() && self.api_url.is_none() => Err(Failure::new(
                Kind::Invalid,
                format!(
                    "Where is the API of the stack at {endpoint}? Add --api-url with the address that `cargo run` printed, such as \
                     {LOCAL_API}."
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// A stack, and the clients that reach it.
pub struct Stack {
    /// As messages and audit lines name it.
    pub name: String,
    /// Its name alone; of the one that `cargo run` started, `local`.
    pub short_name: String,
    /// What the functions work with.
    pub services: Services,
    pub accounts: Accounts,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
    /// What the paths of the endpoints follow.
    pub api_url: String,
    /// What was deployed; none for the local stack, and for templates that did not name theirs yet.
    pub version: Option<String>,
    /// The key that encrypts its secrets, where it has one of its own.
    pub kms_key: Option<String>,
    /// None for the local stack.
    identity: Option<aws_sdk_sts::Client>,
    actor: OnceCell<String>,
}

impl Stack {
    /// Finds the stack. Only a deployed one is asked for anything.
    pub async fn open(arguments: &TargetArguments) -> Result<Self, Failure> {
        match arguments.deployed()? {
            Some(name) => Self::deployed(&name, arguments).await,
            None => Self::local(arguments).await,
        }
    }

    async fn local(arguments: &TargetArguments) -> Result<Self, Failure> {
        let endpoint = arguments.aws_endpoint.as_deref().unwrap_or(LOCAL_AWS);
        let config = patient_config(2, connection::Client::new(None))
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"));
        let mut configuration = Configuration::local(StorefrontAccess::AuthToken);
        if let Some(addresses) = bigcommerce_addresses()? {
            configuration.bigcommerce.addresses = addresses;
        }
        let api_url = arguments.api_url.as_deref().unwrap_or(LOCAL_API);
        let place = format!("local at {endpoint}");
        Ok(Self::new("local", place, &config.load().await, configuration, Clock::system(), api_url))
    }

    async fn deployed(name: &str, arguments: &TargetArguments) -> Result<Self, Failure> {
        check_environment()?;
        check_profile(arguments.profile.as_deref()).await?;
        let Some(region) = patiently("the name of the AWS region", region(arguments)).await else {
            return Err(Failure::new(
                Kind::NoAccess,
                "Which AWS region? Name it with --region or AWS_REGION, or in the profile.",
            ));
        };
        let region = values::region(region.as_ref()).map_err(|problem| Failure::new(Kind::Invalid, problem + "."))?;
        let client = connection::Client::new(Some(region.clone()));
        let mut config = patient_config(8, client.clone()).region(Region::new(region.clone()));
        if let Some(profile) = &arguments.profile {
            let provider =
                ProviderConfig::default().with_region(Some(Region::new(region.clone()))).with_http_client(client);
            let credentials = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(profile);
            // The chain that is used otherwise begins with the environment, and leads to another account.
            config = config.profile_name(profile).credentials_provider(credentials.build());
        }
        if let Some(endpoint) = &arguments.aws_endpoint {
            config = config.endpoint_url(endpoint);
        }
        let config = config.load().await;
        if let Some(endpoint) = config.endpoint_url() {
            values::url(endpoint).map_err(|problem| {
                Failure::new(Kind::Invalid, format!("The endpoint_url of the profile {problem}."))
            })?;
        }
        let (description, clock) = describe(&config, name, &region).await?;
        let output_if_any = |key: &str| {
            let found = description.outputs().iter().find(|output| output.output_key() == Some(key));
            found.and_then(|output| output.output_value()).map(ToOwned::to_owned)
        };
        let output = |key: &str| {
            output_if_any(key).ok_or_else(|| {
                Failure::new(
                    Kind::NoAccess,
                    format!("The stack {name} in {region} has no output {key}, so it is not one of b2b-auth, or its deployment did not finish."),
                )
            })
        };
        let parameter = |key: &str| {
            let found = description.parameters().iter().find(|parameter| parameter.parameter_key() == Some(key));
            found.and_then(|parameter| parameter.parameter_value()).unwrap_or_default().to_owned()
        };
        let configuration = Configuration {
            tokens_table: output("TokensTableName")?,
            directory_table: output("DirectoryTableName")?,
            login_attempts_table: output("LoginAttemptsTableName")?,
            keyring_secret_id: output("KeyringSecretArn")?,
            app_secret_id: output("AppSecretArn")?,
            storefront_access: parameter("StorefrontAccess").parse().unwrap_or(StorefrontAccess::AuthToken),
            allowed_origins: parameter("AllowedOrigins").parse().unwrap_or_default(),
            max_tokens_per_store: parameter("MaxTokensPerStore").parse().unwrap_or(1000),
            rotation_days: parameter("RotationDays").parse().unwrap_or(0),
            bigcommerce: BigCommerceSettings {
                addresses: bigcommerce_addresses()?.unwrap_or_default(),
                // Templates from before did not name it.
                secret_prefix: output_if_any("BigCommerceSecretPrefix")
                    .unwrap_or_else(|| format!("{name}/bigcommerce/")),
                calls_per_window: parameter("BigCommerceCalls").parse().unwrap_or(50),
            },
        };
        let api_url = match &arguments.api_url {
            Some(url) => url.clone(),
            None => output("ApiUrl")?,
        };
        // As arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID.
        let account = description.stack_id().and_then(|arn| arn.split(':').nth(4)).ok_or_else(|| {
            Failure::new(Kind::Fault, format!("AWS does not say in which account the stack {name} is."))
        })?;
        let elsewhere = config.endpoint_url().map(|endpoint| format!(", at {endpoint}")).unwrap_or_default();
        let place = format!("{name} in {region}, account {account}{elsewhere}");
        let stack = Self::new(name, place, &config, configuration, clock, &api_url);
        let identity = aws_sdk_sts::config::Builder::from(&config).interceptor(Waiting::default()).build();
        let identity = Some(aws_sdk_sts::Client::from_conf(identity));
        let kms_key = Some(parameter("KmsKeyArn")).filter(|key| !key.is_empty());
        Ok(Self { identity, version: output_if_any("Version"), kms_key, ..stack })
    }

    fn new(
        short_name: &str,
        name: String,
        config: &SdkConfig,
        configuration: Configuration,
        clock: Clock,
        api_url: &str,
    ) -> Self {
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(config).interceptor(Waiting::default()).build();
        let dynamodb = aws_sdk_dynamodb::Client::from_conf(dynamodb);
        let secrets = aws_sdk_secretsmanager::config::Builder::from(config).interceptor(Waiting::default()).build();
        let secrets = aws_sdk_secretsmanager::Client::from_conf(secrets);
        Self {
            name,
            short_name: short_name.into(),
            accounts: Accounts::new(&dynamodb, &configuration, clock.clone()),
            services: Services::new(&dynamodb, &secrets, configuration, clock),
            dynamodb,
            secrets,
            api_url: api_url.trim_end_matches('/').into(),
            version: None,
            kms_key: None,
            identity: None,
            actor: OnceCell::new(),
        }
    }

    /// The settings of the deployment.
    pub fn configuration(&self) -> &Configuration {
        &self.services.configuration
    }

    /// Whether it was deployed, and is not that of `cargo run`.
    pub fn is_deployed(&self) -> bool {
        self.identity.is_some()
    }

    /// Who makes changes, for the audit line.
    pub async fn actor(&self) -> &str {
        let find = async {
            let user = || std::env::var("USER").unwrap_or_else(|_| "unknown".into());
            let Some(client) = &self.identity else { return user() };
            let identity = client.get_caller_identity().send().await.ok().and_then(|identity| identity.arn);
            identity.unwrap_or_else(|| format!("{} (AWS did not say who)", user()))
        };
        self.actor.get_or_init(|| find).await
    }
}

/// Where BigCommerce is, if the environment says so, by the names that functions know too.
fn bigcommerce_addresses() -> Result<Option<Addresses>, Failure> {
    let value = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (api, storefront) = (value("BIGCOMMERCE_API_URL"), value("BIGCOMMERCE_STOREFRONT_URL"));
    if api.is_none() && storefront.is_none() {
        return Ok(None);
    }
    Addresses::new(api.as_deref(), storefront.as_deref()).map(Some).map_err(|problem| {
        Failure::new(Kind::Invalid, format!("BIGCOMMERCE_API_URL or BIGCOMMERCE_STOREFRONT_URL: {problem}."))
    })
}

/// The functions' configuration, but with the patience of a person and through longer throttling.
fn patient_config(attempts: u32, client: connection::Client) -> aws_config::ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(20))
        .operation_timeout(Duration::from_mins(2))
        .build();
    let retries = RetryConfig::standard().with_max_attempts(attempts);
    aws::config().http_client(client).timeout_config(timeouts).retry_config(retries)
}

/// That the addresses in the environment are some: the SDK would show a request, with its body, to say that one is not.
fn check_environment() -> Result<(), Failure> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    for (name, value) in variables {
        if name.starts_with("AWS_ENDPOINT_URL") {
            values::url(&value.to_string_lossy())
                .map_err(|problem| Failure::new(Kind::Invalid, format!("{name} {problem}.")))?;
        }
    }
    Ok(())
}

/// That the profile that is named, or that the environment names, is there: without it the SDK takes whatever credentials it
/// finds elsewhere.
#[expect(clippy::default_trait_access, reason = "aws-config does not export the types")]
async fn check_profile(given: Option<&str>) -> Result<(), Failure> {
    let (by, profile) = match (given, std::env::var("AWS_PROFILE")) {
        (Some(profile), _) => ("--profile", profile.to_owned()),
        (None, Ok(profile)) if !profile.is_empty() => ("AWS_PROFILE", profile),
        _ => return Ok(()),
    };
    let profiles = profile::load(&Default::default(), &Default::default(), &Default::default(), None).await;
    let problem = match profiles {
        Ok(profiles) if profiles.get_profile(&profile).is_some() => return Ok(()),
        Ok(_) => "there is no such profile. `aws configure list-profiles` shows what there is.".to_owned(),
        Err(error) => format!("the profiles cannot be read: {}.", Chain(&error)),
    };
    Err(Failure::new(Kind::NoAccess, format!("{by} names {profile}, and {problem}")))
}

/// The region: the one that is named, or else that of the profile that is named, or else the one that the SDK finds.
async fn region(arguments: &TargetArguments) -> Option<Region> {
    let named = RegionProviderChain::first_try(arguments.region.clone().map(Region::new));
    let providers = match &arguments.profile {
        Some(profile) => named
            .or_else(ProfileFileRegionProvider::builder().profile_name(profile).build())
            .or_else(EnvironmentVariableRegionProvider::new()),
        None => named.or_default_provider(),
    };
    providers.region().await
}

/// The stack, and the clock that its functions go by: a revocation by one that is behind would spare tokens.
async fn describe(config: &SdkConfig, name: &str, region: &str) -> Result<(Description, Clock), Failure> {
    let aws_clock = AwsClock::default();
    let client = aws_sdk_cloudformation::config::Builder::from(config).interceptor(Waiting::default()).build();
    let request = aws_sdk_cloudformation::Client::from_conf(client).describe_stacks().stack_name(name);
    let answer = match request.customize().interceptor(aws_clock.clone()).send().await {
        Ok(answer) => answer,
        // It has no code of its own.
        Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => {
            return Err(no_stack(name, region));
        }
        Err(error) if error.code() == Some("ValidationError") => {
            let problem = error.message().unwrap_or("AWS does not say why");
            return Err(Failure::new(Kind::Invalid, format!("{name} is no name of a stack: {}", escaped(problem))));
        }
        Err(error) => return Err(Fault::of_aws("DescribeStacks", error).into()),
    };
    let description = answer.stacks.into_iter().flatten().next().ok_or_else(|| no_stack(name, region))?;
    Ok((description, clock(aws_clock.seconds_ahead())))
}

fn clock(seconds_ahead: i64) -> Clock {
    if seconds_ahead.unsigned_abs() > LEEWAY {
        say(&format!("AWS's clock is {seconds_ahead} seconds ahead of this machine's; the time is taken from AWS."));
    }
    let here = Clock::system();
    Clock::new(move || here.now().saturating_add_signed(seconds_ahead))
}

fn no_stack(name: &str, region: &str) -> Failure {
    Failure::new(
        Kind::NoAccess,
        format!(
            "There is no stack {name} in {region}, or it is in another account. Check --stack-name, --region and --profile; \
             `aws cloudformation list-stacks` shows what there is."
        ),
    )
}
