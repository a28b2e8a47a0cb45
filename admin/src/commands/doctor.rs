//! `b2b-auth doctor`.

mod round;

pub use round::DOCTORS_STORE;

use super::{count, key};
use crate::{
    Tool,
    failure::{Failure, Kind},
    output::{Format, Output, print},
};
use aws_sdk_dynamodb::types::{KeySchemaElement, PointInTimeRecoveryStatus, TableStatus, TimeToLiveStatus};
use clap::Args;
use serde_json::json;
use shared::{
    aws,
    clock::Clock,
    http::error::Error,
    keys::{
        jwt::{DAY, LEEWAY},
        keyring::{Keyring, KeyringSecret},
    },
};

/// Largest secret, in bytes (Secrets Manager's quota).
const MAX_SECRET_BYTES: usize = 65_536;

#[derive(Args)]
#[command(after_help = "Examples:
  b2b-auth --stack-name b2b-auth doctor
  b2b-auth --stack-name b2b-auth doctor --read-only --output json")]
pub struct DoctorArguments {
    /// Change nothing. Otherwise a store is made to log in with, and removed at the end.
    #[arg(long)]
    read_only: bool,
}

/// How grave a finding is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, but not as it should.
    Doubtful,
    /// Callers are refused, or soon will be.
    Bad,
}

/// What a check has found.
struct Finding {
    check: String,
    verdict: Verdict,
    says: String,
    mend: String,
}

impl Finding {
    fn good(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Good, says: says.into(), mend: String::new() }
    }

    fn doubtful(check: impl Into<String>, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Doubtful, says: says.into(), mend: mend.into() }
    }

    fn bad(check: impl Into<String>, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Bad, says: says.into(), mend: mend.into() }
    }

    /// That a check could not be made.
    fn failed(check: impl Into<String>, failure: &Failure) -> Self {
        Self::bad(check, "It could not be looked at.", failure.message.clone())
    }
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
        table(tool, "directory", &configuration.directory_table, &["pk", "sk"]),
        table(tool, "tokens", &configuration.tokens_table, &["pk", "sk"]),
        attempts_table(tool, &configuration.login_attempts_table),
        keyring(tool),
        app_secret(tool),
        api(tool),
    );
    for part in [directory, tokens, attempts, keyring, app, api] {
        findings.extend(part);
    }
    if arguments.read_only {
        findings.push(Finding::good(round::ROUND, "Left out, because of --read-only."));
    } else if findings.iter().any(|finding| finding.verdict == Verdict::Bad) {
        findings.push(Finding::good(round::ROUND, "Left out, until what is bad above is mended."));
    } else {
        findings.extend(round::make(tool).await);
    }
    report(&tool.output, &findings)
}

fn report(output: &Output, findings: &[Finding]) -> Result<(), Failure> {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut rows = output.rows(&["check", "result", "finding", "mend"]);
    for Finding { check, verdict, says, mend } in findings {
        let result = match verdict {
            Verdict::Good => "good",
            Verdict::Doubtful => "doubtful",
            Verdict::Bad => "BAD",
        };
        if output.format == Format::Json {
            rows.push(vec![json!(check), json!(result), json!(says), json!(mend)])?;
            continue;
        }
        print(&format!("{result:<8}  {check:<width$}  {says}"))?;
        if !mend.is_empty() {
            print(&format!("{:<8}  {:<width$}  -> {mend}", "", ""))?;
        }
    }
    if output.format == Format::Json {
        rows.end()?;
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count() {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::NotGood, "One thing is bad. What to do stands beside it.")),
        bad => Err(Failure::new(Kind::NotGood, format!("{bad} things are bad. What to do stands beside each."))),
    }
}

/// A deployment does not make a table again that somebody has deleted.
fn restore(table: &str) -> String {
    format!(
        "Bring it back under the same name from the backup that DynamoDB keeps of a deleted table for 35 days: \
         aws dynamodb list-backups --backup-type SYSTEM --table-name {table}, then aws dynamodb restore-table-from-backup \
         --target-table-name {table} --backup-arn ARN"
    )
}

