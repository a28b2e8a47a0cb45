//! One customer of a file.

use crate::{
    commands::customer::{channels::check_channels, formulas::unmarked},
    values::{email, id, once},
};
use accounts::passwords::{self, check_hash, costs_the_same};
use csv::StringRecord;
use secrecy::SecretString;
use shared::tables::directory::{Store, customer_email_key, customer_key};
use std::collections::HashMap;

/// The columns that a file may have.
const COLUMNS: [&str; 6] = ["customer_id", "email", "channels", "active", "password", "password_hash"];

/// Which column is where.
pub struct Columns {
    positions: HashMap<&'static str, usize>,
    count: usize,
}

/// What a customer is to log in with.
pub enum Secret {
    Password(SecretString),
    /// argon2id, as a PHC string.
    Hash(String),
}

/// A customer, whose place in the store has not been looked at yet.
pub struct Row {
    /// The line on which it begins.
    pub line: u64,
    pub customer_id: u64,
    pub email: String,
    pub channels: Vec<u64>,
    pub active: bool,
    pub secret: Secret,
    /// What a removed customer of the same id has left.
    pub tokens_valid_after: Option<u64>,
}

impl Row {
    /// Sort keys of its two items.
    pub fn keys(&self) -> [String; 2] {
        [customer_email_key(&self.email), customer_key(self.customer_id)]
    }

    /// Whether logins may take another time than those with a hash that was made here.
    pub fn has_other_cost(&self) -> bool {
        matches!(&self.secret, Secret::Hash(hash) if !costs_the_same(hash))
    }
}

impl Columns {
    /// Reads the header.
    ///
    /// # Errors
    /// What is wrong with it, as sentences. Without one the first row of a file may hold a password, so that nothing is quoted
    /// unless at least one column is known.
    pub fn new(header: &StringRecord) -> Result<Self, String> {
        let known = COLUMNS.join(", ");
        let mut positions = HashMap::new();
        let mut unknown = Vec::new();
        for (position, name) in header.iter().enumerate() {
            match COLUMNS.into_iter().find(|column| *column == name.trim()) {
                Some(column) if positions.insert(column, position).is_some() => {
                    return Err(format!("It has two columns {column}."));
                }
                Some(_) => {}
                None => unknown.push(format!("{name:?}")),
            }
        }
        if positions.is_empty() {
            return Err(format!("Its first row must name the columns, separated by commas: {known}."));
        }
        if !unknown.is_empty() {
            return Err(format!(
                "Its columns {} are not known. There are {known}; whatever else the file holds must be taken out.",
                unknown.join(", ")
            ));
        }
        for needed in ["customer_id", "email"] {
            if !positions.contains_key(needed) {
                return Err(format!("It has no column {needed}."));
            }
        }
        if !positions.contains_key("password") && !positions.contains_key("password_hash") {
            return Err(
                "It has neither a column password nor a column password_hash, and no customer can be added without; \
                        what `customer export` writes holds no passwords."
                    .into(),
            );
        }
        Ok(Self { positions, count: header.len() })
    }

    /// Whether the row holds a password in clear.
    pub fn has_password(&self, fields: &StringRecord) -> bool {
        !self.value(fields, "password").is_empty()
    }

    /// Reads a row.
    ///
    /// # Errors
    /// Everything that is wrong with it; never quotes a secret.
    pub fn row(&self, line: u64, fields: &StringRecord, store: &Store) -> Result<Row, String> {
        if fields.len() != self.count {
            return Err(format!("The row has {} columns, and the header {}.", fields.len(), self.count));
        }
        let mut problems = Problems::default();
        let value = |name| self.value(fields, name);
        let customer_id = problems.none_in("customer_id", id(value("customer_id")));
        let email = problems.none_in("email", email(unmarked(value("email"))));
        let channels = problems.none_in("channels", channels(value("channels"), store));
        let active = problems.none_in("active", active(value("active")));
        let address = email.as_deref().unwrap_or_default();
        let secret = match (value("password"), value("password_hash")) {
            ("", "") => problems.none_in("password", Err("is missing, and so is password_hash".into())),
            (password, "") => {
                let checked = passwords::check(password, address);
                problems.none_in("password", checked.map(|()| Secret::Password(password.into())))
            }
            ("", hash) => {
                let checked = check_hash(hash).map(|()| Secret::Hash(hash.into())).map_err(ToOwned::to_owned);
                problems.none_in("password_hash", checked)
            }
            _ => problems.none_in("password", Err("and password_hash are both given; one is enough".into())),
        };
        match (customer_id, email, channels, active, secret) {
            (Some(customer_id), Some(email), Some(channels), Some(active), Some(secret)) => {
                Ok(Row { line, customer_id, email, channels, active, secret, tokens_valid_after: None })
            }
            _ => Err(problems.0.join(" ")),
        }
    }

    /// What the row has in a column; empty if the file has no such column.
    fn value<'a>(&self, fields: &'a StringRecord, name: &str) -> &'a str {
        self.positions.get(name).and_then(|position| fields.get(*position)).unwrap_or_default()
    }
}

fn channels(text: &str, store: &Store) -> Result<Vec<u64>, String> {
    if text.is_empty() {
        return Ok(store.channels.clone());
    }
    let ids: Result<Vec<u64>, String> = text.split(';').map(|text| id(text.trim())).collect();
    let ids = ids.map_err(|_| "must be ids, separated by ;")?;
    check_channels(&ids, store).map_err(|failure| format!("are wrong: {failure}"))?;
    Ok(once(ids))
}

fn active(text: &str) -> Result<bool, String> {
    // Spreadsheets write them in capitals.
    match text.to_ascii_lowercase().as_str() {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// What is wrong with a row.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn none_in<T>(&mut self, column: &str, read: Result<T, String>) -> Option<T> {
        let noted = read.map_err(|problem| self.0.push(format!("{column} {}.", problem.trim_end_matches('.'))));
        noted.ok()
    }
}
