//! The events of a run as they happen.
//!
//! The stream is server-sent events. When the connection breaks it is opened again, and events repeat:
//! what was shown already is for the reader to leave out (see [`crate::live`]).

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use kici_model::ids::RunId;
use kici_protocol::http::follow::RunEvent;
use tokio::time::Instant;

use crate::{Client, ClientError};

/// How long the orchestrator may be away before following is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// The server says something at least this often.
const SILENCE: Duration = Duration::from_secs(60);

type Chunks = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// A run that is followed.
pub struct Follow {
    client: Client,
    run: RunId,
    chunks: Option<Chunks>,
    unread: Vec<u8>,
    events: VecDeque<RunEvent>,
    away_since: Option<Instant>,
    ended: bool,
}

impl Follow {
    pub(crate) fn new(client: Client, run: RunId) -> Follow {
        Follow {
            client,
            run,
            chunks: None,
            unread: Vec::new(),
            events: VecDeque::new(),
            away_since: None,
            ended: false,
        }
    }

    /// The next event; `None` after [`RunEvent::Ended`].
    ///
    /// An orchestrator that restarts is waited for; an error is final.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                self.ended = matches!(event, RunEvent::Ended { .. });
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.read().await {
                Ok(()) => self.away_since = None,
                Err(error) => {
                    self.chunks = None;
                    self.unread.clear();
                    let since = *self.away_since.get_or_insert_with(Instant::now);
                    if !error.is_transient() || since.elapsed() > PATIENCE {
                        return Err(error);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), ClientError> {
        let chunks = match &mut self.chunks {
            Some(chunks) => chunks,
            empty => {
                let response = self.client.answer(self.client.follow_request(self.run)).await?;
                empty.insert(Box::pin(response.bytes_stream()))
            }
        };
        match tokio::time::timeout(SILENCE, chunks.next()).await {
            Ok(Some(Ok(bytes))) => {
                self.unread.extend_from_slice(&bytes);
                self.take_events()
            }
            Ok(Some(Err(source))) => Err(ClientError::Broken { source }),
            // The server stopped, or nothing came for too long: ask again.
            Ok(None) | Err(_) => {
                self.chunks = None;
                self.unread.clear();
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
        }
    }

    /// Takes the whole events out of what was read.
    fn take_events(&mut self) -> Result<(), ClientError> {
        while let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.unread.drain(..end + 2).collect();
            if let Some(event) = event(&String::from_utf8_lossy(&block))? {
                self.events.push_back(event);
            }
        }
        Ok(())
    }
}

/// The event of one block; comments that keep the connection open have none.
fn event(block: &str) -> Result<Option<RunEvent>, ClientError> {
    let data: Vec<&str> = block
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .collect();
    if data.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&data.join("\n"))
        .map(Some)
        .map_err(|source| ClientError::Unreadable { what: "follow".into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_events_or_comments() {
        assert!(event(": still here\n\n").unwrap().is_none());
        let ended = event("data: {\"type\":\"ended\",\"status\":\"success\"}\n\n").unwrap();
        assert!(matches!(ended, Some(RunEvent::Ended { status }) if status == "success"));
        assert!(event("data: {\"type\":\"fireworks\"}\n\n").is_err());
    }

    #[test]
    fn events_may_come_in_pieces() {
        let mut follow = Follow::new(Client::new("http://h", None).unwrap(), RunId::generate());
        for piece in ["data: {\"type\":\"en", "ded\",\"status\":\"failed\"}\n", "\n: x\n\ndata:"] {
            follow.unread.extend_from_slice(piece.as_bytes());
            follow.take_events().unwrap();
        }
        assert_eq!(follow.events.len(), 1);
        assert_eq!(follow.unread, b"data:");
    }
}
