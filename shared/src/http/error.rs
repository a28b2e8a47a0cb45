//! Everything that can go wrong, and what a caller is told of it.

use crate::{bigcommerce::Failure, fault::Fault, http::field_errors::FieldErrors, scopes::Scope};
use std::borrow::Cow;

/// Seconds after which a caller may try again when a part of ours did not answer.
const UNAVAILABLE_RETRY_AFTER: u64 = 5;

/// Most characters of a member's name that the caller is told: more than any field's name has.
const MAX_TOLD_NAME: usize = 64;

/// Why a request is not answered with what it asked for.
///
/// What the variants carry beyond the caller's own mistakes is for the log only. What they display is for both, but for
/// [`Error::told`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body cannot be read.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The body names a member twice, and which: readers differ in which of the two they take.
    #[error("The body names a member twice.")]
    MemberNamedTwice(String),
    /// Wrong password, unknown e-mail, unknown store or disabled user: one answer for all,
    /// so that nobody can find out which e-mails have an account.
    #[error("The email or password you have entered is incorrect. Please try again.")]
    IncorrectCredentials,
    /// Right credentials of a backend user whose role may not create tokens.
    #[error("role forbidden")]
    RoleForbidden,
    /// Wrong password, unknown customer, disabled customer or a channel that is not the customer's: one answer for all.
    #[error("Customer auth failed")]
    CustomerAuthFailed,
    /// No token where one is needed.
    #[error("Invalid token header. No credentials provided.")]
    NoCredentials,
    /// An access token, and nothing that says of which store.
    #[error("X-Store-Hash is missing: it must name the store of the X-Auth-Token.")]
    NoStoreHash,
    /// A token that is not accepted, and why.
    #[error("Invalid token.")]
    InvalidToken(&'static str),
    /// A current-customer JWT that is not accepted, and why.
    #[error("Invalid jwtToken.")]
    InvalidJwtToken(&'static str),
    /// A customer access token that is not the customer's, or not any more, and why.
    #[error("Invalid customerAccessToken.")]
    InvalidCustomerAccessToken(&'static str),
    /// A valid token of one store, or its name in the headers, with a request that names another.
    #[error("The request is for another store than its token or its X-Store-Hash.")]
    OtherStore,
    /// The credentials are good, but not for what needs this scope.
    #[error("This needs the scope {}.", .0.name())]
    ScopeTooNarrow(Scope),
    /// The user in whose name the token was made could not make it now.
    #[error("The user who made the token may make no more tokens.")]
    MakerForbidden,
    /// The token has been replaced by another.
    #[error("The token has been replaced already, by the token {by}.")]
    AlreadyReplaced {
        /// Id of the other.
        by: u64,
    },
    /// No token of the store has the given id (and name, and e-mail).
    #[error("No matching token was found.")]
    NoSuchToken,
    /// No customer of the store has the given id.
    #[error("No matching customer was found.")]
    NoSuchCustomer,
    /// No endpoint has this method and path.
    #[error("No endpoint matches this method and path.")]
    NoSuchRoute,
    /// The request asks for, or brings, more than is allowed.
    #[error("{0}")]
    TooLarge(&'static str),
    /// The body is not declared as what the endpoint reads.
    #[error("The Content-Type must be {0}.")]
    UnsupportedMediaType(&'static str),
    /// Fields or query parameters that are missing, mistyped or out of range.
    #[error("{0}")]
    InvalidFields(FieldErrors),
    /// The store and e-mail have failed to log in too often, from the caller's address or from everywhere.
    #[error("Too many failed logins. Try again in {}.", seconds(*retry_after))]
    TooManyFailedLogins {
        /// Seconds until the next attempt is let through.
        retry_after: u64,
    },
    /// The store has as many tokens that have not ended as it may have.
    #[error(
        "The store already has {max} tokens that have not ended, which is as many as it may have. Delete one that is no longer used."
    )]
    TooManyTokens {
        /// The deployment's limit.
        max: u64,
    },
    /// A fault of ours, and its cause.
    #[error("The request could not be completed because of an internal error.")]
    Internal(String),
    /// The operator has not said which app's current-customer JWTs are exchanged, or not well: what is wrong with the secret.
    #[error("Current-customer JWTs cannot be exchanged: {0}.")]
    AppUnusable(&'static str),
    /// The store's customer directory refuses our account, or what is asked of it, and what it was. An operator must see to it.
    #[error("The store's customer directory refuses this service.")]
    DirectoryRefuses(String),
    /// No more may be asked of the store's customer directory for now.
    #[error("Too many requests to the store's customer directory. Try again in {}.", seconds(*retry_after))]
    DirectoryBusy {
        /// Seconds until more may be asked.
        retry_after: u64,
        /// Who says so.
        cause: &'static str,
    },
    /// The store's customer directory did not answer in time, or not as it should, and the cause.
    #[error(
        "The store's customer directory is temporarily unavailable. Try again in {UNAVAILABLE_RETRY_AFTER} seconds."
    )]
    DirectoryUnavailable(String),
    /// The database or the secret store did not answer in time, and the cause.
    #[error("The service is temporarily unavailable. Try again in {UNAVAILABLE_RETRY_AFTER} seconds.")]
    Unavailable(String),
}

fn seconds(count: u64) -> String {
    if count == 1 { "1 second".into() } else { format!("{count} seconds") }
}

/// The one place where a fault becomes an answer.
impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let cause = fault.to_string();
        if fault.is_transient { Self::Unavailable(cause) } else { Self::Internal(cause) }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { cause, .. } => Self::DirectoryRefuses(cause),
            Failure::Busy { retry_after, cause } => Self::DirectoryBusy { retry_after, cause },
            Failure::PrivateTokenRefused => {
                Self::DirectoryRefuses("POST /graphql: a private token is not accepted that was just made".into())
            }
            Failure::Unavailable { cause, .. } => Self::DirectoryUnavailable(cause),
            Failure::Fault(fault) => fault.into(),
        }
    }
}

