//! `needs`: `when` becomes the final states that let a job start.

use kici_model::lock::Need;
use serde_json::Value;

use super::problem::{Problem, Report};
use crate::describe::{NeedDef, SourceLocation};

/// Every final state of a job, in the order that `always` is written.
const ALL: [&str; 6] =
    ["success", "failed", "cancelled", "skipped", "timed_out_stale", "drift_dropped"];

/// Normalises the needs of one job or generator.
pub(super) fn needs(
    defs: &[NeedDef],
    file: &str,
    location: Option<&SourceLocation>,
    report: &mut Report,
) -> Vec<Need> {
    let mut needs = Vec::new();
    for def in defs {
        let run_on = match run_on(def.when.as_ref()) {
            Ok(run_on) => Some(run_on),
            Err(message) => {
                report.error(Problem::error(file, location, message));
                None
            }
        };
        match (&def.job, &def.group) {
            (Some(job), _) if def.plain => needs.push(Need::Job(job.clone())),
            (Some(job), _) => needs.push(Need::JobWhen { name: job.clone(), run_on }),
            (None, Some(group)) => needs.push(Need::Group { group: group.clone(), run_on }),
            (None, None) => report.error(
                Problem::error(
                    file,
                    location,
                    "an element of `needs` names neither a job nor a group".to_owned(),
                )
                .suggest("write needs: [build], or needs: [{ name: 'build', when: 'always' }]"),
            ),
        }
    }
    needs
}

fn run_on(when: Option<&Value>) -> Result<Vec<String>, String> {
    let list = |states: &[&str]| Ok(states.iter().map(|state| (*state).to_owned()).collect());
    match when {
        None => list(&["success"]),
        Some(Value::Array(states)) => states
            .iter()
            .map(|state| match state.as_str() {
                Some(text) if ALL.contains(&text) => Ok(text.to_owned()),
                _ => Err(format!(
                    "`when` does not know the state {state}; write one of {}",
                    ALL.join(", ")
                )),
            })
            .collect(),
        Some(Value::String(word)) => match word.as_str() {
            "on-success" => list(&["success"]),
            "always" => list(&ALL),
            "on-skip" => list(&["success", "skipped"]),
            "on-failure" => list(&["failed", "timed_out_stale"]),
            _ => Err(format!(
                "`when` does not know '{word}'; write 'on-success', 'always', 'on-skip', 'on-failure' or a list of states"
            )),
        },
        Some(other) => Err(format!("`when` is {other}; write a word or a list of states")),
    }
}
