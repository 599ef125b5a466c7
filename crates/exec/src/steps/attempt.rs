//! One attempt of a step: its function, or check and then function.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_workflow::describe::{FnRef, StepDef};
use kici_workflow::engine::CallKind;
use serde_json::{Map, Value};

use crate::approval::{self, When};
use crate::calls::CallFailure;
use crate::cause::Circumstances;
use crate::control::Stop;
use crate::failure::Failure;
use crate::job::Job;
use crate::millis;
use crate::scope::Scope;

/// Without a limit of its own a step gets this long.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30 * 60);

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The step's function returned.
    Done { output: Option<Value>, found: Found },
    /// Nothing had to be done, or nothing was to be done.
    NotNeeded { output: Option<Value>, found: Found },
    /// It failed; another attempt may help.
    Failed(Failure),
    /// People said no; another attempt would ask them again.
    Declined { reason: String, found: Found },
    /// It was stopped from outside.
    Stopped,
}

/// What a check found (wire fields `checkOutcome`, `driftSummary`, `drift`).
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) outcome: Option<&'static str>,
    pub(super) summary: Option<String>,
    pub(super) drift: Option<Value>,
}

/// Runs a step once.
pub(super) struct Try<'a> {
    pub(super) job: &'a Job,
    pub(super) step: &'a StepDef,
    pub(super) scope: &'a Arc<Scope>,
    pub(super) stop: &'a Stop,
}

impl Try<'_> {
    /// Runs it.
    pub(super) async fn run(&self) -> Attempt {
        let deadline = Instant::now() + self.limit();
        let before = Circumstances::now();
        let result = match &self.step.check {
            Some(check) => self.check_then_run(check, deadline).await,
            None if self.only_checks() => Ok(Attempt::NotNeeded {
                output: None,
                found: Found { outcome: Some("no_check"), ..Found::default() },
            }),
            None => self
                .call(&self.step.run, Vec::new(), deadline)
                .await
                .map(|output| Attempt::Done { output, found: Found::default() }),
        };
        match result {
            // It returned, but not before it was told to stop: nobody knows how far it got.
            Ok(_) if self.stop.term.is_cancelled() => Attempt::Stopped,
            Ok(attempt) => attempt,
            Err(failure) => match self.failed(failure) {
                Attempt::Failed(failure) => {
                    let context = &self.job.context;
                    Attempt::Failed(failure.explained(&before, &[&context.root, context.temp()]))
                }
                other => other,
            },
        }
    }

    async fn check_then_run(
        &self,
        check: &FnRef,
        deadline: Instant,
    ) -> Result<Attempt, CallFailure> {
        let Some(drift) = self.call(check, Vec::new(), deadline).await? else {
            let output = match &self.step.when_in_sync {
                Some(function) => self.call(function, Vec::new(), deadline).await?,
                None => None,
            };
            let found = Found { outcome: Some("skipped"), ..Found::default() };
            return Ok(Attempt::NotNeeded { output, found });
        };
        let mut found = Found {
            outcome: Some("dry-run"),
            summary: self.summarize(&drift, deadline).await?,
            drift: Some(drift.clone()),
        };
        if let Some(summary) = &found.summary {
            self.scope.log.text(summary);
        }
        if self.only_checks() {
            return Ok(Attempt::Done { output: None, found });
        }
        // Waiting for people does not count as time of the step.
        let asked = Instant::now();
        if let Some(approval) =
            self.step.approval.as_ref().filter(|a| approval::when(Some(a)) == Some(When::Drift))
        {
            let shown = serde_json::json!({ "summaryMarkdown": found.summary, "drift": drift });
            self.scope.note(&format!("Step '{}' awaiting approval...", self.step.name));
            let who = (self.scope.index, self.step.name.as_str());
            if let Err(reason) =
                approval::ask(self.job, who, approval, Some(shown), self.stop).await
            {
                found.outcome = Some("declined");
                return Ok(Attempt::Declined { reason, found });
            }
        }
        let deadline = deadline + asked.elapsed();
        let output = self.call(&self.step.run, vec![drift], deadline).await?;
        found.outcome = Some("applied");
        Ok(Attempt::Done { output, found })
    }

    async fn summarize(
        &self,
        drift: &Value,
        deadline: Instant,
    ) -> Result<Option<String>, CallFailure> {
        let Some(function) = &self.step.summarize else { return Ok(None) };
        let limit = deadline.saturating_duration_since(Instant::now());
        let summary =
            self.job.call_plain(self.scope, function, drift.clone(), (self.stop, limit)).await?;
        Ok(summary.map(|summary| match summary {
            Value::String(text) => text,
            other => other.to_string(),
        }))
    }

    async fn call(
        &self,
        function: &FnRef,
        args: Vec<Value>,
        deadline: Instant,
    ) -> Result<Option<Value>, CallFailure> {
        let left = deadline.saturating_duration_since(Instant::now());
        let bounds = (self.stop, left);
        self.job.call(self.scope, function, CallKind::Step, Map::new(), args, bounds).await
    }

    fn failed(&self, failure: CallFailure) -> Attempt {
        let what = format!("Step '{}'", self.step.name);
        match failure {
            _ if self.stop.term.is_cancelled() => Attempt::Stopped,
            CallFailure::Stopped => Attempt::Stopped,
            // The limit of the whole attempt, whichever of its calls was under way.
            CallFailure::TimedOut(_) => {
                Attempt::Failed(Failure::of_call(&what, CallFailure::TimedOut(self.limit())))
            }
            other => Attempt::Failed(Failure::of_call(&what, other)),
        }
    }

    fn limit(&self) -> Duration {
        millis::duration(self.step.timeout)
            .or(millis::duration(self.job.context.spec.step_timeout_ms.map(|ms| ms as f64)))
            .unwrap_or(DEFAULT_LIMIT)
    }

    fn only_checks(&self) -> bool {
        matches!(self.job.context.spec.check_mode.as_deref(), Some("check" | "check-fail-on-drift"))
    }
}
