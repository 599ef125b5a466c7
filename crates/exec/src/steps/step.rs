//! One step: rules, approval, attempts, report. `last` has what comes after that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_workflow::describe::{RetryDef, StepDef};
use serde_json::{Value, json};

use super::attempt::{Attempt, Found, Try};
use super::retry;
use crate::approval::{self, When};
use crate::caches;
use crate::control::Stop;
use crate::environment::EnvChange;
use crate::failure::Failure;
use crate::indexes::{CacheOwner, StepHook};
use crate::job::Job;
use crate::process::named;
use crate::report::{Report, Row, TypedRow};
use crate::rules;
use crate::scope::Scope;
use crate::spec::StepStatus;

const RETRY_IF: Duration = Duration::from_secs(60);

/// A step and its place.
pub(super) struct OneStep<'a> {
    pub(super) job: &'a Job,
    pub(super) step: &'a StepDef,
    pub(super) index: i64,
    /// The parallel group it belongs to.
    pub(super) group: Option<String>,
}

/// A step that has ended; its last hooks have not run yet.
#[derive(Debug)]
pub(super) struct StepEnd {
    pub(super) status: StepStatus,
    /// None: a rule kept it from starting, or it was stopped before it started.
    pub(super) scope: Option<Arc<Scope>>,
    pub(super) failure: Option<Failure>,
    /// Changes of a parallel child; those of a sequential step are applied already.
    pub(super) change: Option<EnvChange>,
}

impl StepEnd {
    /// Whether it stops its siblings, and the job.
    pub(super) fn is_hard_failure(&self, step: &StepDef) -> bool {
        self.status == StepStatus::Failed && step.continue_on_error != Some(true)
    }
}

