//! Keeps the beginning of a command's output for the author's code.

use std::sync::{Mutex, PoisonError};

/// More output than this is not kept for the result of `ctx.$`; the log has its own cap.
const MOST: usize = 16 * 1024 * 1024;

/// Collects output, shared by the readers of both streams.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    captured: Mutex<Captured>,
}

/// What was collected.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) bytes: Vec<u8>,
    /// There was more.
    pub(crate) truncated: bool,
}

impl Capture {
    /// Keeps as much of `bytes` as there is room for.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut captured = self.captured.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST - captured.bytes.len();
        captured.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        captured.truncated |= bytes.len() > room;
    }

    /// Takes what was collected.
    pub(super) fn take(&self) -> Captured {
        std::mem::take(&mut *self.captured.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Captured {
    /// The output as text; bytes that are no UTF-8 show as U+FFFD.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
