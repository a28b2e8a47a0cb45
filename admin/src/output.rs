//! What the tool prints: rows as a table or as JSON on standard output, messages on standard error.

use crate::failure::{Failure, Kind};
use clap::ValueEnum;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use std::io::{self, IsTerminal, Write};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Rows that a table looks at to find the widths of its columns; later ones may be out of line.
const ROWS_MEASURED: usize = 200;

/// Widest column. What is longer stands out of line, so that one row does not make all others wide.
const WIDEST: usize = 40;

/// The column that no other command needs: at a terminal it is cut where it is wider.
const CUT: &str = "name";

/// Ranges of ids that are told one by one.
const RANGES: usize = 100;

/// Names that are told one by one.
const NAMES: usize = 10;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people. Times are in UTC. At a terminal a long `name` in a list is cut.
    Table,
    /// For scripts: an array of objects, or one object where one thing is shown or created. Times are in Unix seconds.
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
    is_cut: bool,
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    is_at_once: bool,
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
    io::stderr().write_all(format!("{}\n", with_lines(line)).as_bytes())
}

/// Prints a line of what was asked for.
pub fn print(line: &str) -> Result<(), Failure> {
    print_bytes(format!("{}\n", with_lines(line)).as_bytes())
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
        let is_cut = io::stdout().is_terminal();
        let (waiting, widths, is_at_once, count) = (Vec::new(), None, false, 0);
        Rows { format: self.format, columns, is_cut, waiting, widths, is_at_once, count, to }
    }

    /// One object: in a table, a line for each member.
    pub fn object(&self, object: &Value) -> Result<(), Failure> {
        match (self.format, object) {
            (Format::Table, Value::Object(members)) => {
                let width = members.keys().map(String::len).max().unwrap_or(0);
                let line = |(name, value): (&String, _)| format!("{name:<width$}  {}", cell(name, value));
                print(&members.iter().map(line).collect::<Vec<_>>().join("\n"))
            }
            _ => print(&as_json(&format!("{object:#}"))),
        }
    }
}

impl Rows {
    /// Prints each row when it is pushed, for what must not be lost, under a head for rows about as wide as these. Where nothing can
    /// be written that shows before the first.
    pub fn at_once(mut self, like: &[Vec<Value>]) -> Result<Self, Failure> {
        match self.format {
            Format::Json => write!(self.to, "[").map_err(|error| cannot_print(&error))?,
            Format::Table => {
                let like: Vec<_> = like.iter().map(|values| self.cells(values)).collect();
                self.head(&like)?;
            }
        }
        self.is_at_once = true;
        self.flush().map(|()| self)
    }

    /// Prints a row, of as many values as there are columns.
    pub fn push(&mut self, values: Vec<Value>) -> Result<(), Failure> {
        self.count += 1;
        match self.format {
            Format::Json => {
                let members: Map<_, _> = self.columns.iter().map(ToString::to_string).zip(values).collect();
                let separator = match self.count {
                    1 if self.is_at_once => "\n  ",
                    1 => "[\n  ",
                    _ => ",\n  ",
                };
                let object = as_json(&Value::Object(members).to_string());
                write!(self.to, "{separator}{object}").map_err(|error| cannot_print(&error))?;
            }
            Format::Table => {
                let cells = self.cells(&values);
                if let Some(widths) = &self.widths {
                    line(&mut self.to, &cells, widths)?;
                } else {
                    self.waiting.push(cells);
                    if self.waiting.len() == ROWS_MEASURED {
                        self.begin()?;
                    }
                }
            }
        }
        if self.is_at_once { self.flush() } else { Ok(()) }
    }

    /// Prints what is left, and how many rows there were.
    pub fn end(mut self) -> Result<(), Failure> {
        match self.format {
            Format::Json if self.count == 0 => {
                let rest = if self.is_at_once { "]" } else { "[]" };
                writeln!(self.to, "{rest}").map_err(|error| cannot_print(&error))?;
            }
            Format::Json => writeln!(self.to, "\n]").map_err(|error| cannot_print(&error))?,
            Format::Table if self.widths.is_none() => self.begin()?,
            Format::Table => {}
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.to.flush().map_err(|error| cannot_print(&error))
    }

    fn cells(&self, values: &[Value]) -> Vec<String> {
        let cells = self.columns.iter().zip(values).map(|(name, value)| match cell(name, value) {
            cell if self.is_cut && *name == CUT => cut(cell),
            cell => cell,
        });
        cells.collect()
    }

    /// Prints the head and the rows that waited for it.
    fn begin(&mut self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        let widths = self.head(&waiting)?;
        waiting.iter().try_for_each(|cells| line(&mut self.to, cells, &widths))
    }

    /// Prints the head, and finds how wide the columns must be for these rows.
    fn head(&mut self, rows: &[Vec<String>]) -> Result<Vec<usize>, Failure> {
        let head: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        let width = |column: usize| {
            let cells = rows.iter().chain([&head]).map(|cells| cells[column].width());
            cells.max().unwrap_or(0).min(WIDEST)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        line(&mut self.to, &head, &widths)?;
        self.widths = Some(widths.clone());
        Ok(widths)
    }
}

fn line(to: &mut impl Write, cells: &[String], widths: &[usize]) -> Result<(), Failure> {
    let padding = |cell: &String, width: usize| " ".repeat(width.saturating_sub(cell.width()));
    let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| cell.clone() + &padding(cell, *width)).collect();
    writeln!(to, "{}", padded.join("  ").trim_end()).map_err(|error| cannot_print(&error))
}

/// Whether a character is not seen as one: it moves the cursor, turns the direction of what is around it, ends a line, or leaves
/// no trace.
fn is_unseen(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(category, Control | Format | LineSeparator | ParagraphSeparator)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Text of somebody else's in one line, with an escape such as `\u{202e}` for each character that is not seen.
pub fn escaped(text: &str) -> String {
    let escape = |c: char| if is_unseen(c) { c.escape_default().to_string() } else { c.into() };
    text.chars().map(escape).collect()
}

/// The same for a text whose lines are our own.
pub fn with_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// JSON of the same value, in which all characters are seen. Only in strings can there be others, but for the ends of its lines.
pub fn as_json(json: &str) -> String {
    let unit_escaped = |unit: &u16| format!("\\u{unit:04x}");
    let escape = |c: char| match c {
        '\n' => c.into(),
        c if is_unseen(c) => c.encode_utf16(&mut [0; 2]).iter().map(unit_escaped).collect::<Vec<_>>().concat(),
        c => String::from(c),
    };
    json.chars().map(escape).collect()
}

/// The beginning of what is wider than a column may be.
fn cut(cell: String) -> String {
    if cell.width() <= WIDEST {
        return cell;
    }
    let mut width = 1;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= WIDEST
    };
    cell.chars().take_while(fits).chain(['…']).collect()
}

/// A value as people read it.
fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null if name == "scopes" => "all".into(),
        Value::Null => "-".into(),
        Value::String(text) => escaped(text),
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
