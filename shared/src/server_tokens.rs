//! Server-to-server tokens, as those endpoints give them out that make them.

use crate::{
    http::{error::Error, fields::invalid_field, request::IDEMPOTENCY_KEY},
    keys::jwt,
    services::Services,
    tables::tokens::{NotCreated, TokenRecord},
};
use std::iter;

impl Services {
    /// The token of a record.
    ///
    /// # Errors
    /// If its key has been retired, which happens only to a token that an earlier request with the same `Idempotency-Key` made; or
    /// if there is no keyring and none can be read.
    pub async fn sign(&self, store_hash: &str, record: &TokenRecord) -> Result<String, Error> {
        let keyring = self.keyring.with_keys(iter::once(record.kid.as_str())).await?;
        let key = keyring.key(&record.kid).ok_or(NotCreated::KeyUsedUp)?;
        Ok(jwt::sign(&record.claims(store_hash), key))
    }
}

impl From<NotCreated> for Error {
    fn from(not_created: NotCreated) -> Self {
        match not_created {
            NotCreated::Full { max } => Self::TooManyTokens { max },
            NotCreated::KeyOfAnotherRequest => {
                invalid_field(IDEMPOTENCY_KEY, "was used for another request; a new request needs a new key.")
            }
            NotCreated::KeyUsedUp => {
                invalid_field(IDEMPOTENCY_KEY, "its token is no longer there; a new request needs a new key.")
            }
            NotCreated::Fault(fault) => fault.into(),
        }
    }
}
