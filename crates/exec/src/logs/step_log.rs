//! The log of one index: collects masked lines, caps them, sends them in batches.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{LogStream, Logs};
use crate::spec::JobEvent;

/// So many lines are sent without waiting for the timer.
const BATCH_LINES: usize = 50;
/// Bound on the text of one event, counted as JSON will write it.
const BATCH_BYTES: usize = 256 * 1024;
/// Lines wait at most this long.
const BATCH_DELAY: Duration = Duration::from_millis(100);
/// After a pause the first lines go out almost at once.
const FIRST_DELAY: Duration = Duration::from_millis(5);
/// Lines longer than this are looked at more closely: escaped, they could outgrow a message.
const LONG_LINE: usize = 64 * 1024;
/// A line's bound, counted as JSON will write it.
const LONGEST_ESCAPED: usize = 512 * 1024;

/// See the module. Whoever drops the last handle flushes first.
#[derive(Debug)]
pub(crate) struct StepLog {
    logs: Logs,
    index: i64,
    buffer: Mutex<Buffer>,
    /// Held while a batch is sent, so that batches stay in order.
    sending: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<String>,
    written: u64,
    truncated: bool,
    /// A task is on its way to flush, at once (`Some(true)`) or after the delay.
    flush: Option<bool>,
    flushed_at: Option<Instant>,
}

impl StepLog {
    pub(super) fn new(logs: Logs, index: i64) -> Arc<Self> {
        Arc::new(Self {
            logs,
            index,
            buffer: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
        })
    }

    /// A place to write raw output to.
    pub(crate) fn stream(self: &Arc<Self>) -> LogStream {
        LogStream::new(Arc::clone(self), Arc::clone(&self.logs.masker))
    }

    /// Writes whole lines of text.
    pub(crate) fn text(self: &Arc<Self>, text: &str) {
        for line in self.logs.masker.text(text).lines() {
            self.line(line);
        }
    }

    /// Writes one line that is already masked. Blank lines are dropped.
    pub(super) fn line(self: &Arc<Self>, line: &str) {
        if line.trim().is_empty() || self.logs.closed.load(Ordering::Acquire) {
            return;
        }
        let mut buffer = self.lock();
        buffer.written += line.len() as u64 + 1;
        if buffer.truncated {
            return;
        }
        if buffer.written > self.logs.cap {
            buffer.truncated = true;
            let notice = format!("[TRUNCATED: log output exceeded {} bytes]", self.logs.cap);
            buffer.lines.push(notice);
        } else {
            split_long(line, &mut buffer.lines);
        }
        self.plan_flush(&mut buffer);
    }

    /// Counts output that nobody will see because the cap is reached; false while it is not.
    pub(super) fn discard(&self, bytes: usize) -> bool {
        let mut buffer = self.lock();
        if buffer.truncated {
            buffer.written += bytes as u64;
        }
        buffer.truncated
    }

