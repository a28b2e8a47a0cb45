//! The Lambda function `authorize-request`.

use authorize_request::answer;
use lambda_runtime::{LambdaEvent, Runtime, service_fn, tower::util::MapFutureLayer};
use serde_json::value::RawValue;
use std::{env, sync::Arc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let services = &*shared::lambda::start().await?;
    let finishing = MapFutureLayer::new(|answering| Arc::clone(&services.after_answer).finish_after(answering));
    // `sam local` knows no aliases.
    let is_local = env::var_os("AWS_SAM_LOCAL").is_some();
    let authorizer = service_fn(|LambdaEvent { payload, context }: LambdaEvent<Box<RawValue>>| async move {
        let alias = if is_local { ":live" } else { "" };
        answer(services, &format!("{}{alias}", context.invoked_function_arn), payload.get()).await
    });
    Runtime::new(authorizer).layer(finishing).run().await
}
