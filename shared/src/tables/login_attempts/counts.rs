//! What is counted of one account: how many attempts, from where, and which addresses it has logged in from.

use crate::{
    fault::Fault,
    tables::items::{Item, number},
};
use std::{cmp::Reverse, collections::BTreeMap, iter};

/// How many attempts from one address fit into a window.
pub const MAX_OF_ADDRESS: u64 = 10;
/// How many attempts from all addresses fit into a window.
pub const MAX_OF_ACCOUNT: u64 = 100;
/// Seconds that must pass without an attempt until a count starts anew. It restarts with each attempt counted, so there is
/// no stretch of 15 minutes, wherever it begins, with more than fit.
pub const WINDOW: u64 = 900;
/// Seconds for which an address is known from a login: 30 days.
pub const KNOWN_FOR: u64 = 30 * 86_400;

/// Seconds for which an attempt may still be under way: while it is, a full window may yet be cleared.
const UNDER_WAY: u64 = 1;
/// Most addresses that are known of an account, the latest: an item of DynamoDB holds 400 KB, and each write costs its size.
const MAX_KNOWN: usize = 500;

/// The counts of one account, as one item has them: so a single condition decides whether an attempt fits into all of them,
/// and what does not fit leaves no trace in any.
///
/// Attributes are numbers. Those of an address have its name after a `#`, as in `attempts#192.0.2.1`; where a customer has logged in
/// from it the channel follows, as in `known#192.0.2.1 1`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Another with each write.
    pub revision: u64,
    of_account: Window,
    of_addresses: BTreeMap<String, OfAddress>,
}

