//! Why a command ends without what it was asked for: a sentence for a person, an exit code for a script.

use shared::http::error::Error;
use std::{fmt, process::ExitCode};

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

/// Some causes are lists.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// By the codes that AWS's services answer with, what went wrong and what to do.
const ACCESS: [(&[&str], &str); 4] = [
    (
        &[
            "ExpiredToken",
            "RequestExpired",
            "TokenRefreshRequired",
            "session has expired",
            "token has expired",
            "TokenProviderError",
        ],
        "The AWS credentials have expired. Sign in again, for example with `aws sso login`, and run the same command again",
    ),
    (
        &["InvalidClientTokenId", "UnrecognizedClient", "SignatureDoesNotMatch", "InvalidSignature", "AuthFailure"],
        "AWS does not know these credentials. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile",
    ),
    (
        &["AccessDenied", "UnauthorizedOperation", "NotAuthorized"],
        "The AWS credentials are not allowed to do this. Use a role that is, or add the permission that AWS names",
    ),
    (
        &[
            "CredentialsNotLoaded",
            "no providers in chain",
            "credential provider",
            "loading credentials",
            "InvalidTokenException",
        ],
        "There are no AWS credentials. Sign in with the AWS CLI, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a \
         profile with --profile",
    ),
];

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Some(cause) = error.cause() else {
            return Self::new(Kind::Fault, error.to_string());
        };
        let told = |kind, what_to_do: &str| Self::new(kind, format!("{what_to_do}. ({})", one_line(cause)));
        for (codes, what_to_do) in ACCESS {
            if codes.iter().any(|code| cause.contains(code)) {
                return told(Kind::NoAccess, what_to_do);
            }
        }
        if cause.contains("ResourceNotFoundException") {
            return told(
                Kind::NoAccess,
                "A table or secret of the stack does not exist in this account and region. `b2b-auth doctor` says which",
            );
        }
        match error {
            Error::Unavailable(_) if cause.contains("dispatch failure") => told(
                Kind::Unavailable,
                "AWS cannot be reached. Check the network, --region and --aws-endpoint; for --local, start `cargo run` first",
            ),
            Error::Unavailable(_) => told(
                Kind::Unavailable,
                "AWS did not answer in time or is throttled. Look whether it was done all the same, and run the same command again",
            ),
            _ => told(Kind::Fault, "This should not happen. The cause"),
        }
    }
}
