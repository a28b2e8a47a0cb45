//! What the doctor finds, and how it is told.

use crate::{
    failure::{Failure, Kind},
    output::{Format, Output, escaped, print},
};
use serde_json::json;

/// How grave a finding is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// It works, but not as it should.
    Doubtful,
    /// Callers are refused, or soon will be.
    Bad,
    /// It was not looked at.
    Skipped,
}

/// What a check has found.
pub struct Finding {
    check: String,
    pub verdict: Verdict,
    says: String,
    mend: String,
}

impl Finding {
    pub fn good(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Good, says: says.into(), mend: String::new() }
    }

    pub fn doubtful(check: impl Into<String>, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Doubtful, says: says.into(), mend: mend.into() }
    }

    pub fn bad(check: impl Into<String>, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Bad, says: says.into(), mend: mend.into() }
    }

    /// That a check was left out.
    pub fn skipped(check: impl Into<String>, because: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Skipped, says: because.into(), mend: String::new() }
    }

    /// With other words on what to do.
    pub fn with_mend(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    /// That a check could not be made.
    pub fn failed(check: impl Into<String>, failure: &Failure) -> Self {
        Self::bad(check, "It could not be looked at.", failure.message.clone())
    }
}

/// Whether anything is bad.
pub fn is_bad(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.verdict == Verdict::Bad)
}

pub fn report(output: &Output, findings: &[Finding]) -> Result<(), Failure> {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut rows = output.rows(&["check", "result", "finding", "mend"]);
    for Finding { check, verdict, says, mend } in findings {
        let result = match verdict {
            Verdict::Good => "good",
            Verdict::Doubtful => "doubtful",
            Verdict::Bad => "BAD",
            Verdict::Skipped => "skipped",
        };
        if output.format == Format::Json {
            rows.push(vec![json!(check), json!(result), json!(says), json!(mend)])?;
            continue;
        }
        // Some of it is what others have answered.
        print(&format!("{result:<8}  {check:<width$}  {}", escaped(says)))?;
        if !mend.is_empty() {
            print(&format!("{:<8}  {:<width$}  -> {}", "", "", escaped(mend)))?;
        }
    }
    if output.format == Format::Json {
        rows.end()?;
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count() {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::NotGood, "One thing is bad. What to do stands beside it.")),
        bad => Err(Failure::new(Kind::NotGood, format!("{bad} things are bad. What to do stands beside each."))),
    }
}
