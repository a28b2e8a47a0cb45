//! Why BigCommerce has not said what it was asked.

use crate::fault::Fault;

/// What became of the question.
#[derive(Debug)]
pub enum Failure {
    /// It refuses our account, or what is asked of it. An operator must see to it.
    Refused {
        /// The HTTP status, if it is one that says so.
        status: Option<u16>,
        /// What was asked, and how it was answered.
        cause: String,
    },
    /// A storefront does not take the private token.
    PrivateTokenRefused,
    /// No more may be asked for now.
    Busy {
        /// Seconds until more may be asked.
        retry_after: u64,
        /// Who says so.
        cause: &'static str,
    },
    /// It does not answer, or not as it should.
    Unavailable {
        /// What it was asked, and what became of it.
        cause: String,
        /// Whether to ask once more may help, and does no harm.
        may_be_repeated: bool,
    },
    /// Something else failed that is needed to ask.
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Failure {
    /// A refusal that no status says.
    pub fn refused(cause: impl Into<String>) -> Self {
        Self::Refused { status: None, cause: cause.into() }
    }
}
