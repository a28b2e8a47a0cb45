//! What is wrong with the fields of a request.

use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// Field name to what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// Says what is wrong with a field.
    pub fn add(&mut self, name: impl Into<String>, message: impl Into<String>) {
        self.0.entry(name.into()).or_default().push(message.into());
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of the members of an object, as `name.member`.
    pub fn extend_with_members(&mut self, name: &str, members: Self) {
        self.0.extend(members.0.into_iter().map(|(member, messages)| (format!("{name}.{member}"), messages)));
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, messages) in &self.0 {
            for message in messages {
                write!(formatter, "{separator}{name}: {message}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}
