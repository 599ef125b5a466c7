//! The agent's own log, as far as it is kept: the last lines, for the orchestrator (`agent.log`) and for
//! bundles that an operator asks for.
//!
//! `logging` writes every line here, too. Lines that were not forwarded while the link was down are
//! forwarded later; what the ring had to let go by then is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines kept, of which some may wait to be forwarded.
const LINES: usize = 10_000;
/// And their bytes together: an idle agent is small.
const BYTES: usize = 2 * 1024 * 1024;
/// Lines of one message together; escaped they may take six times as much.
const BATCH: usize = 96 * 1024;
/// One line; a longer one is cut.
const LONGEST: usize = 16 * 1024;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnLog(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
    /// How many of `lines`, from the back, were not forwarded.
    waiting: usize,
    /// Lines that went before they were forwarded.
    dropped: u64,
}

#[derive(Debug)]
struct Line {
    at_ms: i64,
    text: String,
}

impl OwnLog {
    /// Adds a line without its newline.
    pub(crate) fn add(&self, at_ms: i64, mut text: String) {
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
        }
        let mut ring = self.ring();
        ring.bytes += text.len();
        ring.lines.push_back(Line { at_ms, text });
        ring.waiting += 1;
        while ring.lines.len() > LINES || ring.bytes > BYTES {
            let Some(gone) = ring.lines.pop_front() else { return };
            ring.bytes -= gone.text.len();
            if ring.waiting > ring.lines.len() {
                ring.waiting -= 1;
                ring.dropped += 1;
            }
        }
    }

    /// How many lines wait to be forwarded.
    pub(crate) fn waiting(&self) -> usize {
        self.ring().waiting
    }

    /// How many lines were lost before they could be forwarded, since the last time it was asked.
    pub(crate) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.ring().dropped)
    }

    /// The next lines to forward, not more than fit into a message.
    pub(crate) fn take(&self, most: usize) -> Vec<String> {
        let mut ring = self.ring();
        let first = ring.lines.len() - ring.waiting;
        let mut bytes = 0;
        let taken: Vec<String> = ring
            .lines
            .range(first..)
            .take(most)
            .take_while(|line| {
                bytes += line.text.len();
                bytes <= BATCH || bytes == line.text.len()
            })
            .map(|line| line.text.clone())
            .collect();
        ring.waiting -= taken.len();
        taken
    }

    /// Lines since a time.
    pub(crate) fn since(&self, from_ms: i64) -> Vec<String> {
        let ring = self.ring();
        ring.lines
            .iter()
            .filter(|line| line.at_ms >= from_ms)
            .map(|line| line.text.clone())
            .collect()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_forwarded_once_and_kept_for_a_bundle() {
        let log = OwnLog::default();
        for number in 0..5 {
            log.add(number, format!("line {number}"));
        }
        assert_eq!(log.take(2), ["line 0", "line 1"]);
        assert_eq!(log.take(50).len(), 3);
        assert_eq!((log.waiting(), log.take(50).len()), (0, 0));
        assert_eq!(log.since(3), ["line 3", "line 4"]);
    }

    #[test]
    fn the_ring_is_bounded_and_counts_what_it_lost() {
        let log = OwnLog::default();
        log.add(0, "forwarded".to_owned());
        log.take(1);
        for _ in 0..LINES + 4 {
            log.add(1, "x".to_owned());
        }
        assert_eq!((log.waiting(), log.take_dropped(), log.take_dropped()), (LINES, 4, 0));
        for _ in 0..200 {
            log.add(2, "y".repeat(LONGEST * 2));
        }
        let batch = log.take(50);
        assert_eq!(batch.len(), BATCH / LONGEST, "the size of a message is bounded");
        assert!(log.since(0).iter().map(String::len).sum::<usize>() <= BYTES);
    }
}
