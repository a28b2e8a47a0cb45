//! The customers that a file lists, each on a line of its own by e-mail or id.

use super::input::{not_readable, open};
use crate::{
    failure::{Failure, Kind},
    tool::Tool,
    values::{email, id},
};
use accounts::MAX_LOOKED_UP;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use shared::tables::directory::{Customer, customer_email_key, customer_key};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read,
    path::Path,
};

/// Longest file, in bytes: a million e-mails have less.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Requests that look customers up at the same time.
const LOOK_UPS: usize = 8;

/// The customers, in the order of their ids, each once.
///
/// # Errors
/// [`Kind::Invalid`] if a line names none of the store. All such lines are printed first, by number alone: a wrong file may hold
/// passwords.
pub async fn customers(tool: &Tool, store: &str, file: &Path) -> Result<Vec<Customer>, Failure> {
    let text = read(file)?;
    let lines: Vec<_> = lines(&text).collect();
    if lines.is_empty() {
        return Err(Failure::new(Kind::Invalid, format!("{} names no customer.", file.display())));
    }
    let sort_keys = lines.iter().filter_map(|(_, key)| key.clone()).collect();
    let found = look_up(tool, store, sort_keys).await?;
    let mut customers = BTreeMap::new();
    let mut bad = Vec::new();
    for (line, key) in lines {
        match key.map(|key| found.get(&key).filter(|customer| !customer.is_removed())) {
            Some(Some(customer)) => {
                customers.insert(customer.customer_id, customer.clone());
            }
            Some(None) => bad.push((line, "The store has no such customer.")),
            None => bad.push((line, "It is neither an e-mail nor the id of a customer.")),
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

/// Lines that are not empty, by number, and the sort key of the customer that each names, if it is like one. The head that a
/// column of `customer export` has is left out.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, Option<String>)> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let lines = (1..).zip(text.split(|byte| *byte == b'\n')).map(|(line, text)| (line, text.trim_ascii()));
    let is_head = |line, text| line == 1 && [b"email".as_slice(), b"customer_id"].contains(&text);
    lines.filter(move |(line, text)| !text.is_empty() && !is_head(*line, text)).map(|(line, text)| {
        let text = str::from_utf8(text).unwrap_or_default();
        let key = id(text).map(customer_key).or_else(|_| email(text).map(|email| customer_email_key(&email)));
        (line, key.ok())
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
