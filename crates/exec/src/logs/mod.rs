//! Turns what a job prints into [`JobEvent::Log`]: masked, in lines, batched, bounded.
//!
//! `stream` cuts bytes into lines; `step_log` batches the lines of one index, caps them and sends them.
//! Whoever reads from a process awaits [`StepLog::settle`] after each block: the bounded event channel
//! then slows the process down. What JavaScript prints cannot be slowed down; the cap bounds it.

mod step_log;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::mask::Masker;
use crate::spec::JobEvent;

pub(crate) use step_log::StepLog;
pub(crate) use stream::LogStream;

/// Default log cap of one step.
const DEFAULT_CAP: u64 = 10 * 1024 * 1024;

/// Makes the logs of one job.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    masker: Arc<Masker>,
    events: mpsc::Sender<JobEvent>,
    cap: u64,
    runtime: Handle,
    closed: Arc<AtomicBool>,
}

impl Logs {
    /// Logs that go to `events`, at most `cap` bytes per index.
    pub(crate) fn new(
        masker: Arc<Masker>,
        events: mpsc::Sender<JobEvent>,
        cap: Option<u64>,
    ) -> Self {
        Self {
            masker,
            events,
            cap: cap.unwrap_or(DEFAULT_CAP),
            runtime: Handle::current(),
            closed: Arc::default(),
        }
    }

    /// Drops whatever background processes may still say: the job has ended.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The log of one index.
    pub(crate) fn open(&self, index: i64) -> Arc<StepLog> {
        StepLog::new(self.clone(), index)
    }
}