impl Error {
    /// The HTTP status, and `meta.message` as the contract pairs it.
    #[must_use]
    pub fn status(&self) -> (u16, Cow<'static, str>) {
        let (status, message) = match self {
            Self::BadRequest(_) | Self::MemberNamedTwice(_) => (400, "Bad Request"),
            Self::IncorrectCredentials | Self::RoleForbidden => (400, "API logic error"),
            Self::CustomerAuthFailed => (400, "Calling BC API failed"),
            Self::NoCredentials
            | Self::NoStoreHash
            | Self::InvalidToken(_)
            | Self::InvalidJwtToken(_)
            | Self::InvalidCustomerAccessToken(_) => {
                return (401, self.to_string().into());
            }
            Self::OtherStore | Self::ScopeTooNarrow(_) | Self::MakerForbidden => (403, "Forbidden"),
            Self::NoSuchToken | Self::NoSuchCustomer | Self::NoSuchRoute => (404, "Not Found Error"),
            Self::AlreadyReplaced { .. } => (409, "Conflict"),
            Self::TooLarge(_) => (413, "Request Entity Too Large"),
            Self::UnsupportedMediaType(_) => (415, "Unsupported Media Type"),
            Self::InvalidFields(_) => (422, "Missing or Invalid Data"),
            Self::TooManyFailedLogins { .. } | Self::DirectoryBusy { .. } => (429, "Too Many Requests"),
            Self::Internal(_) => (500, "Internal Server Error"),
            Self::AppUnusable(_) | Self::DirectoryRefuses(_) | Self::DirectoryUnavailable(_) | Self::Unavailable(_) => {
                (503, "Service Unavailable")
            }
            Self::TooManyTokens { .. } => (507, "Insufficient Storage"),
        };
        (status, message.into())
    }

    /// What the caller is told. The log does not hold what a caller sent, and the caller has sent it.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::MemberNamedTwice(name) => {
                let name: String = name.chars().take(MAX_TOLD_NAME).collect();
                format!("The body names the member {name:?} twice.")
            }
            _ => self.to_string(),
        }
    }

    /// Seconds for the `Retry-After` header, where the answer carries one.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyFailedLogins { retry_after } | Self::DirectoryBusy { retry_after, .. } => Some(*retry_after),
            // Some do not end by themselves, but a 503 without it is left to the caller's guess, and once the operator has mended
            // it the next attempt succeeds.
            _ if self.status().0 == 503 => Some(UNAVAILABLE_RETRY_AFTER),
            _ => None,
        }
    }

    /// What the log says beyond the answer. Never holds what a caller sent.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::InvalidToken(cause)
            | Self::InvalidJwtToken(cause)
            | Self::InvalidCustomerAccessToken(cause)
            | Self::DirectoryBusy { cause, .. }
            | Self::AppUnusable(cause) => Some(cause),
            Self::Internal(cause)
            | Self::Unavailable(cause)
            | Self::DirectoryRefuses(cause)
            | Self::DirectoryUnavailable(cause) => Some(cause),
            _ => None,
        }
    }
}
