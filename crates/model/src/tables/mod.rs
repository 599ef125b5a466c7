//! Runs tables of cases (JSON files with `cases`) against the matchers, and compares lock files.
//!
//! The tests of this crate and `cargo xtask table` use it, so that any table of the same format can
//! be run without writing code.

use serde::Deserialize;
use serde_json::Value;

use crate::event::Event;
use crate::glob::Glob;
use crate::lock::{Trigger, Workflow};
use crate::triggers::{Outcome, TriggerSet};

mod compare;
mod same_regex;

pub use compare::{Difference, compare_lock};

/// One case of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// What the case is about.
    pub name: String,
    /// Whether the answer was the expected one.
    pub passed: bool,
    /// Expected and actual answer.
    pub detail: String,
}

/// A table could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the table is not of the expected format")]
pub struct TableError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Table<T> {
    cases: Vec<T>,
}

/// `true`, `false`, or the word `throws`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Expected {
    Answer(bool),
    Word(String),
}

impl Expected {
    fn check(&self, name: String, actual: Result<bool, String>) -> CaseResult {
        let passed = match (self, &actual) {
            (Self::Answer(expected), Ok(answer)) => expected == answer,
            (Self::Word(word), Err(_)) => word == "throws",
            _ => false,
        };
        CaseResult { name, passed, detail: format!("expected {self:?}, got {actual:?}") }
    }
}

#[derive(Deserialize)]
struct GlobCase {
    pattern: String,
    path: String,
    expected: Expected,
}

/// Runs a table of `{pattern, path, expected}`.
pub fn run_glob(json: &str) -> Result<Vec<CaseResult>, TableError> {
    let table: Table<GlobCase> = serde_json::from_str(json)?;
    let run = |case: GlobCase| {
        let answer = Glob::new(&case.pattern)
            .and_then(|glob| glob.is_match(&case.path))
            .map_err(|error| error.to_string());
        case.expected.check(format!("{:?} on {:?}", case.pattern, case.path), answer)
    };
    Ok(table.cases.into_iter().map(run).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TriggerCase {
    #[serde(default)]
    note: String,
    trigger: Value,
    event: Event,
    #[serde(default)]
    changed_files: Option<Vec<String>>,
    expected: Expected,
}

/// Runs a table of `{note, trigger, event, changedFiles, expected}`.
pub fn run_triggers(json: &str) -> Result<Vec<CaseResult>, TableError> {
    let table: Table<TriggerCase> = serde_json::from_str(json)?;
    Ok(table.cases.into_iter().map(run_trigger).collect())
}

fn run_trigger(case: TriggerCase) -> CaseResult {
    let mut event = case.event;
    if case.changed_files.is_some() {
        event.changed_files = case.changed_files;
    }
    let answer = serde_json::from_value::<Trigger>(case.trigger)
        .map_err(|error| error.to_string())
        .and_then(|trigger| {
            let workflow = Workflow::with_triggers("case", vec![trigger]);
            let decision = TriggerSet::new(&workflow).decide(&event);
            match decision.checks.into_iter().next().map(|check| check.outcome) {
                Some(Outcome::Unusable { because }) => Err(because),
                outcome => Ok(outcome.is_some_and(|outcome| outcome.is_match())),
            }
        });
    case.expected.check(case.note, answer)
}
