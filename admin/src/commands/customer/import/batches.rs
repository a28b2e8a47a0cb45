//! The rows of a file, in batches.

use super::{
    counts::Counts,
    records::Records,
    row::{Columns, Row},
};
use crate::{
    commands::customer::input::not_readable,
    failure::{Failure, Kind},
};
use accounts::MAX_CUSTOMERS;
use csv::StringRecord;
use shared::tables::directory::Store;
use std::{collections::HashSet, io::BufRead, path::Path};
use tokio::sync::oneshot;

/// What is wrong with a row, and on which line it begins.
pub type BadRow = (u64, String);

/// Rows that are looked at and written together.
pub struct Batch {
    pub rows: Vec<Row>,
    pub bad: Vec<BadRow>,
    pub last_line: u64,
    /// Bytes of the file up to its end.
    pub bytes: u64,
    /// Ends when the batch before it is done.
    pub previous: Option<oneshot::Receiver<()>>,
    /// Told when it is done.
    pub done: oneshot::Sender<()>,
}

/// The batches of a file.
pub struct Batches<'a, R> {
    records: Records<R>,
    file: &'a Path,
    columns: Columns,
    store: Store,
    counts: &'a Counts,
    /// The row with which the next batch begins.
    held_back: Option<Row>,
    /// Ends when the latest batch is done.
    latest: Option<oneshot::Receiver<()>>,
}

impl<'a, R: BufRead> Batches<'a, R> {
    /// Reads the header.
    pub fn begin(input: R, file: &'a Path, store: Store, counts: &'a Counts) -> Result<Self, Failure> {
        let mut records = Records::new(input);
        let name = file.display();
        let invalid = |problem: String| Failure::new(Kind::Invalid, format!("{name} cannot be imported. {problem}"));
        let header = records.next().map_err(|error| not_readable(file, &error))?;
        let header = header.ok_or_else(|| invalid("It is empty.".into()))?;
        let header = header.fields.map_err(|problem| invalid(format!("Its header {problem}.")))?;
        let columns = Columns::new(&header).map_err(invalid)?;
        Ok(Self { records, file, columns, store, counts, held_back: None, latest: None })
    }

    /// The next batch. No two rows of it have an e-mail or id in common: the second begins another batch.
    pub fn next(&mut self) -> Result<Option<Batch>, Failure> {
        let (mut rows, mut bad, mut last_line) = (Vec::new(), Vec::new(), 0);
        let mut keys = HashSet::new();
        while rows.len() + bad.len() < MAX_CUSTOMERS {
            let row = match self.held_back.take() {
                Some(row) => Ok(row),
                None => match self.next_row()? {
                    Some(row) => row,
                    None => break,
                },
            };
            match row {
                Ok(row) if row.keys().iter().any(|key| keys.contains(key)) => {
                    self.held_back = Some(row);
                    break;
                }
                Ok(row) => {
                    keys.extend(row.keys());
                    last_line = row.line;
                    rows.push(row);
                }
                Err((line, reason)) => {
                    last_line = line;
                    bad.push((line, reason));
                }
            }
        }
        if rows.is_empty() && bad.is_empty() {
            return Ok(None);
        }
        let (done, latest) = oneshot::channel();
        let previous = self.latest.replace(latest);
        Ok(Some(Batch { rows, bad, last_line, bytes: self.records.bytes(), previous, done }))
    }

    fn next_row(&mut self) -> Result<Option<Result<Row, BadRow>>, Failure> {
        let record = self.records.next().map_err(|error| not_readable(self.file, &error))?;
        Ok(record.map(|record| {
            let read = |fields: StringRecord| {
                if self.columns.has_password(&fields) {
                    self.counts.has_passwords.set(true);
                }
                self.columns.row(record.line, &fields, &self.store)
            };
            let row = record.fields.map_err(|problem| format!("The row {problem}.")).and_then(read);
            row.map_err(|reason| (record.line, reason))
        }))
    }
}
