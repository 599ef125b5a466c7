//! What is still to be told to the orchestrator, in memory.
//!
//! *Facts* (statuses, events) go first in, first out and are kept until they were written to a
//! registered socket; log chunks have their own queue (`logs`) and never hold a fact back, but for a
//! job's terminal status, which waits until all of its log was written. A frame keeps its text and its
//! `messageId` when it has to be sent again, so that the other side can drop the repeat.

mod logs;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kici_protocol::agent::{FromAgent, JobRef};

pub(crate) use logs::LogQueue;

/// Frames handed to the writer and not yet reported as written.
const WINDOW: usize = 32;
/// The same for log frames, which are larger.
pub(crate) const LOG_WINDOW: usize = 4;

/// A frame on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Reported back when it was written.
    pub(crate) ticket: u64,
    /// The text.
    pub(crate) text: String,
}

/// What became of a written frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// One less to worry about.
    Plain,
    /// The job's end was told.
    Settled,
}

#[derive(Debug)]
struct Fact {
    frame: Frame,
    terminal: bool,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Outbox {
    facts: VecDeque<Fact>,
    /// How many of `facts`, from the front, the writer has.
    sent: usize,
    logs: LogQueue,
    next_ticket: u64,
    /// No terminal status before this.
    terminal_from: Option<Instant>,
}

impl Outbox {
    /// Empty.
    pub(crate) fn new() -> Self {
        Self {
            facts: VecDeque::new(),
            sent: 0,
            logs: LogQueue::default(),
            next_ticket: 1,
            terminal_from: None,
        }
    }

    /// Keeps a fact until it was written.
    pub(crate) fn push(&mut self, message: &FromAgent) {
        self.push_fact(message, false);
    }

    /// Keeps the end of a job until all of its log and then itself was written.
    pub(crate) fn push_terminal(&mut self, message: &FromAgent, now: Instant) {
        self.logs.flush(now);
        self.push_fact(message, true);
    }

    fn push_fact(&mut self, message: &FromAgent, terminal: bool) {
        let frame = Frame { ticket: self.ticket(), text: message.to_text() };
        self.facts.push_back(Fact { frame, terminal });
    }

    /// Log lines of the running job.
    pub(crate) fn logs(&mut self) -> &mut LogQueue {
        &mut self.logs
    }

    /// Size of the next fact, if one may go.
    pub(crate) fn next_fact_len(&self, now: Instant) -> Option<usize> {
        self.ready_fact(now).map(|fact| fact.frame.text.len())
    }

    /// The next fact to write, if one may go.
    pub(crate) fn next_fact(&mut self, now: Instant) -> Option<Frame> {
        let frame = self.ready_fact(now)?.frame.clone();
        self.sent += 1;
        Some(frame)
    }

    fn ready_fact(&self, now: Instant) -> Option<&Fact> {
        let fact = self.facts.get(self.sent).filter(|_| self.sent < WINDOW)?;
        let too_early = !self.logs.is_empty() || self.terminal_from.is_some_and(|from| now < from);
        (!fact.terminal || !too_early).then_some(fact)
    }

    /// The next log frame of `job`, if one is due and the writer has room.
    pub(crate) fn next_log(&mut self, job: &JobRef, now: Instant) -> Option<Frame> {
        let ticket = self.next_ticket;
        let frame = self.logs.next(job, ticket, now)?;
        self.next_ticket = self.next_ticket.max(frame.ticket + 1);
        Some(frame)
    }

    /// When to look again although nothing happens.
    pub(crate) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let terminal = self.terminal_from.filter(|from| *from > now);
        [self.logs.due_at(), terminal].into_iter().flatten().min()
    }

    /// A frame was written to a registered socket.
    pub(crate) fn written(&mut self, ticket: u64) -> Written {
        if self.sent > 0 && self.facts.front().is_some_and(|fact| fact.frame.ticket == ticket) {
            self.sent -= 1;
            if self.facts.pop_front().is_some_and(|fact| fact.terminal) {
                return Written::Settled;
            }
        } else {
            self.logs.written(ticket);
        }
        Written::Plain
    }

