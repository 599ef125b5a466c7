//! What is still to be told to the orchestrator, kept in files until it was.
//!
//! Each job has a [`parcel`](parcel): its *facts* (statuses, events) and its log. Facts go first in,
//! first out and never wait for log chunks, but for a job's terminal status, which waits until all of
//! its log was written. An orchestrator that acknowledges decides when something was told; with another
//! it was told when it was written to a registered socket. What was not told goes again after a
//! reconnect with the same text, `messageId` and `seq`, so that the other side can drop the repeat.

mod facts;
mod gather;
mod journal;
mod parcel;
mod recover;
mod spool;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kici_protocol::agent::{Ack, FromAgent, JobRef};

pub(crate) use gather::Gather;
use parcel::Parcel;
pub(crate) use parcel::ProcessRecord;

/// Frames handed to the writer and not yet reported as written.
const WINDOW: usize = 32;
/// The same for log frames, which are larger.
pub(crate) const LOG_WINDOW: usize = 4;
/// Log bytes that may wait in memory while there is a socket.
const MEMORY: usize = 1024 * 1024;
/// And while there is none, if the disk cannot be used.
const MEMORY_AWAY: usize = 8 * 1024 * 1024;
/// How long a terminal status waits after `register.ack` of an orchestrator that reconciles later.
pub(crate) const RECONCILE_TIME: Duration = Duration::from_millis(500);

/// A frame on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Reported back when it was written.
    pub(crate) ticket: u64,
    /// The text.
    pub(crate) text: String,
}

/// What became of what was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A job's end was written to a registered socket.
    Written(JobRef),
    /// A job's end need not be kept any longer.
    Stored(JobRef),
}

/// How it stands, for `/health` and the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Bytes in files.
    pub(crate) disk_bytes: u64,
    /// Jobs with something untold.
    pub(crate) jobs: usize,
    /// Why the disk is not used, if it is not.
    pub(crate) problem: Option<String>,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Outbox {
    folder: Option<PathBuf>,
    /// Bytes that log chunks may take on disk.
    limit: u64,
    /// Oldest first; the last one may be that of the running job.
    parcels: VecDeque<Parcel>,
    next_number: u64,
    /// Tickets of facts at the writer, with the number of their parcel.
    facts_out: VecDeque<(u64, u64)>,
    logs_out: VecDeque<(u64, u64)>,
    next_ticket: u64,
    /// No terminal status before this.
    terminal_from: Option<Instant>,
    /// The orchestrator acknowledges.
    acknowledges: bool,
    problem: Option<String>,
}

impl Outbox {
    /// Empty. Without a folder everything is kept in memory.
    pub(crate) fn new(folder: Option<PathBuf>, limit: u64) -> Self {
        Self {
            folder,
            limit,
            parcels: VecDeque::new(),
            next_number: 1,
            facts_out: VecDeque::new(),
            logs_out: VecDeque::new(),
            next_ticket: 1,
            terminal_from: None,
            acknowledges: false,
            problem: None,
        }
    }

    /// What follows is about this job. An older parcel of the same job is dropped: the orchestrator has
    /// given it out anew, so what the last attempt had to say would be taken for this one's.
    pub(crate) fn begin(&mut self, job: JobRef) {
        self.drop_parcels(|parcel| parcel.job.job_id == job.job_id);
        if let Some(last) = self.parcels.back_mut() {
            last.park();
        }
        let number = self.next_number;
        self.next_number += 1;
        let folder = self.folder.as_ref().map(|folder| folder.join(format!("{number:012}")));
        let (parcel, result) = Parcel::begin(number, job, folder);
        self.parcels.push_back(parcel);
        self.note(result);
    }

    /// Tells the end of a job that was never begun here, in memory alone.
    pub(crate) fn refuse(&mut self, job: &JobRef, messages: &[FromAgent], end: &FromAgent) {
        if self.parcels.iter().any(|parcel| parcel.job.job_id == job.job_id) {
            return; // it is being told already
        }
        let number = self.next_number;
        self.next_number += 1;
        let (mut parcel, _in_memory) = Parcel::begin(number, job.clone(), None);
        for message in messages {
            let _in_memory = parcel.push(message, false);
        }
        let _in_memory = parcel.push(end, true);
        // Before the running job's, which has to stay the last.
        let at = self.parcels.len() - usize::from(self.running().is_some());
        self.parcels.insert(at, parcel);
    }

    /// Notes whose processes the running job's are.
    pub(crate) fn note_process(&mut self, process: &ProcessRecord) {
        let result = self.current().map_or(Ok(()), |parcel| parcel.note_process(process));
        self.note(result);
    }

