//! `approval`: `true`, a list of clauses, or an object, as the lock file has it.

use kici_model::js::JsNumber;
use kici_model::lock::{Approval, ApprovalClause, ApprovalWhen};
use serde_json::Value;

use super::problem::{Problem, Report};
use crate::describe::SourceLocation;

/// What the approval guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A workflow or a job: only `always` makes sense there.
    Gate,
    /// A step.
    Step,
}

/// Reads an `approval` option.
pub(super) fn approval(
    value: Option<&Value>,
    file: &str,
    location: Option<&SourceLocation>,
    place: Place,
    report: &mut Report,
) -> Option<Approval> {
    let value = value.filter(|value| !matches!(value, Value::Bool(false)))?;
    match read(value, place) {
        Ok(approval) => Some(approval),
        Err(message) => {
            report.error(
                Problem::error(file, location, format!("`approval` {message}")).suggest(
                    "write approval: true, or approval: [{ team: 'ops' }, { user: 'ada' }]",
                ),
            );
            None
        }
    }
}

fn read(value: &Value, place: Place) -> Result<Approval, String> {
    let (clauses, rest) = match value {
        Value::Bool(_) => (None, None),
        Value::Array(_) => (Some(value), None),
        Value::Object(object) => (object.get("approvers"), Some(object)),
        _ => return Err("must be true, a list of clauses or an object".to_owned()),
    };
    let when = match rest.and_then(|object| object.get("when")).and_then(Value::as_str) {
        None | Some("always") => ApprovalWhen::Always,
        Some("drift") if place == Place::Step => ApprovalWhen::Drift,
        Some("drift") => {
            return Err("has `when: 'drift'`, which only a step with `check` can have".to_owned());
        }
        Some(other) => return Err(format!("has `when: '{other}'`; write 'always' or 'drift'")),
    };
    let clauses: Vec<ApprovalClause> = match clauses {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|error| format!("has a wrong clause: {error}"))?,
    };
    let text = |key: &str| {
        rest.and_then(|object| object.get(key)).and_then(Value::as_str).map(str::to_owned)
    };
    let timeout = rest.and_then(|object| object.get("timeout")).and_then(Value::as_f64);
    Ok(Approval { clauses, reason: text("reason"), timeout_seconds: timeout.map(JsNumber), when })
}
