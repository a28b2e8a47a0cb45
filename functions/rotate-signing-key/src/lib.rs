//! Secrets Manager's rotation of the keyring: a new key becomes current, and the one before it the first of `previous`.
//!
//! The four steps and what they are given: Secrets Manager user guide, "Lambda rotation functions". Each may be repeated, and
//! a rotation that was interrupted goes on where it was.

use aws_sdk_secretsmanager::{
    Client,
    error::SdkError,
    operation::{get_secret_value::GetSecretValueError, put_secret_value::PutSecretValueError},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use shared::{
    clock::Clock,
    fault::Fault,
    keys::{
        keyring::{KeySecret, Keyring, KeyringSecret},
        secret_cache::RELOAD_AFTER,
    },
};

/// Seconds until a new key signs. A function that is warm when the rotation ends knows it after [`RELOAD_AFTER`], which
/// leaves as long for the rotation itself.
pub const SIGNS_AFTER: u64 = 2 * RELOAD_AFTER;
/// Random bytes of a key.
const KEY_BYTES: usize = 48;

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// What Secrets Manager sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// ARN of the secret.
    pub secret_id: String,
    /// Id of the secret's new version, the same in all steps of a rotation.
    pub client_request_token: String,
    /// What is to be done.
    pub step: Step,
}

/// A step of a rotation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Makes the new version.
    CreateSecret,
    /// Tells the new version to whoever must know it: nobody, since the functions read the secret themselves.
    SetSecret,
    /// Checks the new version.
    TestSecret,
    /// Makes the new version the current one.
    FinishSecret,
}

/// Why a step failed. Holds no part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Secrets Manager failed.
    #[error(transparent)]
    SecretsManager(#[from] Fault),
    /// A version cannot be used.
    #[error("{0}")]
    Keyring(&'static str),
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// The function.
pub struct RotateSigningKey {
    client: Client,
    clock: Clock,
}

impl RotateSigningKey {
    /// The function with a client of Secrets Manager.
    #[must_use]
    pub fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock }
    }

    /// Carries out a step, and logs why it failed if it did.
    ///
    /// # Errors
    /// Says why it failed. The step may be repeated.
    pub async fn handle(&self, event: Event) -> Result<(), RotationError> {
        let carried_out = self.carry_out(&event).await;
        if let Err(error) = &carried_out {
            tracing::error!(version = event.client_request_token, step = ?event.step, %error, "failed");
        }
        carried_out
    }

    async fn carry_out(&self, event: &Event) -> Result<(), RotationError> {
        if self.is_finished(event).await? {
            return Ok(());
        }
        match event.step {
            Step::CreateSecret => self.create(event).await?,
            Step::SetSecret => {}
            Step::TestSecret => self.test(event).await?,
            Step::FinishSecret => {
                let finished = self.finish(event).await;
                // Its answer may have been lost, or the same step at the same time was faster.
                if finished.is_err() && !self.is_finished(event).await? {
                    return finished;
                }
            }
        }
        tracing::info!(version = event.client_request_token, step = ?event.step, "done");
        Ok(())
    }

    async fn create(&self, event: &Event) -> Result<(), RotationError> {
        if self.pending(event).await?.is_some() {
            return Ok(());
        }
        let (_, keyring) = self.current(event).await?;
        let keyring = with_new_key(keyring, &event.client_request_token, self.clock.now() + SIGNS_AFTER)?;
        let text =
            serde_json::to_string(&keyring).map_err(|_| RotationError::Keyring("it cannot be written as JSON"))?;
        let request = self
            .client
            .put_secret_value()
            .secret_id(&event.secret_id)
            .client_request_token(&event.client_request_token)
            .secret_string(text)
            .version_stages(PENDING);
        match request.send().await {
            Ok(_) => Ok(()),
            // The same step at the same time made another key first, which is as good.
            Err(error) if is_version_present(&error) => Ok(()),
            Err(error) => Err(Fault::of_aws("PutSecretValue", error).into()),
        }
    }

    async fn test(&self, event: &Event) -> Result<(), RotationError> {
        let (_, old) = self.current(event).await?;
        match self.pending(event).await? {
            // When a schedule is made, Secrets Manager asks for this step alone.
            None => Ok(()),
            Some(new) if new == old => Ok(()),
            Some(new) => self.check(&new, &old, event),
        }
    }

    async fn finish(&self, event: &Event) -> Result<(), RotationError> {
        let new = self.pending(event).await?.ok_or(RotationError::Keyring("there is no new version"))?;
        // Secrets Manager refuses if another version has become the current one since.
        let (tested_against, old) = self.current(event).await?;
        self.check(&new, &old, event)?;
        let request = self
            .client
            .update_secret_version_stage()
            .secret_id(&event.secret_id)
            .version_stage(CURRENT)
            .move_to_version_id(&event.client_request_token)
            .remove_from_version_id(tested_against);
        request.send().await.map_err(|error| Fault::of_aws("UpdateSecretVersionStage", error))?;
        Ok(())
    }

    /// Whether the rotation's version is the current one.
    async fn is_finished(&self, event: &Event) -> Result<bool, RotationError> {
        let request = self.client.describe_secret().secret_id(&event.secret_id);
        let secret = request.send().await.map_err(|error| Fault::of_aws("DescribeSecret", error))?;
        let versions = secret.version_ids_to_stages.unwrap_or_default();
        let stages = versions.get(&event.client_request_token);
        Ok(stages.is_some_and(|stages| stages.iter().any(|stage| stage == CURRENT)))
    }

    fn check(&self, new: &KeyringSecret, old: &KeyringSecret, event: &Event) -> Result<(), RotationError> {
        check(new, old, &event.client_request_token, self.clock.now())
    }

    /// The current version's id and keyring.
    async fn current(&self, event: &Event) -> Result<(String, KeyringSecret), RotationError> {
        let request = self.client.get_secret_value().secret_id(&event.secret_id).version_stage(CURRENT);
        let value = request.send().await.map_err(|error| Fault::of_aws("GetSecretValue", error))?;
        let keyring = parse(value.secret_string.as_deref())?;
        Ok((value.version_id.unwrap_or_default(), keyring))
    }

    /// The rotation's own version, if it has been made.
    async fn pending(&self, event: &Event) -> Result<Option<KeyringSecret>, RotationError> {
        let request = self
            .client
            .get_secret_value()
            .secret_id(&event.secret_id)
            .version_id(&event.client_request_token)
            .version_stage(PENDING);
        match request.send().await {
            Ok(value) => Ok(Some(parse(value.secret_string.as_deref())?)),
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(Fault::of_aws("GetSecretValue", error).into()),
        }
    }
}

