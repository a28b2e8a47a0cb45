//! The Lambda function `issue-storefront-token`.

use issue_storefront_token::IssueStorefrontToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(IssueStorefrontToken::new).await
}
