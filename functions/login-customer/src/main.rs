//! The Lambda function `login-customer`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run::<login_customer::LoginCustomer>().await
}
