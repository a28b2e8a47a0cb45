//! Which server-to-server tokens are meant.

use crate::{
    failure::{Failure, Kind},
    output::say,
    tool::{Tool, no_token},
    values::{duration, email, time},
};
use accounts::{Items, StoredToken};
use clap::Args;
use serde_json::{Value, json};
use shared::tables::{
    items::email_key,
    tokens::{LAST_USE_INTERVAL, TokenRecord},
};
use std::collections::BTreeSet;

/// Some of the tokens: those to which all of it applies.
#[derive(Args)]
pub struct Filter {
    /// Only those issued before this time, such as 2026-01-01T00:00:00Z.
    #[arg(long, value_parser = time, value_name = "TIME")]
    issued_before: Option<u64>,
    /// Only those made by this backend user.
    #[arg(long, value_parser = email)]
    email: Option<String>,
    /// Only those signed with this key, be it in the keyring or not.
    #[arg(long, value_name = "KID")]
    key: Option<String>,
    /// Only those that have ended.
    #[arg(long, conflicts_with = "expiring_within")]
    expired: bool,
    /// Only those that have not ended yet and do so in this time, such as 7d or 12h.
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    expiring_within: Option<u64>,
    /// Only those that were last used, or if never used made, before this time. A use is noted to the hour: one that may have
    /// been later does not count as before.
    #[arg(long, value_parser = time, value_name = "TIME")]
    unused_since: Option<u64>,
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        self.described().as_object().is_none_or(serde_json::Map::is_empty)
    }

    /// Before when they must have been issued, if that is said.
    pub fn issued_before(&self) -> Option<u64> {
        self.issued_before
    }

    /// As an audit line names them.
    pub fn described(&self) -> Value {
        let mut described = json!({});
        for (name, value) in [
            ("issuedBefore", json!(self.issued_before)),
            ("email", json!(self.email)),
            ("key", json!(self.key)),
            ("expired", json!(self.expired.then_some(true))),
            ("expiringWithin", json!(self.expiring_within)),
            ("unusedSince", json!(self.unused_since)),
        ] {
            if !value.is_null() {
                described[name] = value;
            }
        }
        described
    }

    /// That it does not take tokens for unused that are in use.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if it would.
    pub fn check(&self, now: u64) -> Result<(), Failure> {
        match self.unused_since {
            Some(time) if time > now => Err(Failure::new(Kind::Invalid, "--unused-since lies in the future.")),
            _ => Ok(()),
        }
    }

    pub fn matches(&self, token: &TokenRecord, now: u64) -> bool {
        // Uses are not noted for so long after one that was.
        let last_sign_of_life = token.last_used_at.map_or(token.iat, |noted| noted.saturating_add(LAST_USE_INTERVAL));
        let ends_within = |time| token.ends_at.is_some_and(|end| end > now && end - now <= time);
        self.issued_before.is_none_or(|time| token.iat < time)
            && self.email.as_ref().is_none_or(|email| email_key(email) == email_key(&token.email))
            && self.key.as_ref().is_none_or(|kid| *kid == token.kid)
            && (!self.expired || token.ends_at.is_some_and(|end| end <= now))
            && self.expiring_within.is_none_or(ends_within)
            && self.unused_since.is_none_or(|time| last_sign_of_life < time)
    }
}

/// The tokens of a store, or of all, that a filter lets through.
pub struct Matching<'a> {
    tokens: Items<StoredToken>,
    filter: &'a Filter,
    now: u64,
}

/// Begins to read them.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such store, and those of [`Filter::check`].
pub async fn matching<'a>(tool: &Tool, store: Option<&str>, filter: &'a Filter) -> Result<Matching<'a>, Failure> {
    let now = tool.stack.services.clock.now();
    filter.check(now)?;
    let tokens = match store {
        Some(store) => {
            tool.store(store).await?;
            tool.stack.accounts.tokens(store)
        }
        None => tool.stack.accounts.tokens_of_all_stores(),
    };
    Ok(Matching { tokens, filter, now })
}

impl Matching<'_> {
    pub async fn next(&mut self) -> Result<Option<StoredToken>, Failure> {
        while let Some(token) = self.tokens.next().await? {
            if self.filter.matches(&token.record, self.now) {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }
}

/// Those of these ids, or if there are none, all of the store or of all stores; as far as the filter lets them through.
///
/// # Errors
/// Those of [`matching`]. Of ids, [`Kind::Invalid`] if the filter lets one not through, [`Kind::NotFound`] if none is there.
pub async fn for_each_chosen(
    tool: &Tool,
    store: Option<&str>,
    ids: &[u64],
    filter: &Filter,
    mut choose: impl FnMut(StoredToken) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let Some(store) = store.filter(|_| !ids.is_empty()) {
        return of_ids(tool, store, ids, filter).await?.into_iter().try_for_each(choose);
    }
    let mut tokens = matching(tool, store, filter).await?;
    while let Some(token) = tokens.next().await? {
        choose(token)?;
    }
    Ok(())
}

async fn of_ids(tool: &Tool, store: &str, ids: &[u64], filter: &Filter) -> Result<Vec<StoredToken>, Failure> {
    tool.store(store).await?;
    let now = tool.stack.services.clock.now();
    filter.check(now)?;
    let mut chosen = Vec::new();
    for id in BTreeSet::from_iter(ids) {
        match tool.stack.services.tokens.record(store, *id).await? {
            Some(record) if filter.matches(&record, now) => {
                chosen.push(StoredToken { store_hash: store.into(), record });
            }
            Some(_) => return Err(Failure::new(Kind::Invalid, format!("The options do not fit the token {id}."))),
            // It may have been revoked by an earlier attempt at the same.
            None => say(&format!("The store {store} has no token {id}.")),
        }
    }
    if chosen.is_empty() { Err(no_token(store, ids[0])) } else { Ok(chosen) }
}
