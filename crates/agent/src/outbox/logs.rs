//! Log lines of the running job, gathered per step into frames.
//!
//! A stream's first line goes at once, the following ones after 100 ms or 50 lines, whichever comes
//! first; lines that had to wait travel together. Frames stay below the size that every orchestrator
//! takes, so an over-long line is cut into several.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use kici_protocol::agent::{FromAgent, JobRef, LogChunk, limits};

use super::{Frame, LOG_WINDOW};
use crate::now;

/// Lines of one frame together, as JSON.
const FRAME_BYTES: usize = 128 * 1024;
/// One line, as JSON; above it is cut.
const LINE_BYTES: usize = limits::AGENT_MAX_FRAME / 2;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct LogQueue {
    streams: BTreeMap<i64, Stream>,
    formed: VecDeque<Frame>,
    /// How many of `formed`, from the front, the writer has.
    sent: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Stream {
    lines: VecDeque<String>,
    bytes: usize,
    /// When the oldest waiting line came.
    since: Option<Instant>,
    last_formed: Option<Instant>,
    dropped: u64,
    flush: bool,
}

impl LogQueue {
    /// Forgets the streams of the last job.
    pub(crate) fn start(&mut self) {
        debug_assert!(self.is_empty(), "the last job's log was written before its end was told");
        self.streams.clear();
    }

    /// Adds lines of a step.
    pub(crate) fn push(
        &mut self,
        step: i64,
        lines: impl IntoIterator<Item = String>,
        now: Instant,
    ) {
        let stream = self.streams.entry(step).or_default();
        let before = stream.bytes;
        if stream.dropped > 0 {
            stream.add_marker();
        }
        for line in lines {
            for piece in pieces(line) {
                stream.add(piece);
            }
        }
        if !stream.lines.is_empty() {
            stream.since.get_or_insert(now);
        }
        self.bytes += stream.bytes - before;
    }

    /// Counts lines that were not taken; the stream's next lines say so.
    pub(crate) fn skip(&mut self, step: i64, lines: u64) {
        self.streams.entry(step).or_default().dropped += lines;
    }

    /// Everything goes now.
    pub(crate) fn flush(&mut self, now: Instant) {
        for stream in self.streams.values_mut() {
            let before = stream.bytes;
            if stream.dropped > 0 {
                stream.add_marker();
                stream.since.get_or_insert(now);
            }
            stream.flush = true;
            self.bytes += stream.bytes - before;
        }
    }

    /// Bytes that wait here or with the writer.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames that are formed or could be.
    pub(super) fn chunks(&self) -> usize {
        let waiting = self.streams.values().filter(|stream| !stream.lines.is_empty()).count();
        self.formed.len() + waiting
    }

    pub(super) fn is_empty(&self) -> bool {
        self.formed.is_empty()
            && self.streams.values().all(|stream| stream.lines.is_empty() && stream.dropped == 0)
    }

    /// When the next frame is due; in the past if one is overdue.
    pub(super) fn due_at(&self) -> Option<Instant> {
        if self.sent >= LOG_WINDOW {
            return None; // `written` wakes us
        }
        self.streams.values().filter_map(Stream::due_at).min()
    }

    pub(super) fn next(&mut self, job: &JobRef, ticket: u64, now: Instant) -> Option<Frame> {
        if self.sent >= LOG_WINDOW {
            return None;
        }
        if let Some(frame) = self.formed.get(self.sent) {
            self.sent += 1;
            return Some(frame.clone());
        }
        let (due, step) = self
            .streams
            .iter()
            .filter_map(|(step, stream)| Some((stream.due_at()?, *step)))
            .min()?;
        if due > now {
            return None;
        }
        let stream = self.streams.get_mut(&step).expect("the step was found in the same map");
        let before = stream.bytes;
        let lines = stream.take(now);
        let message = FromAgent::LogChunk(LogChunk {
            message_id: uuid::Uuid::new_v4().to_string(),
            run_id: job.run_id.clone(),
            job_id: job.job_id.clone(),
            step_index: step,
            lines,
            timestamp: now::epoch_ms(),
            seq: None,
        });
        let frame = Frame { ticket, text: message.to_text() };
        self.bytes = self.bytes - (before - stream.bytes) + frame.text.len();
        self.formed.push_back(frame.clone());
        self.sent += 1;
        Some(frame)
    }

    pub(super) fn written(&mut self, ticket: u64) {
        if self.sent > 0 && self.formed.front().is_some_and(|frame| frame.ticket == ticket) {
            self.sent -= 1;
            if let Some(frame) = self.formed.pop_front() {
                self.bytes -= frame.text.len();
            }
        }
    }

    pub(super) fn rewind(&mut self) {
        self.sent = 0;
    }
}

impl Stream {
    fn add(&mut self, line: String) {
        self.bytes += json_len(&line);
        self.lines.push_back(line);
    }

    fn add_marker(&mut self) {
        let lines = std::mem::take(&mut self.dropped);
        self.add(format!("[{lines} lines dropped due to backpressure]"));
    }

    fn due_at(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.lines.is_empty())?;
        if self.flush || self.lines.len() >= limits::LOG_FLUSH_LINES || self.bytes >= FRAME_BYTES {
            return Some(since);
        }
        Some(self.last_formed.map_or(since, |last| since.max(last + limits::LOG_FLUSH_INTERVAL)))
    }

    fn take(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while let Some(line) = self.lines.front() {
            let len = json_len(line);
            if !lines.is_empty() && bytes + len > FRAME_BYTES {
                break;
            }
            bytes += len;
            lines.extend(self.lines.pop_front());
        }
        self.bytes -= bytes;
        self.since = (!self.lines.is_empty()).then_some(now);
        self.last_formed = Some(now);
        lines
    }
}

