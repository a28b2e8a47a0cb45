//! Two lines of JSON on standard error for each change, one before it and one after it: who, when, what, where. A change whose
//! first line cannot be written is not made.

use crate::{
    failure::{Failure, Kind},
    interrupts::Interrupts,
    output::{as_json, count, progress, try_to_say, utc},
    tool::Tool,
};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use std::cell::{Cell, OnceCell, RefCell};

/// What stands in the line before a change.
const BEGUN: &str = "begun";
/// The result of a change that was made.
const DONE: &str = "done";
/// The result of one that has changed nothing.
const NOT_DONE: &str = "not done";
/// The result of one that has stopped between two writes; the details say how far it came.
const INTERRUPTED: &str = "interrupted";
/// The result of one that ended in a fault, when it or the rest of it may have been made all the same.
const IN_DOUBT: &str = "in doubt";

/// A change that is about to be made.
pub struct Change<'a> {
    /// The command, such as `user disable`.
    pub action: &'a str,
    /// The store, where it is one's.
    pub store: Option<&'a str>,
    /// What is changed, and how; no secrets. Few bytes, however much it is.
    pub details: Value,
}

/// How far a change of several writes is.
pub struct Steps {
    interrupts: Interrupts,
    /// Set when it is to stop for another reason than a signal.
    is_stopped: Cell<bool>,
    done: Cell<u64>,
    expected: OnceCell<(Option<u64>, &'static str, ProgressBar)>,
    /// What the line after it has, besides the details of the line before it.
    details: RefCell<Map<String, Value>>,
}

impl Steps {
    /// From now on signals end nothing but what asks [`Steps::go_on`].
    pub async fn begin() -> Result<Self, Failure> {
        Ok(Self {
            interrupts: Interrupts::listen().await?,
            is_stopped: Cell::new(false),
            done: Cell::new(0),
            expected: OnceCell::new(),
            details: RefCell::default(),
        })
    }

    /// What is counted, and how many of it there will be, if that is known. It is shown at a terminal.
    pub fn expect(&self, number: Option<u64>, noun: &'static str) {
        self.expected.get_or_init(|| (number, noun, progress(number)));
    }

    /// That it may go on; to be asked before each write.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] if somebody wants it to stop.
    pub fn go_on(&self) -> Result<(), Failure> {
        if self.is_stopped.get() || self.interrupts.were_heard() {
            return Err(Failure::new(Kind::Interrupted, "Interrupted."));
        }
        Ok(())
    }

    /// Has it stop.
    pub fn stop(&self) {
        self.is_stopped.set(true);
    }

    /// That so many more are written.
    pub fn did(&self, more: u64) {
        self.done.set(self.done.get() + more);
        if let Some((_, noun, bar)) = self.expected.get() {
            bar.set_message(count(self.done(), noun));
            bar.set_position(self.done());
        }
    }

    /// Prints something, out of the way of how far it is.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match self.expected.get() {
            Some((_, _, bar)) => bar.suspend(print),
            None => print(),
        }
    }

    /// How many are written.
    pub fn done(&self) -> u64 {
        self.done.get()
    }

    /// Something that the line after the change says, in place of what the line before it did.
    pub fn add(&self, name: &str, value: impl Into<Value>) {
        self.details.borrow_mut().insert(name.into(), value.into());
    }

    /// The failure, with how far it is.
    fn half_way(&self, failure: &Failure) -> Failure {
        let message = match (failure.kind, self.expected.get()) {
            (Kind::Interrupted, Some((number, noun, _))) => {
                let of = number.map_or_else(String::new, |number| format!("{} of ", self.done().min(number)));
                let done = count(number.unwrap_or(self.done()), noun);
                format!("{failure}\nDone: {of}{done}. The same command goes on from there.")
            }
            _ if failure.leaves_doubt() || self.done() > 0 => {
                format!("{failure}\nPart of it may have been done. Run the same command again.")
            }
            _ => failure.to_string(),
        };
        Failure::new(failure.kind, message)
    }

    /// The result that goes with a failure, and the failure: one after which nothing was changed it is no more.
    pub fn ended_in(&self, failure: Failure) -> (&'static str, Failure) {
        let has_begun = self.done() > 0;
        match failure.kind {
            Kind::Interrupted => (INTERRUPTED, failure),
            Kind::Unwritable if has_begun => (INTERRUPTED, failure),
            _ if failure.leaves_doubt() => (IN_DOUBT, failure),
            _ if has_begun => (IN_DOUBT, Failure { kind: Kind::Fault, ..failure }),
            _ => (NOT_DONE, failure),
        }
    }
}

impl Tool {
    /// Makes a change in one write, or in few that nobody wants to interrupt, with its lines.
    ///
    /// # Errors
    /// Those of `make` and [`Tool::record`].
    pub async fn change<T>(
        &self,
        change: Change<'_>,
        make: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.record(change, async move |_| make.await).await
    }

    /// Makes a change in several writes, with its lines. To make it again must do no harm.
    ///
    /// # Errors
    /// Those of `make` and [`Tool::record`]; they say how far it came.
    pub async fn change_in_steps<T>(
        &self,
        change: Change<'_>,
        make: impl AsyncFnOnce(&Steps) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.record(change, async move |steps| make(steps).await.map_err(|failure| steps.half_way(&failure))).await
    }

    /// Makes a change between its two lines. A signal is heard where it asks whether it may go on; a second one ends it at once.
    ///
    /// # Errors
    /// Those of `make`; [`Kind::Unwritable`] if a line cannot be written, [`Kind::Interrupted`] after a second signal.
    pub async fn record<T>(
        &self,
        mut change: Change<'_>,
        make: impl AsyncFnOnce(&Steps) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let steps = Steps::begin().await?;
        self.note(&change, BEGUN).await?;
        let (result, outcome) = tokio::select! {
            outcome = make(&steps) => match outcome {
                Ok(value) => (DONE, Ok(value)),
                Err(failure) => {
                    let (result, failure) = steps.ended_in(failure);
                    (result, Err(failure))
                }
            },
            () = steps.interrupts.second() => {
                let says = "Interrupted twice. Part of it may have been done. Run the same command again.";
                (IN_DOUBT, Err(Failure::new(Kind::Interrupted, says)))
            }
        };
        if let Some((_, _, bar)) = steps.expected.get() {
            bar.finish_and_clear();
        }
        if result == INTERRUPTED || (result == IN_DOUBT && steps.done() > 0) {
            steps.add("done", steps.done());
        }
        for (name, value) in steps.details.take() {
            change.details[name] = value;
        }
        let noted = self.note(&change, result).await;
        outcome.and_then(|value| noted.map(|()| value))
    }

    async fn note(&self, change: &Change<'_>, result: &str) -> Result<(), Failure> {
        let mut line = Map::new();
        for (name, value) in [
            ("audit", json!(change.action)),
            ("time", json!(utc(self.stack.services.clock.now()))),
            ("actor", json!(self.stack.actor().await)),
            ("stack", json!(self.stack.name)),
            ("store", json!(change.store)),
            ("details", change.details.clone()),
            ("result", json!(result)),
        ] {
            line.insert(name.into(), value);
        }
        try_to_say(&as_json(&Value::Object(line).to_string())).map_err(|error| {
            // Nobody may be able to read it.
            Failure::new(Kind::Unwritable, format!("The line of the change cannot be written: {error}"))
        })
    }
}
