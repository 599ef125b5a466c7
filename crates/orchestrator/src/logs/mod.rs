//! Logs of jobs: gathered in memory, sealed into objects, read from both.
//!
//! `buffer` holds the lines of one job until they are stored, `storage` keeps objects, `read` puts stored lines and
//! those in memory together. Lines never go into rows: a row only says in which object they lie.

mod buffer;
mod read;
mod storage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kici_protocol::agent::LogChunk;
use kici_store::log_chunk::{LogChunkRow, log_chunk_extent, log_chunk_insert};
use tokio::sync::Notify;
use tracing::{error, warn};
use uuid::Uuid;

use crate::app::App;
use crate::config::Config;
use crate::logging::Chain;
use buffer::{JobBuffer, Sealed};
use storage::Storage;

pub(crate) use read::{LogLine, read};

/// A job's lines are stored when there are this many bytes of them …
const SEAL_BYTES: usize = 1024 * 1024;

/// … or when the oldest has waited this long.
const SEAL_AFTER: Duration = Duration::from_secs(3);

/// Above this much in all buffers together every job is stored at once.
const BUFFERED: usize = 64 * 1024 * 1024;

/// A log that nobody writes leaves the memory after this time. What it sealed has long been indexed by then.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Said where lines may be missing: the orchestrator that had them in memory is gone.
const GAP: &str = "[log lines may be missing here: the orchestrator was restarted]";

/// All logs.
pub(crate) struct Logs {
    storage: Storage,
    jobs: Mutex<HashMap<Uuid, Arc<Job>>>,
}

/// The log of one job that is being written.
struct Job {
    buffer: tokio::sync::Mutex<JobBuffer>,
    /// Wakes followers.
    changed: Notify,
    touched: Mutex<Instant>,
}

impl Logs {
    pub(crate) fn open(config: &Config) -> anyhow::Result<Logs> {
        Ok(Logs { storage: Storage::open(config)?, jobs: Mutex::default() })
    }

    /// Takes lines of a step. A message that came before is dropped.
    pub(crate) async fn append(
        &self,
        app: &App,
        job: Uuid,
        attempt: i32,
        chunk: LogChunk,
        late: bool,
    ) {
        let entry = self.job(job);
        let mut buffer = entry.buffer.lock().await;
        // A new attempt that came the usual way has nothing stored; a late or adopted one may.
        if late && buffer.attempt() != Some(attempt) {
            resume(app, job, attempt, &mut buffer).await;
        }
        buffer.begin(attempt);
        let step = i32::try_from(chunk.step_index).unwrap_or(i32::MAX);
        buffer.push(step, chunk.timestamp, &chunk.message_id, &chunk.lines);
        *entry.touched.lock().expect("nothing panics while it is held") = Instant::now();
        entry.changed.notify_waiters();
        if late || buffer.pending_bytes() >= SEAL_BYTES || self.buffered() >= BUFFERED {
            self.store(app, job, &mut buffer).await;
        }
    }

    /// Stores what a job has in memory and answers the index rows, which the caller records together with the
    /// job's end.
    pub(crate) async fn seal(&self, app: &App, job: Uuid) -> Vec<LogChunkRow> {
        let Some(entry) = self.known(job) else { return Vec::new() };
        let mut buffer = entry.buffer.lock().await;
        match self.upload(app, job, &mut buffer).await {
            Some(sealed) => sealed.rows,
            None => Vec::new(),
        }
    }

    /// The index rows of an object are recorded: its lines can leave the memory.
    pub(crate) fn indexed(&self, job: Uuid, attempt: i32, object: i32) {
        let Some(entry) = self.known(job) else { return };
        // The caller writes batches and must not wait; a buffer in use drops the object with its next store.
        if let Ok(mut buffer) = entry.buffer.try_lock() {
            buffer.indexed(attempt, object);
        }
    }

    /// A job goes on with its agent. When it was logged by another process before, its numbering goes on from
    /// storage, and the possible gap is marked.
    pub(crate) async fn adopted(&self, app: &App, job: Uuid, attempt: i32) {
        let entry = self.job(job);
        let mut buffer = entry.buffer.lock().await;
        if buffer.attempt() == Some(attempt) {
            return;
        }
        resume(app, job, attempt, &mut buffer).await;
        let now = jiff::Timestamp::now().as_millisecond();
        buffer.push(-1, now, "", &[GAP.to_owned()]);
    }

