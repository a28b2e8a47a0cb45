//! Why a command ends without what it was asked for: a sentence for a person, an exit code for a script.

use crate::connection::Unreachable;
use aws_credential_types::provider::error::{CredentialsError, TokenError};
use aws_sdk_dynamodb::error::{ConnectorError, ErrorMetadata};
use shared::{
    fault::{Chain, Fault},
    tables::tokens::NotCreated,
};
use std::{borrow::Cow, error::Error, fmt, process::ExitCode};

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
    /// AWS or BigCommerce is throttled or cannot be reached; the same command may be run again.
    Unavailable = 7,
    /// It was looked at, and is not good: a token, rows of an import, a deployment.
    NotGood = 8,
    /// Standard output, or an audit line, cannot be written. Without its first line nothing is changed.
    Unwritable = 9,
    /// A signal ended it between two writes or while it asked for a secret, or if there were two signals, at once.
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
        // Some causes are lists.
        let cause = fault.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if is_of_the_clock(&cause) {
            return Self::new(Kind::NoAccess, format!("{CLOCK}. ({cause})"));
        }
        let (kind, what_to_do) = what_to_do(&fault);
        Self::new(kind, format!("{what_to_do}. ({cause})"))
    }
}

impl From<NotCreated> for Failure {
    fn from(not_created: NotCreated) -> Self {
        match not_created {
            NotCreated::Full { max } => {
                let message = format!(
                    "The store already has {max} tokens that have not ended, which is as many as it may have. Delete one that \
                     is no longer used."
                );
                Self::new(Kind::Refused, message)
            }
            NotCreated::Fault(fault) => fault.into(),
            NotCreated::KeyOfAnotherRequest | NotCreated::KeyUsedUp => {
                Fault::in_words("a key stands against a request that has none").into()
            }
        }
    }
}

/// What went wrong and what to do.
fn what_to_do(fault: &Fault) -> (Kind, Cow<'static, str>) {
    // A fault may be that of another call behind it, such as one for credentials.
    let codes = || fault.code.as_deref().into_iter().chain(Chain(fault).links().filter_map(code));
    let not_loaded = || matches!(find::<CredentialsError>(fault), Some(CredentialsError::CredentialsNotLoaded(_)));
    let (kind, what_to_do) = if let Some(what_to_do) = codes().find_map(no_access) {
        (Kind::NoAccess, what_to_do)
    } else if find::<TokenError>(fault).is_some() {
        (Kind::NoAccess, EXPIRED)
    } else if not_loaded() {
        (Kind::NoAccess, NO_CREDENTIALS)
    } else if let Some(unreachable) = find::<Unreachable>(fault) {
        return (Kind::Unavailable, what_to_do_without_connection(unreachable).into());
    } else if find::<CredentialsError>(fault).is_some() {
        (Kind::NoAccess, NO_CREDENTIALS)
    } else if codes().any(|code| code == "ResourceNotFoundException") {
        (
            Kind::NoAccess,
            "A table or secret of the stack does not exist in this account and region. `b2b-auth doctor` says which",
        )
    } else if find::<ErrorMetadata>(fault).is_some_and(has_other_keys) {
        (
            Kind::NoAccess,
            "A table has other keys than those of this service: it is another than was meant, or was made anew with others. \
             `b2b-auth doctor` says whether it is one of the stack's",
        )
    } else if fault.status.is_some_and(is_no_outage) && (fault.code.is_none() || codes().any(is_unknown_operation)) {
        // What is no refusal, and cannot be read, may be the answer to a change.
        let is_refusal = fault.status.is_some_and(|status| (400..500).contains(&status));
        let kind = if is_refusal { Kind::Invalid } else { Kind::Unavailable };
        let what_to_do = "What answered is not AWS, or not the part of it that was asked. Check --aws-endpoint and AWS_ENDPOINT_URL: \
            an API has another address than its AWS, and for the one of `cargo run` --stack-name is left out";
        (kind, what_to_do)
    } else if !fault.is_transient {
        (
            Kind::Fault,
            "The stack is not as it should be, or this tool has a fault. `b2b-auth doctor` says what of the stack is not in order; \
             if it finds nothing, report this line to whoever looks after the tool",
        )
    } else if find::<ConnectorError>(fault).is_some() {
        (
            Kind::Unavailable,
            "AWS cannot be reached. Check the network, --region and --aws-endpoint; for --local, start `cargo run` first",
        )
    } else {
        (
            Kind::Unavailable,
            "AWS did not answer in time or is throttled. Look whether it was done all the same, and run the same command again",
        )
    };
    (kind, what_to_do.into())
}

fn what_to_do_without_connection(Unreachable { host, region, .. }: &Unreachable) -> String {
    match region {
        Some(region) => format!(
            "AWS cannot be reached at {host}, region {region}. Check --region, AWS_REGION, --aws-endpoint, AWS_ENDPOINT_URL and the \
             network"
        ),
        None => format!("AWS cannot be reached at {host}. Start `cargo run` first, or check --aws-endpoint"),
    }
}

/// What of this type caused it.
fn find<E: Error + 'static>(fault: &Fault) -> Option<&E> {
    Chain(fault).links().find_map(|link| link.downcast_ref())
}

const NO_CREDENTIALS: &str = "There are no AWS credentials. Sign in with the AWS CLI, set AWS_ACCESS_KEY_ID and \
    AWS_SECRET_ACCESS_KEY, or name a profile that has some with --profile";

/// Whether AWS refuses a request because of when it was signed. It has a code of its own for that only in some services.
fn is_of_the_clock(cause: &str) -> bool {
    ["Signature expired", "Signature not yet current", "RequestTimeTooSkewed"].iter().any(|text| cause.contains(text))
}

const CLOCK: &str =
    "This machine's clock is minutes off, so AWS does not take what it signs. Set it, and run the same command again";

const EXPIRED: &str =
    "The AWS credentials have expired. Sign in again, for example with `aws sso login`, and run the same command again";

fn code<'a>(link: &'a (dyn Error + 'static)) -> Option<&'a str> {
    link.downcast_ref::<ErrorMetadata>()?.code()
}

/// Whether a table refuses the keys of an item. DynamoDB has one code for all that it does not like.
fn has_other_keys(error: &ErrorMetadata) -> bool {
    let schema = ["does not match the schema", "missed key schema element"];
    error.code() == Some("ValidationException")
        && error.message().is_some_and(|message| schema.iter().any(|words| message.contains(words)))
}

/// Whether a status without a code is not what stands before AWS's services when they are down.
fn is_no_outage(status: u16) -> bool {
    !matches!(status, 500 | 502..=504)
}

/// Whether a service does not know what it was asked for: it is another one.
fn is_unknown_operation(code: &str) -> bool {
    matches!(code.trim_end_matches("Exception"), "UnknownOperation" | "InvalidAction")
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
