//! `b2b-auth doctor`.

mod api;
mod finding;
pub mod round;
mod safety;
mod secrets;
mod tables;

use crate::{
    failure::{Failure, Kind},
    output::Output,
    tool::Tool,
};
use clap::Args;
use finding::{Finding, Verdict, report};

#[derive(Args)]
#[command(after_help = "Examples:
  b2b-auth --stack-name b2b-auth doctor
  b2b-auth --stack-name b2b-auth doctor --read-only --output json")]
pub struct DoctorArguments {
    /// Change nothing. Otherwise a store is made to log in with, and removed at the end.
    #[arg(long)]
    read_only: bool,
}

/// What a patient has that cannot even be found.
pub fn cannot_open(output: &Output, failure: Failure) -> Result<(), Failure> {
    if failure.kind == Kind::Invalid {
        return Err(failure);
    }
    report(output, &[Finding::bad("stack", "It cannot be looked at.", failure.message)])
}

pub async fn run(tool: &Tool, arguments: DoctorArguments) -> Result<(), Failure> {
    let mut findings = vec![Finding::good("stack", tool.stack.name.clone())];
    let configuration = tool.stack.configuration();
    let (directory, tokens, attempts, keyring, app, api) = tokio::join!(
        tables::table(tool, "directory", &configuration.directory_table, &["pk", "sk"]),
        tables::table(tool, "tokens", &configuration.tokens_table, &["pk", "sk"]),
        tables::attempts_table(tool, &configuration.login_attempts_table),
        secrets::keyring(tool),
        secrets::app_secret(tool),
        api::check(tool),
    );
    for part in [directory, tokens, attempts, keyring, vec![app], api] {
        findings.extend(part);
    }
    if arguments.read_only {
        findings.push(Finding::good(round::ROUND, "Left out, because of --read-only."));
    } else if findings.iter().any(|finding| finding.verdict == Verdict::Bad) {
        findings.push(Finding::good(round::ROUND, "Left out, until what is bad above is mended."));
    } else {
        findings.extend(round::make(tool).await?);
    }
    report(&tool.output, &findings)
}
