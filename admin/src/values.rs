//! What several commands take, and how it is read from the command line.

use clap::{Args, builder::NonEmptyStringValueParser};
use reqwest::Url;
use serde_json::json;
use shared::{
    http::fields::{self, MAX_NAME, MAX_STORE_HASH},
    scopes::Scope,
    tables::items::email_key,
};
use std::collections::HashSet;

#[derive(Args)]
pub struct StoreArgument {
    /// The store's hash.
    #[arg(long = "store", id = "store", value_name = "STORE", value_parser = store_hash)]
    pub hash: String,
}

/// One store, or all of them.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct StoresArgument {
    /// The store's hash.
    #[arg(long = "store", id = "store", value_name = "STORE", value_parser = store_hash)]
    hash: Option<String>,
    /// In all stores. This reads the whole table of tokens.
    #[arg(long)]
    all_stores: bool,
}

impl StoresArgument {
    /// The store's hash; none if all are meant.
    pub fn one(&self) -> Option<&str> {
        self.hash.as_deref().filter(|_| !self.all_stores)
    }
}

/// Who is meant: a backend user, a customer, or both.
#[derive(Args)]
pub struct AccountArguments {
    #[command(flatten)]
    pub store: StoreArgument,
    /// The e-mail, in any case.
    #[arg(value_parser = email)]
    pub email: String,
}

/// Some of a store's accounts.
#[derive(Args)]
pub struct SearchArguments {
    /// Only those whose e-mails hold this, in any case. All of the store are read for it.
    #[arg(long, value_name = "PART", value_parser = NonEmptyStringValueParser::new())]
    email_contains: Option<String>,
}

impl SearchArguments {
    pub fn finds(&self, email: &str) -> bool {
        self.email_contains.as_ref().is_none_or(|part| email_key(email).contains(&email_key(part)))
    }
}

/// A store hash: one part of an address, so that nothing need be escaped anywhere.
pub fn store_hash(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if fields::is_store_hash(text) && text.chars().all(is_plain) {
        Ok(text.into())
    } else {
        Err(format!("must be 1 to {MAX_STORE_HASH} letters, digits, - or _"))
    }
}

/// An e-mail address, as the API takes it.
pub fn email(text: &str) -> Result<String, String> {
    fields::email(&json!(text))
}

/// The id of a channel or a customer.
pub fn id(text: &str) -> Result<u64, String> {
    fields::positive_integer(&json!(text))
}

/// Ids in the order in which they are given, each once.
pub fn once(ids: Vec<u64>) -> Vec<u64> {
    let mut seen = HashSet::new();
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}

/// A name that is not empty.
pub fn name(text: &str) -> Result<String, String> {
    fields::text(1..=MAX_NAME)(&json!(text))
}

/// A scope, by its name.
pub fn scope(text: &str) -> Result<Scope, String> {
    Scope::named(text).ok_or_else(|| format!("must be one of {}", Scope::ALL.map(Scope::name).join(", ")))
}

/// The address of a service. What stands before an `@` would go to messages.
pub fn url(text: &str) -> Result<String, String> {
    let is_one =
        |url: &Url| matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let url = Url::parse(text).ok().filter(is_one);
    url.map(|_| text.into())
        .ok_or_else(|| "must be an address such as http://127.0.0.1:8000, without user and password".into())
}

/// The name of an AWS region; also of one that is newer than this tool.
pub fn region(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !text.is_empty() && text.chars().all(is_plain) {
        Ok(text.into())
    } else {
        Err(format!("{text} is no AWS region, such as eu-central-1"))
    }
}

/// So much time, in seconds.
pub fn duration(text: &str) -> Result<u64, String> {
    let of_unit = |(unit, seconds): &(&str, u64)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*seconds);
    let seconds = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)].iter().find_map(of_unit);
    seconds.ok_or_else(|| "must be so many days, hours, minutes or seconds, such as 7d or 12h".into())
}

/// A time, as ISO 8601 or in Unix seconds.
pub fn time(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let seconds = fields::iso8601(&json!(text)).ok().and_then(|seconds| u64::try_from(seconds).ok());
    seconds.ok_or_else(|| "must be a time such as 2026-12-31T00:00:00Z, or Unix seconds".into())
}
