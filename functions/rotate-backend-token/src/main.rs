//! The Lambda function `rotate-backend-token`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run::<rotate_backend_token::RotateBackendToken>().await
}