fn is_version_present(error: &SdkError<PutSecretValueError>) -> bool {
    error.as_service_error().is_some_and(PutSecretValueError::is_resource_exists_exception)
}

fn parse(secret: Option<&str>) -> Result<KeyringSecret, RotationError> {
    KeyringSecret::parse(secret.unwrap_or_default()).map_err(RotationError::Keyring)
}

/// A new random key.
///
/// # Errors
/// If the system gives no random bytes.
pub fn new_key(kid: &str, signs_from: Option<u64>) -> Result<KeySecret, RotationError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(KeySecret { kid: kid.into(), key: URL_SAFE_NO_PAD.encode(bytes), signs_from })
}

fn with_new_key(keyring: KeyringSecret, kid: &str, signs_from: u64) -> Result<KeyringSecret, RotationError> {
    let current = new_key(kid, Some(signs_from))?;
    let previous = std::iter::once(keyring.current).chain(keyring.previous).collect();
    Ok(KeyringSecret { current, previous })
}

/// Whether `new` may take the place of `old`: the functions can use it, it begins with the key of this rotation, it loses
/// none of the keys that tokens are signed with, and all functions will have read it when its key begins to sign.
fn check(new: &KeyringSecret, old: &KeyringSecret, kid: &str, now: u64) -> Result<(), RotationError> {
    Keyring::new(new).map_err(RotationError::Keyring)?;
    if new.current.kid != kid {
        return Err(RotationError::Keyring("the new version does not begin with the key of this rotation"));
    }
    if !new.previous.iter().eq(old.keys()) {
        return Err(RotationError::Keyring(
            "the keyring was changed while it was rotated; take AWSPENDING from the new version, and rotate again",
        ));
    }
    if new.current.signs_from.is_none_or(|signs_from| signs_from < now + RELOAD_AFTER) {
        return Err(RotationError::Keyring(
            "the rotation took so long that the new key would sign before all functions know it; take AWSPENDING from the \
             new version, and rotate again",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: &str) -> KeySecret {
        KeySecret { kid: kid.into(), key: format!("{kid}-key-of-more-than-32-characters"), signs_from: Some(1000) }
    }

    fn keyring(kids: &[&str]) -> KeyringSecret {
        KeyringSecret { current: key(kids[0]), previous: kids[1..].iter().map(|kid| key(kid)).collect() }
    }

    #[test]
    fn a_new_key_comes_first_signs_later_and_keeps_all_others() {
        let old = keyring(&["b", "a"]);
        let new = with_new_key(old.clone(), "c", 700).unwrap();
        assert_eq!((new.current.kid.as_str(), new.current.signs_from), ("c", Some(700)));
        assert_eq!(new.current.key.len(), 64);
        assert_ne!(new.current.key, with_new_key(old.clone(), "c", 700).unwrap().current.key);
        for (now, is_ok) in [(100, true), (400, true), (401, false), (800, false)] {
            assert_eq!(check(&new, &old, "c", now).is_ok(), is_ok, "{now}");
        }
    }

    #[test]
    fn a_version_that_would_lose_a_key_or_is_not_this_rotations_is_refused() {
        let old = keyring(&["b", "a"]);
        let good = keyring(&["c", "b", "a"]);
        assert!(check(&good, &old, "c", 0).is_ok());
        for (new, kid) in [
            (keyring(&["c", "b"]), "c"),
            (keyring(&["c", "a", "b"]), "c"),
            (keyring(&["c", "b", "a", "x"]), "c"),
            (keyring(&["c", "b", "a"]), "d"),
            (keyring(&["b", "b", "a"]), "b"),
            (
                KeyringSecret { current: KeySecret { key: "short".into(), ..key("c") }, ..keyring(&["c", "b", "a"]) },
                "c",
            ),
        ] {
            assert!(check(&new, &old, kid, 0).is_err(), "{kid}");
        }
    }
}
