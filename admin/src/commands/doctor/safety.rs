//! What keeps the keyring from being lost: a resource policy that denies its deletion, and copies in other regions.

use super::finding::Finding;
use crate::tool::Tool;
use aws_sdk_secretsmanager::types::{ReplicationStatusType, StatusType};
use serde_json::Value;
use shared::fault::Fault;

/// IAM compares the names of actions without regard to case.
const DELETE: &str = "secretsmanager:deletesecret";

/// Whether the resource policy keeps everybody from deleting the secret.
pub async fn policy(tool: &Tool, check: &str, secret_id: &str) -> Finding {
    let answer = match tool.stack.secrets.get_resource_policy().secret_id(secret_id).send().await {
        Ok(answer) => answer,
        Err(error) => return Finding::failed(check, &Fault::of_aws("GetResourcePolicy", error).into()),
    };
    let says = match answer.resource_policy().map(|policy| exempt(policy, answer.arn().unwrap_or(secret_id))) {
        Some(Some(exempt)) if exempt.is_empty() => {
            return Finding::good(check, "Its resource policy lets nobody delete it.");
        }
        Some(Some(exempt)) => {
            return Finding::good(
                check,
                format!("Its resource policy lets nobody delete it but {}.", exempt.join(", ")),
            );
        }
        Some(None) => "Its resource policy does not deny secretsmanager:DeleteSecret to everybody.",
        None => {
            "It has no resource policy, so nothing denies secretsmanager:DeleteSecret. Without it all tokens are void."
        }
    };
    Finding::doubtful(check, says, "docs/operating.md says under \"The keyring is gone\" how to put the policy there.")
}

/// Who may delete the secret although the policy denies it to everybody else. None if it does not, or if that is not clear.
fn exempt(policy: &str, secret_arn: &str) -> Option<Vec<String>> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let is_about_deletion = |statement: &&Value| {
        statement["Effect"] == "Deny"
            && texts(&statement["Action"]).any(is_deletion)
            && texts(&statement["Resource"]).any(|resource| resource == "*" || resource == secret_arn)
            && texts(&statement["Principal"]).chain(texts(&statement["Principal"]["AWS"])).any(|who| who == "*")
    };
    let mut denials = one_or_many(&policy["Statement"]).iter().filter(is_about_deletion);
    denials.find_map(|statement| exempt_by(statement.get("Condition")))
}

fn is_deletion(action: &str) -> bool {
    let action = action.to_lowercase();
    action.strip_suffix('*').map_or(action == DELETE, |beginning| DELETE.starts_with(beginning))
}

/// Whom a statement spares. None if its condition is another than "not for these principals": it may spare anybody.
fn exempt_by(condition: Option<&Value>) -> Option<Vec<String>> {
    let Some(condition) = condition else { return Some(Vec::new()) };
    let (operator, compared) = only_member(condition)?;
    let (key, principals) = only_member(compared)?;
    let principals: Vec<_> = texts(principals).map(ToOwned::to_owned).collect();
    // Such as arn:aws:iam::111122223333:role/*.
    let is_anybody = |principal: &String| principal.ends_with(":*") || principal.ends_with("/*") || principal == "*";
    let spares_some = matches!(operator, "ArnNotEquals" | "ArnNotLike" | "StringNotEquals" | "StringNotLike")
        && key.eq_ignore_ascii_case("aws:PrincipalArn")
        && !principals.is_empty()
        && !principals.iter().any(is_anybody);
    spares_some.then_some(principals)
}

fn only_member(value: &Value) -> Option<(&str, &Value)> {
    let mut members = value.as_object()?.iter();
    members.next().filter(|_| members.len() == 0).map(|(name, value)| (name.as_str(), value))
}

/// Policies may leave the brackets of a list of one away.
fn one_or_many(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    one_or_many(value).iter().filter_map(Value::as_str)
}

