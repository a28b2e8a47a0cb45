//! The Lambda function `issue-storefront-token`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run::<issue_storefront_token::IssueStorefrontToken>().await
}
