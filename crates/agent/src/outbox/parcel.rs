//! All that is still to be told about one job: its facts, its log, and the folder that has both.
//!
//! The folder holds the journal `facts` (what the job is, what was said, what was told of it) and the
//! files of the `spool`. It goes when everything was told.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kici_protocol::agent::{FromAgent, JobRef, LogChunk};
use serde::{Deserialize, Serialize};

use super::facts::{Fact, Facts, Told};
use super::gather::Gather;
use super::journal::{Journal, Record};
use super::spool::{Chunk, Spool};
use crate::now;

/// Name of the journal in a parcel's folder.
const FACTS: &str = "facts";

/// Kinds of records in the journal.
mod kind {
    pub(super) const JOB: u8 = 1;
    pub(super) const FACT: u8 = 2;
    pub(super) const TERMINAL: u8 = 3;
    pub(super) const PROCESS: u8 = 4;
    /// The fact at this position was told.
    pub(super) const TOLD: u8 = 5;
    /// Log chunks up to this `seq` were told.
    pub(super) const LOGS_TOLD: u8 = 6;
    /// The agent was killed while the job ran: its end is only that.
    pub(super) const KILLED: u8 = 7;
    /// The job was told to stop: its end may be only that.
    pub(super) const STOPPING: u8 = 8;
}

/// Whose processes to look for after a crash of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessRecord {
    /// The job process, which leads a process group.
    pub(crate) pid: i32,
    /// Its start in clock ticks since boot, because numbers of processes are used again.
    pub(crate) started: Option<u64>,
    /// Numbers mean nothing after another boot.
    pub(crate) boot: Option<String>,
    /// The job's own folders; its steps carry a path in the last one in their environment.
    pub(crate) folders: Vec<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    run_id: String,
    job_id: String,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) job: JobRef,
    /// Distinguishes parcels, also of the same job.
    pub(super) number: u64,
    folder: Option<PathBuf>,
    journal: Option<Journal>,
    facts: Facts,
    pub(super) gather: Gather,
    spool: Spool,
    /// Log chunks handed out and not reported as written.
    in_flight: std::collections::VecDeque<u64>,
    has_end: bool,
    killed: bool,
    stopping: bool,
    process: Option<ProcessRecord>,
}