    /// Notes that the running job was told to stop.
    pub(crate) fn note_stopping(&mut self) {
        let result = self.current().map_or(Ok(()), Parcel::note_stopping);
        self.note(result);
    }

    /// Keeps a fact of the last job until it was told.
    pub(crate) fn push(&mut self, message: &FromAgent) {
        let result = self.current().map_or(Ok(()), |parcel| parcel.push(message, false));
        self.note(result);
    }

    /// Keeps the end of the running job until all of its log and then itself was told.
    pub(crate) fn push_terminal(&mut self, message: &FromAgent, now: Instant) {
        let Some(parcel) = self.parcels.back_mut() else { return };
        parcel.gather.flush(now);
        let result = parcel.spill(now).and(parcel.push(message, true));
        self.note(result);
    }

    /// Log lines of the last job.
    pub(crate) fn logs(&mut self) -> Option<&mut Gather> {
        self.current().map(|parcel| &mut parcel.gather)
    }

    /// Whether there is a place for more log.
    pub(crate) fn has_room(&self, connected: bool) -> bool {
        let memory = self.memory_bytes();
        // With a disk the memory only holds what is about to be written there.
        let limit = if connected || self.uses_disk() { MEMORY } else { MEMORY_AWAY };
        memory < limit && self.disk_bytes() < self.limit
    }

    /// Whether what was stuck has moved on so far that dropping may end.
    pub(crate) fn has_much_room(&self) -> bool {
        self.memory_bytes() < MEMORY / 2 && self.disk_bytes() < self.limit / 4 * 3
    }

    /// Brings lines to the disk that should not wait in memory.
    pub(crate) fn spill(&mut self, now: Instant) {
        if !self.uses_disk() {
            return;
        }
        let result = self.current().map_or(Ok(()), |parcel| parcel.spill(now));
        self.note(result);
    }

    /// Size of the next fact, if one may go.
    pub(crate) fn next_fact_len(&self, now: Instant) -> Option<usize> {
        self.ready_fact(now).map(|(_, bytes)| bytes)
    }

    /// The next fact to write, if one may go.
    pub(crate) fn next_fact(&mut self, now: Instant) -> Option<Frame> {
        loop {
            let (index, _) = self.ready_fact(now)?;
            let parcel = &mut self.parcels[index];
            let number = parcel.number;
            let Some(text) = parcel.take_fact() else {
                // It cannot be read any more: as good as told, for nobody can tell it.
                parcel.fact_written(false);
                continue;
            };
            let ticket = self.ticket();
            self.facts_out.push_back((ticket, number));
            return Some(Frame { ticket, text });
        }
    }

    fn ready_fact(&self, now: Instant) -> Option<(usize, usize)> {
        if self.facts_out.len() >= WINDOW {
            return None;
        }
        let too_early = self.terminal_from.is_some_and(|from| now < from);
        self.parcels.iter().enumerate().find_map(|(index, parcel)| {
            let (bytes, terminal) = parcel.next_fact()?;
            (!terminal || (parcel.log_is_out() && !too_early)).then_some((index, bytes))
        })
    }

    /// The next log frame, if one is due and the writer has room.
    pub(crate) fn next_log(&mut self, now: Instant) -> Option<Frame> {
        if self.logs_out.len() >= LOG_WINDOW {
            return None;
        }
        let index = match self.parcels.iter().position(Parcel::has_log) {
            Some(index) => index,
            None => {
                let last = self.parcels.len().checked_sub(1)?;
                let result = self.parcels[last].form_due(now);
                self.note(result);
                last
            }
        };
        let text = self.parcels[index].next_log()?;
        let ticket = self.ticket();
        self.logs_out.push_back((ticket, self.parcels[index].number));
        Some(Frame { ticket, text })
    }

    /// When to look again although nothing happens; `connected` says whether frames may go.
    pub(crate) fn wake_at(&self, now: Instant, connected: bool) -> Option<Instant> {
        let gather = self.parcels.back().map(|parcel| &parcel.gather);
        let spill = gather.filter(|_| self.uses_disk()).and_then(Gather::overdue_at);
        let due = gather
            .filter(|_| connected && self.logs_out.len() < LOG_WINDOW)
            .and_then(Gather::due_at);
        let terminal = self.terminal_from.filter(|from| *from > now);
        [spill, due, terminal].into_iter().flatten().min()
    }

