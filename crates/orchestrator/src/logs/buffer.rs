//! The lines of one job that are not stored yet, and those that are stored but not indexed.
//!
//! A stored line is `<epoch ms> TAB <text> LF`. Lines are numbered for each step from 0. One object holds the
//! lines of all steps that had some, one extent for each.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kici_store::log_chunk::{LogChunkRow, LogExtent};
use uuid::Uuid;

/// Bytes in all buffers of the process.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// Bytes in all buffers of the process.
pub(super) fn total() -> usize {
    TOTAL.load(Ordering::Relaxed)
}

/// Messages that are recognised when they come again.
const REMEMBERED: usize = 512;

/// Lines of one step in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Extent {
    pub(super) first_line: i64,
    pub(super) lines: i64,
    pub(super) bytes: Bytes,
}

/// An object that is about to be stored or is.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    pub(super) attempt: i32,
    pub(super) object: i32,
    pub(super) rows: Vec<LogChunkRow>,
    pub(super) bytes: Bytes,
    /// The messages up to this number are in it or in one before it.
    pub(super) seq: u64,
    /// Its rows are on their way into the index with the job's end.
    queued: bool,
}

/// What a message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    New,
    /// It came before.
    Known,
}

#[derive(Debug, Default)]
struct Step {
    next_line: i64,
    pending: Vec<u8>,
    pending_lines: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct JobBuffer {
    attempt: Option<i32>,
    steps: BTreeMap<i32, Step>,
    /// Stored or being stored, but not indexed.
    sealed: Vec<Sealed>,
    next_object: i32,
    /// The last numbered message that came.
    seq: u64,
    pending_bytes: usize,
    since: Option<Instant>,
    seen: HashSet<String>,
    seen_order: VecDeque<String>,
}

impl JobBuffer {
    pub(super) fn attempt(&self) -> Option<i32> {
        self.attempt
    }

    /// Makes it the buffer of an attempt; lines of an earlier one that were not stored are dropped.
    pub(super) fn begin(&mut self, attempt: i32) {
        if self.attempt != Some(attempt) {
            *self = JobBuffer::default();
            self.attempt = Some(attempt);
        }
    }

    /// The same for an attempt that has lines in storage.
    pub(super) fn resume(&mut self, attempt: i32, stored: LogExtent) {
        *self = JobBuffer::default();
        self.attempt = Some(attempt);
        self.next_object = stored.next_object;
        self.seq = u64::try_from(stored.seq).unwrap_or(0);
        self.steps = stored
            .steps
            .into_iter()
            .map(|(step, next_line)| (step, Step { next_line, ..Step::default() }))
            .collect();
    }

    /// Adds the lines of a message, unless it came before. A number that leaves some out says that they are
    /// missing.
    pub(super) fn push(
        &mut self,
        step: i32,
        timestamp: i64,
        message: &str,
        seq: Option<u64>,
        lines: &[String],
    ) -> Push {
        match seq {
            Some(seq) if seq <= self.seq => return Push::Known,
            Some(seq) => {
                let missing = seq - self.seq - 1;
                if missing > 0 {
                    self.add(
                        step,
                        timestamp,
                        &[format!("[{missing} log messages are missing here]")],
                    );
                }
                self.seq = seq;
            }
            None if !self.is_new(message) => return Push::Known,
            None => {}
        }
        self.add(step, timestamp, lines);
        Push::New
    }

