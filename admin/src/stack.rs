//! The stack that a command works on: one that was deployed, or the one that `cargo run` started.

use crate::{
    date::AwsClock,
    failure::{Failure, Kind},
    output::say,
};
use accounts::Accounts;
use aws_config::{Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_cloudformation::{error::ProvideErrorMetadata, types::Stack as Description};
use aws_sdk_dynamodb::config::Credentials;
use clap::Args;
use shared::{
    aws,
    clock::Clock,
    configuration::{Configuration, StorefrontAccess},
    fault::Fault,
    keys::jwt::LEEWAY,
    services::Services,
};
use std::time::Duration;
use tokio::sync::OnceCell;

/// DynamoDB and Secrets Manager of the stack that `cargo run` starts.
const LOCAL_AWS: &str = "http://127.0.0.1:8000";
/// Its API.
const LOCAL_API: &str = "http://127.0.0.1:3000/api/io";

/// Which stack.
#[derive(Args)]
pub struct TargetArguments {
    /// Stack that was deployed with `sam deploy`; its outputs name tables, secrets and API.
    #[arg(long, global = true, env = "B2B_AUTH_STACK_NAME", value_name = "NAME", help_heading = "Which stack")]
    pub stack_name: Option<String>,
    /// The stack that `cargo run` started on this machine.
    #[arg(long, global = true, help_heading = "Which stack")]
    pub local: bool,
    /// Address of another AWS than the real one; without --stack-name, that of a `cargo run` with an --aws-port of its own.
    #[arg(long, global = true, value_name = "URL", help_heading = "Which stack")]
    pub aws_endpoint: Option<String>,
    /// Address that the paths of the endpoints follow, if it is not the one in the stack's outputs.
    #[arg(long, global = true, value_name = "URL", help_heading = "Which stack")]
    pub api_url: Option<String>,
    /// Profile of the AWS CLI's configuration.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Which stack")]
    pub profile: Option<String>,
    /// AWS region.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Which stack")]
    pub region: Option<String>,
}

/// A stack, and the clients that reach it.
pub struct Stack {
    /// As messages and audit lines name it.
    pub name: String,
    /// What the functions work with.
    pub services: Services,
    pub accounts: Accounts,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
    /// What the paths of the endpoints follow.
    pub api_url: String,
    /// None for the local stack.
    identity: Option<aws_sdk_sts::Client>,
    actor: OnceCell<String>,
}

impl Stack {
    /// Finds the stack. Only a deployed one is asked for anything.
    pub async fn open(arguments: &TargetArguments) -> Result<Self, Failure> {
        match &arguments.stack_name {
            Some(name) if !arguments.local => Self::deployed(name, arguments).await,
            None if !arguments.local && arguments.aws_endpoint.is_none() => Err(Failure::new(
                Kind::Invalid,
                "Which stack? Name the one that you deployed with --stack-name or B2B_AUTH_STACK_NAME, or use --local for the one \
                 that `cargo run` started.",
            )),
            _ => Ok(Self::local(arguments).await),
        }
    }

    async fn local(arguments: &TargetArguments) -> Self {
        let endpoint = arguments.aws_endpoint.as_deref().unwrap_or(LOCAL_AWS);
        let config = patient_config(2)
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"));
        let configuration = Configuration::local(StorefrontAccess::AuthToken);
        let api_url = arguments.api_url.as_deref().unwrap_or(LOCAL_API);
        Self::new("local".into(), &config.load().await, configuration, Clock::system(), api_url)
    }

    async fn deployed(name: &str, arguments: &TargetArguments) -> Result<Self, Failure> {
        let mut config = patient_config(8);
        if let Some(profile) = &arguments.profile {
            config = config.profile_name(profile);
        }
        if let Some(region) = &arguments.region {
            config = config.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &arguments.aws_endpoint {
            config = config.endpoint_url(endpoint);
        }
        let config = config.load().await;
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(Failure::new(
                Kind::NoAccess,
                "Which AWS region? Name it with --region or AWS_REGION, or in the profile.",
            ));
        };
        let (description, clock) = describe(&config, name, &region).await?;
        let output = |key: &str| {
            let found = description.outputs().iter().find(|output| output.output_key() == Some(key));
            found.and_then(|output| output.output_value()).map(ToOwned::to_owned).ok_or_else(|| {
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
        };
        let api_url = match &arguments.api_url {
            Some(url) => url.clone(),
            None => output("ApiUrl")?,
        };
        let stack = Self::new(format!("{name} in {region}"), &config, configuration, clock, &api_url);
        Ok(Self { identity: Some(aws_sdk_sts::Client::new(&config)), ..stack })
    }

    fn new(name: String, config: &SdkConfig, configuration: Configuration, clock: Clock, api_url: &str) -> Self {
        let dynamodb = aws_sdk_dynamodb::Client::new(config);
        let secrets = aws_sdk_secretsmanager::Client::new(config);
        Self {
            name,
            accounts: Accounts::new(&dynamodb, &configuration, clock.clone()),
            services: Services::new(&dynamodb, &secrets, configuration, clock),
            dynamodb,
            secrets,
            api_url: api_url.trim_end_matches('/').into(),
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

/// The functions' configuration, but with the patience of a person and through longer throttling.
fn patient_config(attempts: u32) -> aws_config::ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(20))
        .operation_timeout(Duration::from_mins(2))
        .build();
    aws::config().timeout_config(timeouts).retry_config(RetryConfig::standard().with_max_attempts(attempts))
}

/// The stack, and the clock that its functions go by: a revocation by one that is behind would spare tokens.
async fn describe(config: &SdkConfig, name: &str, region: &str) -> Result<(Description, Clock), Failure> {
    let aws_clock = AwsClock::default();
    let request = aws_sdk_cloudformation::Client::new(config).describe_stacks().stack_name(name);
    let answer = match request.customize().interceptor(aws_clock.clone()).send().await {
        Ok(answer) => answer,
        // It has no code of its own.
        Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => {
            return Err(no_stack(name, region));
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
