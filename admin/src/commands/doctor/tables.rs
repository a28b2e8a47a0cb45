//! The tables: whether they are there, and as they must be.

use super::finding::{Finding, Verdict};
use crate::tool::Tool;
use aws_sdk_dynamodb::types::{
    KeySchemaElement, PointInTimeRecoveryStatus, TableDescription, TableStatus, TimeToLiveStatus,
};
use shared::fault::Fault;

/// A deployment does not make a table again that somebody has deleted.
fn restore(table: &str) -> String {
    format!(
        "Bring it back under the same name from the backup that DynamoDB keeps of a deleted table for 35 days: \
         aws dynamodb list-backups --backup-type SYSTEM --table-name {table}, then aws dynamodb restore-table-from-backup \
         --target-table-name {table} --backup-arn ARN"
    )
}

pub async fn table(tool: &Tool, what: &str, name: &str, key_attributes: &[&str]) -> Vec<Finding> {
    let check = format!("table: {what}");
    let described = match describe(tool, name).await {
        Ok(described) => described,
        Err(fault) if fault.code.as_deref() == Some("ResourceNotFoundException") => {
            return vec![Finding::bad(check, format!("There is no table {name}."), restore(name))];
        }
        Err(fault) => return vec![Finding::failed(check, &fault.into())],
    };
    let keys = self::key_attributes(&described);
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

/// The attributes that are a table's key.
pub fn key_attributes(table: &TableDescription) -> Vec<&str> {
    table.key_schema().iter().map(KeySchemaElement::attribute_name).collect()
}

/// What DynamoDB says of a table.
pub async fn describe(tool: &Tool, table: &str) -> Result<TableDescription, Fault> {
    let answer = tool.stack.dynamodb.describe_table().table_name(table).send().await;
    let answer = answer.map_err(|error| Fault::of_aws("DescribeTable", error))?;
    answer.table.ok_or_else(|| Fault::in_words("DescribeTable gave no description"))
}

async fn recovery(tool: &Tool, check: String, table: &str) -> Option<Finding> {
    let backups = match tool.stack.dynamodb.describe_continuous_backups().table_name(table).send().await {
        Ok(answer) => answer.continuous_backups_description,
        Err(error) => return Some(Finding::failed(check, &Fault::of_aws("DescribeContinuousBackups", error).into())),
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

pub async fn attempts_table(tool: &Tool, name: &str) -> Vec<Finding> {
    let mut findings = table(tool, "login attempts", name, &["pk"]).await;
    if findings.iter().any(|finding| finding.verdict == Verdict::Bad) {
        return findings;
    }
    let check = "table: login attempts";
    match tool.stack.dynamodb.describe_time_to_live().table_name(name).send().await {
        Err(error) => findings.push(Finding::failed(check, &Fault::of_aws("DescribeTimeToLive", error).into())),
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
