//! The Lambda function `create-backend-token`.

use create_backend_token::CreateBackendToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(CreateBackendToken::new).await
}
