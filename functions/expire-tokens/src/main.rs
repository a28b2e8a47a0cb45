//! The Lambda function `expire-tokens`.

use expire_tokens::ExpireTokens;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use shared::{clock::Clock, configuration::Configuration, tables::tokens::TokenTable};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::logging::start();
    let configuration = Configuration::from_env()?;
    let client = aws_sdk_dynamodb::Client::new(&shared::aws::config().load().await);
    let function = &ExpireTokens::new(TokenTable::new(client, configuration.tokens_table), Clock::system());
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async move {
        // Lambda gives it in milliseconds.
        function.run(event.context.deadline / 1000).await.map_err(lambda_runtime::Error::from)
    }))
    .await
}
