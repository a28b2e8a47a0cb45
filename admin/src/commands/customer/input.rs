//! Files that hold customers.

use crate::failure::{Failure, Kind};
use std::{fs::File, io, path::Path};

/// Opens a file; `-` is standard input.
pub fn open(file: &Path) -> Result<File, Failure> {
    let path = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
    File::open(path).map_err(|error| not_readable(file, &error))
}

pub fn not_readable(file: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Invalid, format!("{} cannot be read: {error}.", file.display()))
}
