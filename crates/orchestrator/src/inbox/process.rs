//! What one delivery becomes: asks the forge, matches the triggers, makes the rows of runs. Writes nothing.

use std::sync::Arc;
use std::time::Instant;

use kici_store::delivery::{Claimed, Settled};
use tracing::debug;

use super::lock_cache::{CachedLock, CachedWorkflow, LockKey};
use crate::app::App;
use crate::forge::{Change, ForgeError, LockFetch};
use crate::logging::Chain;
use crate::runs::{Cause, Hosts, NewRun, Runner, stamp, unresolved};

/// What came of a delivery.
pub(super) struct Processed {
    pub(super) delivery: Claimed,
    pub(super) result: Result<Outcome, Failure>,
}

/// Rows to write.
pub(super) struct Outcome {
    pub(super) settled: Settled,
    pub(super) runs: Vec<NewRun>,
}

/// Why it could not be worked out.
pub(super) struct Failure {
    pub(super) message: String,
    /// Trying again may help.
    pub(super) retry: bool,
}

impl From<ForgeError> for Failure {
    fn from(error: ForgeError) -> Failure {
        match error {
            ForgeError::Retry(message) => Failure { message, retry: true },
            ForgeError::Permanent(message) => Failure { message, retry: false },
        }
    }
}

pub(super) async fn process(app: &App, delivery: Claimed) -> Processed {
    let result = outcome(app, &delivery).await;
    Processed { delivery, result }
}

async fn outcome(app: &App, delivery: &Claimed) -> Result<Outcome, Failure> {
    let Some(mut change) = app.forge.normalise(delivery).await? else {
        return Ok(nothing(delivery, None, "received"));
    };
    let Some(repo) = change.repo.clone() else {
        return Ok(nothing(delivery, Some(&change), "received"));
    };
    let lock = match lock_file(app, delivery, &change, &repo).await? {
        Lock::Ready(lock) => lock,
        Lock::Missing => return Ok(nothing(delivery, Some(&change), "lockfile_missing")),
        Lock::Corrupt(message) => {
            let run = unresolved(&cause(delivery, &change), &message);
            let mut outcome = nothing(delivery, Some(&change), "lockfile_corrupt");
            outcome.settled.error = Some(clean(&message));
            outcome.settled.run = Some(run.row.id);
            outcome.runs.push(run);
            return Ok(outcome);
        }
    };
    change.event.source_repo.get_or_insert_with(|| repo.clone());
    if lock.needs_changed_files && change.event.changed_files.is_none() {
        let changed = app.forge.changed_files(delivery, &change).await?;
        change.event.changed_files = Some(changed.files);
        change.event.changed_files_incomplete = changed.incomplete;
    }
    let started = Instant::now();
    let mut runs = Vec::new();
    let mut blocking = Vec::new();
    let mut hosts = None;
    for (at, workflow) in lock.workflows.iter().enumerate() {
        let decision = workflow.triggers.decide(&change.event);
        if !decision.matched {
            debug!(delivery.id = %delivery.delivery_id, workflow = %workflow.plan.name, "{}", decision.summary);
            continue;
        }
        let decision = serde_json::to_string(&decision).expect("a decision is plain data");
        if workflow.plan.asks_for_hosts() && hosts.is_none() {
            hosts = Some(read_hosts(app).await?);
        }
        // A thousand hosts take a moment as well.
        if workflow.evaluates || workflow.plan.asks_for_hosts() {
            blocking.push((at, decision));
        } else {
            runs.push(stamp(
                &workflow.plan,
                Cause { decision: Some(decision), ..cause(delivery, &change) },
            ));
        }
    }
    app.metrics.matched_in(started.elapsed());
    if !blocking.is_empty() {
        runs.extend(
            stamp_blocking(delivery.clone(), change.clone(), Arc::clone(&lock), blocking, hosts)
                .await?,
        );
    }
    place_evaluations(app, &lock, &mut runs).await?;
    let mut outcome = nothing(delivery, Some(&change), "processed");
    outcome.settled.matched = i32::try_from(runs.len()).unwrap_or(i32::MAX);
    outcome.settled.run = runs.first().map(|run| run.row.id);
    outcome.runs = runs;
    Ok(outcome)
}