impl OneStep<'_> {
    /// The step's row.
    pub(super) fn row(&self) -> TypedRow {
        Row { index: self.index, name: self.step.name.clone(), group: self.group.clone() }.step()
    }

    /// Runs the step, without its last hooks.
    pub(super) async fn run(&self, stop: &Stop) -> StepEnd {
        let started = Instant::now();
        match rules::first_failing(self.job, self.step.rules.as_deref(), stop).await {
            Ok(None) => {}
            Ok(Some(label)) => {
                let log = self.job.context.logs.open(self.index);
                self.row().started(&self.job.context).await;
                let name = &self.step.name;
                log.text(&format!("[kici] Step '{name}' skipped: rule '{label}' did not pass"));
                log.flush().await;
                return self.never_ran(StepStatus::Skipped, started.elapsed()).await;
            }
            Err(_stopped) => return self.never_ran(StepStatus::Cancelled, Duration::ZERO).await,
        }
        self.row().started(&self.job.context).await;
        self.job.progress().last_started = Some((self.index, self.step.hooks.clone()));
        let scope = match Scope::new(&self.job.context, &self.step.name, self.index) {
            Ok(scope) => scope,
            Err(error) => {
                let failure = Failure::of(format!("could not prepare the step: {error}"));
                return self.ended(None, Attempt::Failed(failure), started).await;
            }
        };
        let attempt = match self.approved(&scope, stop).await {
            Ok(()) => {
                self.observe("beforeStep", StepHook::Before).await;
                let caches = self.step.cache.as_deref().unwrap_or_default();
                caches::restore(&self.job.context, CacheOwner::Step(self.index), caches).await;
                self.attempts(&scope, stop).await
            }
            Err(_) if stop.term.is_cancelled() => Attempt::Stopped,
            Err(reason) => Attempt::Declined { reason, found: Found::default() },
        };
        self.ended(Some(scope), attempt, started).await
    }

    /// Reports a step whose function was never called.
    pub(super) async fn never_ran(&self, status: StepStatus, duration: Duration) -> StepEnd {
        self.row().ended(&self.job.context, Report::new(status, duration)).await;
        self.job.record(self.index, &self.step.name, status, duration, None);
        StepEnd { status, scope: None, failure: None, change: None }
    }

    async fn approved(&self, scope: &Scope, stop: &Stop) -> Result<(), String> {
        let Some(approval) = &self.step.approval else { return Ok(()) };
        if approval::when(Some(approval)) != Some(When::Always) {
            return Ok(());
        }
        scope.note(&format!("Step '{}' awaiting approval...", self.step.name));
        approval::ask(self.job, (self.index, &self.step.name), approval, None, stop).await
    }

    async fn attempts(&self, scope: &Arc<Scope>, stop: &Stop) -> Attempt {
        let mut number = 1;
        loop {
            let attempt = Try { job: self.job, step: self.step, scope, stop }.run().await;
            if matches!(attempt, Attempt::Failed(_) | Attempt::Stopped) {
                // The next attempt must not find ports taken and files locked.
                scope.leftovers().end().await;
            }
            let Attempt::Failed(failure) = attempt else { return attempt };
            let retry = self.step.retry.as_ref().filter(|retry| number < retry.max_attempts);
            let Some(retry) = retry else { return Attempt::Failed(failure) };
            if !self.is_worth_it(retry, scope, &failure, stop).await {
                return Attempt::Failed(failure);
            }
            let delay = retry::delay_after(number, retry);
            scope.note(&format!(
                "Step '{}' attempt {number}/{} failed: {}; retrying in {}ms",
                self.step.name,
                retry.max_attempts,
                failure.message,
                delay.as_millis()
            ));
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.term.cancelled() => return Attempt::Stopped,
            }
            number += 1;
        }
    }

    /// Asks the author's `retryIf`; if that fails, there is no other attempt.
    async fn is_worth_it(
        &self,
        retry: &RetryDef,
        scope: &Arc<Scope>,
        failure: &Failure,
        stop: &Stop,
    ) -> bool {
        let Some(function) = &retry.retry_if else { return true };
        let error = match failure.handle {
            Some(handle) => json!({ "$error": handle }),
            None => json!({ "name": "Error", "message": failure.message }),
        };
        match self.job.call_plain(scope, function, error, (stop, RETRY_IF)).await {
            Ok(answer) => answer.is_some_and(|answer| truthy(&answer)),
            Err(cause) => {
                let message = Failure::of_call("retryIf", cause).message;
                scope.note(&format!("retryIf failed, so there is no retry: {message}"));
                false
            }
        }
    }

    async fn ended(
        &self,
        scope: Option<Arc<Scope>>,
        attempt: Attempt,
        started: Instant,
    ) -> StepEnd {
        let context = &self.job.context;
        let (status, found, failure) = match self.keep_output(attempt) {
            Attempt::Done { found, .. } => (StepStatus::Success, found, None),
            Attempt::NotNeeded { found, .. } => (StepStatus::Skipped, found, None),
            Attempt::Failed(failure) => (StepStatus::Failed, Found::default(), Some(failure)),
            Attempt::Declined { reason, found } => {
                let message = format!("Step '{}' approval rejected: {reason}", self.step.name);
                (StepStatus::Failed, found, Some(Failure::of(message)))
            }
            Attempt::Stopped => (StepStatus::Cancelled, Found::default(), None),
        };
        let mut report = Report::new(status, started.elapsed());
        report.error = failure.as_ref().map(|failure| failure.to_step_error(&context.masker));
        self.tell_found(found, &mut report);
        let mut change = None;
        if let Some(scope) = &scope {
            if let Some(failure) = &failure {
                failure.log(scope);
            }
            self.name_leftovers(scope);
            let changes = scope.take_changes(context);
            if self.group.is_none() {
                context.env.apply(changes);
            } else {
                change = Some(changes);
            }
            report.learn(scope).await;
        }
        let error = report.error.as_ref().map(|error| error.message.clone());
        self.job.record(self.index, &self.step.name, status, report.duration, error);
        self.row().ended(context, report).await;
        StepEnd { status, scope, failure, change }
    }

    /// Keeps what the step returned, or fails it because that is too much.
    fn keep_output(&self, attempt: Attempt) -> Attempt {
        let (Attempt::Done { output: Some(output), .. }
        | Attempt::NotNeeded { output: Some(output), .. }) = &attempt
        else {
            return attempt;
        };
        match self.job.progress().keep_output(&self.step.name, output.clone()) {
            Ok(()) => attempt,
            Err(message) => Attempt::Failed(Failure::of(message)),
        }
    }

    fn tell_found(&self, found: Found, report: &mut Report) {
        let masker = &self.job.context.masker;
        if found.outcome == Some("dry-run") {
            self.job.progress().drifted.push(self.step.name.clone());
        }
        let fields = [
            ("checkOutcome", found.outcome.map(Value::from)),
            ("driftSummary", found.summary.map(Value::from)),
            ("drift", found.drift),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                report.data.insert(name.to_owned(), masker.json(value));
            }
        }
    }

    fn name_leftovers(&self, scope: &Scope) {
        if scope.groups.is_empty() {
            return;
        }
        let left = scope.leftovers().find();
        if left.is_empty() {
            return;
        }
        scope.note(&format!(
            "Step '{}' left behind {}; stopped when the job ends",
            self.step.name,
            named(&left)
        ));
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}
