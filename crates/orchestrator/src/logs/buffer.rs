//! The lines of one job that are not stored yet, and those that are stored but not indexed.
//!
//! A stored line is `<epoch ms> TAB <text> LF`. Lines are numbered for each step from 0. One object holds the
//! lines of all steps that had some, one extent for each.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kici_store::log_chunk::LogChunkRow;
use uuid::Uuid;

/// Bytes in all buffers of the process.
pub(super) static TOTAL: AtomicUsize = AtomicUsize::new(0);

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
    sealed: Vec<Sealed>,
    next_object: i32,
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
    pub(super) fn resume(&mut self, attempt: i32, steps: Vec<(i32, i64)>, next_object: i32) {
        *self = JobBuffer::default();
        self.attempt = Some(attempt);
        self.next_object = next_object;
        self.steps = steps
            .into_iter()
            .map(|(step, next_line)| (step, Step { next_line, ..Step::default() }))
            .collect();
    }

    /// Adds the lines of a message. An id that came before adds nothing; an empty id is always new.
    pub(super) fn push(&mut self, step: i32, timestamp: i64, message: &str, lines: &[String]) {
        if !message.is_empty() && !self.is_new(message) {
            return;
        }
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

    /// Bytes that are not in an object.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// How long the oldest of them has waited.
    pub(super) fn waits_for(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Puts the pending lines into an object.
    pub(super) fn seal(&mut self, job: Uuid) -> Option<Sealed> {
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
        let sealed = Sealed { attempt, object: self.next_object, rows, bytes: bytes.into() };
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

    /// The object is stored but not indexed: it is sealed again with the next lines.
    pub(super) fn unindexed(&mut self, sealed: Sealed) {
        self.unsealed(sealed);
    }

    /// The object's rows are recorded.
    pub(super) fn indexed(&mut self, attempt: i32, object: i32) {
        if self.attempt == Some(attempt) {
            self.sealed.retain(|known| known.object != object);
        }
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
mod tests {
    use super::*;

    fn lines(buffer: &JobBuffer, step: i32) -> Vec<(i64, String)> {
        let extents = buffer.extents(1, step);
        extents
            .into_iter()
            .map(|e| (e.first_line, String::from_utf8(e.bytes.to_vec()).unwrap()))
            .collect()
    }

    #[test]
    fn lines_are_numbered_for_each_step_and_repeats_are_dropped() {
        let mut buffer = JobBuffer::default();
        buffer.begin(1);
        buffer.push(0, 7, "m1", &["a".into(), "b\nc".into()]);
        buffer.push(0, 7, "m1", &["a".into(), "b\nc".into()]);
        buffer.push(1, 8, "m2", &["x".into()]);
        let sealed = buffer.seal(Uuid::nil()).unwrap();
        assert_eq!(
            sealed.rows.iter().map(|r| (r.step, r.first_line, r.lines)).collect::<Vec<_>>(),
            [(0, 0, 3), (1, 0, 1)]
        );
        assert_eq!(&sealed.bytes[..], b"7\ta\n7\tb\n7\tc\n8\tx\n");
        buffer.push(0, 9, "m3", &["d".into()]);
        assert_eq!(lines(&buffer, 0), [(0, "7\ta\n7\tb\n7\tc\n".into()), (3, "9\td\n".into())]);
        buffer.indexed(1, sealed.object);
        assert_eq!(lines(&buffer, 0), [(3, "9\td\n".into())]);
        assert!(buffer.seal(Uuid::nil()).is_some() && buffer.seal(Uuid::nil()).is_none());
    }

    #[test]
    fn an_object_that_was_not_stored_waits_again_in_its_place() {
        let mut buffer = JobBuffer::default();
        buffer.begin(1);
        buffer.push(0, 1, "a", &["first".into()]);
        let sealed = buffer.seal(Uuid::nil()).unwrap();
        buffer.push(0, 2, "b", &["second".into()]);
        buffer.unsealed(sealed);
        assert_eq!(lines(&buffer, 0), [(0, "1\tfirst\n2\tsecond\n".into())]);
        let again = buffer.seal(Uuid::nil()).unwrap();
        assert_eq!((again.rows[0].first_line, again.rows[0].lines), (0, 2));
    }

    #[test]
    fn a_resumed_attempt_goes_on_counting() {
        let mut buffer = JobBuffer::default();
        buffer.resume(1, vec![(0, 40)], 3);
        buffer.push(0, 1, "a", &["x".into()]);
        let sealed = buffer.seal(Uuid::nil()).unwrap();
        assert_eq!((sealed.object, sealed.rows[0].first_line), (3, 40));
    }
}
