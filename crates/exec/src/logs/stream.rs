//! Cuts the raw output of one stream into masked lines.

use std::sync::Arc;

use super::StepLog;
use crate::mask::{Masker, StreamMasker};

/// A line without an end is cut here, so that it cannot fill the memory.
const LONGEST_LINE: usize = 1024 * 1024;

/// Takes the bytes of one stream (a pipe, `console.log`) for a [`StepLog`].
#[derive(Debug)]
pub(crate) struct LogStream {
    log: Arc<StepLog>,
    masker: StreamMasker,
    /// Masked bytes after the last newline.
    partial: Vec<u8>,
}

impl LogStream {
    pub(super) fn new(log: Arc<StepLog>, masker: Arc<Masker>) -> Self {
        Self { log, masker: StreamMasker::new(masker), partial: Vec::new() }
    }

    /// Takes a piece of output, cut anywhere.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.log.discard(bytes.len()) {
            return;
        }
        let unfinished = self.partial.len();
        self.masker.push(bytes, &mut self.partial);
        self.emit_lines(unfinished);
    }

    /// Waits until the receiver has taken what there is.
    pub(crate) async fn settle(&self) {
        self.log.settle().await;
    }

    /// The stream has ended: a last line without newline counts too.
    pub(crate) fn finish(&mut self) {
        let unfinished = self.partial.len();
        self.masker.finish(&mut self.partial);
        self.emit_lines(unfinished);
        let rest = std::mem::take(&mut self.partial);
        self.emit(&rest);
    }

    /// Writes the complete lines of `partial`; there is no newline before `searched`.
    fn emit_lines(&mut self, searched: usize) {
        let buffer = std::mem::take(&mut self.partial);
        let mut from = 0;
        let mut search = searched;
        while let Some(length) = buffer[search..].iter().position(|&byte| byte == b'\n') {
            self.emit(&buffer[from..search + length]);
            from = search + length + 1;
            search = from;
        }
        let mut rest = &buffer[from..];
        while rest.len() > LONGEST_LINE {
            let (line, after) = rest.split_at(char_start(rest, LONGEST_LINE));
            self.emit(line);
            rest = after;
        }
        self.partial = rest.to_vec();
    }

    fn emit(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.log.line(&String::from_utf8_lossy(line));
    }
}

/// The start of the character that position `at` lies in, if that is UTF-8.
fn char_start(bytes: &[u8], at: usize) -> usize {
    (at.saturating_sub(3)..=at).rev().find(|&i| bytes[i] & 0xC0 != 0x80).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use crate::logs::Logs;
    use crate::mask::Masker;
    use crate::spec::JobEvent;
    use std::sync::Arc;

    async fn lines_of(pieces: &[&[u8]]) -> Vec<String> {
        let (events, mut receiver) = mpsc::channel(1_000);
        let logs = Logs::new(Arc::new(Masker::new(["hunter2secret"])), events, None);
        let log = logs.open(0);
        let mut stream = log.stream();
        for piece in pieces {
            stream.push(piece);
        }
        stream.finish();
        log.flush().await;
        drop((stream, log, logs));
        let mut all = Vec::new();
        while let Some(JobEvent::Log { lines, .. }) = receiver.recv().await {
            all.extend(lines);
        }
        all
    }

    #[tokio::test]
    async fn lines_are_put_together_from_pieces() {
        let lines = lines_of(&[b"one\ntw", b"o\r\n\n", b"hunter", b"2secret\nlast"]).await;
        assert_eq!(lines, ["one", "two", "***", "last"]);
    }

    #[tokio::test]
    async fn binary_output_is_shown_as_well_as_it_can_be() {
        let lines = lines_of(&[&[0xff, 0xfe, b'a', b'\n', 0, 0xc3], &[0xbc, b'\n']]).await;
        assert_eq!(lines, ["\u{fffd}\u{fffd}a", "\0ü"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_between_characters() {
        let text = "ü".repeat(1_500_000);
        let lines = lines_of(&[text.as_bytes()]).await;
        assert!(lines.len() > 2);
        assert_eq!(lines.concat(), text);
    }
}
