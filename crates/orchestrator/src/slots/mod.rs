//! Concurrency groups: how many runs of a group may work at once, and what becomes of the others.
//!
//! A run whose group is known when it is made gets its place ([`kici_store::slot`]) with its rows and holds no agent
//! while it waits; one whose group only an agent can tell gets it when the agent asks (`report`). `decide` says who of a
//! group may work (pure), `look` carries it out under the group's lock. Nothing gives a place back: a place is free when
//! its run has ended. Woken by whatever makes or ends a run, and every second in any case.

mod decide;
mod look;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kici_store::slot::{SlotRow, slot_active, slot_groups};
use kici_store::{Store, StoreError};
use tokio::sync::Notify;
use tracing::warn;
use uuid::Uuid;

use crate::app::App;
use crate::logging::Chain;

pub(crate) use report::{Answer, report};

/// How often groups are looked at without being asked to.
const LOOK: Duration = Duration::from_secs(1);

/// Groups of one pass.
const GROUPS: i64 = 500;

/// The way to wake the pass.
pub(crate) struct Slots {
    woken: Arc<Notify>,
    /// Something waited at the last pass: only then is an end of interest.
    waiting: AtomicBool,
}

/// The task to be.
pub(crate) struct Work {
    woken: Arc<Notify>,
}

impl Slots {
    pub(crate) fn new() -> (Slots, Work) {
        let woken = Arc::new(Notify::new());
        (Slots { woken: Arc::clone(&woken), waiting: AtomicBool::new(true) }, Work { woken })
    }

    /// Says that something wants a place.
    pub(crate) fn wake(&self) {
        self.waiting.store(true, Ordering::Relaxed);
        self.woken.notify_one();
    }

    /// Says that runs or jobs have ended or have become ready.
    pub(crate) fn moved(&self) {
        if self.waiting.load(Ordering::Relaxed) {
            self.woken.notify_one();
        }
    }
}

impl Work {
    pub(crate) fn spawn(self, app: &App) {
        app.spawn(run(app.clone(), self.woken));
    }
}

/// The place of a run in the group of its workflow.
pub(crate) fn of_run(routing_key: &str, run: Uuid, name: &str, max: u32, cancel: bool) -> SlotRow {
    SlotRow {
        holder: run,
        run_id: run,
        job_id: None,
        group_key: format!("workflow\n{routing_key}\n{name}"),
        name: name.to_owned(),
        max: i32::try_from(max).unwrap_or(i32::MAX),
        cancel,
        asked: false,
    }
}

/// The place of a job in its own group, in which one job works at a time.
pub(crate) fn of_job(routing_key: &str, run: Uuid, job: Uuid, name: &str) -> SlotRow {
    SlotRow {
        holder: job,
        job_id: Some(job),
        group_key: format!("job\n{routing_key}\n{name}"),
        ..of_run(routing_key, run, name, 1, false)
    }
}

async fn run(app: App, woken: Arc<Notify>) {
    let mut timer = tokio::time::interval(LOOK);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = woken.notified() => {}
            _ = timer.tick() => {}
        }
        if let Err(error) = pass(&app).await {
            warn!(error = %Chain(&error), "could not look after concurrency groups, trying again");
        }
    }
}

async fn pass(app: &App) -> Result<(), StoreError> {
    let groups = {
        let mut conn = app.store.connection().await?;
        slot_groups(&mut conn, GROUPS).await?
    };
    app.slots.waiting.store(!groups.is_empty(), Ordering::Relaxed);
    for group in groups {
        let mut tx = app.store.begin().await?;
        let looked = look::look(&mut tx, &group, app.config.queue.concurrency_wait).await?;
        Store::commit(tx).await?;
        looked.carry_out(app).await;
    }
    tell(app).await
}

/// Agents that were told to wait and whose runs have a place now.
async fn tell(app: &App) -> Result<(), StoreError> {
    let parked = app.agents.parked();
    if parked.is_empty() {
        return Ok(());
    }
    let runs: Vec<Uuid> = parked.iter().map(|(_, run, _)| *run).collect();
    let active = {
        let mut conn = app.store.connection().await?;
        slot_active(&mut conn, &runs).await?
    };
    for (agent, run, job) in parked {
        if active.contains(&run) {
            agent.go_on(run, job);
        }
    }
    Ok(())
}
