//! Reads one output stream of a command: to the log, to the author's code, to the result.
//!
//! A background process may keep the pipe open after the command has ended. The result does not wait
//! for it; the reader goes on, because a process whose pipe nobody reads would hang or die.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::capture::{Capture, Captured};
use crate::logs::LogStream;

/// How long output is waited for after the command has ended.
const AFTER_EXIT: Duration = Duration::from_secs(2);
const BLOCK: usize = 64 * 1024;

/// Receives output while the command runs, as text cut between characters.
pub(crate) type PushText = Box<dyn Fn(String) + Send + Sync>;

/// Where the output of one stream goes besides the result.
#[derive(Default)]
pub(crate) struct Outlet {
    pub(crate) log: Option<LogStream>,
    pub(crate) push: Option<PushText>,
}

/// The reader of one stream.
#[derive(Debug)]
pub(super) struct Reader {
    result: oneshot::Receiver<Read>,
}

/// What one stream gave until the command ended.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) captured: Captured,
    pub(super) left_open: bool,
}

impl Reader {
    /// What was read until the end of the stream, or until it is no longer waited for.
    pub(super) async fn captured(self) -> Read {
        self.result.await.unwrap_or_default()
    }
}

/// Starts to read `pipe`.
pub(super) fn read(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    outlet: Outlet,
    all: Arc<Capture>,
    exited: CancellationToken,
) -> Reader {
    let (sender, result) = oneshot::channel();
    tokio::spawn(pump(pipe, outlet, all, exited, sender));
    Reader { result }
}

async fn pump(
    mut pipe: impl AsyncRead + Unpin,
    mut outlet: Outlet,
    all: Arc<Capture>,
    exited: CancellationToken,
    sender: oneshot::Sender<Read>,
) {
    let own = Capture::default();
    let mut sender = Some(sender);
    let mut patience = AFTER_EXIT;
    let mut undecoded = Vec::new();
    let mut block = vec![0; BLOCK];
    loop {
        let length = tokio::select! {
            biased;
            // A broken pipe is an ended one.
            read = pipe.read(&mut block) => read.unwrap_or(0),
            () = waited_enough(&exited, &mut patience), if sender.is_some() => {
                let captured = own.take();
                if let Some(sender) = sender.take() {
                    let _gone = sender.send(Read { captured, left_open: true });
                }
                outlet.push = None;
                continue;
            }
        };
        if length == 0 {
            break;
        }
        let bytes = &block[..length];
        if sender.is_some() {
            own.push(bytes);
            all.push(bytes);
        }
        if let Some(push) = &outlet.push {
            undecoded.extend_from_slice(bytes);
            push(take_text(&mut undecoded));
        }
        if let Some(log) = &mut outlet.log {
            log.push(bytes);
            log.settle().await;
        }
    }
    if let (Some(push), false) = (&outlet.push, undecoded.is_empty()) {
        push(String::from_utf8_lossy(&undecoded).into_owned());
    }
    if let Some(log) = &mut outlet.log {
        log.finish();
    }
    if let Some(sender) = sender {
        let _gone = sender.send(Read { captured: own.take(), left_open: false });
    }
}

/// Resolves when the command has ended and `patience` is used up by waiting for output.
async fn waited_enough(exited: &CancellationToken, patience: &mut Duration) {
    /// Time spent here is spent, also when output arrives and this future is dropped.
    struct Spend<'a>(&'a mut Duration, Instant);
    impl Drop for Spend<'_> {
        fn drop(&mut self) {
            *self.0 = self.0.saturating_sub(self.1.elapsed());
        }
    }
    exited.cancelled().await;
    let left = *patience;
    let _spend = Spend(patience, Instant::now());
    tokio::time::sleep(left).await;
}

/// Takes the text at the start of `bytes`; a character that is still incomplete stays.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let complete = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => {
            // Complete, or broken somewhere: only what looks like a cut character at the end stays.
            let tail = bytes.len().saturating_sub(3);
            (tail..bytes.len())
                .find(|&at| {
                    matches!(std::str::from_utf8(&bytes[at..]), Err(e) if e.error_len().is_none() && e.valid_up_to() == 0)
                })
                .unwrap_or(bytes.len())
        }
    };
    let rest = bytes.split_off(complete);
    let text = String::from_utf8_lossy(bytes).into_owned();
    *bytes = rest;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        let mut bytes = "aü".as_bytes()[..2].to_vec();
        assert_eq!(take_text(&mut bytes), "a");
        bytes.extend(&"ü".as_bytes()[1..]);
        assert_eq!(take_text(&mut bytes), "ü");
        let mut broken = vec![0xff, b'a', 0xe2, 0x82];
        assert_eq!(take_text(&mut broken), "\u{fffd}a");
        assert_eq!(broken, [0xe2, 0x82]);
    }
}
