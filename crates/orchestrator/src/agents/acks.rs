//! What one agent may forget: gathered as it becomes durable, sent in few messages.
//!
//! Whoever commits a fact or indexes log lines says so here and never waits; the writing side of the connection
//! sends what has come together. An agent that reads no acknowledgements is not read either ([`Acks::room`]).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use kici_protocol::agent::{Ack, LogsStored};
use tokio::sync::Notify;
use uuid::Uuid;

/// Facts named by one message.
const FACTS: usize = 512;

/// Facts that may wait before the socket is not read any more.
const WAITING: usize = 4096;

/// How long acknowledgements gather: those of one transaction come one by one.
const GATHER: Duration = Duration::from_millis(10);

/// See the module. Of an agent that does not want any, nothing is kept.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    waiting: Mutex<Waiting>,
    wake: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    wanted: bool,
    facts: Vec<String>,
    logs: HashMap<Uuid, u64>,
}

/// Somebody to tell when a fact is committed.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) acks: std::sync::Arc<Acks>,
    pub(crate) message: String,
}

impl Receipt {
    /// The fact is committed, or will never change anything.
    pub(crate) fn done(self) {
        self.acks.fact(self.message);
    }
}

impl Acks {
    /// Whether the agent wants to be told.
    pub(super) fn want(&self, wanted: bool) {
        self.waiting().wanted = wanted;
    }

    /// A fact need not be kept any longer, by the id of its message.
    pub(crate) fn fact(&self, message: String) {
        let mut waiting = self.waiting();
        if waiting.wanted && !message.is_empty() {
            waiting.facts.push(message);
            self.wake.notify_one();
        }
    }

    /// All log messages of a job up to this one are durable.
    pub(crate) fn logs(&self, job: Uuid, seq: u64) {
        let mut waiting = self.waiting();
        if waiting.wanted {
            let known = waiting.logs.entry(job).or_default();
            *known = seq.max(*known);
            self.wake.notify_one();
        }
    }

    /// Waits until there is something to send, and a little longer for more.
    pub(super) async fn gathered(&self) {
        loop {
            let woken = self.wake.notified();
            if !self.waiting().is_empty() {
                return tokio::time::sleep(GATHER).await;
            }
            woken.await;
        }
    }

    /// What is to be sent now.
    pub(super) fn take(&self) -> Option<Ack> {
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            return None;
        }
        let count = waiting.facts.len().min(FACTS);
        let message_ids = waiting.facts.drain(..count).collect();
        let mut logs: Vec<LogsStored> = waiting
            .logs
            .drain()
            .map(|(job, seq)| LogsStored { job_id: job.to_string(), seq })
            .collect();
        logs.sort_by(|a, b| a.job_id.cmp(&b.job_id));
        drop(waiting);
        self.room.notify_waiters();
        Some(Ack { message_ids, logs })
    }

    /// Waits until not too many acknowledgements wait for the socket.
    pub(super) async fn room(&self) {
        loop {
            let room = self.room.notified();
            if self.waiting().facts.len() < WAITING {
                return;
            }
            room.await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it is held")
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.logs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_durable_is_told_in_few_messages() {
        let acks = Acks::default();
        acks.fact("before anybody asked".into());
        acks.logs(Uuid::nil(), 1);
        assert_eq!(acks.take(), None);
        acks.want(true);
        for n in 0..FACTS + 1 {
            acks.fact(n.to_string());
        }
        acks.fact(String::new());
        acks.logs(Uuid::nil(), 7);
        acks.logs(Uuid::nil(), 5);
        let first = acks.take().unwrap();
        assert_eq!(first.message_ids.len(), FACTS);
        assert_eq!(first.logs, [LogsStored { job_id: Uuid::nil().to_string(), seq: 7 }]);
        let second = acks.take().unwrap();
        assert_eq!((second.message_ids, second.logs), (vec![FACTS.to_string()], vec![]));
        assert_eq!(acks.take(), None);
    }

    #[tokio::test]
    async fn an_agent_that_does_not_listen_is_not_heard() {
        let acks = Acks::default();
        acks.want(true);
        for n in 0..WAITING {
            acks.fact(n.to_string());
        }
        let room = acks.room();
        tokio::pin!(room);
        assert!(futures_util::poll!(&mut room).is_pending());
        acks.take();
        room.await;
    }
}