async fn table(tool: &Tool, what: &str, name: &str, key_attributes: &[&str]) -> Vec<Finding> {
    let check = format!("table: {what}");
    let described = match tool.stack.dynamodb.describe_table().table_name(name).send().await {
        Ok(answer) => answer.table.unwrap_or_else(|| aws_sdk_dynamodb::types::TableDescription::builder().build()),
        Err(fault) if is_missing(&aws::error("DescribeTable", &fault)) => {
            return vec![Finding::bad(check, format!("There is no table {name}."), restore(name))];
        }
        Err(fault) => return vec![Finding::failed(check, &aws::error("DescribeTable", &fault).into())],
    };
    let keys: Vec<_> = described.key_schema().iter().map(KeySchemaElement::attribute_name).collect();
    if keys != key_attributes {
        return vec![Finding::bad(
            check,
            format!("The keys of {name} are {keys:?}, not {key_attributes:?}."),
            restore(name),
        )];
    }
    if described.table_status() != Some(&TableStatus::Active) {
        let status = described.table_status().map_or("unknown", TableStatus::as_str);
        return vec![Finding::bad(check, format!("The status of {name} is {status}."), "Wait until it is ACTIVE.")];
    }
    let mut findings = vec![Finding::good(check.clone(), name)];
    if tool.stack.is_deployed() {
        if described.deletion_protection_enabled() != Some(true) {
            findings.push(Finding::doubtful(
                check.clone(),
                "It is not protected against deletion.",
                format!("aws dynamodb update-table --deletion-protection-enabled --table-name {name}"),
            ));
        }
        findings.extend(recovery(tool, check, name).await);
    }
    findings
}

async fn recovery(tool: &Tool, check: String, table: &str) -> Option<Finding> {
    let backups = match tool.stack.dynamodb.describe_continuous_backups().table_name(table).send().await {
        Ok(answer) => answer.continuous_backups_description,
        Err(fault) => return Some(Finding::failed(check, &aws::error("DescribeContinuousBackups", &fault).into())),
    };
    let recovery = backups.and_then(|backups| backups.point_in_time_recovery_description);
    let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
    (status != Some(PointInTimeRecoveryStatus::Enabled)).then(|| {
        Finding::doubtful(
            check,
            "It has no point-in-time recovery: what is lost is lost.",
            format!(
                "aws dynamodb update-continuous-backups --table-name {table} \
                 --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
            ),
        )
    })
}

