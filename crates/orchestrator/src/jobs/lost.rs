//! What becomes of a job whose agent is gone for good.
//!
//! Nothing runs twice unasked: a job that had started ends, unless the operator allowed lost jobs further attempts
//! (`KICI_AGENT_LOST_RETRIES`). Either way the attempt is recorded with its reason.

use kici_model::state::{EndReason, JobState};
use kici_store::attempt::attempt_end;
use kici_store::job::JobNow;
use kici_store::lease::job_retry;
use kici_store::step::step_abandon;
use kici_store::{PgConnection, StoreError};
use tracing::warn;

use super::{Ending, Finish};
use crate::app::App;

/// What a failed recovery is called.
const NOT_BACK: &str =
    "Job failed: agent disconnected and did not reconnect within the recovery window";

/// How an agent lost a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It did not come back in time.
    NotBack,
    /// It came back without the job.
    Restarted,
}

/// Decides about a job that had been taken. The caller holds the lock of its run and has read the job under it;
/// `stopped`: the run was cancelled. `None`: the job waits for another agent.
pub(crate) async fn lost(
    app: &App,
    conn: &mut PgConnection,
    job: &JobNow,
    stopped: bool,
    how: Loss,
) -> Result<Option<Finish>, StoreError> {
    let agent = job.agent_id.clone().unwrap_or_default();
    let of_attempt = |finish: Finish| Finish { attempt: Some(job.attempt), ..finish };
    if stopped || job.state == JobState::Cancelling.as_str() {
        let reason = Some(match how {
            Loss::NotBack => format!("agent {agent} did not confirm in time"),
            Loss::Restarted => format!("agent {agent} was restarted"),
        });
        let reason = EndReason::Cancelled { by: None, reason };
        let end = Finish::because(job.run_id, job.id, Ending::Cancelled, reason);
        return Ok(Some(of_attempt(end)));
    }
    let (reason, error) = match how {
        Loss::NotBack => (EndReason::AgentLost { agent: agent.clone() }, NOT_BACK.to_owned()),
        Loss::Restarted => (
            EndReason::AgentRestarted { agent: agent.clone() },
            format!("Job failed: agent restarted and lost the job ({agent})"),
        ),
    };
    record(conn, job, &reason).await?;
    let limit = app.config.agents.lost_retries;
    if limit > 0 && job_retry(conn, job.id, job.attempt, limit).await? {
        step_abandon(conn, &[job.id]).await?;
        warn!(job.id = %job.id, agent.id = %agent, attempt = job.attempt, "job returned to the queue: {reason}");
        return Ok(None);
    }
    let end = Finish::because(job.run_id, job.id, Ending::Failed, reason);
    Ok(Some(of_attempt(Finish { error: Some(error), ..end })))
}

/// Records why an attempt ended.
pub(crate) async fn record(
    conn: &mut PgConnection,
    job: &JobNow,
    reason: &EndReason,
) -> Result<(), StoreError> {
    let reason = serde_json::to_string(reason).expect("a reason is plain data");
    attempt_end(conn, job.id, job.attempt, &reason).await
}
