//! Records of a CSV file, each with the line on which it begins.
//!
//! The `csv` crate reads each record; where one ends is found here, because the crate counts lines otherwise than editors do,
//! and because a quote that is never closed would make it read the rest of the file as one field.

use csv::{ReaderBuilder, StringRecord};
use std::{
    collections::VecDeque,
    io::{self, BufRead, Read},
};

/// Longest record, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A record.
pub struct Record {
    /// The line on which it begins.
    pub line: u64,
    /// What is between the commas, or what is wrong with the record.
    pub fields: Result<StringRecord, &'static str>,
}

/// The records of a file.
pub struct Records<R> {
    input: R,
    /// Lines that are read again before the input is.
    again: VecDeque<u8>,
    /// Lines that were read.
    line: u64,
    /// Bytes that were read.
    bytes: u64,
}

impl<R: BufRead> Records<R> {
    pub fn new(input: R) -> Self {
        Self { input, again: VecDeque::new(), line: 0, bytes: 0 }
    }

    /// How many bytes of the file were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next record. Empty lines are none.
    pub fn next(&mut self) -> io::Result<Option<Record>> {
        let mut text = self.next_line()?;
        while matches!(text.as_slice(), b"\n" | b"\r\n") {
            text = self.next_line()?;
        }
        if text.is_empty() {
            return Ok(None);
        }
        let (line, first_line) = (self.line, text.len());
        let mut place = Place::FieldStart.after(&text);
        while place == Place::Quoted {
            let next = self.next_line()?;
            text.extend_from_slice(&next);
            if next.is_empty() || text.len() > MAX_BYTES {
                self.read_again(line, text.split_off(first_line));
                return Ok(Some(Record { line, fields: Err("has a quote that is never closed") }));
            }
            place = place.after(&next);
        }
        Ok(Some(Record { line, fields: fields(&text) }))
    }

    /// The next line with its end; empty after the last one. Of one that is too long, only the beginning.
    fn next_line(&mut self) -> io::Result<Vec<u8>> {
        let (text, skipped) = if self.again.is_empty() { line(&mut self.input)? } else { line(&mut self.again)? };
        self.bytes += u64::try_from(text.len() + skipped).unwrap_or(0);
        self.line += u64::from(!text.is_empty());
        Ok(text)
    }

    /// Goes back to the end of a line, after which `text` follows.
    fn read_again(&mut self, line: u64, text: Vec<u8>) {
        self.line = line;
        self.bytes -= u64::try_from(text.len()).unwrap_or(0);
        let later = std::mem::replace(&mut self.again, text.into());
        self.again.extend(later);
    }
}

/// A line, and how many bytes of it were left out.
fn line(input: &mut impl BufRead) -> io::Result<(Vec<u8>, usize)> {
    let mut text = Vec::new();
    input.take(MAX_BYTES as u64 + 1).read_until(b'\n', &mut text)?;
    let is_whole = text.len() <= MAX_BYTES || text.ends_with(b"\n");
    let skipped = if is_whole { 0 } else { input.skip_until(b'\n')? };
    Ok((text, skipped))
}

/// Where in a record a byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    FieldStart,
    Plain,
    Quoted,
    /// A quote in a quoted field: the first half of one that is meant, or the end of the field.
    Quote,
}

impl Place {
    fn after(self, text: &[u8]) -> Self {
        text.iter().fold(self, |place, byte| match (place, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::FieldStart | Self::Quote, b'"') => Self::Quoted,
            (_, b',' | b'\r' | b'\n') => Self::FieldStart,
            _ => Self::Plain,
        })
    }
}

fn fields(text: &[u8]) -> Result<StringRecord, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("is longer than 64 KiB");
    }
    let text = str::from_utf8(text).map_err(|_| "is not UTF-8")?;
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(text.len()).from_reader(text.as_bytes());
    let (mut record, mut rest) = (StringRecord::new(), StringRecord::new());
    let read = reader.read_record(&mut record).and_then(|_| reader.read_record(&mut rest));
    match read {
        Ok(false) => Ok(record),
        Ok(true) => Err("has a carriage return in the middle"),
        Err(_) => Err("cannot be read as CSV"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line and fields, or line and problem.
    fn read(text: &[u8]) -> Vec<(u64, Vec<String>)> {
        let mut records = Records::new(text);
        let mut all = Vec::new();
        while let Some(record) = records.next().unwrap() {
            let fields = record.fields.map(|fields| fields.iter().map(ToOwned::to_owned).collect());
            all.push((record.line, fields.unwrap_or_else(|problem| vec![problem.into()])));
        }
        assert_eq!(records.bytes(), text.len() as u64);
        all
    }

    #[test]
    fn records_have_the_lines_that_editors_show() {
        let long = "x".repeat(MAX_BYTES);
        for (text, expected) in [
            ("", vec![]),
            ("\n\r\n", vec![]),
            ("a,b\n1,2\n", vec![(1, vec!["a", "b"]), (2, vec!["1", "2"])]),
            ("a,b\r\n1,2\r\n3,4", vec![(1, vec!["a", "b"]), (2, vec!["1", "2"]), (3, vec!["3", "4"])]),
            ("\u{feff}a,b\n1,\n", vec![(1, vec!["a", "b"]), (2, vec!["1", ""])]),
            ("\u{feff}\"a\",b\n", vec![(1, vec!["a", "b"])]),
            ("a\n\n\r\nb\n", vec![(1, vec!["a"]), (4, vec!["b"])]),
            ("a\n\"1\n2\r\n\"\"3,\"\nb\n", vec![(1, vec!["a"]), (2, vec!["1\n2\r\n\"3,"]), (5, vec!["b"])]),
            ("a,\"b,c\"\n", vec![(1, vec!["a", "b,c"])]),
            ("a\"b,\"\n1\n", vec![(1, vec!["has a quote that is never closed"]), (2, vec!["1"])]),
            ("a\"b\n\"c\"d\n1\n", vec![(1, vec!["a\"b"]), (2, vec!["cd"]), (3, vec!["1"])]),
            (
                "a\n1,\"2\n3\n\n4\n",
                vec![(1, vec!["a"]), (2, vec!["has a quote that is never closed"]), (3, vec!["3"]), (5, vec!["4"])],
            ),
            (&format!("a\n{long}x\nb\n"), vec![(1, vec!["a"]), (2, vec!["is longer than 64 KiB"]), (3, vec!["b"])]),
            (
                &format!("a\n\"b\n{long}{long}\nc\n"),
                vec![
                    (1, vec!["a"]),
                    (2, vec!["has a quote that is never closed"]),
                    (3, vec!["is longer than 64 KiB"]),
                    (4, vec!["c"]),
                ],
            ),
            ("a\rb\n1\n", vec![(1, vec!["has a carriage return in the middle"]), (2, vec!["1"])]),
        ] {
            let expected: Vec<(u64, Vec<String>)> = expected
                .into_iter()
                .map(|(line, fields)| (line, fields.into_iter().map(ToOwned::to_owned).collect()))
                .collect();
            assert_eq!(read(text.as_bytes()), expected, "{:?}", &text[..text.len().min(40)]);
        }
        assert_eq!(read(b"a\n\xff\n")[1], (2, vec!["is not UTF-8".to_owned()]));
    }
}
