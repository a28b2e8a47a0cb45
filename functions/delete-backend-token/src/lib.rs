//! `DELETE /auth/backend`: deletes a server-to-server token.

use lambda_http::Request;
use serde_json::json;
use shared::{
    http::{
        envelope::Success,
        error::Error,
        fields::{MAX_NAME, email, positive_integer, text},
        request::body_and_query_fields,
    },
    lambda::Endpoint,
    services::Services,
    tables::tokens::Wanted,
};

pub struct DeleteBackendToken;

impl Endpoint for DeleteBackendToken {
    const NAME: &'static str = "delete-backend-token";

    async fn handle(services: &Services, request: &Request) -> Result<Success, Error> {
        let caller = services.auth.caller(request.headers(), None).await?;
        let wanted = caller.confirm_before_refusing(read(request)).await?;
        caller.delete_token(&wanted).await?;
        Ok(Success::new(json!([])))
    }
}

fn read(request: &Request) -> Result<Wanted, Error> {
    body_and_query_fields(request)?.read(|fields| Wanted {
        id: fields.required("id", positive_integer),
        name: fields.optional("name", text(0..=MAX_NAME)),
        email: fields.optional("email", email),
    })
}