/// Says which agents evaluate functions for runs that have some.
async fn place_evaluations(
    app: &App,
    lock: &CachedLock,
    runs: &mut [NewRun],
) -> Result<(), Failure> {
    for run in runs.iter_mut().filter(|run| run.evaluates()) {
        let of_run = |workflow: &&CachedWorkflow| workflow.plan.name == run.row.workflow_name;
        let Some(workflow) = lock.workflows.iter().find(of_run) else { continue };
        let runner = async {
            let mut conn = app.store.connection().await?;
            Runner::among(&mut conn, &workflow.plan.first_labels).await
        };
        run.evaluate_on(&runner.await.map_err(|error| Failure {
            message: format!("could not read the agents: {}", Chain(&error)),
            retry: true,
        })?);
    }
    Ok(())
}

/// The hosts that fan-outs of these runs are made of.
async fn read_hosts(app: &App) -> Result<Arc<Hosts>, Failure> {
    let hosts = async {
        let mut conn = app.store.connection().await?;
        Hosts::read(&mut conn, app.config.agents.host_rules()).await
    };
    hosts.await.map_err(|error| Failure {
        message: format!("could not read the hosts: {}", Chain(&error)),
        retry: true,
    })
}

/// Runs whose values have to be computed, or whose hosts have to be chosen, off the threads that serve sockets.
async fn stamp_blocking(
    delivery: Claimed,
    change: Change,
    lock: Arc<CachedLock>,
    matched: Vec<(usize, String)>,
    hosts: Option<Arc<Hosts>>,
) -> Result<Vec<NewRun>, Failure> {
    let stamped = tokio::task::spawn_blocking(move || {
        matched
            .into_iter()
            .map(|(at, decision)| {
                let plan = &lock.workflows[at].plan;
                let with_hosts = hosts
                    .as_ref()
                    .filter(|_| plan.asks_for_hosts())
                    .map(|hosts| plan.on_hosts(hosts));
                let cause = Cause { decision: Some(decision), ..cause(&delivery, &change) };
                stamp(with_hosts.as_ref().unwrap_or(plan), cause)
            })
            .collect()
    });
    stamped.await.map_err(|error| Failure {
        message: format!("evaluating inline expressions failed: {error}"),
        retry: false,
    })
}

fn cause<'a>(delivery: &'a Claimed, change: &'a Change) -> Cause<'a> {
    Cause {
        org_id: &delivery.org_id,
        delivery: Some(delivery.id),
        delivery_id: &delivery.delivery_id,
        routing_key: &delivery.routing_key,
        provider: change.event.provider.as_deref().unwrap_or(&delivery.provider),
        repo: change.repo.as_deref().unwrap_or_default(),
        git_ref: &change.git_ref,
        sha: &change.sha,
        trust_tier: change.trust_tier.as_deref(),
        lock_file_source: change.lock_file_source.as_deref(),
        event: &change.event,
        decision: None,
    }
}

/// A lock file, or why there is none.
enum Lock {
    Ready(Arc<CachedLock>),
    Missing,
    Corrupt(String),
}

async fn lock_file(
    app: &App,
    delivery: &Claimed,
    change: &Change,
    repo: &str,
) -> Result<Lock, Failure> {
    let key = LockKey::of_commit(&delivery.routing_key, repo, &change.lock_ref);
    if let Some(lock) = key.as_ref().and_then(|key| app.inbox.locks.get(key)) {
        app.metrics.lock_file(true);
        return Ok(Lock::Ready(lock));
    }
    app.metrics.lock_file(false);
    let bytes = match app.forge.lock_file(delivery, change).await? {
        LockFetch::Found(bytes) => bytes,
        LockFetch::Missing => return Ok(Lock::Missing),
        LockFetch::Corrupt(message) => return Ok(Lock::Corrupt(message)),
    };
    match CachedLock::read(&bytes, repo, &change.lock_ref) {
        Ok(lock) => {
            let lock = Arc::new(lock);
            if let Some(key) = key {
                app.inbox.locks.keep(key, Arc::clone(&lock));
            }
            Ok(Lock::Ready(lock))
        }
        Err(message) => Ok(Lock::Corrupt(message)),
    }
}

fn nothing(delivery: &Claimed, change: Option<&Change>, state: &'static str) -> Outcome {
    let settled = Settled {
        id: delivery.id,
        state,
        matched: 0,
        run: None,
        error: None,
        repo: change.and_then(|change| change.repo.as_deref()).map(clean),
        git_ref: change.map(|change| clean(&change.git_ref)),
        action: change.and_then(|change| change.event.action.as_deref()).map(clean),
    };
    Outcome { settled, runs: Vec::new() }
}

/// PostgreSQL has no NUL in text.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
