//! The tokens that have ended: whether the schedule removes them.

use super::finding::Finding;
use crate::{output::named, tool::Tool};
use shared::{
    fault::Fault,
    tables::tokens::{EXPIRING_TOKENS, EXPIRY_SHARDS},
};
use std::collections::BTreeSet;

/// The name of this check.
pub const ENDED_TOKENS: &str = "ended tokens";

/// Hours after which none is left: the schedule has at most a day, and a run may be missed.
const HOURS: u64 = 26;

/// Whether they are removed, as the index of those that end tells.
pub async fn check(tool: &Tool) -> Finding {
    let stores = match stores_with_ended_tokens(tool).await {
        Ok(stores) => stores,
        Err(fault) if fault.code.as_deref() == Some("ValidationException") => {
            let says =
                format!("The table of tokens cannot be asked for them; its index {EXPIRING_TOKENS} may be missing.");
            return Finding::bad(ENDED_TOKENS, says, "Deploy again with `sam deploy`.");
        }
        Err(fault) => return Finding::failed(ENDED_TOKENS, &fault.into()),
    };
    if stores.is_empty() {
        return Finding::good(ENDED_TOKENS, format!("None ended more than {HOURS} hours ago."));
    }
    let what_to_do = if tool.stack.is_deployed() {
        format!(
            "The log group /aws/lambda/{} says of expire-tokens why; if it has no line of it, look at the schedule in EventBridge \
             Scheduler: whether it is enabled, and may call the function.",
            tool.stack.short_name
        )
    } else {
        "`cargo run` removes them when it starts, and each hour; it prints why not.".to_owned()
    };
    Finding::doubtful(
        ENDED_TOKENS,
        format!(
            "Tokens of {} that ended more than {HOURS} hours ago are still there: expire-tokens does not run, or fails. They are refused, \
             and in nobody's way.",
            named(stores.iter())
        ),
        what_to_do,
    )
}

/// Some of the stores that have tokens that ended so long ago. More than the first page of each part is not read.
async fn stores_with_ended_tokens(tool: &Tool) -> Result<BTreeSet<String>, Fault> {
    let services = &tool.stack.services;
    let until = services.clock.now().saturating_sub(HOURS * 3600);
    let mut stores = BTreeSet::new();
    for shard in 0..EXPIRY_SHARDS {
        let ended = services.tokens.ended(shard, until).next().await?;
        stores.extend(ended.unwrap_or_default().into_iter().map(|tokens| tokens.store_hash));
    }
    Ok(stores)
}
