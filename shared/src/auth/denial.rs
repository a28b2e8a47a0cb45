//! Why somebody is refused.

use crate::{fault::Fault, http::error::Error, scopes::Scope, tables::tokens::DELETED};

/// Why credentials or a token are not accepted.
#[derive(Debug)]
pub enum Denial {
    /// There are none where some are needed.
    NoCredentials,
    /// There is an access token, and nothing says of which store.
    NoStoreHash,
    /// They are not good, for this reason.
    Invalid(&'static str),
    /// They are good, but not for what needs this scope.
    ScopeTooNarrow(Scope),
    /// Nobody can say.
    Fault(Fault),
}

/// Credentials that were taken back, or never given.
pub(super) const TAKEN_BACK: Denial = Denial::Invalid(DELETED);

impl From<Fault> for Denial {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NoCredentials => Self::NoCredentials,
            Denial::NoStoreHash => Self::NoStoreHash,
            Denial::Invalid(reason) => Self::InvalidToken(reason),
            Denial::ScopeTooNarrow(needed) => Self::ScopeTooNarrow(needed),
            Denial::Fault(fault) => fault.into(),
        }
    }
}
