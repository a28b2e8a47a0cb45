//! The Lambda function `list-backend-tokens`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run::<list_backend_tokens::ListBackendTokens>().await
}
