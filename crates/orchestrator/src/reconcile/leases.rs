//! Takes over deliveries and jobs that an orchestrator held when it died, and keeps what this one holds.
//!
//! PostgreSQL drops a process's lock when it dies, but also when it restarts itself, and then those of all processes
//! at once. A number therefore counts as gone only after it was missing for [`MISSING`] without a break, in which
//! everybody who lives has taken its lock again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kici_store::delivery::delivery_reclaim;
use kici_store::lease::{job_orphaned, job_reclaim};
use kici_store::stop_order::stop_order_drop;
use kici_store::{StoreError, owner_missing};
use tracing::{info, warn};

use crate::app::App;

/// How long a lock has to be missing.
const MISSING: Duration = Duration::from_secs(3);

/// Since when which number has been missing.
#[derive(Debug, Default)]
pub(super) struct Missing(HashMap<i32, Instant>);

impl Missing {
    /// Takes over from those who are gone.
    pub(super) async fn pass(&mut self, app: &App) -> Result<(), StoreError> {
        let looked = async {
            let mut conn = app.store.connection().await?;
            owner_missing(&mut conn).await
        };
        let missing = match looked.await {
            Ok(missing) => missing,
            // What was seen before an outage says nothing about who lives after it.
            Err(error) => {
                self.0.clear();
                return Err(error);
            }
        };
        let gone = self.gone(&missing, app.number, Instant::now());
        if gone.is_empty() { Ok(()) } else { take_over(app, &gone).await }
    }

    /// Pure: which of those that are missing now have been so for long enough.
    fn gone(&mut self, missing: &[i32], own: i32, now: Instant) -> Vec<i32> {
        self.0.retain(|number, _| missing.contains(number));
        let others = missing.iter().copied().filter(|number| *number != own);
        others
            .filter(|number| now.duration_since(*self.0.entry(*number).or_insert(now)) >= MISSING)
            .collect()
    }
}

async fn take_over(app: &App, gone: &[i32]) -> Result<(), StoreError> {
    let mut conn = app.store.connection().await?;
    let deliveries = delivery_reclaim(&mut conn, gone).await?;
    if deliveries > 0 {
        info!(deliveries, "deliveries of a dead orchestrator are due again");
        app.inbox.wake();
    }
    let window = app.config.agents.recovery_window();
    let jobs = job_orphaned(&mut conn, app.number, gone, window).await?;
    if jobs > 0 {
        info!(jobs, "jobs of a dead orchestrator wait for their agents to come back");
    }
    stop_order_drop(&mut conn, gone).await
}

/// Takes back what others took over although the agents never left: this process had looked dead for a moment.
pub(crate) async fn reclaim(app: &App) -> Result<(), StoreError> {
    let held = app.agents.held();
    if held.is_empty() {
        return Ok(());
    }
    let mut conn = app.store.connection().await?;
    for job in
        job_reclaim(&mut conn, app.number, app.config.agents.job_timeout_grace, &held).await?
    {
        warn!(job.id = %job, "job taken back from an orchestrator that believed this one to be dead");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_gone_when_it_was_missing_for_a_while_without_a_break() {
        let mut missing = Missing::default();
        let start = Instant::now();
        let mut look =
            |seconds, found: &[i32]| missing.gone(found, 1, start + Duration::from_secs(seconds));
        assert!(look(0, &[2, 3]).is_empty());
        assert!(look(2, &[3]).is_empty(), "2 is back");
        assert_eq!(look(3, &[2, 3]), [3], "2 counts anew");
        assert_eq!(look(9, &[1, 2]), [2], "nobody takes over from itself");
    }
}
