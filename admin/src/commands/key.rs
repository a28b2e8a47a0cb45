//! `b2b-auth key`.

use super::count;
use crate::{
    Tool,
    audit::Change,
    failure::{Failure, Kind},
    output::{say, utc},
};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use clap::Subcommand;
use rotate_signing_key::{Event, RotateSigningKey, RotationError, Step};
use serde_json::json;
use shared::{
    aws,
    jwt::DAY,
    keyring::{KeySecret, Keyring, KeyringSecret},
    secret_cache::RELOAD_AFTER,
};
use std::collections::BTreeMap;

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";
/// The label of a keyring that is written before it becomes the current one, so that a change in between is noticed.
const NEXT: &str = "B2BAUTHNEXT";

#[derive(Subcommand)]
pub enum Command {
    /// Shows the keys, the newest first, and how many live server-to-server tokens each has signed.
    List,
    /// Adds a new key, which signs ten minutes later. All others go on verifying, so nobody is logged out.
    Rotate,
    /// Takes a key out of the keyring. Tokens that it signed are void within five minutes.
    #[command(after_help = "Examples:
  b2b-auth --local key retire initial
  b2b-auth --local key retire initial --force    # the key has leaked: all that it signed is void")]
    Retire {
        /// The key's id, as `list` shows it.
        kid: String,
        /// Even if it signs, or live tokens were signed with it. If it is the newest, a new key takes its place at once.
        #[arg(long)]
        force: bool,
    },
}

pub async fn run(tool: &Tool, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => list(tool).await,
        Command::Rotate => rotate(tool).await,
        Command::Retire { kid, force } => retire(tool, &kid, force).await,
    }
}

/// Id of the current version, and its keyring.
async fn keyring(tool: &Tool) -> Result<(String, KeyringSecret), Failure> {
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    let request = tool.stack.secrets.get_secret_value().secret_id(secret_id).version_stage(CURRENT);
    let value = request.send().await.map_err(|fault| aws::error("GetSecretValue", &fault))?;
    let secret = KeyringSecret::parse(value.secret_string().unwrap_or_default()).map_err(broken)?;
    Keyring::new(&secret).map_err(broken)?;
    Ok((value.version_id.unwrap_or_default(), secret))
}

fn broken(problem: &str) -> Failure {
    Failure::new(
        Kind::NotGood,
        format!("The keyring cannot be used: {problem}. `b2b-auth doctor` says how to mend it."),
    )
}

/// How many live server-to-server tokens each key has signed, in all stores.
async fn live_tokens(tool: &Tool) -> Result<BTreeMap<String, u64>, Failure> {
    let request = tool
        .stack
        .dynamodb
        .scan()
        .table_name(&tool.stack.configuration().tokens_table)
        .projection_expression("kid")
        .filter_expression("attribute_exists(kid)")
        .consistent_read(true);
    let mut items = request.into_paginator().items().send();
    let mut counts = BTreeMap::new();
    while let Some(item) = items.next().await {
        let item = item.map_err(|fault| aws::error("Scan", &fault))?;
        if let Some(kid) = item.get("kid").and_then(|kid| kid.as_s().ok()) {
            *counts.entry(kid.clone()).or_default() += 1;
        }
    }
    Ok(counts)
}

async fn list(tool: &Tool) -> Result<(), Failure> {
    let ((_, secret), counts) = tokio::try_join!(keyring(tool), live_tokens(tool))?;
    let signing = signing_kid(&secret, tool.stack.services.clock.now())?;
    let mut rows = tool.output.rows(&["key", "does", "signsFromAt", "liveTokens"]);
    let mut is_newer = true;
    for key in secret.keys() {
        let does = if key.kid == signing {
            is_newer = false;
            "signs and verifies"
        } else if is_newer {
            "will sign"
        } else {
            "verifies"
        };
        let live = counts.get(&key.kid).copied().unwrap_or(0);
        rows.push(vec![json!(key.kid), json!(does), json!(key.signs_from), json!(live)])?;
    }
    rows.end()
}

fn signing_kid(secret: &KeyringSecret, now: u64) -> Result<String, Failure> {
    Ok(Keyring::new(secret).map_err(broken)?.signing_key(now).kid.clone())
}

async fn rotate(tool: &Tool) -> Result<(), Failure> {
    let interrupted = pending(tool).await?;
    let change = Change { action: "key rotate", store: None, details: json!({}) };
    tool.change(change, async {
        // What an interrupted rotation has left is finished, or where that cannot be, taken away.
        if let Some(version) = interrupted {
            match take_steps(tool, &version).await {
                Ok(()) => return Ok(()),
                Err(RotationError::Keyring(_)) => remove_label(tool, PENDING, &version).await?,
                Err(error) => return Err(failure(error)),
            }
        }
        take_steps(tool, &random_id()?).await.map_err(failure)
    })
    .await?;
    let (_, secret) = keyring(tool).await?;
    let from = secret.current.signs_from.unwrap_or(0);
    say(&format!("The key {} signs from {} on. The earlier ones go on verifying.", secret.current.kid, utc(from)));
    say("Whatever verifies storefront tokens elsewhere must have the new keyring by then.");
    Ok(())
}

/// The steps that Secrets Manager takes in a rotation; each may be repeated.
async fn take_steps(tool: &Tool, version: &str) -> Result<(), RotationError> {
    let function = RotateSigningKey::new(tool.stack.secrets.clone(), tool.stack.services.clock.clone());
    for step in [Step::CreateSecret, Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
        let secret_id = tool.stack.configuration().keyring_secret_id.clone();
        function.handle(Event { secret_id, client_request_token: version.into(), step }).await?;
    }
    Ok(())
}

