//! The Lambda function `introspect-token`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run::<introspect_token::IntrospectToken>().await
}
