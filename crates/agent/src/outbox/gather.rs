//! Log lines of a job, gathered per step into chunks.
//!
//! A stream's first line goes at once, the following ones after 100 ms or 50 lines, whichever comes
//! first; lines that had to wait travel together. Chunks stay below the size that every orchestrator
//! takes, so an over-long line is cut into several. Lines that cannot go are handed over all the same
//! once they fill a chunk or are a second old ([`Gather::overdue`]), so that the disk has them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use kici_protocol::agent::limits;

/// Lines of one chunk together, as JSON.
const CHUNK_BYTES: usize = 128 * 1024;
/// One line, as JSON; above it is cut.
const LINE_BYTES: usize = limits::AGENT_MAX_FRAME / 2;
/// So long may lines be in memory alone.
const MEMORY_TIME: Duration = Duration::from_secs(1);

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    streams: BTreeMap<i64, Stream>,
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

impl Gather {
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

    /// Bytes that wait here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Streams with lines.
    pub(super) fn chunks(&self) -> usize {
        self.streams.values().filter(|stream| !stream.lines.is_empty()).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.values().all(|stream| stream.lines.is_empty() && stream.dropped == 0)
    }

    /// When the next chunk is due; in the past if one is overdue.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.streams.values().filter_map(Stream::due_at).min()
    }

    /// When lines have been in memory for long enough.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        self.streams.values().filter_map(Stream::overdue_at).min()
    }

    /// The lines of a chunk that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<(i64, Vec<String>)> {
        self.take(Stream::due_at, now)
    }

    /// The lines of a chunk that must not wait in memory any longer.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<(i64, Vec<String>)> {
        self.take(Stream::overdue_at, now)
    }

    fn take(
        &mut self,
        when: impl Fn(&Stream) -> Option<Instant>,
        now: Instant,
    ) -> Option<(i64, Vec<String>)> {
        let due = self.streams.iter().filter_map(|(step, stream)| Some((when(stream)?, *step)));
        let (_, step) = due.min().filter(|(due, _)| *due <= now)?;
        let stream = self.streams.get_mut(&step).expect("the step was found in the same map");
        let before = stream.bytes;
        let lines = stream.take(now);
        self.bytes -= before - stream.bytes;
        Some((step, lines))
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
        if self.flush || self.lines.len() >= limits::LOG_FLUSH_LINES || self.bytes >= CHUNK_BYTES {
            return Some(since);
        }
        Some(self.last_formed.map_or(since, |last| since.max(last + limits::LOG_FLUSH_INTERVAL)))
    }

    fn overdue_at(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.lines.is_empty())?;
        let at_once = self.flush || self.bytes >= CHUNK_BYTES;
        Some(if at_once { since } else { since + MEMORY_TIME })
    }

    fn take(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while let Some(line) = self.lines.front() {
            let len = json_len(line);
            if !lines.is_empty() && bytes + len > CHUNK_BYTES {
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
    use super::*;

    fn lines(chunk: Option<(i64, Vec<String>)>) -> Vec<String> {
        chunk.expect("a chunk is due").1
    }

    fn text(line: &str) -> [String; 1] {
        [line.to_owned()]
    }

    #[test]
    fn the_first_line_goes_at_once_and_the_next_ones_together() {
        let now = Instant::now();
        let mut gather = Gather::default();
        gather.push(0, text("a"), now);
        assert_eq!(lines(gather.due(now)), ["a"]);
        gather.push(0, text("b"), now);
        gather.push(0, text("c"), now);
        assert_eq!(gather.due(now), None);
        let later = now + Duration::from_millis(100);
        assert_eq!(gather.due_at(), Some(later));
        assert_eq!(lines(gather.due(later)), ["b", "c"]);
    }

    #[test]
    fn fifty_lines_or_a_flush_do_not_wait() {
        let now = Instant::now();
        let mut gather = Gather::default();
        gather.push(0, text("a"), now);
        gather.due(now).unwrap();
        gather.push(0, (0..50).map(|n| n.to_string()), now);
        assert_eq!(lines(gather.due(now)).len(), 50);
        gather.push(0, text("last"), now);
        assert_eq!(gather.due(now), None);
        gather.flush(now);
        assert_eq!(lines(gather.due(now)), ["last"]);
        assert!(gather.is_empty());
        assert_eq!(gather.bytes(), 0);
    }

    #[test]
    fn what_cannot_go_leaves_the_memory_when_it_is_old_or_much() {
        let now = Instant::now();
        let mut gather = Gather::default();
        gather.push(0, text("a"), now);
        assert_eq!(gather.overdue(now), None);
        assert_eq!(gather.overdue_at(), Some(now + MEMORY_TIME));
        gather.push(1, ["x".repeat(CHUNK_BYTES)], now);
        assert_eq!(gather.overdue(now).unwrap().0, 1);
        assert_eq!(lines(gather.overdue(now + MEMORY_TIME)), ["a"]);
        assert_eq!(gather.overdue_at(), None);
    }

    #[test]
    fn chunks_stay_small_and_long_lines_are_cut() {
        let now = Instant::now();
        let mut gather = Gather::default();
        let long = "\u{1}ü".repeat(400_000);
        gather.push(0, [long.clone(), "x".repeat(400_000)], now);
        gather.flush(now);
        let mut got = Vec::new();
        while let Some((_, lines)) = gather.due(now) {
            let bytes = serde_json::to_string(&lines).unwrap().len();
            assert!(bytes < limits::AGENT_MAX_FRAME - 4096, "{bytes}");
            got.extend(lines);
        }
        assert_eq!(got.pop().map(|line| line.len()), Some(400_000), "a long line passes unbroken");
        assert_eq!(got.concat(), long);
    }

    #[test]
    fn dropped_lines_are_counted_where_they_are_missing() {
        let now = Instant::now();
        let mut gather = Gather::default();
        gather.skip(3, 2);
        gather.skip(3, 5);
        gather.push(3, text("after"), now);
        let marker = "[7 lines dropped due to backpressure]";
        assert_eq!(lines(gather.due(now)), [marker, "after"]);
        gather.skip(3, 1);
        assert!(!gather.is_empty());
        gather.flush(now);
        assert_eq!(lines(gather.due(now)), ["[1 lines dropped due to backpressure]"]);
        assert!(gather.is_empty());
    }
}
