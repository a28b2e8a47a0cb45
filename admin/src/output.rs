//! What the tool prints: rows as a table or as JSON on standard output, messages on standard error.

use crate::failure::{Failure, Kind};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use std::io::{self, Write};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Rows that a table looks at to find the widths of its columns; later ones may be out of line.
const ROWS_MEASURED: usize = 200;

/// Ranges of ids that are told one by one.
const RANGES: usize = 100;

/// Names that are told one by one.
const NAMES: usize = 10;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people. Times are in UTC.
    Table,
    /// For scripts: an array of objects. Times are in Unix seconds.
    Json,
}

/// Where rows go.
pub struct Output {
    pub format: Format,
}

/// Rows that are printed as they come.
pub struct Rows {
    format: Format,
    columns: &'static [&'static str],
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    count: usize,
    to: io::BufWriter<io::Stdout>,
}

/// Prints a line for the person at the terminal, in one write: what goes to the same place from elsewhere cannot come between
/// the line and its end.
pub fn say(line: &str) {
    // Where it cannot be written, nobody can be told that either.
    let _ = try_to_say(line);
}

/// The same for a line that must not be lost.
pub fn try_to_say(line: &str) -> io::Result<()> {
    io::stderr().write_all(format!("{line}\n").as_bytes())
}

/// Prints a line of what was asked for.
pub fn print(line: &str) -> Result<(), Failure> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Prints what was asked for as it is.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut to = io::stdout().lock();
    to.write_all(bytes).and_then(|()| to.flush()).map_err(|error| cannot_print(&error))
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Rows of these columns. A column whose name ends in `At` holds Unix seconds.
    pub fn rows(&self, columns: &'static [&'static str]) -> Rows {
        let to = io::BufWriter::new(io::stdout());
        Rows { format: self.format, columns, waiting: Vec::new(), widths: None, count: 0, to }
    }

    /// One object: in a table, a line for each member.
    pub fn object(&self, object: &Value) -> Result<(), Failure> {
        match (self.format, object) {
            (Format::Table, Value::Object(members)) => {
                let width = members.keys().map(String::len).max().unwrap_or(0);
                let line = |(name, value): (&String, _)| format!("{name:<width$}  {}", cell(name, value));
                print(&members.iter().map(line).collect::<Vec<_>>().join("\n"))
            }
            _ => print(&format!("{object:#}")),
        }
    }
}

impl Rows {
    /// Prints a row, of as many values as there are columns.
    pub fn push(&mut self, values: Vec<Value>) -> Result<(), Failure> {
        self.count += 1;
        match self.format {
            Format::Json => {
                let members: Map<_, _> = self.columns.iter().map(ToString::to_string).zip(values).collect();
                let separator = if self.count == 1 { "[\n  " } else { ",\n  " };
                write!(self.to, "{separator}{}", Value::Object(members)).map_err(|error| cannot_print(&error))
            }
            Format::Table => {
                let cells: Vec<String> =
                    self.columns.iter().zip(&values).map(|(name, value)| cell(name, value)).collect();
                if let Some(widths) = &self.widths {
                    return line(&mut self.to, &cells, widths);
                }
                self.waiting.push(cells);
                if self.waiting.len() == ROWS_MEASURED { self.begin() } else { Ok(()) }
            }
        }
    }

    /// Prints what is left, and how many rows there were.
    pub fn end(mut self) -> Result<(), Failure> {
        match self.format {
            Format::Json if self.count == 0 => writeln!(self.to, "[]").map_err(|error| cannot_print(&error))?,
            Format::Json => writeln!(self.to, "\n]").map_err(|error| cannot_print(&error))?,
            Format::Table if self.widths.is_none() => self.begin()?,
            Format::Table => {}
        }
        self.to.flush().map_err(|error| cannot_print(&error))
    }

    /// Prints the head and the rows that waited for it.
    fn begin(&mut self) -> Result<(), Failure> {
        let head: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        let waiting = std::mem::take(&mut self.waiting);
        let width = |column: usize| {
            let cells = waiting.iter().chain([&head]).map(|cells| cells[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for cells in [head].iter().chain(&waiting) {
            line(&mut self.to, cells, &widths)?;
        }
        self.widths = Some(widths);
        Ok(())
    }
}

fn line(to: &mut impl Write, cells: &[String], widths: &[usize]) -> Result<(), Failure> {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    writeln!(to, "{}", padded.join("  ").trim_end()).map_err(|error| cannot_print(&error))
}

/// A value as people read it. What could move the terminal's cursor or colour is shown as its escape.
fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null if name == "scopes" => "all".into(),
        Value::Null => "-".into(),
        Value::String(text) => {
            text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect()
        }
        Value::Array(values) if values.is_empty() => "-".into(),
        Value::Array(values) => values.iter().map(|value| cell(name, value)).collect::<Vec<_>>().join(","),
        // A store from before stores had a time.
        Value::Number(zero) if name == "createdAt" && zero.as_u64() == Some(0) => "-".into(),
        Value::Number(seconds) if name.ends_with("At") => seconds.as_u64().map_or_else(String::new, utc),
        other => other.to_string(),
    }
}

/// A number with its noun, such as `1 token` or `2 tokens`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Ids in their order as ranges, such as `1-433,435`. Of very many ranges those in the middle are left out: a line that grows
/// without end is lost on its way to a log.
pub fn ranges(ids: &[u64]) -> String {
    let ranges: Vec<String> = ids
        .chunk_by(|before, after| before + 1 == *after)
        .map(|range| match range {
            [first, .., last] => format!("{first}-{last}"),
            _ => range[0].to_string(),
        })
        .collect();
    match &ranges[..] {
        [first @ .., last] if ranges.len() > RANGES => format!("{},…,{last}", first[..RANGES - 1].join(",")),
        ranges => ranges.join(","),
    }
}

/// Names in their order; of very many only the first.
pub fn named<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(NAMES);
    let first = names.take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

/// How far something is, for a person at a terminal.
pub fn progress(length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:30} {percent:>3} %, {msg}, about {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Unix seconds as a time in UTC.
pub fn utc(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| unix_seconds.to_string())
}

/// That standard output cannot be written.
pub fn cannot_print(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        // Whoever reads, such as `head`, has had enough, and needs no message.
        return Failure::new(Kind::Unwritable, "");
    }
    Failure::new(Kind::Unwritable, format!("Standard output cannot be written: {error}"))
}