/// Attempts that still count: those from an address, or those of the account as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    /// None for those from all addresses.
    pub address: Option<String>,
    /// How many there are.
    pub attempts: u64,
    /// Whether no more fit: the right password too is refused then, but where the account has logged in from the address if
    /// these are those from all.
    pub is_full: bool,
    /// Until when they count, in Unix seconds.
    pub ends: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Window {
    attempts: u64,
    /// In Unix seconds.
    ends: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct OfAddress {
    window: Window,
    /// In Unix seconds; 0 where the account has not logged in from it.
    known_until: u64,
}

impl Window {
    /// How many attempts it holds now.
    fn open(self, now: u64) -> u64 {
        if self.ends > now { self.attempts } else { 0 }
    }

    /// Seconds until an attempt may be made again; none if it fits.
    fn wait(self, max: u64, now: u64) -> Option<u64> {
        if self.open(now) < max {
            return None;
        }
        let remaining = self.ends - now;
        Some(if WINDOW.saturating_sub(remaining) <= UNDER_WAY { 1 } else { remaining })
    }

    fn count(&mut self, now: u64) {
        *self = Self { attempts: self.open(now) + 1, ends: now + WINDOW };
    }
}

impl Counts {
    /// # Errors
    /// If an attribute is no number of ours.
    pub fn of_item(item: &Item) -> Result<Self, Fault> {
        let mut counts = Self::default();
        for (name, value) in item.iter().filter(|(name, _)| *name != "pk") {
            let value = value.as_n().ok().and_then(|number| number.parse().ok());
            let value = value.ok_or_else(|| Fault::in_words("an item of login attempts holds what is no count"))?;
            if let Some((name, address)) = name.split_once('#') {
                let of_address = counts.of_addresses.entry(address.into()).or_default();
                match name {
                    "attempts" => of_address.window.attempts = value,
                    "ends" => of_address.window.ends = value,
                    "known" => of_address.known_until = value,
                    _ => {}
                }
                continue;
            }
            match name.as_str() {
                "revision" => counts.revision = value,
                "attempts" => counts.of_account.attempts = value,
                "ends" => counts.of_account.ends = value,
                // The others follow from these.
                _ => {}
            }
        }
        Ok(counts)
    }

    /// The item, under its key, without what has ended.
    pub fn into_item(mut self, mut item: Item, now: u64) -> Item {
        self.tidy(now);
        let mut set = |name: String, value: u64| item.insert(name, number(value));
        set("revision".into(), self.revision);
        set("attempts".into(), self.of_account.open(now));
        set("ends".into(), self.of_account.ends);
        let mut expires_at = self.of_account.ends.max(now);
        let mut kept_until = None;
        for (address, OfAddress { window, known_until }) in self.of_addresses {
            if window.attempts > 0 {
                set(format!("attempts#{address}"), window.attempts);
                set(format!("ends#{address}"), window.ends);
                expires_at = expires_at.max(window.ends);
            }
            if known_until > 0 {
                set(format!("known#{address}"), known_until);
                // Beyond any window that opens while the address is known, so that an attempt need not say it anew.
                kept_until = kept_until.max(Some(known_until + WINDOW));
            }
        }
        if let Some(kept_until) = kept_until {
            set("kept_until".into(), kept_until);
            expires_at = expires_at.max(kept_until);
        }
        set("expires_at".into(), expires_at);
        item
    }

    /// Drops what has ended of the addresses, and says whether there was any.
    pub fn tidy(&mut self, now: u64) -> bool {
        let before = self.clone();
        for of_address in self.of_addresses.values_mut() {
            if of_address.window.open(now) == 0 {
                of_address.window = Window::default();
            }
            if of_address.known_until <= now {
                of_address.known_until = 0;
            }
        }
        let mut known: Vec<_> = self.of_addresses.values().map(|of_address| of_address.known_until).collect();
        known.sort_unstable_by_key(|known_until| Reverse(*known_until));
        if let Some(last) = known.get(MAX_KNOWN - 1) {
            self.of_addresses.values_mut().filter(|of| of.known_until < *last).for_each(|of| of.known_until = 0);
        }
        self.of_addresses.retain(|_, of_address| *of_address != OfAddress::default());
        *self != before
    }

    /// Counts an attempt from the address, where the account is known under this name if it has logged in.
    ///
    /// # Errors
    /// Seconds until there may be another, where it does not fit.
    pub fn count(&mut self, address: &str, known_as: &str, now: u64) -> Result<(), u64> {
        let of = |name| self.of_addresses.get(name).copied().unwrap_or_default();
        let (OfAddress { window, .. }, OfAddress { known_until, .. }) = (of(address), of(known_as));
        let account_is_full = self.of_account.wait(MAX_OF_ACCOUNT, now).filter(|_| known_until <= now);
        if let Some(retry_after) = window.wait(MAX_OF_ADDRESS, now).max(account_is_full) {
            return Err(retry_after);
        }
        self.of_addresses.entry(address.into()).or_default().window.count(now);
        if self.of_account.open(now) < MAX_OF_ACCOUNT {
            self.of_account.count(now);
        } else {
            // From a known address. To extend what others have filled would keep out whoever has not logged in yet.
            self.of_account.attempts += 1;
        }
        Ok(())
    }

    /// Takes back an attempt from the address.
    pub fn take_back(&mut self, address: &str) {
        let window = self.of_addresses.get_mut(address).map(|of_address| &mut of_address.window);
        for window in window.into_iter().chain([&mut self.of_account]) {
            window.attempts = window.attempts.saturating_sub(1);
        }
    }

    /// That an attempt from the address was a login: its count is cleared, and it is known under this name from now on.
    pub fn log_in(&mut self, address: &str, known_as: &str, now: u64) {
        self.take_back(address);
        self.of_addresses.entry(address.into()).or_default().window = Window::default();
        self.of_addresses.entry(known_as.into()).or_default().known_until = now + KNOWN_FOR;
    }

    /// What counts now.
    pub fn open(&self, now: u64) -> Vec<OpenWindow> {
        let of_account = (None, self.of_account, MAX_OF_ACCOUNT);
        let of_addresses = self.of_addresses.iter();
        let of_addresses = of_addresses.map(|(address, of)| (Some(address.clone()), of.window, MAX_OF_ADDRESS));
        let open = iter::once(of_account).chain(of_addresses).map(|(address, window, max)| {
            let attempts = window.open(now);
            OpenWindow { address, attempts, is_full: attempts >= max, ends: window.ends }
        });
        open.filter(|window| window.attempts > 0).collect()
    }

    /// Forgets all attempts, and says how many there were. Known addresses stay known, or whoever goes on guessing would
    /// lock their owner out.
    pub fn forget(&mut self, now: u64) -> u64 {
        let of_addresses = self.of_addresses.values().map(|of_address| of_address.window.open(now)).sum();
        // From a known address they may count for longer than those of the account.
        let forgotten = self.of_account.open(now).max(of_addresses);
        self.of_account = Window::default();
        self.of_addresses.values_mut().for_each(|of_address| of_address.window = Window::default());
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::items::string;
    use aws_sdk_dynamodb::types::AttributeValue;

    const NOW: u64 = 1_800_000_000;

    fn written(counts: Counts, now: u64) -> Item {
        counts.into_item(iter::once(("pk".into(), string("key"))).collect(), now)
    }

    fn numbers(item: &Item) -> BTreeMap<&str, u64> {
        item.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_n().ok()?.parse().unwrap()))).collect()
    }

    #[test]
    fn an_item_holds_what_has_not_ended_and_lives_until_all_of_it_has() {
        let mut counts = Counts { revision: 7, ..Counts::default() };
        counts.count("a", "a", NOW).unwrap();
        counts.log_in("a", "a", NOW);
        counts.count("b", "b", NOW + 100).unwrap();
        let (counted, known) = (NOW + 100 + WINDOW, NOW + KNOWN_FOR);
        let item = written(counts, NOW + 100);
        let of_all = [("revision", 7), ("attempts", 1), ("ends", counted)];
        let of_a = [("known#a", known), ("kept_until", known + WINDOW), ("expires_at", known + WINDOW)];
        let of_b = [("attempts#b", 1), ("ends#b", counted)];
        assert_eq!(numbers(&item), of_all.into_iter().chain(of_a).chain(of_b).collect());
        let later = written(Counts::of_item(&item).unwrap(), counted);
        assert_eq!(
            numbers(&later),
            [("revision", 7), ("attempts", 0), ("ends", counted)].into_iter().chain(of_a).collect()
        );
        let at_last = written(Counts::of_item(&later).unwrap(), known);
        assert_eq!(
            numbers(&at_last),
            [("revision", 7), ("attempts", 0), ("ends", counted), ("expires_at", known)].into()
        );
    }

    #[test]
    fn of_very_many_addresses_the_latest_are_known() {
        let mut counts = Counts::default();
        for n in 0..700 {
            let at = NOW + n;
            counts.count(&format!("{n}"), &format!("{n}"), at).unwrap();
            counts.log_in(&format!("{n}"), &format!("{n}"), at);
        }
        counts.count("failed", "failed", NOW + 700).unwrap();
        let item = written(counts, NOW + 700);
        let known: Vec<_> = (0..700).filter(|n| item.contains_key(&format!("known#{n}"))).collect();
        assert_eq!(known, (200..700).collect::<Vec<_>>());
        assert!(item.contains_key("attempts#failed"));
    }

    #[test]
    fn what_is_no_count_is_a_fault() {
        for value in [string("1"), AttributeValue::N("-1".into()), AttributeValue::N("1.5".into())] {
            assert!(Counts::of_item(&[("attempts".into(), value)].into()).is_err());
        }
    }
}
