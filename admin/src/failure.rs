//! Why a command ends without what it was asked for: a sentence for a person, an exit code for a script.

use aws_credential_types::provider::error::{CredentialsError, TokenError};
use aws_sdk_dynamodb::error::{ConnectorError, ErrorMetadata};
use shared::fault::{Chain, Fault};
use std::{error::Error, fmt, process::ExitCode};

/// What a script can tell failures apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A fault of AWS, of this tool or of this machine.
    Fault = 1,
    /// The command or what it was given is wrong; nothing was changed. Also what `clap` ends with.
    Invalid = 2,
    /// There is nothing of this name.
    NotFound = 3,
    /// There already is one of this name.
    Conflict = 4,
    /// It would break something, and was not confirmed or forced.
    Refused = 5,
    /// No credentials, expired ones, no permission, or no such stack in this account and region.
    NoAccess = 6,
    /// AWS is throttled or cannot be reached; the same command may be run again.
    Unavailable = 7,
    /// It was looked at, and is not good: a token, rows of an import, a deployment.
    NotGood = 8,
    /// Standard output, or an audit line, cannot be written. Without its first line nothing is changed.
    Unwritable = 9,
    /// A signal ended it between two writes, or if there were two signals, at once.
    Interrupted = 10,
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// That this machine has no randomness.
    pub fn no_random_bytes(error: impl fmt::Display) -> Self {
        Self::new(Kind::Fault, format!("This machine gives no random bytes: {error}"))
    }

    /// Whether something may have been changed all the same.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self.kind, Kind::Fault | Kind::Unavailable)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let (kind, what_to_do) = what_to_do(&fault);
        // Some causes are lists.
        let cause = fault.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self::new(kind, format!("{what_to_do}. ({cause})"))
    }
}

/// What went wrong and what to do.
fn what_to_do(fault: &Fault) -> (Kind, &'static str) {
    // A fault may be that of another call behind it, such as one for credentials.
    let codes = || fault.code.as_deref().into_iter().chain(Chain(fault).links().filter_map(code));
    if let Some(what_to_do) = codes().find_map(no_access) {
        (Kind::NoAccess, what_to_do)
    } else if has::<TokenError>(fault) {
        (Kind::NoAccess, EXPIRED)
    } else if has::<CredentialsError>(fault) {
        (
            Kind::NoAccess,
            "There are no AWS credentials. Sign in with the AWS CLI, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a \
             profile with --profile",
        )
    } else if codes().any(|code| code == "ResourceNotFoundException") {
        (
            Kind::NoAccess,
            "A table or secret of the stack does not exist in this account and region. `b2b-auth doctor` says which",
        )
    } else if !fault.is_transient {
        (Kind::Fault, "This should not happen. The cause")
    } else if has::<ConnectorError>(fault) {
        (
            Kind::Unavailable,
            "AWS cannot be reached. Check the network, --region and --aws-endpoint; for --local, start `cargo run` first",
        )
    } else {
        (
            Kind::Unavailable,
            "AWS did not answer in time or is throttled. Look whether it was done all the same, and run the same command again",
        )
    }
}

/// Whether something of this type caused it.
fn has<E: Error + 'static>(fault: &Fault) -> bool {
    Chain(fault).links().any(<dyn Error>::is::<E>)
}

const EXPIRED: &str =
    "The AWS credentials have expired. Sign in again, for example with `aws sso login`, and run the same command again";

fn code<'a>(link: &'a (dyn Error + 'static)) -> Option<&'a str> {
    link.downcast_ref::<ErrorMetadata>()?.code()
}

/// By the codes that AWS's services refuse callers with, what to do. Some services end them in `Exception`.
fn no_access(code: &str) -> Option<&'static str> {
    Some(match code.trim_end_matches("Exception") {
        "ExpiredToken" | "RequestExpired" | "TokenRefreshRequired" => EXPIRED,
        "InvalidClientTokenId"
        | "UnrecognizedClient"
        | "SignatureDoesNotMatch"
        | "InvalidSignature"
        | "AuthFailure" => {
            "AWS does not know these credentials. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile"
        }
        "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized" => {
            "The AWS credentials are not allowed to do this. Use a role that is, or add the permission that AWS names"
        }
        _ => return None,
    })
}
