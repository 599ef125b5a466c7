//! The workflow's concurrency group: every job reports its group and waits for the go-ahead.

use std::time::Duration;

use kici_workflow::describe::{ConcurrencyDef, Field};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::indexes;
use crate::job::Job;
use crate::load;
use crate::requests::RequestError;
use crate::scope::Scope;

const EVALUATE: Duration = Duration::from_secs(30);
const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// If nobody says otherwise.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// Reports the group and waits. An error is why the job fails.
pub(crate) async fn enter(job: &Job, concurrency: &ConcurrencyDef) -> Result<(), String> {
    let Some(group) = group_of(job, concurrency).await? else { return Ok(()) };
    let context = &job.context;
    context.log.text(&format!("[kici] Concurrency group: {group}"));
    let params = json!({
        "group": group,
        "cancelInProgress": concurrency.cancel_in_progress.unwrap_or(true),
        "max": concurrency.max.unwrap_or(1.0),
    });
    let mut asked = match context.requests.open("concurrency.report", params).await {
        Ok(asked) => asked,
        Err(error) => return Err(format!("the concurrency group was not reported: {error}")),
    };
    let longest = context.spec.concurrency_wait_ms.map_or(LONGEST_WAIT, Duration::from_millis);
    let mut limit = FIRST_ANSWER;
    let mut queued = false;
    loop {
        let answer = tokio::select! {
            answer = asked.answer(limit) => answer,
            () = context.control.stop.term.cancelled() => return Ok(()),
        };
        let answer = match answer {
            Ok(answer) => answer,
            // Whoever drives the job has no groups (a local run): nothing to wait for.
            Err(RequestError::Refused(why)) => {
                context.log.text(&format!("[kici] Concurrency: not enforced here ({why})"));
                return Ok(());
            }
            Err(RequestError::Late(limit)) if queued => {
                let limit = limit.as_millis();
                return Err(format!(
                    "waited longer than {limit} ms for concurrency group '{group}'"
                ));
            }
            Err(error) => return Err(format!("waiting for the concurrency group: {error}")),
        };
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("action") {
            "proceed" => {
                context.log.text("[kici] Concurrency: proceeding with execution");
                return Ok(());
            }
            "wait" => {
                let reason = text("reason");
                context.log.text(&format!(
                    "[kici] Concurrency: queued ({reason}), waiting for slot to free"
                ));
                limit = longest;
                queued = true;
            }
            "cancel" => {
                return Err(format!("Cancelled by concurrency policy: {}", text("reason")));
            }
            other => return Err(format!("the answer about concurrency is '{other}'")),
        }
    }
}

async fn group_of(job: &Job, concurrency: &ConcurrencyDef) -> Result<Option<String>, String> {
    let function = match &concurrency.group {
        None | Some(Field::Value(Value::Null)) => return Ok(None),
        Some(Field::Value(Value::String(group))) => return Ok(Some(group.clone())),
        Some(Field::Value(other)) => {
            return Err(format!("concurrency.group is {other}, expected a function or a text"));
        }
        Some(Field::Function(function)) => function,
    };
    let context = &job.context;
    let event = load::event(context);
    let branch = event.get("targetBranch").cloned().unwrap_or(Value::Null);
    let scope = Scope::new(context, "concurrency", indexes::JOB)
        .map_err(|error| format!("concurrency.group: {error}"))?;
    let data = json!({ "branch": branch, "event": event });
    let stop = &context.control.stop;
    let result = job.call_plain(&scope, function, data, (stop, EVALUATE)).await;
    scope.dispose();
    match result {
        Ok(Some(Value::String(group))) => Ok(Some(group)),
        Ok(None) => Ok(None),
        Ok(Some(other)) => Err(format!("concurrency.group returned {other}, expected a text")),
        Err(failure) => {
            let failure = Failure::of_call("concurrency.group", failure);
            Err(format!("concurrency.group failed: {}", failure.message))
        }
    }
}
