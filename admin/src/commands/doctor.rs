//! `b2b-auth doctor`.

mod api;
mod bigcommerce;
mod ended_tokens;
mod finding;
mod live_tokens;
pub mod round;
mod safety;
mod secrets;
pub mod tables;
mod version;

use crate::{
    failure::{Failure, Kind},
    output::Output,
    tool::Tool,
};
use clap::Args;
use finding::{Finding, is_bad, report};

#[derive(Args)]
#[command(after_help = "Examples:
  b2b-auth --stack-name b2b-auth doctor
  b2b-auth --stack-name b2b-auth doctor --read-only --output json")]
pub struct DoctorArguments {
    /// Change nothing, and read no items of the tables. Otherwise all tokens are read, to compare their keys with the keyring;
    /// BigCommerce is asked whether it takes the access tokens of the stores whose customers are there; and a store is made to log
    /// in with, and removed at the end.
    #[arg(long)]
    read_only: bool,
}

/// Why something was left out.
const READ_ONLY: &str = "Left out, because of --read-only.";
const UNTIL_MENDED: &str = "Left out, until what is bad above is mended.";

/// What a patient has that cannot even be found.
pub fn cannot_open(output: &Output, failure: Failure) -> Result<(), Failure> {
    if failure.kind == Kind::Invalid {
        return Err(failure);
    }
    report(output, &[Finding::bad("stack", "It cannot be looked at.", failure.message)])
}

pub async fn run(tool: &Tool, arguments: DoctorArguments) -> Result<(), Failure> {
    let mut findings = vec![Finding::good("stack", tool.stack.name.clone())];
    findings.extend(version::check(tool));
    let configuration = tool.stack.configuration();
    let (directory, tokens, attempts, (keyring, keys), app, api) = tokio::join!(
        tables::table(tool, "directory", &configuration.directory_table, &["pk", "sk"]),
        tables::table(tool, "tokens", &configuration.tokens_table, &["pk", "sk"]),
        tables::attempts_table(tool, &configuration.login_attempts_table),
        secrets::keyring(tool),
        secrets::app_secret(tool),
        api::check(tool),
    );
    let live_tokens = match keys {
        // Whoever deploys may look at the deployment, and need not be let into the tables for it.
        _ if arguments.read_only => Finding::skipped(live_tokens::LIVE_TOKENS, READ_ONLY),
        Some(keys) if !is_bad(&tokens) => live_tokens::check(tool, &keys).await,
        _ => Finding::skipped(live_tokens::LIVE_TOKENS, UNTIL_MENDED),
    };
    let ended_tokens = if arguments.read_only {
        Finding::skipped(ended_tokens::ENDED_TOKENS, READ_ONLY)
    } else if is_bad(&tokens) {
        Finding::skipped(ended_tokens::ENDED_TOKENS, UNTIL_MENDED)
    } else {
        ended_tokens::check(tool).await
    };
    let at_bigcommerce = if arguments.read_only {
        bigcommerce::skipped(READ_ONLY)
    } else if is_bad(&directory) {
        bigcommerce::skipped(UNTIL_MENDED)
    } else {
        bigcommerce::check(tool).await
    };
    for part in [directory, tokens, attempts, keyring, vec![live_tokens, ended_tokens, app], at_bigcommerce, api] {
        findings.extend(part);
    }
    if arguments.read_only {
        findings.push(Finding::skipped(round::ROUND, READ_ONLY));
    } else if is_bad(&findings) {
        findings.push(Finding::skipped(round::ROUND, UNTIL_MENDED));
    } else {
        findings.extend(round::make(tool).await?);
    }
    report(&tool.output, &findings)
}
