//! When tokens and API accounts were last used: noted with the request, written after its answer.

use crate::{
    auth::credentials::Credential,
    clock::Clock,
    tables::tokens::{LAST_USE_INTERVAL, TokenTable},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Uses that are remembered as written; when there are more, all are forgotten. The table still writes each once an interval.
const MAX_REMEMBERED: usize = 1000;
/// Seconds after a write that failed in which none is tried: an instance that waits for one answers nobody else.
const PAUSE: u64 = 60;

/// The uses that one instance of a function has seen.
pub struct LastUses {
    tokens: TokenTable,
    clock: Clock,
    uses: Mutex<Uses>,
}

#[derive(Default)]
struct Uses {
    /// When each was last noted here, in Unix seconds.
    noted: HashMap<Use, u64>,
    unwritten: Vec<(Use, u64)>,
    /// When a write failed last, in Unix seconds.
    failed_at: Option<u64>,
}

/// A store, and what was used in it.
type Use = (String, Credential);

impl LastUses {
    /// Nothing used yet; uses will be written to the table.
    #[must_use]
    pub fn new(tokens: TokenTable, clock: Clock) -> Self {
        Self { tokens, clock, uses: Mutex::default() }
    }

    /// Notes that credentials of a store were used, to be written later; not while writes fail.
    pub fn note(&self, store_hash: &str, credentials: &[Credential]) {
        let now = self.clock.now();
        let mut uses = self.uses();
        if uses.failed_at.is_some_and(|failed_at| now.abs_diff(failed_at) < PAUSE) {
            return;
        }
        for credential in credentials {
            let this = (store_hash.to_owned(), credential.clone());
            if uses.noted.get(&this).is_some_and(|noted| now.abs_diff(*noted) < LAST_USE_INTERVAL) {
                continue;
            }
            if uses.noted.len() >= MAX_REMEMBERED {
                uses.noted.clear();
            }
            uses.noted.insert(this.clone(), now);
            uses.unwritten.push((this, now));
        }
    }

    /// Writes what was noted. A failure is only logged, and a use tried again after [`PAUSE`].
    pub async fn write(&self) {
        let unwritten = std::mem::take(&mut self.uses().unwritten);
        for (this, at) in unwritten {
            let (store_hash, credential) = &this;
            let written = match credential {
                Credential::Token(identity) => self.tokens.note_use(store_hash, identity.id, at).await,
                Credential::ApiAccount { sha256 } => self.tokens.note_use_of_api_account(store_hash, sha256, at).await,
            };
            if let Err(fault) = written {
                tracing::warn!(cause = %fault, "last use not noted");
                let mut uses = self.uses();
                uses.noted.remove(&this);
                uses.failed_at = Some(self.clock.now());
            }
        }
    }

    /// A panic leaves it usable: it is changed in single steps.
    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
