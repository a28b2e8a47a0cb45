//! The Lambda function `rotate-signing-key`.

use lambda_runtime::{LambdaEvent, service_fn};
use rotate_signing_key::{Event, RotateSigningKey};
use shared::clock::Clock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::logging::start();
    let client = aws_sdk_secretsmanager::Client::new(&shared::aws::config().load().await);
    let function = &RotateSigningKey::new(client, Clock::system());
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| async move {
        function.handle(event.payload).await.map_err(lambda_runtime::Error::from)
    }))
    .await
}
