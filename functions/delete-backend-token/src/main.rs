//! The Lambda function `delete-backend-token`.

use delete_backend_token::DeleteBackendToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(DeleteBackendToken::new).await
}
