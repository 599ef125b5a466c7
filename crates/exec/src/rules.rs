//! Rules of jobs and steps: all have to pass, the first that does not is named.

use std::time::Duration;

use kici_workflow::describe::RuleDef;
use kici_workflow::engine::CallKind;
use serde_json::{Map, Value};

use crate::calls::CallFailure;
use crate::control::Stop;
use crate::failure::Failure;
use crate::indexes;
use crate::job::Job;
use crate::scope::Scope;

const LIMIT: Duration = Duration::from_secs(5 * 60);

/// The label of the first rule that does not pass. A rule that throws does not pass.
pub(crate) async fn first_failing<'a>(
    job: &Job,
    rules: Option<&'a [RuleDef]>,
    stop: &Stop,
) -> Result<Option<&'a str>, CallFailure> {
    for rule in rules.unwrap_or_default() {
        let Some(check) = &rule.check else { continue };
        let scope = match Scope::new(&job.context, &rule.label, indexes::JOB) {
            Ok(scope) => scope,
            Err(error) => {
                job.context.log.text(&format!("[kici] rule '{}': {error}", rule.label));
                return Ok(Some(&rule.label));
            }
        };
        let result =
            job.call(&scope, check, CallKind::Rule, Map::new(), Vec::new(), (stop, LIMIT)).await;
        scope.dispose();
        match result {
            Ok(Some(Value::Bool(true))) => {}
            Ok(_) => return Ok(Some(&rule.label)),
            Err(CallFailure::Stopped) => return Err(CallFailure::Stopped),
            Err(failure) => {
                let what = format!("rule '{}'", rule.label);
                let message = Failure::of_call(&what, failure).message;
                scope.note(&format!("{what} failed and counts as not passed: {message}"));
                return Ok(Some(&rule.label));
            }
        }
    }
    Ok(None)
}