    /// A frame was written to a registered socket.
    pub(crate) fn written(&mut self, ticket: u64) -> Vec<Told> {
        let keep = self.acknowledges;
        let mut told = Vec::new();
        if let Some((_, number)) = self.facts_out.pop_front_if(|(first, _)| *first == ticket) {
            if let Some(parcel) = self.parcel(number) {
                if parcel.fact_written(keep) {
                    told.push(Told::Written(parcel.job.clone()));
                }
                if parcel.settle() {
                    told.push(Told::Stored(parcel.job.clone()));
                }
            }
        } else if let Some((_, number)) = self.logs_out.pop_front_if(|(first, _)| *first == ticket)
        {
            let result = self.parcel(number).map_or(Ok(()), |parcel| parcel.log_written(keep));
            self.note(result);
        }
        self.drop_parcels(Parcel::is_done);
        told
    }

    /// The orchestrator has stored something.
    pub(crate) fn stored(&mut self, ack: &Ack) -> Vec<Told> {
        for id in &ack.message_ids {
            // An id that nobody knows was told before.
            let _known = self.parcels.iter_mut().any(|parcel| parcel.acknowledge(id));
        }
        for logs in &ack.logs {
            let of_job = self.parcels.iter_mut().filter(|parcel| parcel.job.job_id == logs.job_id);
            let results: Vec<_> = of_job.map(|parcel| parcel.logs_told(logs.seq)).collect();
            results.into_iter().for_each(|result| self.note(result));
        }
        let ended = self
            .parcels
            .iter_mut()
            .filter_map(|parcel| parcel.settle().then(|| Told::Stored(parcel.job.clone())));
        let told = ended.collect();
        self.drop_parcels(Parcel::is_done);
        told
    }

    /// Registered: whether the orchestrator acknowledges, and when terminal statuses may go.
    pub(crate) fn registered(&mut self, acknowledges: bool, terminal_from: Option<Instant>) {
        self.acknowledges = acknowledges;
        self.terminal_from = terminal_from;
    }

    /// The socket is gone: everything not told has to go again.
    pub(crate) fn rewind(&mut self) {
        self.facts_out.clear();
        self.logs_out.clear();
        self.parcels.iter_mut().for_each(Parcel::rewind);
    }

    /// Nobody is there to be told anything, ever.
    pub(crate) fn give_up(&mut self) {
        self.rewind();
        self.drop_parcels(|_| true);
    }

    /// Facts and chunks that wait, for the gap line.
    pub(crate) fn waiting(&self) -> usize {
        self.parcels.iter().map(Parcel::waiting).sum()
    }

    /// Whether everything was told.
    pub(crate) fn is_empty(&self) -> bool {
        self.parcels.iter().all(Parcel::is_empty)
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Standing {
        Standing {
            disk_bytes: self.disk_bytes(),
            jobs: self.parcels.iter().filter(|parcel| !parcel.is_empty()).count(),
            problem: match &self.folder {
                Some(_) => self.problem.clone(),
                None => Some("there is no state folder (KICI_DATA_DIR)".to_owned()),
            },
        }
    }

    fn uses_disk(&self) -> bool {
        self.folder.is_some() && self.problem.is_none()
    }

    fn disk_bytes(&self) -> u64 {
        self.parcels.iter().map(Parcel::disk_bytes).sum()
    }

    fn memory_bytes(&self) -> usize {
        self.parcels.iter().map(Parcel::memory_bytes).sum()
    }

    fn current(&mut self) -> Option<&mut Parcel> {
        self.parcels.back_mut()
    }

    fn running(&self) -> Option<&Parcel> {
        self.parcels.back().filter(|parcel| !parcel.has_end())
    }

    fn parcel(&mut self, number: u64) -> Option<&mut Parcel> {
        self.parcels.iter_mut().find(|parcel| parcel.number == number)
    }

    fn drop_parcels(&mut self, which: impl Fn(&Parcel) -> bool) {
        if self.parcels.iter().any(&which) {
            let (gone, kept) = std::mem::take(&mut self.parcels).into_iter().partition(which);
            self.parcels = kept;
            let gone: VecDeque<Parcel> = gone;
            gone.into_iter().for_each(Parcel::remove);
        }
    }

    /// Says once that the disk fails, and once that it works again.
    fn note(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) if self.problem.is_some() && self.memory_bytes() == 0 => {
                tracing::info!("the outbox is on the disk again");
                self.problem = None;
            }
            Ok(()) => {}
            Err(error) => {
                if self.problem.is_none() {
                    let folder = self.folder.as_ref().map(|folder| folder.display().to_string());
                    tracing::error!(
                        %error,
                        "the outbox cannot be written to {}; keeping it in memory, where a crash of \
                         the agent loses it. Make room there",
                        folder.unwrap_or_default()
                    );
                }
                self.problem = Some(error.to_string());
            }
        }
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket - 1
    }
}

#[cfg(test)]
mod tests;
