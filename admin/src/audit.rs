//! One line of JSON on standard error for each change: who, when, what, where.

use crate::{
    failure::{Failure, Kind},
    output::{say, utc},
    tool::Tool,
};
use serde_json::{Map, Value, json};

/// The result of a change that was made.
pub const DONE: &str = "done";
/// The result of a change that ended in a fault, when it may have been made all the same.
pub const IN_DOUBT: &str = "in doubt";

/// A change that is about to be made.
pub struct Change<'a> {
    /// The command, such as `user disable`.
    pub action: &'a str,
    /// The store, where it is one's.
    pub store: Option<&'a str>,
    /// What is changed, and how; no secrets.
    pub details: Value,
}

impl Tool {
    /// Makes a change in one write, and writes its line. One that fails without having changed anything has none; where that
    /// is in doubt, the line says so.
    ///
    /// # Errors
    /// Those of `make`.
    pub async fn change<T>(
        &self,
        change: Change<'_>,
        make: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let (outcome, _) = tokio::join!(make, self.stack.actor());
        match &outcome {
            Ok(_) => self.note(change, DONE).await,
            Err(failure) if failure.leaves_doubt() => self.note(change, IN_DOUBT).await,
            Err(_) => {}
        }
        outcome
    }

    /// Makes a change in several writes, and writes its line. To make it again must do no harm.
    ///
    /// # Errors
    /// That of `make`, as one after which part of it may have been done.
    pub async fn change_in_steps<T>(
        &self,
        change: Change<'_>,
        make: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let make = async {
            make.await.map_err(|failure| {
                let kind = if failure.leaves_doubt() { failure.kind } else { Kind::Fault };
                Failure::new(kind, format!("{failure}\nPart of it may have been done. Run the same command again."))
            })
        };
        self.change(change, make).await
    }

    /// Writes the line of a change that has been made, where its details show only then.
    pub async fn note(&self, change: Change<'_>, result: &str) {
        let mut line = Map::new();
        for (name, value) in [
            ("audit", json!(change.action)),
            ("time", json!(utc(self.stack.services.clock.now()))),
            ("actor", json!(self.stack.actor().await)),
            ("stack", json!(self.stack.name)),
            ("store", json!(change.store)),
            ("details", change.details),
            ("result", json!(result)),
        ] {
            line.insert(name.into(), value);
        }
        say(&Value::Object(line).to_string());
    }
}
