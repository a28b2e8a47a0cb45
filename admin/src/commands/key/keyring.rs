//! The keyring as Secrets Manager keeps it: versions, and the labels that say which is which.

use crate::{
    audit::Steps,
    failure::{Failure, Kind},
    output::say,
    tool::Tool,
};
use aws_sdk_secretsmanager::operation::update_secret_version_stage::builders::UpdateSecretVersionStageFluentBuilder;
use rotate_signing_key::{Event, RotateSigningKey, RotationError, Step};
use shared::{
    fault::Fault,
    keys::keyring::{Keyring, KeyringSecret},
};

/// The label of the version that is in use.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the one before it.
pub const PREVIOUS: &str = "AWSPREVIOUS";
/// The label of the version that a rotation has begun.
pub const PENDING: &str = "AWSPENDING";
/// The label of a keyring that is written before it becomes the current one, so that a change in between is noticed.
const NEXT: &str = "B2BAUTHNEXT";

/// The keyring that is in use.
pub struct CurrentKeyring {
    /// Id of the secret's version.
    pub version: String,
    pub secret: KeyringSecret,
}

pub async fn current(tool: &Tool) -> Result<CurrentKeyring, Failure> {
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    let request = tool.stack.secrets.get_secret_value().secret_id(secret_id).version_stage(CURRENT);
    let value = request.send().await.map_err(|error| Fault::of_aws("GetSecretValue", error))?;
    let secret = KeyringSecret::parse(value.secret_string().unwrap_or_default()).map_err(broken)?;
    usable(&secret)?;
    Ok(CurrentKeyring { version: value.version_id.unwrap_or_default(), secret })
}

/// The keys of the secret, as functions use them.
pub fn usable(secret: &KeyringSecret) -> Result<Keyring, Failure> {
    Keyring::new(secret).map_err(broken)
}

fn broken(problem: &str) -> Failure {
    Failure::new(
        Kind::NotGood,
        format!("The keyring cannot be used: {problem}. `b2b-auth doctor` says how to mend it."),
    )
}

/// Id of the key that signs now.
pub fn signing_kid(secret: &KeyringSecret, now: u64) -> Result<String, Failure> {
    Ok(usable(secret)?.signing_key(now).kid.clone())
}

/// Takes the steps that Secrets Manager takes in a rotation; each may be repeated.
pub async fn rotate(tool: &Tool, version: &str, steps: &Steps) -> Result<(), RotationError> {
    let function = RotateSigningKey::new(tool.stack.secrets.clone(), tool.stack.services.clock.clone());
    for step in [Step::CreateSecret, Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
        let secret_id = tool.stack.configuration().keyring_secret_id.clone();
        function.handle(Event { secret_id, client_request_token: version.into(), step }).await?;
        steps.did(1);
    }
    Ok(())
}

/// The version of a rotation that has not been finished.
pub async fn pending(tool: &Tool) -> Result<Option<String>, Failure> {
    let request = tool.stack.secrets.describe_secret().secret_id(&tool.stack.configuration().keyring_secret_id);
    let secret = request.send().await.map_err(|error| Fault::of_aws("DescribeSecret", error))?;
    let has = |stages: &[String], label| stages.iter().any(|stage| stage == label);
    let mut versions = secret.version_ids_to_stages.unwrap_or_default().into_iter();
    let pending = versions.find(|(_, stages)| has(stages, PENDING) && !has(stages, CURRENT));
    Ok(pending.map(|(version, _)| version))
}

pub async fn remove_label(tool: &Tool, label: &str, version: &str) -> Result<(), Failure> {
    let request = label_request(tool, label).remove_from_version_id(version);
    request.send().await.map_err(|error| Fault::of_aws("UpdateSecretVersionStage", error))?;
    Ok(())
}

fn label_request(tool: &Tool, label: &str) -> UpdateSecretVersionStageFluentBuilder {
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    tool.stack.secrets.update_secret_version_stage().secret_id(secret_id).version_stage(label)
}

/// An id for a version of a secret: 32 to 64 characters.
pub fn random_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Failure::no_random_bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Makes `next` the current keyring, if `version` still is.
pub async fn replace(tool: &Tool, version: &str, next: &KeyringSecret) -> Result<(), Failure> {
    usable(next)?;
    // Under a label of its own first: one that becomes current at once would undo a change that was made meanwhile.
    let id = put_next(tool, next).await?;
    let request = label_request(tool, CURRENT).move_to_version_id(&id).remove_from_version_id(version);
    if let Err(error) = request.send().await {
        // The answer to an attempt that succeeded may have been lost.
        let now_current = current(tool).await?.version;
        if now_current != id {
            let _ = remove_label(tool, NEXT, &id).await;
            return Err(if now_current == version {
                Fault::of_aws("UpdateSecretVersionStage", error).into()
            } else {
                Failure::new(
                    Kind::Conflict,
                    "Somebody else has changed the keyring meanwhile, so nothing was changed. Look at `b2b-auth key list`, and \
                     try again.",
                )
            });
        }
    }
    if let Err(failure) = remove_labels(tool, version, &id).await {
        say(&format!(
            "A label of the keyring's versions could not be taken away; `b2b-auth key rotate` will. ({failure})"
        ));
    }
    Ok(())
}

/// Writes a keyring, and gives the id of its version.
async fn put_next(tool: &Tool, next: &KeyringSecret) -> Result<String, Failure> {
    let text = serde_json::to_string(next).map_err(|error| Failure::new(Kind::Fault, error.to_string()))?;
    let id = random_id()?;
    let request = tool
        .stack
        .secrets
        .put_secret_value()
        .secret_id(&tool.stack.configuration().keyring_secret_id)
        .client_request_token(&id)
        .secret_string(text)
        .version_stages(NEXT);
    request.send().await.map_err(|error| Fault::of_aws("PutSecretValue", error))?;
    Ok(id)
}

/// A rotation leaves its label on its version. When another replaces that, it would keep Secrets Manager from rotating.
async fn remove_labels(tool: &Tool, replaced: &str, by: &str) -> Result<(), Failure> {
    remove_label(tool, NEXT, by).await?;
    match pending(tool).await? {
        Some(pending) if pending == replaced => remove_label(tool, PENDING, replaced).await,
        _ => Ok(()),
    }
}
