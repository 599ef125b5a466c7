//! Logs of jobs: gathered in memory, sealed into objects, read from both.
//!
//! `buffer` holds the lines of one job until they are stored, `marks` knows which messages an agent may forget,
//! `sealing` stores and indexes, `storage` keeps objects, `read` puts stored lines and those in memory together,
//! `attempts` the logs of several attempts. Lines never go into rows: a row only says in which object they lie.

mod attempts;
mod buffer;
mod marks;
mod read;
mod sealing;
mod storage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use kici_protocol::agent::LogChunk;
use kici_store::StoreError;
use kici_store::log_chunk::{LogExtent, log_chunk_numbered, log_chunk_take_over};
use tokio::sync::Notify;
use tracing::warn;
use uuid::Uuid;

use crate::agents::Acks;
use crate::app::App;
use crate::config::Config;
use crate::logging::Chain;
use buffer::{JobBuffer, Push};
use marks::Marks;
use storage::Storage;

pub(crate) use attempts::read_all;
pub(crate) use read::{LogLine, read};
pub(crate) use sealing::spawn;

/// Said where lines may be missing: the orchestrator that had them in memory is gone, and the agent does not send
/// them again.
const GAP: &str = "[log lines may be missing here: the orchestrator was restarted]";

/// All logs.
pub(crate) struct Logs {
    storage: Storage,
    jobs: Mutex<HashMap<Uuid, Arc<Job>>>,
}

/// The log of one job that is being written.
struct Job {
    buffer: tokio::sync::Mutex<JobBuffer>,
    marks: Mutex<Marks>,
    /// The connection that learns what is durable.
    acks: Mutex<Option<Arc<Acks>>>,
    /// Wakes followers.
    changed: Notify,
    touched: Mutex<Instant>,
}

/// How a message of a log relates to what is known of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first one after a dispatch: nothing is stored.
    First,
    Next,
    /// After the end of the attempt.
    Late,
}

impl Logs {
    pub(crate) fn open(config: &Config) -> anyhow::Result<Logs> {
        Ok(Logs { storage: Storage::open(config)?, jobs: Mutex::default() })
    }

    /// Removes what is stored of a job's log; answers how many objects that were.
    pub(crate) async fn remove(&self, job: Uuid) -> anyhow::Result<usize> {
        self.storage.remove(job).await
    }

    /// The jobs that something is stored of, in one of 256 parts of the storage.
    pub(crate) async fn stored_in(&self, part: u8) -> anyhow::Result<Vec<Uuid>> {
        self.storage.jobs(part).await
    }

    /// Takes lines of a step. A message that came before is dropped.
    pub(crate) async fn append(
        &self,
        app: &App,
        (job, attempt): (Uuid, i32),
        chunk: LogChunk,
        place: Place,
        acks: &Arc<Acks>,
    ) {
        let entry = self.job(job);
        let mut buffer = entry.buffer.lock().await;
        if buffer.attempt() != Some(attempt) {
            self.put_away(app, job, &entry, &mut buffer).await;
            match place {
                Place::First => entry.begin(&mut buffer, attempt),
                // A log that was silent for long has left the memory.
                Place::Next | Place::Late => {
                    let stored = extent(app, job, attempt).await;
                    entry.resume(&mut buffer, attempt, stored);
                }
            }
        }
        entry.hears(acks);
        let step = i32::try_from(chunk.step_index).unwrap_or(i32::MAX);
        let (id, seq) = (&chunk.message_id, chunk.seq);
        let pushed = buffer.push(step, chunk.timestamp, id, seq, &chunk.lines);
        *entry.touched.lock().expect("nothing panics while it is held") = Instant::now();
        if pushed == Push::Known {
            return entry.tell(job);
        }
        entry.changed.notify_waiters();
        if buffer.pending_bytes() == 0 {
            entry.marks().empty(buffer.seq());
            entry.tell(job);
        } else if place == Place::Late || self.is_full(&buffer) {
            self.store(app, job, &entry, &mut buffer).await;
        }
    }

