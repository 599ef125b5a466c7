//! Puts the lines of a job into objects, and the objects into the index.
//!
//! An object is uploaded first. Its index rows are added at once, or together with the job's end by
//! [`crate::jobs`]. Only the orchestrator that an attempt's agent is connected to may add rows; what another one has
//! in memory is dropped when it finds out, as the agent has sent it to the right one again.

use std::time::{Duration, Instant};

use kici_store::StoreError;
use kici_store::log_chunk::{LogChunkRow, log_chunk_insert};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::buffer::{self, JobBuffer};
use super::storage::Object;
use super::{Job, Logs};
use crate::app::App;
use crate::logging::Chain;

/// A job's lines are stored when there are this many bytes of them …
const SEAL_BYTES: usize = 1024 * 1024;

/// … or when the oldest has waited this long.
const SEAL_AFTER: Duration = Duration::from_secs(3);

/// Above this much in all buffers together every job is stored at once.
const BUFFERED: usize = 64 * 1024 * 1024;

/// A log that nobody writes leaves the memory after this time.
const FORGET_AFTER: Duration = Duration::from_secs(60);

impl Logs {
    /// Stores what a job has in memory and answers the index rows, which the caller records together with the
    /// job's end.
    pub(crate) async fn seal(&self, app: &App, job: Uuid) -> Vec<LogChunkRow> {
        let Some(entry) = self.known(job) else { return Vec::new() };
        let mut buffer = entry.buffer.lock().await;
        self.upload(app, job, &entry, &mut buffer).await;
        buffer.queue_unindexed()
    }

    /// Stores and indexes what a job has in memory now.
    pub(crate) async fn settle(&self, app: &App, job: Uuid) {
        if let Some(entry) = self.known(job) {
            let mut buffer = entry.buffer.lock().await;
            self.store(app, job, &entry, &mut buffer).await;
        }
    }

    /// The index rows of objects are recorded: their lines can leave the memory, and the agent may forget them.
    pub(crate) fn indexed(&self, job: Uuid, objects: impl Iterator<Item = i32>) {
        let Some(entry) = self.known(job) else { return };
        for object in objects {
            entry.marks().indexed(object);
        }
        entry.tell(job);
        // The caller writes batches and must not wait; a buffer in use lets go with its next store.
        if let Ok(mut buffer) = entry.buffer.try_lock() {
            buffer.keep(|object| entry.marks().is_open(object));
        }
    }

    /// Another orchestrator writes this log now.
    pub(crate) async fn lost(&self, job: Uuid) {
        let Some(entry) = self.known(job) else { return };
        info!(job.id = %job, "the log of the job is written by another orchestrator now");
        *entry.buffer.lock().await = JobBuffer::default();
    }

    /// Whether it is time to store.
    pub(super) fn is_full(&self, buffer: &JobBuffer) -> bool {
        buffer.pending_bytes() >= SEAL_BYTES || buffer::total() >= BUFFERED
    }

    /// Stores and indexes what a job has in memory.
    pub(super) async fn store(&self, app: &App, job: Uuid, entry: &Job, buffer: &mut JobBuffer) {
        self.upload(app, job, entry, buffer).await;
        buffer.keep(|object| entry.marks().is_open(object));
        let rows = buffer.unindexed();
        if rows.is_empty() {
            return;
        }
        match insert(app, &rows).await {
            Ok(lost) if lost.is_empty() => {
                for row in &rows {
                    entry.marks().indexed(row.object);
                }
                buffer.keep(|object| entry.marks().is_open(object));
                entry.tell(job);
            }
            Ok(_) => {
                info!(job.id = %job, "the log of the job is written by another orchestrator now");
                *buffer = JobBuffer::default();
            }
            // The lines stay readable here, and the next try writes the same rows again.
            Err(error) => {
                warn!(job.id = %job, error = %Chain(&error), "could not index log lines, trying again");
            }
        }
    }

    async fn upload(&self, app: &App, job: Uuid, entry: &Job, buffer: &mut JobBuffer) {
        let Some(sealed) = buffer.seal(job, app.number) else { return };
        entry.marks().sealed(sealed.object, sealed.seq);
        let object = Object { number: sealed.object, writer: app.number };
        match self.storage.put(job, sealed.attempt, object, sealed.bytes.clone()).await {
            Ok(()) => app.metrics.log_stored(sealed.bytes.len() as u64),
            Err(error) => {
                error!(job.id = %job, error = %format!("{error:#}"), "could not store log lines, keeping them in memory");
                entry.marks().unsealed(sealed.object);
                buffer.unsealed(sealed);
            }
        }
    }
}

async fn insert(app: &App, rows: &[LogChunkRow]) -> Result<Vec<Uuid>, StoreError> {
    let mut conn = app.store.connection().await?;
    log_chunk_insert(&mut conn, app.number, rows).await
}

/// Stores what waits too long, and forgets logs that nobody writes any more.
pub(crate) fn spawn(app: &App) {
    app.spawn(keep_storing(app.clone()));
}

async fn keep_storing(app: App) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let stopping = tokio::select! {
            _ = tick.tick() => false,
            () = app.agents.all_gone(&app.stop) => true,
        };
        for (id, job) in app.logs.all() {
            let mut buffer = job.buffer.lock().await;
            let due = buffer.pending_bytes() > 0 && (stopping || buffer.waits_for() >= SEAL_AFTER);
            if due || !buffer.unindexed().is_empty() {
                app.logs.store(&app, id, &job, &mut buffer).await;
            }
            let idle = is_idle(&job);
            if idle && buffer.pending_bytes() == 0 && !buffer.has_unindexed() {
                drop(buffer);
                let mut jobs = app.logs.jobs.lock().expect("nothing panics while it is held");
                // Two references: the map's and this one. More means that somebody writes or follows.
                if std::sync::Arc::strong_count(&job) == 2 {
                    jobs.remove(&id);
                }
            }
        }
        if stopping {
            return;
        }
    }
}

fn is_idle(job: &Job) -> bool {
    let touched: Instant = *job.touched.lock().expect("nothing panics while it is held");
    touched.elapsed() > FORGET_AFTER
}