    /// Wakes followers of a job that ended.
    pub(crate) fn job_ended(&self, job: Uuid) {
        if let Some(entry) = self.known(job) {
            entry.changed.notify_waiters();
        }
    }

    /// Waits until a job's log may have grown, at most `within`.
    pub(crate) async fn wait(&self, job: Uuid, within: Duration) {
        match self.known(job) {
            Some(entry) => {
                let _ = tokio::time::timeout(within, entry.changed.notified()).await;
            }
            // Its agent is connected to another orchestrator, or nothing was logged yet.
            None => tokio::time::sleep(within).await,
        }
    }

    /// Stores and indexes what a job has in memory.
    async fn store(&self, app: &App, job: Uuid, buffer: &mut JobBuffer) {
        let Some(sealed) = self.upload(app, job, buffer).await else { return };
        let written = async {
            let mut conn = app.store.connection().await?;
            log_chunk_insert(&mut conn, &sealed.rows).await
        };
        match written.await {
            Ok(()) => buffer.indexed(sealed.attempt, sealed.object),
            // The lines stay readable here, and the next try writes the same rows again.
            Err(error) => {
                warn!(job.id = %job, error = %Chain(&error), "could not index log lines, trying again");
                buffer.unindexed(sealed);
            }
        }
    }

    async fn upload(&self, app: &App, job: Uuid, buffer: &mut JobBuffer) -> Option<Sealed> {
        let sealed = buffer.seal(job)?;
        if let Err(error) =
            self.storage.put(job, sealed.attempt, sealed.object, sealed.bytes.clone()).await
        {
            error!(job.id = %job, error = %format!("{error:#}"), "could not store log lines, keeping them in memory");
            buffer.unsealed(sealed);
            return None;
        }
        app.metrics.log_stored(sealed.bytes.len() as u64);
        Some(sealed)
    }

    fn job(&self, job: Uuid) -> Arc<Job> {
        let mut jobs = self.jobs.lock().expect("nothing panics while it is held");
        Arc::clone(jobs.entry(job).or_insert_with(|| {
            Arc::new(Job {
                buffer: tokio::sync::Mutex::new(JobBuffer::default()),
                changed: Notify::new(),
                touched: Mutex::new(Instant::now()),
            })
        }))
    }

    fn known(&self, job: Uuid) -> Option<Arc<Job>> {
        self.jobs.lock().expect("nothing panics while it is held").get(&job).cloned()
    }

    fn all(&self) -> Vec<(Uuid, Arc<Job>)> {
        let jobs = self.jobs.lock().expect("nothing panics while it is held");
        jobs.iter().map(|(id, job)| (*id, Arc::clone(job))).collect()
    }

    fn buffered(&self) -> usize {
        buffer::TOTAL.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Goes on with the numbering of an attempt that has lines in storage.
async fn resume(app: &App, job: Uuid, attempt: i32, buffer: &mut JobBuffer) {
    let extent = async {
        let mut conn = app.store.connection().await?;
        log_chunk_extent(&mut conn, job, attempt).await
    };
    match extent.await {
        Ok((steps, object)) => buffer.resume(attempt, steps, object),
        Err(error) => {
            warn!(job.id = %job, error = %Chain(&error), "could not read how far a log goes");
            buffer.begin(attempt);
        }
    }
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
            if buffer.pending_bytes() > 0 && (stopping || buffer.waits_for() >= SEAL_AFTER) {
                app.logs.store(&app, id, &mut buffer).await;
            }
            let idle = job.touched.lock().expect("nothing panics while it is held").elapsed();
            if buffer.pending_bytes() == 0 && idle > FORGET_AFTER {
                drop(buffer);
                let mut jobs = app.logs.jobs.lock().expect("nothing panics while it is held");
                // Two references: the map's and this one. More means that somebody writes or follows.
                if Arc::strong_count(&job) == 2 {
                    jobs.remove(&id);
                }
            }
        }
        if stopping {
            return;
        }
    }
}
