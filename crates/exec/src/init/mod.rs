//! The init phase: what has to be set up before the first step. `items` reads the author's option.

mod items;

use std::sync::Arc;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::caches;
use crate::context::Context;
use crate::failure::{Failure, chain};
use crate::indexes::{self, CacheOwner};
use crate::process::{self, Bounds, Command, Ended, Outlet};
use crate::report::{Report, Row};
use crate::scope::Scope;
use crate::spec::StepStatus;
use items::Item;

/// Runs the items of `option`. An error is why the job fails.
pub(crate) async fn run(context: &Context, option: Option<&Value>) -> Result<(), String> {
    let Some(option) = option else { return Ok(()) };
    let items = items::of(option, &context.root)?;
    if items.is_empty() && option == "auto" {
        context.log.text("[kici] init: auto found no mise configuration; nothing to do");
    }
    for (n, item) in (0..).zip(&items) {
        if context.control.stop.term.is_cancelled() {
            return Ok(());
        }
        run_item(context, n, item).await?;
    }
    Ok(())
}

async fn run_item(context: &Context, n: i64, item: &Item) -> Result<(), String> {
    caches::restore(context, CacheOwner::Init(n), &item.cache).await;
    let index = indexes::init(n);
    let name = format!("init:{n}");
    let row = Row { index, name: name.clone(), group: None }.typed(name.clone());
    let started = Instant::now();
    row.started(context).await;
    let (result, scope) = match Scope::new(context, &name, index) {
        Ok(scope) => (command(context, item, &scope).await, Some(scope)),
        Err(error) => (Err(InitError::of(format!("could not prepare: {error}"))), None),
    };
    let mut report = Report::new(StepStatus::Success, started.elapsed());
    if let Err(InitError { failure, .. }) = &result {
        let stopped = context.control.stop.term.is_cancelled();
        report.status = if stopped { StepStatus::Cancelled } else { StepStatus::Failed };
        report.error = Some(failure.to_step_error(&context.masker));
        if let Some(scope) = &scope {
            failure.log(scope);
        }
    }
    if let Some(scope) = &scope {
        context.env.apply(scope.take_changes(context));
        report.learn(scope).await;
        scope.dispose();
    }
    row.ended(context, report).await;
    match result {
        Ok(()) => {
            caches::save(context, CacheOwner::Init(n), &item.cache).await;
            Ok(())
        }
        Err(InitError { timed_out, failure }) => {
            let kind = if timed_out { "job_timeout" } else { "failed" };
            Err(context.masker.text(&format!("init[{n}] {kind}: {}", failure.message)))
        }
    }
}

struct InitError {
    timed_out: bool,
    failure: Failure,
}

impl InitError {
    fn of(message: impl Into<String>) -> Self {
        Self { timed_out: false, failure: Failure::of(message) }
    }

    fn of_end(ended: Ended) -> Self {
        let mut error = Self::of(match &ended {
            Ended::Exited(code) => format!("exit code {code}"),
            Ended::Killed(signal) => format!("ended by {signal}"),
        });
        match ended {
            Ended::Exited(code) => error.failure.exit_code = Some(code),
            Ended::Killed(signal) => error.failure.signal = Some(signal),
        }
        error
    }
}

async fn command(context: &Context, item: &Item, scope: &Arc<Scope>) -> Result<(), InitError> {
    let mut env = scope.vars();
    env.extend(item.env.clone());
    let command = Command {
        program: item.shell.clone(),
        args: vec!["-c".to_owned(), item.run.clone()],
        cwd: context.root.clone(),
        env,
        input: None,
    };
    let outlet = || Outlet { log: Some(scope.log.stream()), push: None };
    let running = process::start(command, outlet(), outlet())
        .map_err(|error| InitError::of(chain(&error)))?;
    context.groups.add(running.group());
    scope.command_started(None, running.group());
    let bounds = Bounds {
        stop: context.control.stop.child(),
        timeout: Some(item.timeout),
        timeout_signal: Signal::SIGTERM,
        grace: context.grace(),
    };
    let finished = running.finish(bounds).await;
    scope.command_ended(None);
    let finished = finished.map_err(|error| InitError::of(format!("could not wait: {error}")))?;
    if finished.timed_out {
        scope.leftovers().end().await;
        let message = format!("timed out after {}ms", item.timeout.as_millis());
        return Err(InitError { timed_out: true, failure: Failure::of(message) });
    }
    match finished.ended {
        Ended::Exited(0) => Ok(()),
        ended => Err(InitError::of_end(ended)),
    }
}