    /// Adds lines.
    pub(super) fn add(&mut self, step: i32, timestamp: i64, lines: &[String]) {
        let stamp = timestamp.to_string();
        let buffer = self.steps.entry(step).or_default();
        let before = buffer.pending.len();
        for line in lines {
            // One line is one line: what breaks inside would shift the numbers of all after it.
            for part in line.split('\n') {
                buffer.pending.extend_from_slice(stamp.as_bytes());
                buffer.pending.push(b'\t');
                buffer.pending.extend_from_slice(part.as_bytes());
                buffer.pending.push(b'\n');
                buffer.pending_lines += 1;
            }
        }
        let added = buffer.pending.len() - before;
        if added > 0 {
            self.pending_bytes += added;
            TOTAL.fetch_add(added, Ordering::Relaxed);
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// The last numbered message that came.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Bytes that are not in an object.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// How long the oldest of them has waited.
    pub(super) fn waits_for(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Puts the pending lines into an object.
    pub(super) fn seal(&mut self, job: Uuid, writer: i32) -> Option<Sealed> {
        let attempt = self.attempt?;
        if self.pending_bytes == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.pending_bytes);
        let mut rows = Vec::new();
        for (step, buffer) in self.steps.iter_mut().filter(|(_, buffer)| buffer.pending_lines > 0) {
            let number = |n: usize| i32::try_from(n).expect("an object is far below 2 GiB");
            rows.push(LogChunkRow {
                job_id: job,
                attempt,
                step: *step,
                first_line: buffer.next_line,
                lines: number(usize::try_from(buffer.pending_lines).unwrap_or(usize::MAX)),
                object: self.next_object,
                start_byte: number(bytes.len()),
                bytes: number(buffer.pending.len()),
                seq: i64::try_from(self.seq).unwrap_or(i64::MAX),
                writer,
            });
            bytes.append(&mut buffer.pending);
            // An allocation as large as the largest burst would stay with every quiet job.
            buffer.pending = Vec::new();
            buffer.next_line += buffer.pending_lines;
            buffer.pending_lines = 0;
        }
        TOTAL.fetch_sub(self.pending_bytes, Ordering::Relaxed);
        self.pending_bytes = 0;
        self.since = None;
        let sealed = Sealed {
            attempt,
            object: self.next_object,
            rows,
            bytes: bytes.into(),
            seq: self.seq,
            queued: false,
        };
        self.next_object += 1;
        self.sealed.push(sealed.clone());
        Some(sealed)
    }

    /// The object was not stored: its lines wait again, before those that came since.
    pub(super) fn unsealed(&mut self, sealed: Sealed) {
        self.sealed.retain(|known| known.object != sealed.object);
        for row in &sealed.rows {
            let step = self.steps.entry(row.step).or_default();
            let range = row.start_byte as usize..(row.start_byte + row.bytes) as usize;
            let mut lines = sealed.bytes[range].to_vec();
            lines.append(&mut step.pending);
            step.pending = lines;
            step.pending_lines += i64::from(row.lines);
            step.next_line = row.first_line;
        }
        self.pending_bytes += sealed.bytes.len();
        TOTAL.fetch_add(sealed.bytes.len(), Ordering::Relaxed);
        self.since = Some(Instant::now());
    }

    /// Index rows of stored objects that nobody records yet. The same rows each time, as they may be there already.
    pub(super) fn unindexed(&self) -> Vec<LogChunkRow> {
        let open = self.sealed.iter().filter(|sealed| !sealed.queued);
        open.flat_map(|sealed| sealed.rows.iter().cloned()).collect()
    }

    /// The same, and they are recorded with the job's end from now on.
    pub(super) fn queue_unindexed(&mut self) -> Vec<LogChunkRow> {
        let rows = self.unindexed();
        self.sealed.iter_mut().for_each(|sealed| sealed.queued = true);
        rows
    }

    /// Whether objects wait to be indexed.
    pub(super) fn has_unindexed(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Lets go of the objects that are indexed.
    pub(super) fn keep(&mut self, is_open: impl Fn(i32) -> bool) {
        self.sealed.retain(|sealed| is_open(sealed.object));
    }

    /// The lines of a step that are in memory, in order.
    pub(super) fn extents(&self, attempt: i32, step: i32) -> Vec<Extent> {
        if self.attempt != Some(attempt) {
            return Vec::new();
        }
        let mut extents: Vec<Extent> = self
            .sealed
            .iter()
            .flat_map(|sealed| {
                sealed.rows.iter().filter(|row| row.step == step).map(move |row| (sealed, row))
            })
            .map(|(sealed, row)| Extent {
                first_line: row.first_line,
                lines: i64::from(row.lines),
                bytes: sealed
                    .bytes
                    .slice(row.start_byte as usize..(row.start_byte + row.bytes) as usize),
            })
            .collect();
        if let Some(buffer) = self.steps.get(&step).filter(|buffer| buffer.pending_lines > 0) {
            extents.push(Extent {
                first_line: buffer.next_line,
                lines: buffer.pending_lines,
                bytes: Bytes::copy_from_slice(&buffer.pending),
            });
        }
        extents
    }

    fn is_new(&mut self, message: &str) -> bool {
        if !self.seen.insert(message.to_owned()) {
            return false;
        }
        self.seen_order.push_back(message.to_owned());
        if self.seen_order.len() > REMEMBERED
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

impl Drop for JobBuffer {
    fn drop(&mut self) {
        TOTAL.fetch_sub(self.pending_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
