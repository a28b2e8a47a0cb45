//! How far an import is.

use std::cell::Cell;

/// What has been done so far.
#[derive(Default)]
pub struct Counts {
    pub added: Cell<u64>,
    pub already_there: Cell<u64>,
    pub bad: Cell<u64>,
    /// Of those added, whose hash costs more or less than the service's own.
    pub other_cost: Cell<u64>,
    /// The line on which the last row begins up to which all has been dealt with.
    pub line: Cell<u64>,
    pub has_passwords: Cell<bool>,
}

impl Counts {
    /// Rows that have been dealt with.
    pub fn rows(&self) -> u64 {
        self.added.get() + self.already_there.get() + self.bad.get()
    }
}

pub fn add(counter: &Cell<u64>, more: usize) {
    counter.set(counter.get() + u64::try_from(more).unwrap_or(0));
}
