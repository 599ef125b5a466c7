//! The facts of one job, first in, first out, until they were told.
//!
//! A fact with a `messageId` is *kept*: written to the job's journal first, and told once it is
//! acknowledged. Others (`job.context`, `agent.status`) are told when they were written to a socket.

use std::collections::VecDeque;

use super::journal::Journal;

/// Texts that wait in memory although the journal has them, so that they need not be read again.
const HOT: usize = 1024 * 1024;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Facts {
    queue: VecDeque<Fact>,
    /// How many of `queue`, from the front, were handed out.
    sent: usize,
    /// How many of those were written.
    written: usize,
    hot: usize,
}

/// Something to be told.
#[derive(Debug)]
pub(super) struct Fact {
    /// Absent when it can be read from the journal.
    text: Option<String>,
    /// Where the journal has it.
    at: Option<u64>,
    /// By which it is acknowledged; absent for one that is told once it was written.
    id: Option<String>,
    terminal: bool,
    bytes: usize,
    told: bool,
}

/// A fact that was told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) at: Option<u64>,
    pub(super) terminal: bool,
}

impl Fact {
    pub(super) fn new(text: String, id: Option<String>, at: Option<u64>, terminal: bool) -> Self {
        Self { bytes: text.len(), text: Some(text), at, id, terminal, told: false }
    }

    /// One that is only in the journal.
    pub(super) fn on_disk(at: u64, id: String, terminal: bool, bytes: usize) -> Self {
        Self { text: None, at: Some(at), id: Some(id), terminal, bytes, told: false }
    }
}

impl Facts {
    pub(super) fn push(&mut self, mut fact: Fact) {
        if fact.at.is_some() && self.hot + fact.bytes > HOT {
            fact.text = None;
        }
        if fact.text.is_some() {
            self.hot += fact.bytes;
        }
        self.queue.push_back(fact);
    }

    /// The next one to hand out: its size, and whether it ends the job.
    pub(super) fn next(&self) -> Option<(usize, bool)> {
        self.queue.get(self.sent).map(|fact| (fact.bytes, fact.terminal))
    }

    /// Hands the next one out. One that cannot be read any more is told as far as we can.
    pub(super) fn hand_out(&mut self, journal: Option<&mut Journal>) -> Option<String> {
        let fact = self.queue.get_mut(self.sent)?;
        self.sent += 1;
        if let Some(text) = fact.text.take() {
            self.hot -= fact.bytes;
            // Only the memory has it, so it has to stay there until it was told.
            if fact.at.is_none() {
                fact.text = Some(text.clone());
                self.hot += fact.bytes;
            }
            return Some(text);
        }
        let at = fact.at?;
        let read = journal?.read(at).and_then(|record| {
            let body = record.map(|record| record.body).unwrap_or_default();
            String::from_utf8(body)
                .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
        });
        match read {
            Ok(text) if !text.is_empty() => Some(text),
            Ok(_) => None,
            Err(error) => {
                tracing::error!(%error, "a fact cannot be read back from the outbox; it is lost");
                None
            }
        }
    }

    /// The oldest one that was handed out was written; `keep` says whether an acknowledgement follows.
    pub(super) fn written(&mut self, keep: bool) -> Option<&Fact> {
        let fact = self.queue.get_mut(self.written).filter(|_| self.written < self.sent)?;
        self.written += 1;
        fact.told |= !keep || fact.id.is_none();
        Some(&self.queue[self.written - 1])
    }

    /// Acknowledges by id; false if there is none with it. The end of a job covers all before it,
    /// because an orchestrator takes the messages of a job in order.
    pub(super) fn acknowledge(&mut self, id: &str) -> bool {
        let mut sent = self.queue.iter().take(self.sent);
        let Some(index) = sent.position(|fact| fact.id.as_deref() == Some(id)) else {
            return false;
        };
        let from = if self.queue[index].terminal { 0 } else { index };
        self.queue.range_mut(from..=index).for_each(|fact| fact.told = true);
        true
    }

    /// Takes the ones at the front that need not be kept.
    pub(super) fn take_told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while self.written > 0 && self.queue.front().is_some_and(|fact| fact.told) {
            self.written -= 1;
            self.sent -= 1;
            if let Some(fact) = self.queue.pop_front() {
                if fact.text.is_some() {
                    self.hot -= fact.bytes;
                }
                told.push(Told { at: fact.at, terminal: fact.terminal });
            }
        }
        told
    }

    /// What was not told has to be handed out again.
    pub(super) fn rewind(&mut self) {
        // One that was acknowledged while another before it was not goes again, which is harmless.
        self.queue.retain(|fact| !(fact.told && fact.id.is_none()));
        self.sent = 0;
        self.written = 0;
        self.hot = self.queue.iter().filter(|f| f.text.is_some()).map(|f| f.bytes).sum();
    }

    /// Whether the end of the job is among them.
    pub(super) fn has_terminal(&self) -> bool {
        self.queue.iter().any(|fact| fact.terminal)
    }

    /// How many were not told.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl Fact {
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }
}
