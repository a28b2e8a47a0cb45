//! `b2b-auth key`.

use super::count;
use crate::{
    Tool,
    audit::Change,
    failure::{Failure, Kind},
    output::{say, utc},
};
use clap::Subcommand;
use rotate_signing_key::{Event, RotateSigningKey, RotationError, SIGNS_AFTER, Step};
use serde::Deserialize;
use serde_json::json;
use shared::{
    aws,
    keys::{
        jwt::DAY,
        keyring::{KeySecret, Keyring, KeyringSecret},
        secret_cache::RELOAD_AFTER,
    },
    tables::dynamodb::{from_item, number},
};
use std::collections::{BTreeMap, BTreeSet};

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

/// The live server-to-server tokens of a key.
#[derive(Default)]
struct LiveTokens {
    count: u64,
    stores: BTreeSet<String>,
}

/// The live server-to-server tokens that each key has signed, in all stores.
async fn live_tokens(tool: &Tool) -> Result<BTreeMap<String, LiveTokens>, Failure> {
    let request = tool
        .stack
        .dynamodb
        .scan()
        .table_name(&tool.stack.configuration().tokens_table)
        .projection_expression("pk, kid")
        .filter_expression("attribute_exists(kid) AND (attribute_not_exists(exp) OR exp > :now)")
        .expression_attribute_values(":now", number(tool.stack.services.clock.now()))
        .consistent_read(true);
    let mut items = request.into_paginator().items().send();
    let mut keys: BTreeMap<String, LiveTokens> = BTreeMap::new();
    while let Some(item) = items.next().await {
        let SignedIn { pk, kid } = from_item(item.map_err(|fault| aws::error("Scan", &fault))?)?;
        let live = keys.entry(kid).or_default();
        live.count += 1;
        live.stores.insert(pk);
    }
    Ok(keys)
}

/// A token's store and key.
#[derive(Deserialize)]
struct SignedIn {
    pk: String,
    kid: String,
}

async fn list(tool: &Tool) -> Result<(), Failure> {
    let ((_, secret), tokens) = tokio::try_join!(keyring(tool), live_tokens(tool))?;
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
        let live = tokens.get(&key.kid).map_or(0, |live| live.count);
        rows.push(vec![json!(key.kid), json!(does), json!(key.signs_from), json!(live)])?;
    }
    rows.end()
}

fn signing_kid(secret: &KeyringSecret, now: u64) -> Result<String, Failure> {
    Ok(Keyring::new(secret).map_err(broken)?.signing_key(now).kid.clone())
}

async fn rotate(tool: &Tool) -> Result<(), Failure> {
    let interrupted = pending(tool).await?;
    let new = random_id()?;
    let details = json!({"key": new, "interrupted": interrupted});
    tool.change_in_steps(Change { action: "key rotate", store: None, details }, async {
        // What an interrupted rotation has left is finished, or where that cannot be, taken away.
        if let Some(version) = interrupted {
            match take_steps(tool, &version).await {
                Ok(()) => return Ok(()),
                Err(RotationError::Keyring(_)) => remove_label(tool, PENDING, &version).await?,
                Err(error) => return Err(failure(error)),
            }
        }
        take_steps(tool, &new).await.map_err(failure)
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
    let ((version, secret), mut tokens) = tokio::try_join!(keyring(tool), live_tokens(tool))?;
    let position = secret.keys().position(|key| key.kid == kid).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("The keyring has no key {kid}. `b2b-auth key list` shows them all."))
    })?;
    let live = tokens.remove(kid).unwrap_or_default();
    let signs = signing_kid(&secret, now)? == kid;
    if let Some(breaks) = breaks(&secret, position, signs, &live, now) {
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
        // None of the others may take its place for long: they were replaced on purpose.
        let signs_from = if signs { now } else { now + SIGNS_AFTER };
        kept.insert(0, rotate_signing_key::new_key(&random_id()?, Some(signs_from)).map_err(failure)?);
    }
    let current = kept.remove(0);
    let details = json!({"key": kid, "force": force, "liveTokens": live.count, "newest": current.kid});
    let next = KeyringSecret { current, previous: kept };
    tool.change(Change { action: "key retire", store: None, details }, replace(tool, &version, &next)).await?;
    say(&format!("Retired. Within {} minutes no function accepts what {kid} has signed.", RELOAD_AFTER / 60));
    if signs {
        say("Until then functions may sign with it: tokens that were created in these minutes must be created again.");
    }
    Ok(())
}

/// What ends when a key is retired, if anything does.
fn breaks(secret: &KeyringSecret, position: usize, signs: bool, live: &LiveTokens, now: u64) -> Option<String> {
    let LiveTokens { count: number, stores } = live;
    let tokens = if *number == 0 {
        String::new()
    } else {
        let stores = stores.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        format!(
            "{} of {stores} would end (`b2b-auth token list --key` shows which)",
            count(*number, "live server-to-server token")
        )
    };
    // A key has signed until the next one began to.
    let signed_until = secret.keys().take(position).filter_map(|key| key.signs_from).filter(|from| *from <= now).min();
    let storefront = if signs {
        "it signs now, and all storefront tokens of the last day end with it".into()
    } else if position == 0 {
        "it is the newest and will sign soon".into()
    } else {
        let recent = signed_until.filter(|until| until + DAY > now);
        recent.map_or_else(String::new, |until| {
            format!("it signed until {}, and storefront tokens last a day", utc(until))
        })
    };
    let breaks: Vec<String> = [storefront, tokens].into_iter().filter(|text| !text.is_empty()).collect();
    (!breaks.is_empty()).then(|| breaks.join("; "))
}

/// Makes `next` the current keyring, if `version` still is.
async fn replace(tool: &Tool, version: &str, next: &KeyringSecret) -> Result<(), Failure> {
    Keyring::new(next).map_err(broken)?;
    let secret_id = &tool.stack.configuration().keyring_secret_id;
    let text = serde_json::to_string(next).map_err(|error| Failure::new(Kind::Fault, error.to_string()))?;
    let id = random_id()?;
    // Under a label of its own first: one that becomes current at once would undo a change that was made meanwhile.
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
    if let Err(fault) = update.send().await {
        // The answer to an attempt that succeeded may have been lost.
        let (current, _) = keyring(tool).await?;
        if current != id {
            let _ = remove_label(tool, NEXT, &id).await;
            return Err(if current == version {
                aws::error("UpdateSecretVersionStage", &fault).into()
            } else {
                Failure::new(
                    Kind::Conflict,
                    "Somebody else has changed the keyring meanwhile, so nothing was changed. Look at `b2b-auth key list`, and \
                     try again.",
                )
            });
        }
    }
    // A rotation leaves its label on its version. When another replaces that, it would keep Secrets Manager from rotating.
    let labels = async {
        remove_label(tool, NEXT, &id).await?;
        match pending(tool).await? {
            Some(pending) if pending == version => remove_label(tool, PENDING, version).await,
            _ => Ok(()),
        }
    };
    if let Err(failure) = labels.await {
        say(&format!(
            "A label of the keyring's versions could not be taken away; `b2b-auth key rotate` will. ({failure})"
        ));
    }
    Ok(())
}
