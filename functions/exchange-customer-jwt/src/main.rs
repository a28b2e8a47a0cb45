//! The Lambda function `exchange-customer-jwt`.

use exchange_customer_jwt::ExchangeCustomerJwt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(ExchangeCustomerJwt::new).await
}
