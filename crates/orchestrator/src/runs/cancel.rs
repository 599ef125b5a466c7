//! Stops a run: what waits ends at once, what runs is asked to stop, and nothing of it starts any more.
//!
//! The wish is in the run's row (`stop`), so that it holds across crashes and for agents that are away. Agents are
//! told wherever they are connected ([`crate::jobs::stop`]). A job whose agent does not confirm in time is ended by
//! its deadline, so a cancelled run always ends.

use std::time::Duration;

use kici_model::state::{EndReason, JobState, RunState};
use kici_store::job::{JobNow, job_open};
use kici_store::lease::job_cancelling;
use kici_store::run::{run_lock, run_stop};
use kici_store::stop_order::StopOrder;
use kici_store::{Store, StoreError};
use uuid::Uuid;

use crate::app::App;
use crate::jobs::apply::announce;
use crate::jobs::stop::{deliver, order};
use crate::jobs::{Ending, Finish, finish};

/// How long an agent may take to stop a job: its grace time, up to four hooks of five minutes, and some more.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(30 + 4 * 300 + 30);

/// The same when it was told to kill.
pub(crate) const KILL_WITHIN: Duration = Duration::from_secs(60);

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

/// Stops a run. A second call makes agents kill what they are stopping, as `force` does at once.
pub(crate) async fn cancel(
    app: &App,
    run: Uuid,
    force: bool,
    by: &str,
    reason: &str,
) -> Result<Cancelled, CancelError> {
    let end = EndReason::Cancelled { by: Some(by.to_owned()), reason: Some(reason.to_owned()) };
    stop(app, run, Wish { force, again: true, by, reason, end }).await
}

/// Stops a run for a reason of ours. One that is being stopped already is left to that. `end` is what jobs that have
/// not started end with.
pub(crate) async fn stop_for(
    app: &App,
    run: Uuid,
    reason: &str,
    end: EndReason,
) -> Result<Cancelled, CancelError> {
    stop(app, run, Wish { force: false, again: false, by: "kici", reason, end }).await
}

/// How a run is to be stopped.
struct Wish<'a> {
    force: bool,
    /// Said twice, it means force.
    again: bool,
    by: &'a str,
    reason: &'a str,
    end: EndReason,
}

async fn stop(app: &App, run: Uuid, wish: Wish<'_>) -> Result<Cancelled, CancelError> {
    let Wish { force, by, reason, .. } = wish;
    let store = |source| CancelError::Store { run, source };
    let mut tx = app.store.begin().await.map_err(store)?;
    let locked =
        run_lock(&mut tx, &[run]).await.map_err(store)?.pop().ok_or(CancelError::Unknown(run))?;
    if locked.state.parse().is_ok_and(RunState::is_final) {
        return Err(CancelError::Ended { run, state: locked.state });
    }
    if locked.stop.is_some() && !wish.again {
        return Ok(Cancelled { state: RunState::Cancelling, jobs: 0 });
    }
    let force = force || locked.stop.is_some();
    run_stop(&mut tx, run, if force { "force" } else { "graceful" }, by, reason)
        .await
        .map_err(store)?;
    let open = job_open(&mut tx, run).await.map_err(store)?;
    let (with_agent, waiting): (Vec<&JobNow>, Vec<&JobNow>) =
        open.iter().partition(|job| job.state.parse().is_ok_and(JobState::is_with_agent));
    let ends: Vec<Finish> = waiting
        .iter()
        .map(|job| Finish {
            attempt: Some(job.attempt),
            ..Finish::because(run, job.id, Ending::Cancelled, wish.end.clone())
        })
        .collect();
    // One whose agent is away keeps its deadline: the agent is told when it is back, or the job ends then.
    let running: Vec<Uuid> = with_agent.iter().map(|job| job.id).collect();
    let within = if force { KILL_WITHIN } else { STOP_WITHIN };
    let stopping = job_cancelling(&mut tx, &running, within).await.map_err(store)?;
    // A job that was sent but has not started is over here; its agent has to hear of it all the same.
    let sent = waiting.iter().copied().filter(|job| job.agent_id.is_some());
    let orders: Vec<StopOrder> = stopping
        .iter()
        .chain(sent)
        .map(|job| StopOrder {
            owner: job.owner,
            agent_id: job.agent_id.clone().unwrap_or_default(),
            run_id: run,
            job_id: job.id,
            reason: reason.to_owned(),
            force,
        })
        .collect();
    order(app, &mut tx, &orders).await.map_err(store)?;
    let settled = finish(&mut tx, &ends, &[run]).await.map_err(store)?;
    Store::commit(tx).await.map_err(store)?;
    announce(app, &settled);
    let told = deliver(app, &orders);
    let never_sent = waiting.iter().filter(|job| job.agent_id.is_none()).count();
    let state = settled
        .runs
        .iter()
        .find(|ended| ended.id == run)
        .map_or(RunState::Cancelling, |ended| ended.state);
    Ok(Cancelled { state, jobs: told + never_sent })
}
