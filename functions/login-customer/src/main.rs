//! The Lambda function `login-customer`.

use login_customer::LoginCustomer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(LoginCustomer::new).await
}