impl Parcel {
    /// A new parcel; without `folder` it is kept in memory. An error says why it is, too.
    pub(super) fn begin(
        number: u64,
        job: JobRef,
        folder: Option<PathBuf>,
    ) -> (Self, io::Result<()>) {
        let made = match &folder {
            None => Ok(None),
            Some(folder) => make(folder, &job).map(Some),
        };
        let (journal, result) = match made {
            Ok(journal) => (journal, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let folder = folder.filter(|_| journal.is_some());
        let parcel = Self {
            job,
            number,
            spool: Spool::new(folder.clone()),
            folder,
            journal,
            facts: Facts::default(),
            gather: Gather::default(),
            in_flight: std::collections::VecDeque::new(),
            has_end: false,
            killed: false,
            stopping: false,
            process: None,
        };
        (parcel, result)
    }

    /// What an earlier process left; `None` if nobody can say which job it was.
    pub(super) fn recover(number: u64, folder: PathBuf) -> io::Result<Option<Self>> {
        let mut head: Option<Head> = None;
        let mut process = None;
        let mut facts: Vec<(u64, String, bool, usize)> = Vec::new();
        let mut told = Vec::new();
        let mut logs_told = 0;
        let (mut has_end, mut killed, mut stopping) = (false, false, false);
        let visit = |record: Record| match record.kind {
            kind::JOB => head = serde_json::from_slice(&record.body).ok(),
            kind::PROCESS => process = serde_json::from_slice(&record.body).ok(),
            kind::FACT | kind::TERMINAL => {
                let terminal = record.kind == kind::TERMINAL;
                has_end |= terminal;
                if let Some(id) = message_id(&record.body) {
                    facts.push((record.at, id, terminal, record.body.len()));
                }
            }
            kind::TOLD => told.extend(number_of(&record.body)),
            kind::LOGS_TOLD => logs_told = number_of(&record.body).unwrap_or(logs_told),
            kind::KILLED => killed = true,
            kind::STOPPING => stopping = true,
            _ => {}
        };
        let (journal, cut) = Journal::open(folder.join(FACTS), visit)?;
        let Some(head) = head else { return Ok(None) };
        let (spool, log_cut) = Spool::recover(&folder, logs_told)?;
        if cut + log_cut > 0 {
            tracing::warn!(
                job.id = head.job_id,
                "cut {} torn bytes off the outbox in {}",
                cut + log_cut,
                folder.display()
            );
        }
        let mut queue = Facts::default();
        for (at, id, terminal, bytes) in facts {
            if !told.contains(&at) {
                queue.push(Fact::on_disk(at, id, terminal, bytes));
            }
        }
        Ok(Some(Self {
            job: JobRef { run_id: head.run_id, job_id: head.job_id },
            number,
            spool,
            folder: Some(folder),
            journal: Some(journal),
            facts: queue,
            gather: Gather::default(),
            in_flight: std::collections::VecDeque::new(),
            has_end,
            killed,
            stopping,
            process,
        }))
    }

    /// Notes whose processes they are.
    pub(super) fn note_process(&mut self, process: &ProcessRecord) -> io::Result<()> {
        let body = serde_json::to_vec(process).expect("a record has string keys");
        self.process = Some(process.clone());
        self.write(kind::PROCESS, &body).map(|_| ())
    }

    /// The processes noted.
    pub(super) fn process(&self) -> Option<&ProcessRecord> {
        self.process.as_ref()
    }

    /// Notes that the agent was killed while the job ran.
    pub(super) fn note_killed(&mut self) -> io::Result<()> {
        self.killed = true;
        self.write(kind::KILLED, &[]).map(|_| ())
    }

    /// Whether the agent was killed while the job ran.
    pub(super) fn is_killed(&self) -> bool {
        self.killed
    }

    /// Notes that the job was told to stop.
    pub(super) fn note_stopping(&mut self) -> io::Result<()> {
        self.stopping = true;
        self.write(kind::STOPPING, &[]).map(|_| ())
    }

    /// Whether the job was told to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether the job's end is known.
    pub(super) fn has_end(&self) -> bool {
        self.has_end
    }

    /// Whether the job's end was not told yet.
    pub(super) fn is_untold(&self) -> bool {
        self.facts.has_terminal()
    }

    /// Adds a fact. An error says why it is kept in memory.
    pub(super) fn push(&mut self, message: &FromAgent, terminal: bool) -> io::Result<()> {
        let text = message.to_text();
        // What follows the end of the job changes nothing any more.
        let id = kept_by(message).filter(|_| !self.has_end);
        self.has_end |= terminal;
        let at = if id.is_some() {
            self.write(if terminal { kind::TERMINAL } else { kind::FACT }, text.as_bytes())
        } else {
            Ok(None)
        };
        let (at, result) = match at {
            Ok(at) => (at, Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.facts.push(Fact::new(text, id, at, terminal));
        result
    }

    fn write(&mut self, kind: u8, body: &[u8]) -> io::Result<Option<u64>> {
        self.journal.as_mut().map(|journal| journal.append(kind, body)).transpose()
    }

    /// Makes chunks of lines that ought not to wait in memory any longer.
    pub(super) fn spill(&mut self, now: Instant) -> io::Result<()> {
        let mut result = Ok(());
        while let Some((step, lines)) = self.gather.overdue(now) {
            let added = self.form(step, lines);
            result = result.and(added);
        }
        result
    }

    /// Makes the next chunk that is due, if nothing waits before it.
    pub(super) fn form_due(&mut self, now: Instant) -> io::Result<()> {
        if self.spool.has_more() {
            return Ok(());
        }
        match self.gather.due(now) {
            Some((step, lines)) => self.form(step, lines),
            None => Ok(()),
        }
    }

    fn form(&mut self, step: i64, lines: Vec<String>) -> io::Result<()> {
        let text = self.chunk(step, lines, self.spool.next_seq());
        self.spool.add(text)
    }

    fn chunk(&self, step_index: i64, lines: Vec<String>, seq: u64) -> String {
        FromAgent::LogChunk(LogChunk {
            message_id: uuid::Uuid::new_v4().to_string(),
            run_id: self.job.run_id.clone(),
            job_id: self.job.job_id.clone(),
            step_index,
            lines,
            timestamp: now::epoch_ms(),
            seq: Some(seq),
        })
        .to_text()
    }

    /// The next log chunk to write.
    pub(super) fn next_log(&mut self) -> Option<String> {
        let (seq, chunk) = self.spool.hand_out()?;
        self.in_flight.push_back(seq);
        Some(match chunk {
            Chunk::Text(text) => text,
            Chunk::Lost(error) => {
                tracing::error!(%error, job.id = self.job.job_id, "a piece of a job's log is lost");
                let line = "[kici] a piece of the log is missing here: the agent's disk lost it";
                self.chunk(-1, vec![line.to_owned()], seq)
            }
        })
    }

    /// The oldest log chunk handed out was written.
    pub(super) fn log_written(&mut self, keep: bool) -> io::Result<()> {
        match self.in_flight.pop_front() {
            Some(seq) if !keep => self.logs_told(seq),
            Some(_) | None => Ok(()),
        }
    }

    /// Log chunks up to `seq` were told.
    pub(super) fn logs_told(&mut self, seq: u64) -> io::Result<()> {
        if seq <= self.spool.told_up_to() {
            return Ok(());
        }
        self.spool.told(seq);
        let told = self.spool.told_up_to();
        self.write(kind::LOGS_TOLD, &told.to_le_bytes()).map(|_| ())
    }

    /// Whether all of the log was written (not: stored) so far.
    pub(super) fn log_is_out(&self) -> bool {
        self.gather.is_empty() && !self.spool.has_more() && self.in_flight.is_empty()
    }

    /// Whether a chunk waits to be handed out.
    pub(super) fn has_log(&self) -> bool {
        self.spool.has_more()
    }

    /// The next fact to write: its size, and whether it ends the job.
    pub(super) fn next_fact(&self) -> Option<(usize, bool)> {
        self.facts.next()
    }

    /// Hands it out.
    pub(super) fn take_fact(&mut self) -> Option<String> {
        self.facts.hand_out(self.journal.as_mut())
    }

    /// The oldest fact handed out was written; true if it is the job's end.
    pub(super) fn fact_written(&mut self, keep: bool) -> bool {
        self.facts.written(keep).is_some_and(Fact::is_terminal)
    }

    /// A fact was acknowledged; false if it is not one of ours.
    pub(super) fn acknowledge(&mut self, id: &str) -> bool {
        self.facts.acknowledge(id)
    }

    /// Lets go of what was told; true if the job's end is among it.
    pub(super) fn settle(&mut self) -> bool {
        let mut end = false;
        for Told { at, terminal } in self.facts.take_told() {
            end |= terminal;
            if let Some(at) = at
                && let Err(error) = self.write(kind::TOLD, &at.to_le_bytes())
            {
                // It would be told once more after a crash, which is harmless.
                tracing::debug!(%error, "cannot note what was told");
            }
        }
        end
    }

    /// Whether nothing is left to be told and nothing will come.
    pub(super) fn is_done(&self) -> bool {
        self.has_end && self.is_empty()
    }

    /// Whether nothing is left to be told for now.
    pub(super) fn is_empty(&self) -> bool {
        self.facts.len() == 0 && self.gather.is_empty() && self.spool.waiting() == 0
    }

    /// Facts and chunks that wait.
    pub(super) fn waiting(&self) -> usize {
        let chunks = usize::try_from(self.spool.waiting()).unwrap_or(usize::MAX);
        self.facts.len() + self.gather.chunks() + chunks
    }

    /// What was not told has to go again.
    pub(super) fn rewind(&mut self) {
        self.facts.rewind();
        self.spool.rewind();
        self.in_flight.clear();
    }

    /// Bytes on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.spool.disk_bytes() + self.journal.as_ref().map_or(0, Journal::len)
    }

    /// Log bytes that only the memory has.
    pub(super) fn memory_bytes(&self) -> usize {
        self.gather.bytes() + self.spool.memory_bytes()
    }

    /// Lets go of descriptors while it waits.
    pub(super) fn park(&mut self) {
        self.spool.park();
        if let Some(journal) = &mut self.journal {
            journal.park();
        }
    }

    /// Removes its folder.
    pub(super) fn remove(mut self) {
        self.spool.forget_files();
        if let Some(journal) = self.journal.take() {
            journal.remove();
        }
        if let Some(folder) = &self.folder
            && let Err(error) = std::fs::remove_dir(folder)
        {
            tracing::warn!(%error, "cannot remove {}", folder.display());
        }
    }
}

fn make(folder: &Path, job: &JobRef) -> io::Result<Journal> {
    std::fs::create_dir(folder)?;
    let head = Head { run_id: job.run_id.clone(), job_id: job.job_id.clone() };
    let body = serde_json::to_vec(&head).expect("a record has string keys");
    let made = Journal::create(folder.join(FACTS))
        .and_then(|mut journal| journal.append(kind::JOB, &body).map(|_| journal));
    if made.is_err() {
        // Half a folder would be found by the next start.
        let _ = std::fs::remove_dir_all(folder);
    }
    made
}

/// The id by which an orchestrator acknowledges a fact; others are not kept.
fn kept_by(message: &FromAgent) -> Option<String> {
    match message {
        FromAgent::JobAck(ack) => Some(ack.message_id.clone()),
        FromAgent::JobStatus(status) => Some(status.message_id.clone()),
        FromAgent::StepStatus(status) => Some(status.message_id.clone()),
        FromAgent::RunEvent(event) => event.message_id.clone(),
        _ => None,
    }
}

fn message_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identified {
        message_id: String,
    }
    serde_json::from_slice::<Identified>(body).ok().map(|message| message.message_id)
}

fn number_of(body: &[u8]) -> Option<u64> {
    body.try_into().ok().map(u64::from_le_bytes)
}
