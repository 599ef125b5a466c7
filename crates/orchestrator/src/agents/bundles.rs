//! Log bundles that connected agents were asked for, from the request to the last frame.
//!
//! A bundle comes in numbered frames between the agent's other messages. The reader hands them to whoever waits for
//! the request ([`Bundles`]), and what waits puts them together; it never waits for anything else, so the socket is
//! not held up.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kici_protocol::agent::{FleetBundleChunk, FleetBundleError, FleetLogsRequest, ToAgent};
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use super::connected::Connected;

/// What one bundle may have, in bytes.
const LARGEST: u64 = 50 * 1024 * 1024;

/// Frames that may wait to be put together.
const FRAMES: usize = 8;

/// A frame of an agent.
#[derive(Debug)]
pub(super) enum Part {
    Chunk(FleetBundleChunk),
    Error(FleetBundleError),
}

/// Why there is no bundle.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BundleError {
    /// Its connection ended, or its messages pile up.
    #[error("the agent went away before its bundle was complete; ask again when it is back")]
    Gone,
    /// It took too long.
    #[error("no complete bundle came within {0:?}; ask with a longer timeout or for fewer hours")]
    Late(Duration),
    /// The agent cannot make one.
    #[error("the agent could not make its bundle: {0}")]
    Refused(String),
    /// A frame is missing or came twice.
    #[error("frame {got} of the bundle came instead of frame {expected}")]
    Order {
        /// The next one.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// A frame cannot be read.
    #[error("frame {0} of the bundle is not base64")]
    Encoding(u64),
    /// The agent does not keep to the limit.
    #[error("the bundle is larger than the {0} bytes that were asked for")]
    TooLarge(u64),
}

/// The requests that wait on one connection.
#[derive(Debug, Default)]
pub(super) struct Bundles(Mutex<HashMap<String, mpsc::Sender<Part>>>);

impl Bundles {
    /// Hands a frame on. `false`: nobody has asked, or nobody waits any more.
    pub(super) async fn take(&self, part: Part) -> bool {
        let request = match &part {
            Part::Chunk(chunk) => &chunk.request_id,
            Part::Error(error) => &error.request_id,
        };
        let waiting = self.map().get(request).cloned();
        match waiting {
            Some(waiting) => waiting.send(part).await.is_ok(),
            None => false,
        }
    }

    fn open(&self) -> Open<'_> {
        let (sender, parts) = mpsc::channel(FRAMES);
        let id = Uuid::new_v4().to_string();
        self.map().insert(id.clone(), sender);
        Open { bundles: self, id, parts }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Part>>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

/// A request, forgotten when it is dropped.
struct Open<'a> {
    bundles: &'a Bundles,
    id: String,
    parts: mpsc::Receiver<Part>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.bundles.map().remove(&self.id);
    }
}

/// Asks an agent for its bundle with the log of the last hours.
pub(crate) async fn fetch(
    agent: &Connected,
    log_window_hours: u64,
    within: Duration,
) -> Result<Vec<u8>, BundleError> {
    let mut open = agent.bundles.open();
    let request_id = open.id.clone();
    let request = FleetLogsRequest { request_id, log_window_hours, max_bytes: LARGEST };
    if !agent.send(ToAgent::FleetLogsRequest(request)) {
        return Err(BundleError::Gone);
    }
    tokio::select! {
        // What has come counts, even if the connection is gone by now.
        biased;
        put_together = timeout(within, put_together(&mut open.parts)) => {
            put_together.unwrap_or(Err(BundleError::Late(within)))
        }
        () = agent.done.cancelled() => Err(BundleError::Gone),
    }
}

async fn put_together(parts: &mut mpsc::Receiver<Part>) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Assembly { next: 0, bytes: Vec::new(), limit: LARGEST };
    loop {
        match parts.recv().await {
            Some(Part::Chunk(chunk)) => {
                if bundle.add(&chunk)? {
                    return Ok(bundle.bytes);
                }
            }
            Some(Part::Error(error)) => return Err(BundleError::Refused(error.message)),
            None => return Err(BundleError::Gone),
        }
    }
}

struct Assembly {
    next: u64,
    bytes: Vec<u8>,
    limit: u64,
}

impl Assembly {
    /// Adds a frame; says whether it was the last.
    fn add(&mut self, chunk: &FleetBundleChunk) -> Result<bool, BundleError> {
        if chunk.seq != self.next {
            return Err(BundleError::Order { expected: self.next, got: chunk.seq });
        }
        let bytes =
            STANDARD.decode(&chunk.data_b64).map_err(|_| BundleError::Encoding(chunk.seq))?;
        if (self.bytes.len() + bytes.len()) as u64 > self.limit {
            return Err(BundleError::TooLarge(self.limit));
        }
        self.bytes.extend(bytes);
        self.next += 1;
        Ok(chunk.is_last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seq: u64, data: &str, is_last: bool) -> FleetBundleChunk {
        FleetBundleChunk {
            request_id: "q".into(),
            seq,
            is_last,
            data_b64: if data == "?" { "?".into() } else { STANDARD.encode(data) },
        }
    }

    fn bundle(frames: &[FleetBundleChunk]) -> Result<Option<String>, BundleError> {
        let mut bundle = Assembly { next: 0, bytes: Vec::new(), limit: 6 };
        for frame in frames {
            if bundle.add(frame)? {
                return Ok(Some(String::from_utf8(bundle.bytes).unwrap()));
            }
        }
        Ok(None)
    }

    #[test]
    fn frames_are_put_together_in_order_up_to_the_limit() {
        let (a, b) = (frame(0, "abc", false), frame(1, "def", true));
        assert_eq!(bundle(&[a.clone(), b.clone()]), Ok(Some("abcdef".into())));
        assert_eq!(bundle(std::slice::from_ref(&a)), Ok(None));
        assert_eq!(bundle(&[frame(0, "", true)]), Ok(Some(String::new())));
        assert_eq!(bundle(&[b]), Err(BundleError::Order { expected: 0, got: 1 }));
        let twice = bundle(&[a.clone(), a.clone()]);
        assert_eq!(twice, Err(BundleError::Order { expected: 1, got: 0 }));
        assert_eq!(bundle(&[a, frame(1, "defg", true)]), Err(BundleError::TooLarge(6)));
        assert_eq!(bundle(&[frame(0, "?", true)]), Err(BundleError::Encoding(0)));
    }

    #[tokio::test]
    async fn a_request_is_forgotten_with_whoever_waits_for_it() {
        let bundles = Bundles::default();
        let mut open = bundles.open();
        let error =
            |id: &str| Part::Error(FleetBundleError { request_id: id.into(), message: "m".into() });
        assert!(!bundles.take(error("another")).await);
        let id = open.id.clone();
        assert!(bundles.take(error(&id)).await);
        assert_eq!(put_together(&mut open.parts).await, Err(BundleError::Refused("m".into())));
        drop(open);
        assert!(!bundles.take(error(&id)).await);
    }
}
