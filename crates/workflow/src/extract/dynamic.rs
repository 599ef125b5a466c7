//! Values that authors may compute from the event: written into the lock file when the function is pure.

use kici_model::lock::{EnvValue, EnvironmentRef, Inline, TextValue};
use serde_json::Value;

use super::problem::{Problem, Report};
use super::purity;
use crate::describe::{ConcurrencyDef, Field, FnRef, JobDef};

/// The environments of a job.
pub(super) fn environments(
    file: &str,
    job: &JobDef,
    report: &mut Report,
) -> Option<Vec<EnvironmentRef>> {
    let key = if job.single_environment { "environment" } else { "environments" };
    let mut list = Vec::new();
    for field in &job.environments {
        list.push(match field {
            Field::Value(Value::String(name)) => {
                EnvironmentRef { value: TextValue::Text(name.clone()), dynamic: false }
            }
            Field::Value(other) => {
                report.error(Problem::error(
                    file,
                    job.location.as_ref(),
                    format!(
                        "`{key}` of job '{}' is {other}; write a name or a function of the event",
                        job.name
                    ),
                ));
                continue;
            }
            Field::Function(function) => EnvironmentRef {
                value: inline(file, job, key, function, report)
                    .map_or_else(|| TextValue::Text(String::new()), TextValue::Inline),
                dynamic: true,
            },
        });
    }
    (!list.is_empty()).then_some(list)
}

/// `env`: whether it is computed, and what can be written down.
pub(super) fn env(file: &str, job: &JobDef, report: &mut Report) -> (bool, Option<EnvValue>) {
    match &job.env {
        None => (false, None),
        Some(Field::Function(function)) => {
            (true, inline(file, job, "env", function, report).map(EnvValue::Inline))
        }
        Some(Field::Value(value)) => match serde_json::from_value(value.clone()) {
            Ok(map) => (false, Some(EnvValue::Map(map))),
            Err(_) => {
                report.error(Problem::error(
                    file,
                    job.location.as_ref(),
                    format!("`env` of job '{}' must map names to strings; got {value}", job.name),
                ));
                (false, None)
            }
        },
    }
}

/// `concurrencyGroup`: whether it is computed, and what can be written down. Several environments that begin
/// with a plain name make that name the default.
pub(super) fn concurrency_group(
    file: &str,
    job: &JobDef,
    report: &mut Report,
) -> (bool, Option<TextValue>) {
    match (&job.concurrency_group, job.environments.first()) {
        (Some(Field::Function(function)), _) => {
            (true, inline(file, job, "concurrencyGroup", function, report).map(TextValue::Inline))
        }
        (Some(Field::Value(Value::String(name))), _) => {
            (false, Some(TextValue::Text(name.clone())))
        }
        (Some(Field::Value(other)), _) => {
            report.error(Problem::error(
                file,
                job.location.as_ref(),
                format!("`concurrencyGroup` of job '{}' is {other}; write a name or a function of the event", job.name),
            ));
            (false, None)
        }
        (None, Some(Field::Value(Value::String(first)))) if !job.single_environment => {
            (false, Some(TextValue::Text(first.clone())))
        }
        (None, _) => (false, None),
    }
}

/// The group of a workflow, if an orchestrator can name it. Otherwise an agent does, which costs a run that waits its
/// agent, but needs nothing from the author.
pub(super) fn workflow_group(concurrency: &ConcurrencyDef) -> Option<TextValue> {
    match concurrency.group.as_ref()? {
        Field::Value(Value::String(name)) => Some(TextValue::Text(name.clone())),
        Field::Value(_) => None,
        Field::Function(function) => {
            let text = function.text.as_deref()?;
            purity::check(text).ok().map(|()| TextValue::Inline(Inline::new(text)))
        }
    }
}

/// The function's text if it is pure; otherwise a warning that an agent has to evaluate it.
fn inline(
    file: &str,
    job: &JobDef,
    key: &str,
    function: &FnRef,
    report: &mut Report,
) -> Option<Inline> {
    let text = function.text.as_deref().unwrap_or_default();
    match purity::check(text) {
        Ok(()) => Some(Inline::new(text)),
        Err(reason) => {
            report.warn(
                Problem::warning(
                    file,
                    job.location.as_ref(),
                    format!("`{key}` of job '{}' is evaluated on an agent first, which takes longer: {reason}", job.name),
                )
                .suggest("use only the event and plain expressions, then the orchestrator evaluates it at once"),
            );
            None
        }
    }
}
