//! The Lambda function `list-backend-tokens`.

use list_backend_tokens::ListBackendTokens;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(ListBackendTokens::new).await
}
