//! The Lambda function `create-backend-token`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run::<create_backend_token::CreateBackendToken>().await
}