    /// A job goes on with its agent. When it was logged by another process before, its numbering goes on from
    /// storage. The possible gap is marked, unless the agent `keeps` what it is not told to be stored. When it goes on
    /// as another attempt than the one that this agent, `from`, was given, the agent's numbers go on all the same.
    pub(crate) async fn adopted(
        &self,
        app: &App,
        (job, attempt): (Uuid, i32),
        from: Option<&str>,
        acks: &Arc<Acks>,
        keeps: bool,
    ) {
        let entry = self.job(job);
        let mut buffer = entry.buffer.lock().await;
        entry.hears(acks);
        // The agent may have been elsewhere meanwhile, so that what is here is no longer all.
        let here = buffer.attempt() == Some(attempt);
        if !here {
            self.put_away(app, job, &entry, &mut buffer).await;
        }
        let mut stored = extent(app, job, attempt).await;
        if let (Some(agent), Some(stored)) = (from, &mut stored) {
            stored.seq = stored.seq.max(numbered(app, job, attempt, agent).await);
        }
        if here && stored.as_ref().is_none_or(|stored| !stored.taken_over) {
            return;
        }
        entry.resume(&mut buffer, attempt, stored);
        if keeps {
            entry.tell(job);
        } else {
            buffer.add(-1, jiff::Timestamp::now().as_millisecond(), &[GAP.to_owned()]);
        }
    }

    /// Stores what is left of an earlier attempt before another takes the buffer.
    async fn put_away(&self, app: &App, job: Uuid, entry: &Job, buffer: &mut JobBuffer) {
        if buffer.pending_bytes() > 0 || buffer.has_unindexed() {
            self.store(app, job, entry, buffer).await;
        }
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

    fn job(&self, job: Uuid) -> Arc<Job> {
        let mut jobs = self.jobs.lock().expect("nothing panics while it is held");
        Arc::clone(jobs.entry(job).or_insert_with(|| {
            Arc::new(Job {
                buffer: tokio::sync::Mutex::new(JobBuffer::default()),
                marks: Mutex::default(),
                acks: Mutex::default(),
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
}

impl Job {
    fn begin(&self, buffer: &mut JobBuffer, attempt: i32) {
        buffer.begin(attempt);
        *self.marks() = Marks::default();
    }

    fn resume(&self, buffer: &mut JobBuffer, attempt: i32, stored: Option<LogExtent>) {
        let Some(stored) = stored else { return self.begin(buffer, attempt) };
        *self.marks() = Marks::from(u64::try_from(stored.seq).unwrap_or(0));
        buffer.resume(attempt, stored);
    }

    /// This connection learns from now on what is durable.
    fn hears(&self, acks: &Arc<Acks>) {
        let mut hears = self.acks.lock().expect("nothing panics while it is held");
        if !hears.as_ref().is_some_and(|known| Arc::ptr_eq(known, acks)) {
            *hears = Some(Arc::clone(acks));
        }
    }

    /// Tells the agent what it may forget.
    fn tell(&self, job: Uuid) {
        let durable = self.marks().durable();
        if durable > 0
            && let Some(acks) = &*self.acks.lock().expect("nothing panics while it is held")
        {
            acks.logs(job, durable);
        }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().expect("nothing panics while it is held")
    }
}

/// Makes this process the one that writes the log of an attempt, and reads how far it goes. A job is not kept from
/// running by a log that cannot be read.
async fn extent(app: &App, job: Uuid, attempt: i32) -> Option<LogExtent> {
    let extent = async {
        let mut conn = app.store.connection().await?;
        log_chunk_take_over(&mut conn, job, attempt, app.number).await
    };
    match extent.await {
        Ok(stored) => Some(stored),
        Err(error) => {
            warn!(job.id = %job, error = %Chain(&error), "could not read how far a log goes");
            None
        }
    }
}

/// Up to which number the messages are stored that an agent sent about the attempt that it was given before.
async fn numbered(app: &App, job: Uuid, attempt: i32, agent: &str) -> i64 {
    let seq = async {
        let mut conn = app.store.connection().await?;
        log_chunk_numbered(&mut conn, job, attempt, agent).await
    };
    let seq: Result<i64, StoreError> = seq.await;
    seq.unwrap_or_else(|error| {
        warn!(job.id = %job, error = %Chain(&error), "could not read how far the log of an earlier attempt goes");
        0
    })
}