    fn plan_flush(self: &Arc<Self>, buffer: &mut Buffer) {
        let now = buffer.lines.len() >= BATCH_LINES;
        if buffer.flush == Some(true) || (buffer.flush == Some(false) && !now) {
            return;
        }
        buffer.flush = Some(now);
        let idle = buffer.flushed_at.is_none_or(|at| at.elapsed() >= BATCH_DELAY);
        let delay = match (now, idle) {
            (true, _) => Duration::ZERO,
            (false, true) => FIRST_DELAY,
            (false, false) => BATCH_DELAY,
        };
        // Weak: a timer must not keep the event channel open after the job's end.
        let log = Arc::downgrade(self);
        self.logs.runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            if let Some(log) = log.upgrade() {
                log.flush().await;
            }
        });
    }

    /// Sends a full batch now and so waits until the receiver has room for it.
    pub(crate) async fn settle(&self) {
        if self.lock().lines.len() >= BATCH_LINES {
            self.flush().await;
        }
    }

    /// Sends everything collected so far.
    pub(crate) async fn flush(&self) {
        let _turn = self.sending.lock().await;
        loop {
            let lines = self.take_batch();
            if lines.is_empty() || self.logs.closed.load(Ordering::Acquire) {
                return;
            }
            // The receiver is gone only when nobody wants the job's words any more.
            let _gone = self.logs.events.send(JobEvent::Log { step: self.index, lines }).await;
        }
    }

    /// Sends the rest; returns how many bytes were written in all.
    pub(crate) async fn close(&self) -> u64 {
        self.flush().await;
        self.lock().written
    }

    fn take_batch(&self) -> Vec<String> {
        let mut buffer = self.lock();
        let mut bytes = 0;
        let fits = buffer.lines.iter().take_while(|line| {
            bytes += escaped(line);
            bytes <= BATCH_BYTES
        });
        let count = fits.count().max(1).min(buffer.lines.len());
        let batch: Vec<_> = buffer.lines.drain(..count).collect();
        if buffer.lines.is_empty() {
            buffer.flush = None;
            buffer.flushed_at = Some(Instant::now());
        }
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the text is in JSON.
fn escaped(text: &str) -> usize {
    let more = |byte: &u8| match byte {
        b'"' | b'\\' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + text.as_bytes().iter().map(more).sum::<usize>()
}

/// Pushes `line`, in pieces if it would be too long for one message.
fn split_long(line: &str, lines: &mut Vec<String>) {
    if line.len() <= LONG_LINE {
        lines.push(line.to_owned());
        return;
    }
    let (mut from, mut cost) = (0, 0);
    for (at, char) in line.char_indices() {
        let width = match char {
            '"' | '\\' => 2,
            '\0'..' ' => 6,
            c => c.len_utf8(),
        };
        if cost + width > LONGEST_ESCAPED {
            lines.push(line[from..at].to_owned());
            (from, cost) = (at, 0);
        }
        cost += width;
    }
    lines.push(line[from..].to_owned());
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::mask::Masker;

    fn logs(cap: u64, room: usize) -> (Logs, mpsc::Receiver<JobEvent>) {
        let (events, receiver) = mpsc::channel(room);
        (Logs::new(Arc::new(Masker::new(["hunter2secret"])), events, Some(cap)), receiver)
    }

    async fn written(mut receiver: mpsc::Receiver<JobEvent>) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(JobEvent::Log { lines, .. }) = receiver.recv().await {
            all.extend(lines);
        }
        all
    }

    #[tokio::test]
    async fn the_cap_leaves_one_notice() {
        let (logs, receiver) = logs(20, 100);
        let log = logs.open(0);
        log.text("0123456789\n\n0123\nabcdefghi\nx\ny");
        assert_eq!(log.close().await, 11 + 5 + 10 + 2 + 2);
        drop((log, logs));
        assert_eq!(
            written(receiver).await,
            ["0123456789", "0123", "[TRUNCATED: log output exceeded 20 bytes]"]
        );
    }

    #[tokio::test]
    async fn lines_arrive_without_being_asked_for() {
        let (logs, mut receiver) = logs(1_000, 100);
        let log = logs.open(3);
        log.text("hello hunter2secret");
        let Some(JobEvent::Log { step, lines }) = receiver.recv().await else { panic!("no log") };
        assert_eq!((step, lines), (3, vec!["hello ***".to_owned()]));
    }

    #[tokio::test]
    async fn batches_are_bounded_and_long_lines_cut() {
        let (logs, mut receiver) = logs(100 << 20, 100);
        let log = logs.open(0);
        log.text(&"\u{1}".repeat(200 * 1024));
        log.text(&format!("{}\n", "z".repeat(1000)).repeat(1000));
        log.flush().await;
        let mut bytes = 0;
        drop((log, logs));
        while let Some(JobEvent::Log { lines, .. }) = receiver.recv().await {
            let size: usize = lines.iter().map(String::len).sum();
            assert!(size <= BATCH_BYTES, "a batch has {size} bytes");
            bytes += size;
        }
        assert_eq!(bytes, 200 * 1024 + 1_000_000);
    }
}