/// Length of a line as a JSON array item.
fn json_len(line: &str) -> usize {
    3 + line.bytes().map(json_byte_len).sum::<usize>()
}

fn json_byte_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

fn pieces(line: String) -> Vec<String> {
    if line.len() * 6 < LINE_BYTES || json_len(&line) <= LINE_BYTES {
        return vec![line];
    }
    let mut pieces = vec![String::new()];
    let mut bytes = 3;
    for character in line.chars() {
        let mut buffer = [0; 4];
        let len = character.encode_utf8(&mut buffer).bytes().map(json_byte_len).sum::<usize>();
        if bytes + len > LINE_BYTES {
            pieces.push(String::new());
            bytes = 3;
        }
        bytes += len;
        pieces.last_mut().expect("starts with one piece").push(character);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn job() -> JobRef {
        JobRef { run_id: "r".into(), job_id: "j".into() }
    }

    fn lines(frame: Option<Frame>) -> Vec<String> {
        let frame = frame.expect("a frame is due");
        let value: serde_json::Value = serde_json::from_str(&frame.text).unwrap();
        serde_json::from_value(value["lines"].clone()).unwrap()
    }

    fn text(line: &str) -> [String; 1] {
        [line.to_owned()]
    }

    #[test]
    fn the_first_line_goes_at_once_and_the_next_ones_together() {
        let now = Instant::now();
        let mut logs = LogQueue::default();
        logs.push(0, text("a"), now);
        assert_eq!(lines(logs.next(&job(), 1, now)), ["a"]);
        logs.push(0, text("b"), now);
        logs.push(0, text("c"), now);
        assert_eq!(logs.next(&job(), 2, now), None);
        let later = now + Duration::from_millis(100);
        assert_eq!(logs.due_at(), Some(later));
        assert_eq!(lines(logs.next(&job(), 2, later)), ["b", "c"]);
    }

    #[test]
    fn fifty_lines_or_a_flush_do_not_wait() {
        let now = Instant::now();
        let mut logs = LogQueue::default();
        logs.push(0, text("a"), now);
        logs.next(&job(), 1, now).unwrap();
        logs.push(0, (0..50).map(|n| n.to_string()), now);
        assert_eq!(lines(logs.next(&job(), 2, now)).len(), 50);
        logs.push(0, text("last"), now);
        assert_eq!(logs.next(&job(), 3, now), None);
        logs.flush(now);
        assert_eq!(lines(logs.next(&job(), 3, now)), ["last"]);
        for ticket in 1..=3 {
            logs.written(ticket);
        }
        assert!(logs.is_empty());
        assert_eq!(logs.bytes(), 0);
    }

    #[test]
    fn frames_stay_small_and_long_lines_are_cut() {
        let now = Instant::now();
        let mut logs = LogQueue::default();
        let long = "\u{1}ü".repeat(400_000);
        logs.push(0, [long.clone(), "x".repeat(400_000)], now);
        logs.flush(now);
        let mut got = Vec::new();
        for ticket in 1.. {
            let Some(frame) = logs.next(&job(), ticket, now) else { break };
            assert!(frame.text.len() <= limits::AGENT_MAX_FRAME, "{}", frame.text.len());
            got.extend(lines(Some(frame)));
            logs.written(ticket);
        }
        assert_eq!(got.pop().map(|line| line.len()), Some(400_000), "a long line passes unbroken");
        assert_eq!(got.concat(), long);
    }

    #[test]
    fn dropped_lines_are_counted_where_they_are_missing() {
        let now = Instant::now();
        let mut logs = LogQueue::default();
        logs.skip(3, 2);
        logs.skip(3, 5);
        logs.push(3, text("after"), now);
        let marker = "[7 lines dropped due to backpressure]";
        assert_eq!(lines(logs.next(&job(), 1, now)), [marker, "after"]);
        logs.skip(3, 1);
        assert!(!logs.is_empty());
        logs.flush(now);
        assert_eq!(lines(logs.next(&job(), 2, now)), ["[1 lines dropped due to backpressure]"]);
        logs.written(1);
        logs.written(2);
        assert!(logs.is_empty());
    }
}
