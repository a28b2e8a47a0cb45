//! The Lambda function `exchange-customer-jwt`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run::<exchange_customer_jwt::ExchangeCustomerJwt>().await
}
