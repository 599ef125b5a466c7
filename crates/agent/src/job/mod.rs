//! One job from dispatch to end: its folder, its process, its messages.
//!
//! `dispatch` says what to run (`evaluate` for jobs that only compute something), `process` runs it, `voice` puts into words what happens, `task` connects
//! them; `agent` reads its [`Note`]s when there is room for them and may cancel at any time.

mod afterlife;
mod death;
mod dispatch;
mod evaluate;
mod orphans;
mod proc;
mod process;
mod task;
mod voice;
mod workdir;

use std::sync::Arc;

use kici_exec::spec::JobOrder;
use kici_protocol::agent::{FromAgent, JobDispatch, JobState};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::JobDefaults;
use crate::metrics::Metrics;
use crate::outbox::ProcessRecord;

pub(crate) use afterlife::clean_up;
pub use orphans::become_subreaper;
pub(crate) use process::JobProcess;
pub use process::Launcher;
pub(crate) use voice::{Voice, id};
pub(crate) use workdir::sweep;

use task::Task;

/// Notes that wait for the agent; more and the job's output waits in its pipe.
const NOTES: usize = 64;
const CANCELS: usize = 4;
/// Answers to the job's own questions.
const ANSWERS: usize = 256;

/// Something the job has to say.
#[derive(Debug)]
pub(crate) enum Note {
    /// The job has a process.
    Process(ProcessRecord),
    /// To be told.
    Fact(Box<FromAgent>),
    /// Lines of log.
    Log { step: i64, lines: Vec<String> },
    /// A question to the orchestrator.
    Request { id: u64, method: String, params: Value },
    /// The last note.
    Ended { state: JobState, status: Box<FromAgent> },
}

/// What a job needs besides its dispatch.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) launcher: Launcher,
    /// A process that was started before, if there is one.
    pub(crate) warm: Option<JobProcess>,
    pub(crate) defaults: JobDefaults,
    pub(crate) labels: Vec<String>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The agent's end of a running job. Dropping it kills the job.
#[derive(Debug)]
pub(crate) struct Job {
    notes: mpsc::Receiver<Note>,
    cancels: mpsc::Sender<JobOrder>,
    answers: mpsc::Sender<JobOrder>,
    kill: CancellationToken,
}

impl Job {
    /// Starts a job; `tracker` knows when its folder is gone, too.
    pub(crate) fn start(
        dispatch: Box<JobDispatch>,
        voice: Voice,
        surroundings: Surroundings,
        tracker: &TaskTracker,
    ) -> Self {
        let (notes_in, notes) = mpsc::channel(NOTES);
        let (cancels, cancels_out) = mpsc::channel(CANCELS);
        let (answers, answers_out) = mpsc::channel(ANSWERS);
        let kill = CancellationToken::new();
        let task = Task {
            dispatch,
            voice,
            notes: notes_in,
            cancels: cancels_out,
            answers: answers_out,
            kill: kill.clone(),
            surroundings,
        };
        tracker.spawn(task.run());
        Self { notes, cancels, answers, kill }
    }

    /// The next note; `None` after [`Note::Ended`].
    pub(crate) async fn note(&mut self) -> Option<Note> {
        self.notes.recv().await
    }

    /// Asks the job to stop.
    pub(crate) fn cancel(&self, force: bool, reason: String) {
        // Full means that several cancels are on their way already.
        let _ = self.cancels.try_send(JobOrder::Cancel { force, reason });
    }

    /// Hands over an answer.
    pub(crate) fn answer(&self, id: u64, result: Result<Value, String>) {
        if self.answers.try_send(JobOrder::Answer { id, result }).is_err() {
            tracing::warn!("the job takes no answers; it will run into its own time limit");
        }
    }

    /// Kills the job process now.
    pub(crate) fn kill(&self) {
        self.kill.cancel();
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill.cancel();
    }
}
