//! The secrets: whether they are there, and can be used.

use super::{finding::Finding, safety};
use crate::{
    commands::key::{
        self,
        keyring::{CURRENT, PREVIOUS},
    },
    output::count,
    tool::Tool,
};
use aws_sdk_secretsmanager::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        describe_secret::DescribeSecretOutput,
        get_secret_value::{GetSecretValueError, GetSecretValueOutput},
    },
};
use shared::{
    fault::Fault,
    keys::{
        app::{AppSecret, NOT_SET},
        jwt::DAY,
        keyring::{Keyring, KeyringSecret},
    },
};

const KEYRING: &str = "secret: keyring";
const ROTATION: &str = "rotation";
/// Largest secret, in bytes (Secrets Manager's quota).
const MAX_SECRET_BYTES: usize = 65_536;

/// What there is to say of the keyring, and the keyring if it can be used.
pub async fn keyring(tool: &Tool) -> (Vec<Finding>, Option<KeyringSecret>) {
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    let value = match secret_value(tool, secret_id, CURRENT).await {
        Ok(Some(value)) => value,
        Ok(None) => {
            let finding = Finding::bad(
                KEYRING,
                "There is no keyring, so no function can sign or verify.",
                format!(
                    "If it was deleted less than 30 days ago: aws secretsmanager restore-secret --secret-id {secret_id}. Else see \
                     \"The keyring is gone\" in docs/operating.md."
                ),
            );
            return (vec![finding], None);
        }
        Err(fault) => return (vec![Finding::failed(KEYRING, &fault.into())], None),
    };
    let text = value.secret_string().unwrap_or_default();
    let keys = match KeyringSecret::parse(text).and_then(|secret| Keyring::new(&secret).map(|_| secret)) {
        Ok(keys) => keys,
        Err(problem) => {
            return (vec![Finding::bad(KEYRING, format!("It cannot be used: {problem}."), move_back(tool))], None);
        }
    };
    let mut findings = usable_keyring(&keys, text.len(), tool.stack.services.clock.now());
    findings.extend(altered(tool, &value, &keys).await);
    match key::keyring::pending(tool).await {
        Ok(None) => {}
        Ok(Some(version)) => findings.push(Finding::doubtful(
            ROTATION,
            format!("A rotation was begun and not finished: the version {version} has AWSPENDING."),
            "`b2b-auth key rotate` finishes it, or makes a new one.",
        )),
        Err(failure) => findings.push(Finding::failed(ROTATION, &failure)),
    }
    if tool.stack.is_deployed() {
        findings.push(safety::policy(tool, KEYRING, secret_id).await);
        match tool.stack.secrets.describe_secret().secret_id(secret_id).send().await {
            Ok(secret) => {
                findings.extend(safety::replicas(KEYRING, secret_id, secret.replication_status()));
                findings.push(rotation(tool, &secret));
            }
            Err(error) => findings.push(Finding::failed(ROTATION, &Fault::of_aws("DescribeSecret", error).into())),
        }
    }
    (findings, Some(keys))
}

/// What to do about a keyring that was changed by hand and is none any more.
pub fn move_back(tool: &Tool) -> String {
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    format!(
        "Move AWSCURRENT back to the version before: aws secretsmanager describe-secret --secret-id {secret_id} shows the versions, \
         aws secretsmanager update-secret-version-stage moves the label. Then retire again what was retired since."
    )
}

/// That a key of the version before has another id now, or an id another key: neither rotating nor retiring does that.
async fn altered(tool: &Tool, current: &GetSecretValueOutput, keys: &KeyringSecret) -> Option<Finding> {
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    let previous = match secret_value(tool, secret_id, PREVIOUS).await {
        Ok(previous) => previous?,
        Err(fault) => return Some(Finding::failed(KEYRING, &fault.into())),
    };
    // The label was moved back to the older version, away from one that was no good.
    if previous.created_date() > current.created_date() {
        return None;
    }
    let before = KeyringSecret::parse(previous.secret_string().unwrap_or_default()).ok()?;
    let pairs = || keys.keys().flat_map(|now| before.keys().map(move |before| (before, now)));
    let says = pairs().find_map(|(before, now)| match (before.kid == now.kid, before.key == now.key) {
        (true, false) => {
            Some(format!("Another key has taken the place of {}, so what that has signed is refused.", now.kid))
        }
        (false, true) if !keys.has(&before.kid) => {
            let (before, now) = (&before.kid, &now.kid);
            Some(format!("The key {before} is called {now} now, so what it has signed is refused."))
        }
        _ => None,
    })?;
    let mend = format!(
        "If this is what mends the version before, `b2b-auth key rotate` makes one that is compared with it instead. Else it was changed \
         by hand. {}",
        move_back(tool)
    );
    Some(Finding::bad(KEYRING, says, mend))
}

