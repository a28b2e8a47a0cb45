//! Removes the server-to-server tokens that have ended, on a schedule.
//!
//! Each is deleted in the transaction that lowers the counts of its store, so that a run may be interrupted anywhere, be missed, or
//! go beside another.

use shared::{
    clock::Clock,
    fault::Fault,
    tables::tokens::{EXPIRY_MARGIN, EXPIRY_SHARDS, TokenTable},
};

/// Failures, one after the other, after which a run ends.
const MAX_FAILURES: u32 = 10;

/// Seconds before its deadline in which a run begins nothing more: what is under way takes some.
const RESERVE: u64 = 30;

pub struct ExpireTokens {
    tokens: TokenTable,
    clock: Clock,
}

impl ExpireTokens {
    #[must_use]
    pub fn new(tokens: TokenTable, clock: Clock) -> Self {
        Self { tokens, clock }
    }

    /// Removes what has ended, as far as there is time until `deadline`, in Unix seconds; the rest is for the next run. Logs how
    /// much that was, and why it failed if it did.
    ///
    /// # Errors
    /// If DynamoDB fails. What is of one store does not keep what is of another.
    pub async fn run(&self, deadline: u64) -> Result<u64, Fault> {
        let mut removed = 0;
        let ended = self.remove(deadline, &mut removed).await;
        match &ended {
            Ok(()) if removed == 0 => {}
            Ok(()) => tracing::info!(removed, "ended tokens removed"),
            Err(fault) => tracing::error!(removed, error = %fault, "ended tokens not removed"),
        }
        ended.map(|()| removed)
    }

    async fn remove(&self, deadline: u64, removed: &mut u64) -> Result<(), Fault> {
        let until = self.clock.now().saturating_sub(EXPIRY_MARGIN);
        let (mut outcome, mut failures) = (Ok(()), 0);
        for shard in 0..EXPIRY_SHARDS {
            let mut ended = self.tokens.ended(shard, until);
            while let Some(parts) = ended.next().await? {
                for part in &parts {
                    if self.clock.now() + RESERVE >= deadline {
                        tracing::warn!("no time left; the next run goes on");
                        return outcome;
                    }
                    match self.tokens.delete_ended(part, until).await {
                        Ok(count) => (*removed, failures) = (*removed + count, 0),
                        // It may be of this store alone.
                        Err(fault) => (outcome, failures) = (Err(fault), failures + 1),
                    }
                    if failures == MAX_FAILURES {
                        return outcome;
                    }
                }
            }
        }
        outcome
    }
}
