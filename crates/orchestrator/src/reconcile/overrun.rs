//! Ends jobs that run beyond their own limit.
//!
//! The limit is the agent's to keep: it stops the job and reports `job_timeout`. Here only the end of its patience is
//! kept, as the deadline of the running job: the limit and a grace time later the agent hangs, or is of a kind that
//! knows no limits. Then the job ends here and the agent is told to kill it; what it reports afterwards is late.

use kici_model::state::{EndReason, TimeLimit};
use kici_store::job::JobNow;
use kici_store::lease::job_timeout;
use kici_store::{PgConnection, StoreError};
use tracing::warn;

use crate::app::App;
use crate::jobs::{Ending, Finish};
use crate::runs::KILL_WITHIN;

/// How a job ends whose limit is over. The caller has read it under the lock of its run.
pub(super) async fn end(conn: &mut PgConnection, job: &JobNow) -> Result<Finish, StoreError> {
    let limit = job_timeout(conn, job.id).await?.and_then(|ms| u64::try_from(ms).ok());
    let reason =
        EndReason::TimedOut { limit: TimeLimit::JobTimeout, after_ms: limit.unwrap_or_default() };
    let agent = job.agent_id.as_deref().unwrap_or_default();
    warn!(job.id = %job.id, agent.id = agent, "agent did not end a job that takes too long: {reason}");
    let end = Finish::because(job.run_id, job.id, Ending::Failed, reason);
    Ok(Finish { attempt: Some(job.attempt), ..end })
}

/// Keeps the agent's place taken while it stops the job: it would refuse another. One that does not say that it has
/// stopped gets its place back all the same.
pub(super) fn free_later(app: &App, job: &JobNow) {
    let Some(agent) = job.agent_id.as_deref().and_then(|id| app.agents.get(id)) else { return };
    let (job, attempt, own) = (job.id, job.attempt, app.clone());
    app.spawn(async move {
        tokio::select! {
            () = own.stop.cancelled() => return,
            () = tokio::time::sleep(KILL_WITHIN) => {}
        }
        if agent.holds(job, attempt) {
            warn!(job.id = %job, agent.id = agent.id(), "agent did not say that it stopped a job that took too long");
            agent.release(job);
            own.dispatch.wake();
        }
    });
}
