//! What follows when a hold is decided: its jobs go on, or end. In the caller's transaction, which holds the lock of
//! the run.

use kici_model::state::{EndReason, HoldScope, HoldState};
use kici_store::hold::{
    hold_open, hold_resolve, job_held, job_release, job_step_wait, run_released,
};
use kici_store::hold_view::HoldView;
use kici_store::job::job_open;
use kici_store::{PgConnection, StoreError};
use uuid::Uuid;

use crate::jobs::{Ending, Finish, Settled, finish};

/// Opens a hold: what nothing else keeps goes on.
pub(super) async fn open(
    conn: &mut PgConnection,
    hold: &HoldView,
    to: HoldState,
    by: Option<&str>,
    comment: Option<&str>,
) -> Result<(), StoreError> {
    if !hold_resolve(conn, hold.id, to.as_str(), by, comment).await? {
        return Ok(());
    }
    let jobs: Vec<Uuid> = match (scope(hold)?, hold.job_id) {
        (HoldScope::Workflow, _) => {
            let held = job_held(conn, hold.run_id).await?;
            // Jobs with an approval of their own ask for it now.
            hold_open(conn, &held).await?;
            held
        }
        (HoldScope::Job, Some(job)) => vec![job],
        (HoldScope::Step, Some(job)) => return job_step_wait(conn, job).await,
        (HoldScope::Job | HoldScope::Step, None) => Vec::new(),
    };
    let (released, _) = job_release(conn, &jobs).await?;
    if released > 0 {
        run_released(conn, hold.run_id).await?;
    }
    Ok(())
}

/// Closes a hold for good: what it keeps ends for this reason. A step fails by itself once its agent hears of it.
pub(super) async fn close(
    conn: &mut PgConnection,
    hold: &HoldView,
    to: HoldState,
    by: Option<&str>,
    comment: Option<&str>,
) -> Result<Settled, StoreError> {
    if !hold_resolve(conn, hold.id, to.as_str(), by, comment).await? {
        return Ok(Settled::default());
    }
    let scope = scope(hold)?;
    let reason = match to {
        HoldState::Rejected => EndReason::ApprovalRejected {
            scope,
            by: by.map(str::to_owned),
            comment: comment.map(str::to_owned),
        },
        _ => EndReason::ApprovalExpired { scope },
    };
    let end = |job| Finish::because(hold.run_id, job, Ending::Cancelled, reason.clone());
    let ends: Vec<Finish> = match (scope, hold.job_id) {
        (HoldScope::Workflow, _) => {
            job_open(conn, hold.run_id).await?.into_iter().map(|job| end(job.id)).collect()
        }
        (HoldScope::Job, Some(job)) => vec![end(job)],
        (HoldScope::Step, Some(job)) => {
            job_step_wait(conn, job).await?;
            Vec::new()
        }
        (HoldScope::Job | HoldScope::Step, None) => Vec::new(),
    };
    finish(conn, &ends, &[hold.run_id]).await
}

/// What a hold keeps.
pub(super) fn scope(hold: &HoldView) -> Result<HoldScope, StoreError> {
    hold.scope.parse().map_err(|_| StoreError::Unknown {
        call: "hold",
        what: format!("hold.scope {}", hold.scope),
    })
}

/// Where a hold stands.
pub(super) fn state(hold: &HoldView) -> Result<HoldState, StoreError> {
    hold.state.parse().map_err(|_| StoreError::Unknown {
        call: "hold",
        what: format!("hold.state {}", hold.state),
    })
}