async fn attempts_table(tool: &Tool, name: &str) -> Vec<Finding> {
    let mut findings = table(tool, "login attempts", name, &["pk"]).await;
    if findings.iter().any(|finding| finding.verdict == Verdict::Bad) {
        return findings;
    }
    let check = "table: login attempts";
    match tool.stack.dynamodb.describe_time_to_live().table_name(name).send().await {
        Err(fault) => findings.push(Finding::failed(check, &aws::error("DescribeTimeToLive", &fault).into())),
        Ok(answer) => {
            let description = answer.time_to_live_description;
            let is_enabled = description.is_some_and(|ttl| {
                ttl.attribute_name() == Some("expires_at")
                    && matches!(ttl.time_to_live_status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
            });
            if !is_enabled {
                findings.push(Finding::doubtful(
                    check,
                    "Its time to live is not set, so old attempts are never deleted.",
                    format!(
                        "aws dynamodb update-time-to-live --table-name {name} \
                         --time-to-live-specification AttributeName=expires_at,Enabled=true"
                    ),
                ));
            }
        }
    }
    findings
}

async fn keyring(tool: &Tool) -> Vec<Finding> {
    let check = "secret: keyring";
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    let back = format!(
        "Move AWSCURRENT back to the version before: aws secretsmanager describe-secret --secret-id {secret_id} shows the versions, \
         aws secretsmanager update-secret-version-stage moves the label. Then retire again what was retired since."
    );
    let text = match secret_text(tool, secret_id).await {
        Ok(text) => text,
        Err(error) if is_missing(&error) => {
            return vec![Finding::bad(
                check,
                "There is no keyring, so no function can sign or verify.",
                format!(
                    "If it was deleted less than 30 days ago: aws secretsmanager restore-secret --secret-id {secret_id}. Else deploy a new stack; all tokens are void."
                ),
            )];
        }
        Err(error) => return vec![Finding::failed(check, &error.into())],
    };
    let keys = match KeyringSecret::parse(&text).and_then(|secret| Keyring::new(&secret).map(|_| secret)) {
        Ok(keys) => keys,
        Err(problem) => return vec![Finding::bad(check, format!("It cannot be used: {problem}."), back)],
    };
    let now = tool.stack.services.clock.now();
    let mut findings = vec![Finding::good(
        check,
        format!("{}; the newest is {}.", count(keys.keys().count() as u64, "key"), keys.current.kid),
    )];
    if keys.keys().all(|key| key.signs_from.is_some_and(|from| from > now)) {
        findings.push(Finding::doubtful(
            check,
            "No key's time to sign has come, so the oldest signs.",
            "Wait for signsFrom of the newest, or `b2b-auth key rotate`.",
        ));
    }
    if text.len() > MAX_SECRET_BYTES * 9 / 10 {
        findings.push(Finding::doubtful(
            check,
            "It is almost as long as a secret may be, so rotations will soon fail.",
            "Retire old keys with `b2b-auth key retire`.",
        ));
    }
    match key::pending(tool).await {
        Ok(None) => {}
        Ok(Some(version)) => findings.push(Finding::doubtful(
            "rotation",
            format!("A rotation was begun and not finished: the version {version} has AWSPENDING."),
            "`b2b-auth key rotate` finishes it, or makes a new one.",
        )),
        Err(failure) => findings.push(Finding::failed("rotation", &failure)),
    }
    if tool.stack.is_deployed() {
        findings.push(rotation(tool, secret_id).await);
    }
    findings
}

async fn rotation(tool: &Tool, secret_id: &str) -> Finding {
    let check = "rotation";
    let secret = match tool.stack.secrets.describe_secret().secret_id(secret_id).send().await {
        Ok(secret) => secret,
        Err(fault) => return Finding::failed(check, &aws::error("DescribeSecret", &fault).into()),
    };
    let days = tool.stack.rotation_days;
    if days == 0 {
        return Finding::doubtful(
            check,
            "The signing key is not rotated on a schedule (RotationDays is 0).",
            "`b2b-auth key rotate` from time to time, or deploy with RotationDays.",
        );
    }
    if secret.rotation_enabled() != Some(true) {
        return Finding::bad(
            check,
            format!("RotationDays is {days}, but Secrets Manager has no schedule for the keyring."),
            "Deploy again with `sam deploy`.",
        );
    }
    let now = tool.stack.services.clock.now();
    let due = secret.next_rotation_date().and_then(|date| u64::try_from(date.secs()).ok());
    if due.is_some_and(|due| due + DAY < now) {
        return Finding::bad(
            check,
            "The last rotation that was due has not been made.",
            "The log group of rotate-signing-key says why. Then `b2b-auth key rotate`.",
        );
    }
    Finding::good(check, format!("Every {days} days."))
}

async fn app_secret(tool: &Tool) -> Vec<Finding> {
    let check = "secret: app";
    let secret_id = &tool.stack.configuration().app_secret_id;
    vec![match secret_text(tool, secret_id).await {
        Ok(text) => match round::app(&text) {
            Some(_) => Finding::good(check, "It is set."),
            None => Finding::doubtful(
                check,
                "The app's client id and secret are not set, so GET /auth/storefront answers 503.",
                "Fill it in as docs/deploying.md says, if storefronts exchange current-customer JWTs.",
            ),
        },
        Err(error) if is_missing(&error) => Finding::bad(
            check,
            "There is no app secret, so GET /auth/storefront fails.",
            "Deploy again with `sam deploy`.",
        ),
        Err(error) => Finding::failed(check, &error.into()),
    }]
}

async fn secret_text(tool: &Tool, secret_id: &str) -> Result<String, Error> {
    let request = tool.stack.secrets.get_secret_value().secret_id(secret_id);
    let value = request.send().await.map_err(|fault| aws::error("GetSecretValue", &fault))?;
    Ok(value.secret_string.unwrap_or_default())
}

/// That the API answers, and that its clock and this machine's agree.
async fn api(tool: &Tool) -> Vec<Finding> {
    let check = "API";
    let url = &tool.stack.api_url;
    let answer = match round::call(tool, round::Request::get("/backend/tokens")).await {
        Ok(answer) => answer,
        Err(problem) => {
            return vec![Finding::bad(
                check,
                format!("{url} cannot be reached: {problem}."),
                "Check the network, and --api-url where a domain of your own stands before the API.",
            )];
        }
    };
    let mut findings = vec![if answer.status == 401 {
        Finding::good(check, url)
    } else {
        round::wrong_answer(tool, check, "list-backend-tokens, without a token", 401, &answer)
    }];
    if let Some(apart) = answer.date.map(|date| date.abs_diff(Clock::system().now()))
        && apart > LEEWAY
    {
        findings.push(Finding::doubtful(
            "clock",
            format!("This machine's clock and the API's are {apart} seconds apart."),
            "Set this machine's clock. This tool takes the time from AWS; others may not.",
        ));
    } else {
        findings.push(Finding::good("clock", "This machine's agrees with the API's."));
    }
    findings
}

fn is_missing(error: &Error) -> bool {
    error
        .cause()
        .is_some_and(|cause| cause.contains("ResourceNotFoundException") || cause.contains("marked for deletion"))
}
