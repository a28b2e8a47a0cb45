//! The live tokens: whether the keyring has their keys.

use super::{finding::Finding, secrets::move_back};
use crate::{
    commands::key,
    output::{count, named},
    tool::Tool,
};
use shared::keys::keyring::KeyringSecret;
use std::collections::BTreeSet;

/// The name of this check.
pub const LIVE_TOKENS: &str = "live tokens";

/// Whether the keyring has the keys of all of them. Functions that hold an earlier keyring take such tokens for five minutes more.
pub async fn check(tool: &Tool, keys: &KeyringSecret) -> Finding {
    let live = match key::live_tokens(tool).await {
        Ok(live) => live,
        Err(failure) => return Finding::failed(LIVE_TOKENS, &failure),
    };
    let missing: Vec<_> = live.iter().filter(|(kid, _)| !keys.has(kid)).collect();
    if missing.is_empty() {
        let all = live.values().map(|live| live.count).sum();
        return Finding::good(LIVE_TOKENS, format!("The keys of all are in the keyring: {}.", count(all, "token")));
    }
    let tokens: u64 = missing.iter().map(|(_, live)| live.count).sum();
    let kids: Vec<_> = missing.iter().map(|(kid, _)| kid.as_str()).collect();
    let stores: BTreeSet<_> = missing.iter().flat_map(|(_, live)| &live.stores).collect();
    let (carry, are) = if tokens == 1 { ("carries", "is") } else { ("carry", "are") };
    Finding::bad(
        LIVE_TOKENS,
        format!(
            "{} of {} {carry} a key that is not in the keyring, and {are} refused: {}.",
            count(tokens, "live token"),
            named(stores.into_iter()),
            kids.join(", ")
        ),
        format!(
            "If the key was retired because it leaked, have the tokens made anew and take these back: {} Else the keyring was \
             changed by hand. {}",
            kids.iter().map(|kid| key::tokens_of(kid)).collect::<Vec<_>>().join(" "),
            move_back(tool)
        ),
    )
}
