//! One look at a group, in the caller's transaction and under the group's lock; and what follows after the commit.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kici_model::state::{EndReason, WaitReason};
use kici_store::run::run_lock;
use kici_store::slot::{SlotNow, slot_explain, slot_forget, slot_grant, slot_lock, slot_members};
use kici_store::{PgConnection, Store, StoreError};
use tracing::{info, warn};
use uuid::Uuid;

use super::decide::{Member, decide};
use crate::app::App;
use crate::jobs::apply::announce;
use crate::jobs::{Ending, Finish, finish};
use crate::logging::Chain;
use crate::runs::{CancelError, stop_for};

/// What a look found, to be carried out after its commit. What a crash leaves undone, the next look finds again.
#[derive(Debug, Default)]
pub(super) struct Looked {
    group: String,
    /// Places given out: runs, or jobs.
    pub(super) granted: Vec<Uuid>,
    /// Jobs that went to the queue.
    ready: u64,
    /// Runs whose place a newer one took.
    superseded: Vec<Uuid>,
    /// Who waited for too long: run, and job for a job's own place.
    expired: Vec<(Uuid, Option<Uuid>)>,
    /// The limit on waiting.
    limit: Duration,
}

/// Looks at a group.
pub(super) async fn look(
    conn: &mut PgConnection,
    group_key: &str,
    limit: Duration,
) -> Result<Looked, StoreError> {
    slot_lock(conn, group_key).await?;
    let now = slot_members(conn, group_key).await?;
    let members: Vec<Member> = now.iter().map(member).collect();
    let verdict = decide(&members);
    if !verdict.ended.is_empty() {
        slot_forget(conn, &verdict.ended).await?;
    }
    let of: HashMap<Uuid, &SlotNow> = now.iter().map(|one| (one.holder, one)).collect();
    let reasons: Vec<(Uuid, String)> = verdict
        .waiting
        .iter()
        .filter_map(|(holder, behind)| {
            let one = of.get(holder)?;
            let reason = WaitReason::ConcurrencyLimit {
                group: one.name.clone(),
                max: u32::try_from(one.max).unwrap_or(u32::MAX),
                behind: behind.map(|run| run.to_string()),
            };
            let text = serde_json::to_string(&reason).expect("a reason is plain data");
            (one.unexplained || one.shown.as_deref().is_some_and(|shown| shown != text))
                .then_some((*holder, text))
        })
        .collect();
    // All runs at once and in order: see `run_lock`.
    let runs: BTreeSet<Uuid> = verdict
        .granted
        .iter()
        .chain(reasons.iter().map(|(holder, _)| holder))
        .filter_map(|holder| of.get(holder).map(|one| one.run_id))
        .collect();
    if !runs.is_empty() {
        run_lock(conn, &runs.into_iter().collect::<Vec<_>>()).await?;
    }
    let ready = match verdict.granted.is_empty() {
        true => 0,
        false => slot_grant(conn, &verdict.granted).await?,
    };
    if !reasons.is_empty() {
        slot_explain(conn, &reasons).await?;
    }
    let most = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    let expired = verdict
        .waiting
        .iter()
        .filter_map(|(holder, _)| of.get(holder))
        .filter(|one| one.waited_ms.is_some_and(|waited| waited > most))
        .map(|one| (one.run_id, one.job_id))
        .collect();
    Ok(Looked {
        group: now.first().map(|one| one.name.clone()).unwrap_or_default(),
        granted: verdict.granted,
        ready,
        superseded: verdict.superseded,
        expired,
        limit,
    })
}

fn member(of: &SlotNow) -> Member {
    Member {
        holder: of.holder,
        run: of.run_id,
        max: u32::try_from(of.max).unwrap_or(1).max(1),
        cancel: of.cancel,
        active: of.active,
        ended: of.ended,
        stopping: of.stopping,
        ready: of.ready,
    }
}

impl Looked {
    /// Ends what has to end, and wakes who can go on.
    pub(super) async fn carry_out(self, app: &App) {
        let group = &self.group;
        for holder in &self.granted {
            info!(concurrency.group = %group, holder = %holder, "a place in concurrency group '{group}' was given out");
        }
        if self.ready > 0 {
            app.dispatch.wake();
        }
        for run in &self.superseded {
            let text = format!("Superseded by run in concurrency group '{group}'");
            let end = EndReason::Superseded { group: group.clone() };
            stop(app, *run, &text, end).await;
        }
        let text = format!(
            "waited longer than {} ms for concurrency group '{group}'",
            self.limit.as_millis()
        );
        let end = EndReason::Cancelled { by: Some("kici".into()), reason: Some(text.clone()) };
        for (run, job) in &self.expired {
            match job {
                None => stop(app, *run, &text, end.clone()).await,
                Some(job) => {
                    if let Err(error) = end_job(app, *run, *job, end.clone()).await {
                        warn!(job.id = %job, error = %Chain(&error), "could not end a job that waited too long");
                    }
                }
            }
        }
    }
}

async fn stop(app: &App, run: Uuid, text: &str, end: EndReason) {
    info!(run.id = %run, "run is stopped: {text}");
    match stop_for(app, run, text, end).await {
        Ok(_) | Err(CancelError::Ended { .. } | CancelError::Unknown(_)) => {}
        Err(error) => warn!(run.id = %run, error = %Chain(&error), "could not stop a run"),
    }
}

async fn end_job(app: &App, run: Uuid, job: Uuid, reason: EndReason) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let end = Finish::because(run, job, Ending::Cancelled, reason);
    let settled = finish(&mut tx, &[end], &[]).await?;
    Store::commit(tx).await?;
    announce(app, &settled);
    app.dispatch.wake();
    Ok(())
}
