//! The Lambda function `delete-backend-token`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run::<delete_backend_token::DeleteBackendToken>().await
}