/// Whether the copies in other regions are what they must be. There need be none.
pub fn replicas(check: &str, secret_id: &str, replicas: &[ReplicationStatusType]) -> Vec<Finding> {
    let finding = |replica: &ReplicationStatusType| {
        let region = replica.region().unwrap_or("another region");
        match replica.status() {
            Some(StatusType::InSync) => Finding::good(check, format!("Its replica in {region} is in sync.")),
            Some(StatusType::Failed) => Finding::bad(
                check,
                format!(
                    "Its replica in {region} failed: {}",
                    replica.status_message().unwrap_or("AWS does not say why.")
                ),
                format!(
                    "Mend what it names. Then aws secretsmanager remove-regions-from-replication --secret-id {secret_id} \
                     --remove-replica-regions {region}, and aws secretsmanager replicate-secret-to-regions --secret-id {secret_id} \
                     --add-replica-regions Region={region}"
                ),
            ),
            status => Finding::doubtful(
                check,
                format!(
                    "Its replica in {region} is not in sync, but {}.",
                    status.map_or("unknown", StatusType::as_str)
                ),
                "Look again in some minutes.",
            ),
        }
    };
    replicas.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:keyring-AbCdEf";
    const BREAK_GLASS: &str = "arn:aws:iam::111122223333:role/break-glass";

    /// Who may delete the secret where one member of a good statement is another.
    fn exempt_with(member: &str, value: Value) -> Option<Vec<String>> {
        let mut statement =
            json!({"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*"});
        statement[member] = value;
        let earlier = json!({"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"});
        exempt(&json!({"Version": "2012-10-17", "Statement": [earlier, statement]}).to_string(), ARN)
    }

    #[test]
    fn a_policy_that_denies_everybody_the_deletion_is_good() {
        for (member, value) in [
            ("Sid", json!("KeepIt")),
            ("Principal", json!({"AWS": "*"})),
            ("Principal", json!({"AWS": ["*"]})),
            ("Action", json!(["secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret"])),
            ("Action", json!("SecretsManager:deleteSecret")),
            ("Action", json!("secretsmanager:Delete*")),
            ("Action", json!("secretsmanager:*")),
            ("Action", json!("*")),
            ("Resource", json!(ARN)),
            ("Resource", json!([ARN])),
        ] {
            assert_eq!(exempt_with(member, value.clone()), Some(Vec::new()), "{member}: {value}");
        }
        let alone =
            json!({"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*"});
        assert_eq!(exempt(&json!({"Statement": alone}).to_string(), ARN), Some(Vec::new()));
    }

    #[test]
    fn who_is_spared_by_name_is_named() {
        for operator in ["ArnNotLike", "ArnNotEquals", "StringNotLike", "StringNotEquals"] {
            for principals in [json!(BREAK_GLASS), json!([BREAK_GLASS])] {
                let condition = json!({operator: {"aws:PrincipalArn": principals}});
                assert_eq!(exempt_with("Condition", condition), Some(vec![BREAK_GLASS.into()]), "{operator}");
            }
        }
    }

    #[test]
    fn a_policy_that_does_not_deny_everybody_the_deletion_is_not_good() {
        for (member, value) in [
            ("Effect", json!("Allow")),
            ("Principal", json!({"AWS": "arn:aws:iam::111122223333:root"})),
            ("Principal", json!({"Service": "*"})),
            ("Principal", Value::Null),
            ("Action", json!("secretsmanager:PutSecretValue")),
            ("Action", json!("secretsmanager:Put*")),
            ("Action", json!([])),
            ("Action", Value::Null),
            ("Resource", json!("arn:aws:secretsmanager:eu-central-1:111122223333:secret:other-AbCdEf")),
            ("Condition", json!({})),
            ("Condition", json!({"ArnLike": {"aws:PrincipalArn": BREAK_GLASS}})),
            ("Condition", json!({"ArnNotLike": {"aws:PrincipalArn": "*"}})),
            (
                "Condition",
                json!({"ArnNotLike": {"aws:PrincipalArn": [BREAK_GLASS, "arn:aws:iam::111122223333:role/*"]}}),
            ),
            ("Condition", json!({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:*"}})),
            ("Condition", json!({"ArnNotLike": {"aws:PrincipalArn": []}})),
            ("Condition", json!({"ArnNotLike": {"aws:SourceArn": BREAK_GLASS}})),
            (
                "Condition",
                json!({"ArnNotLike": {"aws:PrincipalArn": BREAK_GLASS}, "Bool": {"aws:SecureTransport": "false"}}),
            ),
            ("Condition", json!({"ArnNotLike": {"aws:PrincipalArn": BREAK_GLASS, "aws:SourceArn": "x"}})),
        ] {
            assert_eq!(exempt_with(member, value.clone()), None, "{member}: {value}");
        }
        for policy in ["", "{}", "[]", "null", r#"{"Statement": []}"#, r#"{"Statement": "x"}"#] {
            assert_eq!(exempt(policy, ARN), None, "{policy}");
        }
    }
}
