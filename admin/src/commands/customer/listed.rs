//! The customers that a file lists, each on a line of its own by e-mail or id.

use super::{
    by_id::stranger,
    input::{not_readable, open},
};
use crate::{
    failure::{Failure, Kind},
    tool::{Tool, counts_as_one},
    values::{email, id},
};
use accounts::MAX_LOOKED_UP;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use shared::tables::directory::{Customer, Store, customer_email_key, customer_key};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read,
    path::Path,
};

/// Longest file, in bytes: a million e-mails have less.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Requests that look customers up at the same time.
const LOOK_UPS: usize = 8;

/// Whom a line names.
enum Named {
    Email(String),
    Id(u64),
}

impl Named {
    fn sort_key(&self) -> String {
        match self {
            Self::Email(email) => customer_email_key(email),
            Self::Id(id) => customer_key(*id),
        }
    }
}

/// The customers, in the order of their ids, each once. Where they are at BigCommerce, any id is a customer's.
///
/// # Errors
/// [`Kind::Invalid`] if a line names none of the store. All such lines are printed first, by number alone: a wrong file may hold
/// passwords.
pub async fn customers(tool: &Tool, hash: &str, store: &Store, file: &Path) -> Result<Vec<Customer>, Failure> {
    let text = read(file)?;
    let lines: Vec<_> = lines(&text).collect();
    if lines.is_empty() {
        return Err(Failure::new(Kind::Invalid, format!("{} names no customer.", file.display())));
    }
    let sort_keys = lines.iter().filter_map(|(_, named)| Some(named.as_ref()?.sort_key())).collect();
    let found = look_up(tool, hash, sort_keys).await?;
    let none = if store.is_at_bigcommerce() {
        "The store has no such customer here. Those at BigCommerce are known by their ids alone."
    } else {
        "The store has no such customer."
    };
    let mut customers = BTreeMap::new();
    let mut bad = Vec::new();
    for (line, named) in lines {
        let Some(named) = named else {
            bad.push((line, "It is neither an e-mail nor the id of a customer."));
            continue;
        };
        match (found.get(&named.sort_key()).filter(|customer| counts_as_one(customer, store)), named) {
            (Some(customer), _) => _ = customers.insert(customer.customer_id, customer.clone()),
            (None, Named::Id(id)) if store.is_at_bigcommerce() => _ = customers.insert(id, stranger(id)),
            (None, _) => bad.push((line, none)),
        }
    }
    if bad.is_empty() {
        return Ok(customers.into_values().collect());
    }
    let mut rows = tool.output.rows(&["line", "reason"]);
    bad.iter().try_for_each(|(line, reason)| rows.push(vec![json!(line), json!(reason)]))?;
    rows.end()?;
    let are_bad = if bad.len() == 1 { "One line is bad".into() } else { format!("{} lines are bad", bad.len()) };
    Err(Failure::new(Kind::Invalid, format!("{are_bad}, as listed. Nothing was changed.")))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = open(file)?.take(MAX_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| not_readable(file, &error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Failure::new(Kind::Invalid, format!("{} has more than 64 MiB.", file.display())));
    }
    Ok(text)
}

/// Lines that are not empty, by number, and whom each names, if it is like a customer. The head that a column of `customer export`
/// has is left out.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, Option<Named>)> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let lines = (1..).zip(text.split(|byte| *byte == b'\n')).map(|(line, text)| (line, text.trim_ascii()));
    let is_head = |line, text| line == 1 && [b"email".as_slice(), b"customer_id"].contains(&text);
    lines.filter(move |(line, text)| !text.is_empty() && !is_head(*line, text)).map(|(line, text)| {
        let text = str::from_utf8(text).unwrap_or_default();
        (line, id(text).map(Named::Id).or_else(|_| email(text).map(Named::Email)).ok())
    })
}

async fn look_up(tool: &Tool, store: &str, sort_keys: BTreeSet<String>) -> Result<HashMap<String, Customer>, Failure> {
    let sort_keys: Vec<_> = sort_keys.into_iter().collect();
    let found = stream::iter(sort_keys.chunks(MAX_LOOKED_UP))
        .map(|sort_keys| tool.stack.accounts.customers_under(store, sort_keys.iter().cloned()))
        .buffer_unordered(LOOK_UPS);
    let found = found.try_fold(HashMap::new(), async |mut all, some| {
        all.extend(some);
        Ok(all)
    });
    Ok(found.await?)
}