/// What there is to say of a keyring that can be used.
fn usable_keyring(keys: &KeyringSecret, bytes: usize, now: u64) -> Vec<Finding> {
    let mut findings = vec![Finding::good(
        KEYRING,
        format!("{}; the newest is {}.", count(keys.keys().count() as u64, "key"), keys.current.kid),
    )];
    if keys.keys().all(|key| key.signs_from.is_some_and(|from| from > now)) {
        findings.push(Finding::doubtful(
            KEYRING,
            "No key's time to sign has come, so the oldest signs.",
            "Wait for signsFrom of the newest, or `b2b-auth key rotate`.",
        ));
    }
    if bytes > MAX_SECRET_BYTES * 9 / 10 {
        findings.push(Finding::doubtful(
            KEYRING,
            "It is almost as long as a secret may be, so rotations will soon fail.",
            "Retire old keys with `b2b-auth key retire`.",
        ));
    }
    findings
}

fn rotation(tool: &Tool, secret: &DescribeSecretOutput) -> Finding {
    let days = tool.stack.configuration().rotation_days;
    if days == 0 {
        return Finding::doubtful(
            ROTATION,
            "The signing key is not rotated on a schedule (RotationDays is 0).",
            "`b2b-auth key rotate` from time to time, or deploy with RotationDays.",
        );
    }
    if secret.rotation_enabled() != Some(true) {
        return Finding::bad(
            ROTATION,
            format!("RotationDays is {days}, but Secrets Manager has no schedule for the keyring."),
            "Deploy again with `sam deploy`.",
        );
    }
    let now = tool.stack.services.clock.now();
    let due = secret.next_rotation_date().and_then(|date| u64::try_from(date.secs()).ok());
    if due.is_some_and(|due| due + DAY < now) {
        return Finding::bad(
            ROTATION,
            "The last rotation that was due has not been made.",
            "The functions' log says why, in the lines of rotate-signing-key. Then `b2b-auth key rotate`.",
        );
    }
    Finding::good(ROTATION, format!("Every {days} days."))
}

pub async fn app_secret(tool: &Tool) -> Finding {
    let check = "secret: app";
    match app(tool).await {
        Ok(Some(Ok(_))) => Finding::good(check, "It is set."),
        Ok(Some(Err(NOT_SET))) => Finding::doubtful(
            check,
            "The app's client id and secret are not set, so GET /auth/storefront answers 503.",
            "Fill it in as docs/deploying.md says, if storefronts exchange current-customer JWTs.",
        ),
        Ok(Some(Err(problem))) => Finding::bad(
            check,
            format!("It cannot be used, so GET /auth/storefront answers 503: {problem}."),
            "Fill it in anew as docs/deploying.md says.",
        ),
        Ok(None) => Finding::bad(
            check,
            "There is no app secret, so GET /auth/storefront fails.",
            "Deploy again with `sam deploy`.",
        ),
        Err(fault) => Finding::failed(check, &fault.into()),
    }
}

/// The app whose current-customer JWTs are exchanged, or why there is none; none without a secret.
pub async fn app(tool: &Tool) -> Result<Option<Result<AppSecret, &'static str>>, Fault> {
    let value = secret_value(tool, &tool.stack.configuration().app_secret_id, CURRENT).await?;
    Ok(value.map(|value| AppSecret::parse(value.secret_string().unwrap_or_default())))
}

/// The version of a secret that has this label; none if there is no such, or only for as long as its deletion can be undone.
pub async fn secret_value(tool: &Tool, secret_id: &str, label: &str) -> Result<Option<GetSecretValueOutput>, Fault> {
    match tool.stack.secrets.get_secret_value().secret_id(secret_id).version_stage(label).send().await {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Fault::of_aws("GetSecretValue", error)),
    }
}

fn is_missing(error: &SdkError<GetSecretValueError>) -> bool {
    match error.code() {
        Some("ResourceNotFoundException") => true,
        // One that waits for its deletion has no code of its own.
        Some("InvalidRequestException") => {
            error.message().is_some_and(|message| message.contains("marked for deletion"))
        }
        _ => false,
    }
}
