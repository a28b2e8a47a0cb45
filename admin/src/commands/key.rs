//! `b2b-auth key`.

pub mod keyring;

use crate::{
    audit::Change,
    failure::{Failure, Kind},
    output::{count, named, say, utc},
    tool::Tool,
};
use accounts::Signature;
use clap::Subcommand;
use keyring::{CurrentKeyring, PENDING, signing_kid};
use rotate_signing_key::{RotationError, SIGNS_AFTER};
use serde_json::json;
use shared::keys::{
    jwt::DAY,
    keyring::{KeySecret, KeyringSecret},
    secret_cache::RELOAD_AFTER,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Subcommand)]
pub enum Command {
    /// Shows the keys, the newest first, and how many live server-to-server tokens each has signed; last, keys of live tokens
    /// that are not in the keyring.
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

/// The live server-to-server tokens of a key.
#[derive(Default)]
pub struct LiveTokens {
    pub count: u64,
    pub stores: BTreeSet<String>,
}

/// The live server-to-server tokens that each key has signed, in all stores. It reads the whole table of tokens.
pub async fn live_tokens(tool: &Tool) -> Result<BTreeMap<String, LiveTokens>, Failure> {
    let now = tool.stack.services.clock.now();
    let mut signatures = tool.stack.accounts.signatures();
    let mut keys: BTreeMap<String, LiveTokens> = BTreeMap::new();
    while let Some(Signature { store_hash, kid, ends_at }) = signatures.next().await? {
        if ends_at.is_none_or(|end| end > now) {
            let live = keys.entry(kid).or_default();
            live.count += 1;
            live.stores.insert(store_hash);
        }
    }
    Ok(keys)
}

/// What shows and what ends the tokens of a key.
pub fn tokens_of(kid: &str) -> String {
    format!(
        "`b2b-auth token list --all-stores --key {kid}` shows the tokens of {kid}, `b2b-auth token revoke --all-stores --key {kid}` \
         ends them."
    )
}

async fn list(tool: &Tool) -> Result<(), Failure> {
    let (CurrentKeyring { secret, .. }, tokens) = tokio::try_join!(keyring::current(tool), live_tokens(tool))?;
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
    let missing: Vec<_> = tokens.iter().filter(|(kid, _)| !secret.has(kid)).collect();
    for (kid, live) in &missing {
        rows.push(vec![
            json!(kid),
            json!("is not in the keyring: its tokens are refused"),
            json!(null),
            json!(live.count),
        ])?;
    }
    rows.end()?;
    for (kid, _) in missing {
        say(&tokens_of(kid));
    }
    Ok(())
}

async fn rotate(tool: &Tool) -> Result<(), Failure> {
    let interrupted = keyring::pending(tool).await?;
    let new = keyring::random_id()?;
    let details = json!({"key": new, "interrupted": interrupted});
    // Its few writes are not stopped between: half a rotation is worse than a moment's wait.
    tool.change_in_steps(Change { action: "key rotate", store: None, details }, async |steps| {
        // What an interrupted rotation has left is finished, or where that cannot be, taken away.
        if let Some(version) = interrupted {
            match keyring::rotate(tool, &version, steps).await {
                Ok(()) => return Ok(()),
                Err(RotationError::Keyring(_)) => keyring::remove_label(tool, PENDING, &version).await?,
                Err(error) => return Err(failure(error)),
            }
        }
        keyring::rotate(tool, &new, steps).await.map_err(failure)
    })
    .await?;
    let KeySecret { kid, signs_from, .. } = keyring::current(tool).await?.secret.current;
    let from = utc(signs_from.unwrap_or(0));
    say(&format!("The key {kid} signs from {from} on. The earlier ones go on verifying."));
    say("Whatever verifies storefront tokens elsewhere must have the new keyring by then.");
    Ok(())
}

fn failure(error: RotationError) -> Failure {
    match error {
        RotationError::SecretsManager(fault) => fault.into(),
        other => Failure::new(Kind::Fault, format!("The key was not rotated: {other}.")),
    }
}

async fn retire(tool: &Tool, kid: &str, force: bool) -> Result<(), Failure> {
    let now = tool.stack.services.clock.now();
    let (CurrentKeyring { version, secret }, mut tokens) = tokio::try_join!(keyring::current(tool), live_tokens(tool))?;
    let position = secret.keys().position(|key| key.kid == kid).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("The keyring has no key {kid}. `b2b-auth key list` shows them all."))
    })?;
    let live = tokens.remove(kid).unwrap_or_default();
    let signs = signing_kid(&secret, now)? == kid;
    if let Some(breaks) = breaks(&secret, kid, position, signs, &live, now) {
        if !force {
            return Err(Failure::new(
                Kind::Refused,
                format!(
                    "The key {kid} is still needed: {breaks}. --force retires it all the same.\nStack: {}",
                    tool.stack.name
                ),
            ));
        }
        say(&format!("Retiring {kid} although it is still needed: {breaks}."));
    }

    let mut kept: Vec<KeySecret> = secret.keys().filter(|key| key.kid != kid).cloned().collect();
    if position == 0 {
        // None of the others may take its place for long: they were replaced on purpose.
        let signs_from = if signs { now } else { now + SIGNS_AFTER };
        kept.insert(0, rotate_signing_key::new_key(&keyring::random_id()?, Some(signs_from)).map_err(failure)?);
    }
    let current = kept.remove(0);
    let details = json!({"key": kid, "force": force, "liveTokens": live.count, "newest": current.kid});
    let next = KeyringSecret { current, previous: kept };
    let change = Change { action: "key retire", store: None, details };
    tool.change(change, keyring::replace(tool, &version, &next)).await?;
    say(&format!("Retired. Within {} minutes no function accepts what {kid} has signed.", RELOAD_AFTER / 60));
    if signs {
        say("Until then functions may sign with it: tokens that were created in these minutes must be created again.");
    }
    Ok(())
}

/// What ends when a key is retired, if anything does.
fn breaks(
    secret: &KeyringSecret,
    kid: &str,
    position: usize,
    signs: bool,
    live: &LiveTokens,
    now: u64,
) -> Option<String> {
    let LiveTokens { count: number, stores } = live;
    let tokens = if *number == 0 {
        String::new()
    } else {
        format!(
            "{} of {} would end (`b2b-auth token list --all-stores --key {kid}` shows which)",
            count(*number, "live server-to-server token"),
            named(stores.iter())
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
