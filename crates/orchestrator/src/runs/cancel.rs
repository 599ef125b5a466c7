//! Stops a run: what waits ends at once, what runs is asked to stop, and nothing of it starts any more.

use std::time::Duration;

use kici_model::state::{EndReason, JobState, RunState};
use kici_store::job::{JobNow, job_open};
use kici_store::lease::job_cancelling;
use kici_store::run::{run_lock, run_stop};
use kici_store::{Store, StoreError};
use uuid::Uuid;

use crate::app::App;
use crate::jobs::apply::announce;
use crate::jobs::{Ending, Finish, finish};

/// How long an agent may take to stop a job: its grace time, its hooks and some more.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(30 + 600 + 30);

/// The same when it was told to kill.
const KILL_WITHIN: Duration = Duration::from_secs(60);

/// What came of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cancelled {
    /// The run's state now: `cancelling` or `cancelled`.
    pub(crate) state: RunState,
    /// Agents told and waiting jobs ended.
    pub(crate) jobs: usize,
}

/// Why a run could not be cancelled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CancelError {
    /// There is no such run.
    #[error("there is no run {0}")]
    Unknown(Uuid),
    /// It has ended.
    #[error("run {run} has already ended: {state}")]
    Ended {
        /// The run.
        run: Uuid,
        /// Its state.
        state: String,
    },
    /// The database.
    #[error("could not cancel run {run}")]
    Store {
        /// The run.
        run: Uuid,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// Stops a run. A second call with `force` makes agents kill what they are stopping.
pub(crate) async fn cancel(
    app: &App,
    run: Uuid,
    force: bool,
    by: &str,
    reason: &str,
) -> Result<Cancelled, CancelError> {
    let store = |source| CancelError::Store { run, source };
    let mut tx = app.store.begin().await.map_err(store)?;
    let locked =
        run_lock(&mut tx, &[run]).await.map_err(store)?.pop().ok_or(CancelError::Unknown(run))?;
    if locked.state.parse().is_ok_and(RunState::is_final) {
        return Err(CancelError::Ended { run, state: locked.state });
    }
    run_stop(&mut tx, run, if force { "force" } else { "graceful" }, by, reason)
        .await
        .map_err(store)?;
    let open = job_open(&mut tx, run).await.map_err(store)?;
    let is =
        |job: &JobNow, states: &[JobState]| states.iter().any(|state| state.as_str() == job.state);
    let waiting: Vec<Finish> = open
        .iter()
        .filter(|job| !is(job, &[JobState::Running, JobState::Cancelling, JobState::Recovering]))
        .map(|job| {
            let reason =
                EndReason::Cancelled { by: Some(by.to_owned()), reason: Some(reason.to_owned()) };
            Finish {
                attempt: Some(job.attempt),
                ..Finish::because(run, job.id, Ending::Cancelled, reason)
            }
        })
        .collect();
    let running: Vec<Uuid> = open
        .iter()
        .filter(|job| is(job, &[JobState::Running, JobState::Cancelling]))
        .map(|job| job.id)
        .collect();
    let within = if force { KILL_WITHIN } else { STOP_WITHIN };
    let stopping = job_cancelling(&mut tx, &running, within).await.map_err(store)?;
    let settled = finish(&mut tx, &waiting, &[run]).await.map_err(store)?;
    Store::commit(tx).await.map_err(store)?;
    announce(app, &settled);

    let mut told = 0;
    // A job that was sent but has not started is over here; its agent has to hear of it all the same.
    let sent =
        open.iter().filter(|job| job.state == JobState::Queued.as_str() && job.agent_id.is_some());
    for job in stopping.iter().chain(sent) {
        if let Some(agent) = &job.agent_id
            && app.agents.cancel(agent, run, job.id, reason, force)
        {
            told += 1;
        }
    }
    let never_sent = waiting.len()
        - open.iter().filter(|job| job.state == "queued" && job.agent_id.is_some()).count();
    let state = settled
        .runs
        .iter()
        .find(|ended| ended.id == run)
        .map_or(RunState::Cancelling, |ended| ended.state);
    Ok(Cancelled { state, jobs: told + never_sent })
}