fn failure(error: RotationError) -> Failure {
    match error {
        RotationError::SecretsManager(error) => error.into(),
        other => Failure::new(Kind::Fault, format!("The key was not rotated: {other}.")),
    }
}

/// The version of a rotation that has not been finished.
pub async fn pending(tool: &Tool) -> Result<Option<String>, Failure> {
    let request = tool.stack.secrets.describe_secret().secret_id(&tool.stack.configuration().keyring_secret_id);
    let secret = request.send().await.map_err(|fault| aws::error("DescribeSecret", &fault))?;
    let has = |stages: &[String], label| stages.iter().any(|stage| stage == label);
    let mut versions = secret.version_ids_to_stages.unwrap_or_default().into_iter();
    let pending = versions.find(|(_, stages)| has(stages, PENDING) && !has(stages, CURRENT));
    Ok(pending.map(|(version, _)| version))
}

async fn remove_label(tool: &Tool, label: &str, version: &str) -> Result<(), Failure> {
    let request = tool
        .stack
        .secrets
        .update_secret_version_stage()
        .secret_id(&tool.stack.configuration().keyring_secret_id)
        .version_stage(label)
        .remove_from_version_id(version);
    request.send().await.map_err(|fault| aws::error("UpdateSecretVersionStage", &fault))?;
    Ok(())
}

/// An id for a version of a secret: 32 to 64 characters.
fn random_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let no_random = |error| Failure::new(Kind::Fault, format!("This machine gives no random bytes: {error}"));
    getrandom::fill(&mut bytes).map_err(no_random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

async fn retire(tool: &Tool, kid: &str, force: bool) -> Result<(), Failure> {
    let now = tool.stack.services.clock.now();
    let ((version, secret), counts) = tokio::try_join!(keyring(tool), live_tokens(tool))?;
    let position = secret.keys().position(|key| key.kid == kid).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("The keyring has no key {kid}. `b2b-auth key list` shows them all."))
    })?;
    let live = counts.get(kid).copied().unwrap_or(0);
    let newer: Vec<KeySecret> = secret.keys().take(position).cloned().collect();
    // A key has signed until the next one began to.
    let signed_until = newer.iter().filter_map(|key| key.signs_from).filter(|from| *from <= now).min();
    let breaks = if signing_kid(&secret, now)? == kid {
        Some(format!(
            "it signs now, and all storefront tokens of the last day and {} end with it",
            count(live, "server-to-server token")
        ))
    } else if live > 0 {
        Some(format!(
            "{} signed with it would end. `b2b-auth token list` shows which",
            count(live, "live server-to-server token")
        ))
    } else if position == 0 {
        Some("it is the newest and will sign soon".into())
    } else {
        let recent = signed_until.filter(|until| until + DAY > now);
        recent.map(|until| format!("it signed until {}, and storefront tokens last a day", utc(until)))
    };
    if let Some(breaks) = breaks {
        if !force {
            return Err(Failure::new(
                Kind::Refused,
                format!("The key {kid} is still needed: {breaks}. --force retires it all the same."),
            ));
        }
        say(&format!("Retiring {kid} although it is still needed: {breaks}."));
    }

    let mut kept: Vec<KeySecret> = secret.keys().filter(|key| key.kid != kid).cloned().collect();
    if position == 0 {
        // None of the others may take its place: they were replaced on purpose.
        kept.insert(0, rotate_signing_key::new_key(&random_id()?, Some(now)).map_err(failure)?);
    }
    let current = kept.remove(0);
    let details = json!({"key": kid, "force": force, "liveTokens": live, "newest": current.kid});
    let next = KeyringSecret { current, previous: kept };
    tool.change(Change { action: "key retire", store: None, details }, replace(tool, &version, &next)).await?;
    say(&format!("Retired. Within {} minutes no function accepts what {kid} has signed.", RELOAD_AFTER / 60));
    Ok(())
}

/// Makes `next` the current keyring, if `version` still is.
async fn replace(tool: &Tool, version: &str, next: &KeyringSecret) -> Result<(), Failure> {
    Keyring::new(next).map_err(broken)?;
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    let text = serde_json::to_string(next).map_err(|error| Failure::new(Kind::Fault, error.to_string()))?;
    let id = random_id()?;
    let put = tool
        .stack
        .secrets
        .put_secret_value()
        .secret_id(secret_id)
        .client_request_token(&id)
        .secret_string(text)
        .version_stages(NEXT);
    put.send().await.map_err(|fault| aws::error("PutSecretValue", &fault))?;
    let update = tool
        .stack
        .secrets
        .update_secret_version_stage()
        .secret_id(secret_id)
        .version_stage(CURRENT)
        .move_to_version_id(&id)
        .remove_from_version_id(version);
    let moved = update.send().await;
    remove_label(tool, NEXT, &id).await?;
    match moved {
        Ok(_) => {}
        Err(fault) if fault.code() == Some("InvalidParameterException") => {
            return Err(Failure::new(
                Kind::Conflict,
                "Somebody else has changed the keyring meanwhile, so nothing was changed. Look at `b2b-auth key list`, and try again.",
            ));
        }
        Err(fault) => return Err(aws::error("UpdateSecretVersionStage", &fault).into()),
    }
    // A rotation has left its label on the version that was replaced. There it would keep Secrets Manager from rotating.
    if pending(tool).await?.as_deref() == Some(version) {
        remove_label(tool, PENDING, version).await?;
    }
    Ok(())
}
