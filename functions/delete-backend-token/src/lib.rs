//! `DELETE /auth/backend`: deletes a server-to-server token.

use serde_json::json;
use shared::{
    http::{
        envelope::Success,
        error::Error,
        fields::{email, positive_integer, text},
        request::Request,
    },
    lambda::Function,
    services::Services,
    tables::{directory::Scope, tokens::Deletion},
};

/// The endpoint.
pub struct DeleteBackendToken {
    services: Services,
}

impl DeleteBackendToken {
    /// The endpoint with these services.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services }
    }
}

impl Function for DeleteBackendToken {
    const NAME: &'static str = "delete-backend-token";

    async fn handle(&self, request: &Request) -> Result<Success, Error> {
        let caller = self.services.caller(request, Scope::Modify).await?;
        let deletion = self.services.read_for(Some(&caller), read(request)).await?;
        // One transaction checks the caller and deletes.
        self.services.tokens.delete(&caller, &deletion, &self.services.directory).await?;
        self.services.last_uses.note(&caller);
        Ok(Success::new(json!([])))
    }
}

fn read(request: &Request) -> Result<Deletion, Error> {
    request.body_and_query_fields()?.read(|fields| Deletion {
        id: fields.required("id", positive_integer),
        name: fields.optional("name", text(0..=255)),
        email: fields.optional("email", email),
    })
}
