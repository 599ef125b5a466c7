//! Removes ended runs, settled deliveries and entries of the access log after the time that the operator set. For the
//! leader only, beside its other passes, as a pass may take long.
//!
//! Nothing is removed unless a time is set. `walk` goes over old rows, `logs` sees to what is in storage, `contents` to
//! workflows and selectors that nobody names any more. Each transaction removes a bounded number, so that nobody waits
//! for it, and notes which logs are to go with it: after a crash neither a row without its log nor a log without a row is
//! left for ever.

mod contents;
mod logs;
mod walk;

use std::time::{Duration, Instant};

use kici_store::leader::{Leader, leader_confirm};
use kici_store::retention::access_log_delete;
use kici_store::retention_view::retention_note;
use kici_store::{PgConnection, Store, StoreError};
use tracing::info;

use super::report;
use crate::app::App;

/// Between two passes …
const PAUSE: Duration = Duration::from_secs(60);

/// … unless the last one left something.
const SHORT: Duration = Duration::from_secs(1);

/// Looks of one pass at one kind of thing.
const LOOKS: usize = 20;

/// Entries of the access log of one transaction: nothing hangs on them, and there are many.
const ENTRIES: i64 = 2000;

/// How far one kind of thing was seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Nothing is left for now.
    Done,
    /// There may be more.
    More,
    /// Another orchestrator leads now.
    Deposed,
}

/// Runs until the process stops.
pub(super) async fn keep(app: App) {
    let mut passes = Passes::default();
    let mut look = super::timer(SHORT);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = look.tick() => {}
        }
        match app.leader.lease() {
            Some(leader) => passes.pass(&app, &leader).await,
            None => passes.rest(&app),
        }
    }
}

#[derive(Debug, Default)]
struct Passes {
    due: Option<Instant>,
    runs: walk::Runs,
    deliveries: walk::Deliveries,
    logs: logs::Logs,
}

impl Passes {
    /// Forgets how far it came: somebody else goes on.
    fn rest(&mut self, app: &App) {
        if self.due.is_some() {
            *self = Passes::default();
            app.metrics.set_logs_stored(0);
        }
    }

    async fn pass(&mut self, app: &App, leader: &Leader) {
        if self.due.is_some_and(|due| due > Instant::now()) {
            return;
        }
        let started = Instant::now();
        let keep = &app.config.retention;
        let mut done = Vec::new();
        if let Some(keep) = keep.runs {
            done.push(("remove old runs", self.runs.pass(app, leader, keep).await));
        }
        done.push(("remove logs of runs that are gone", self.logs.remove(app, leader).await));
        if let Some(keep) = keep.deliveries {
            done.push(("remove old deliveries", self.deliveries.pass(app, leader, keep).await));
        }
        if let Some(keep) = keep.access_log {
            done.push(("remove old entries of the access log", entries(app, leader, keep).await));
        }
        if let Some(keep) = keep.runs {
            done.push(("look for logs without a run", self.logs.sweep(app, keep).await));
        }
        done.push(("add up what logs take", self.logs.count(app, leader).await));
        let failed = done.iter().any(|(_, pass)| pass.is_err());
        app.metrics.cleanup(!failed, started.elapsed());
        let more = !failed && done.iter().any(|(_, pass)| matches!(pass, Ok(Pass::More)));
        self.due = Some(Instant::now() + if more { SHORT } else { PAUSE });
        for (what, pass) in done {
            report(what, pass.map(drop));
        }
    }
}

/// Removes what is old of the access log.
async fn entries(app: &App, leader: &Leader, keep: Duration) -> Result<Pass, StoreError> {
    let mut removed = Removed::of("access_log");
    let mut pass = Pass::More;
    for _ in 0..LOOKS {
        let mut tx = app.store.begin().await?;
        if !leader_confirm(&mut tx, leader).await? {
            return Ok(Pass::Deposed);
        }
        let gone = access_log_delete(&mut tx, keep.as_secs_f64(), ENTRIES).await?;
        removed.note(&mut tx, gone).await?;
        Store::commit(tx).await?;
        removed.count(app, gone);
        if gone == 0 {
            pass = Pass::Done;
            break;
        }
    }
    removed.end(app, "old entries of the access log").await?;
    Ok(pass)
}

/// How many of one kind a pass has removed.
struct Removed {
    kind: &'static str,
    count: u64,
}

impl Removed {
    fn of(kind: &'static str) -> Removed {
        Removed { kind, count: 0 }
    }

    /// Notes it in the transaction that removes them.
    async fn note(&self, conn: &mut PgConnection, gone: u64) -> Result<(), StoreError> {
        if gone == 0 { Ok(()) } else { retention_note(conn, self.kind, gone).await }
    }

    /// Counts it once that is committed.
    fn count(&mut self, app: &App, gone: u64) {
        app.metrics.removed(self.kind, gone);
        self.count += gone;
    }

    /// The end of a pass.
    async fn end(self, app: &App, what: &str) -> Result<(), StoreError> {
        if self.count > 0 {
            info!(removed = self.count, kind = self.kind, "{what} were removed");
        }
        let mut conn = app.store.connection().await?;
        retention_note(&mut conn, self.kind, 0).await
    }
}