    /// The socket is gone: everything not reported as written has to go again.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
        self.logs.rewind();
    }

    /// Terminal statuses wait this long after a registration with jobs in flight.
    pub(crate) fn hold_terminal(&mut self, until: Option<Instant>) {
        self.terminal_from = until;
    }

    /// Facts and chunks that wait, for the gap line.
    pub(crate) fn waiting(&self) -> usize {
        self.facts.len() + self.logs.chunks()
    }

    /// Whether everything was told.
    pub(crate) fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.logs.is_empty()
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket - 1
    }
}

/// How long a terminal status waits after `register.ack` of an orchestrator that reconciles later.
pub(crate) const RECONCILE_TIME: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use kici_protocol::agent::ConfigAck;

    use super::*;

    fn message(name: &str) -> FromAgent {
        FromAgent::ConfigAck(ConfigAck { message_id: name.into(), agent_id: "a".into() })
    }

    fn job() -> JobRef {
        JobRef { run_id: "r".into(), job_id: "j".into() }
    }

    fn name(frame: Option<Frame>) -> String {
        frame.map_or("-".into(), |frame| {
            let value: serde_json::Value = serde_json::from_str(&frame.text).unwrap();
            value["lines"][0].as_str().or(value["messageId"].as_str()).unwrap().to_owned()
        })
    }

    #[test]
    fn the_terminal_status_waits_for_the_log_and_nothing_else_does() {
        let now = Instant::now();
        let mut outbox = Outbox::new();
        outbox.push(&message("step"));
        outbox.logs().push(0, ["line".to_owned()], now);
        outbox.push_terminal(&message("end"), now);

        let step = outbox.next_fact(now).unwrap();
        assert_eq!(name(outbox.next_fact(now)), "-");
        let log = outbox.next_log(&job(), now).unwrap();
        assert_eq!(name(outbox.next_fact(now)), "-", "handed over is not written");
        assert_eq!(outbox.written(log.ticket), Written::Plain);
        assert_eq!(outbox.written(step.ticket), Written::Plain);
        let end = outbox.next_fact(now).unwrap();
        assert_eq!(name(Some(end.clone())), "end");
        assert_eq!(outbox.written(end.ticket), Written::Settled);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_was_not_written_goes_again_with_the_same_text() {
        let now = Instant::now();
        let mut outbox = Outbox::new();
        outbox.push(&message("one"));
        outbox.push(&message("two"));
        outbox.logs().push(0, ["line".to_owned()], now);
        let one = outbox.next_fact(now).unwrap();
        let two = outbox.next_fact(now).unwrap();
        let log = outbox.next_log(&job(), now).unwrap();
        outbox.written(one.ticket);
        outbox.rewind();
        outbox.logs().push(0, ["later".to_owned()], now);

        assert_eq!(outbox.waiting(), 3);
        assert_eq!(outbox.next_fact(now), Some(two.clone()));
        assert_eq!(outbox.next_log(&job(), now), Some(log.clone()));
        outbox.written(two.ticket);
        outbox.written(log.ticket);
        outbox.logs().flush(now);
        assert_eq!(name(outbox.next_log(&job(), now)), "later");
    }

    #[test]
    fn the_window_bounds_what_the_writer_holds() {
        let now = Instant::now();
        let mut outbox = Outbox::new();
        for number in 0..=WINDOW {
            outbox.push(&message(&number.to_string()));
        }
        let first = outbox.next_fact(now).unwrap();
        for _ in 1..WINDOW {
            outbox.next_fact(now).unwrap();
        }
        assert_eq!(outbox.next_fact(now), None);
        outbox.written(first.ticket);
        assert_eq!(name(outbox.next_fact(now)), WINDOW.to_string());
    }

    #[test]
    fn a_terminal_status_can_be_held_back() {
        let now = Instant::now();
        let mut outbox = Outbox::new();
        outbox.hold_terminal(Some(now + RECONCILE_TIME));
        outbox.push_terminal(&message("end"), now);
        assert_eq!(outbox.next_fact(now), None);
        assert_eq!(outbox.wake_at(now), Some(now + RECONCILE_TIME));
        assert_eq!(name(outbox.next_fact(now + RECONCILE_TIME)), "end");
    }
}
