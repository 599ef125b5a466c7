//! Waits for people: `approval` of steps.

use std::time::Duration;

use serde_json::{Value, json};

use crate::control::Stop;
use crate::job::Job;

/// Nobody waits longer, whatever the other side does.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// When an approval is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the step.
    Always,
    /// Between finding drift and changing anything.
    Drift,
}

/// When the step's approval is asked for, if it has one.
pub(crate) fn when(approval: Option<&Value>) -> Option<When> {
    match approval? {
        Value::Null | Value::Bool(false) => None,
        Value::Object(map) if map.get("when").and_then(Value::as_str) == Some("drift") => {
            Some(When::Drift)
        }
        _ => Some(When::Always),
    }
}

/// Asks and waits. An error is the reason why there is no approval.
pub(crate) async fn ask(
    job: &Job,
    (index, name): (i64, &str),
    approval: &Value,
    drift: Option<Value>,
    stop: &Stop,
) -> Result<(), String> {
    let option = |key: &str| approval.get(key).cloned().unwrap_or(Value::Null);
    let approvers = if approval.is_array() { approval.clone() } else { option("approvers") };
    let masker = &job.context.masker;
    // What was found on the host may have secrets in it; those who decide must not see them.
    let drift = drift.map(|drift| masker.json(drift));
    let params = json!({
        "stepIndex": index,
        "stepName": name,
        "when": if drift.is_some() { "drift" } else { "always" },
        "approvers": approvers,
        "reason": masker.json(option("reason")),
        "timeoutSeconds": option("timeout"),
        "drift": drift,
    });
    let answer = tokio::select! {
        answer = job.context.requests.ask("approval", params, LONGEST) => answer,
        () = stop.term.cancelled() => return Err("the job was stopped".to_owned()),
    };
    // Whatever is not a clear yes is a no.
    let answer = answer.map_err(|error| error.to_string())?;
    let outcome = answer.get("outcome").and_then(Value::as_str).unwrap_or("rejected");
    if outcome == "approved" {
        return Ok(());
    }
    let reason = answer.get("reason").and_then(Value::as_str).filter(|reason| !reason.is_empty());
    Err(reason.unwrap_or(outcome).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_approval_is_understood() {
        assert_eq!(when(None), None);
        assert_eq!(when(Some(&json!(true))), Some(When::Always));
        assert_eq!(when(Some(&json!([{"team": "ops"}]))), Some(When::Always));
        assert_eq!(when(Some(&json!({"reason": "x"}))), Some(When::Always));
        assert_eq!(when(Some(&json!({"when": "drift"}))), Some(When::Drift));
    }
}
