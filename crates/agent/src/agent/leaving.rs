//! The way out: draining, the grace time of a running job, the last words.

use std::time::{Duration, Instant};

use kici_protocol::agent::{FromAgent, JobState};
use serde_json::json;

use super::Agent;
use crate::job::Voice;
use crate::link::Event;
use crate::signals::Signal;

/// From the forced cancel of the job to killing its process.
const CANCEL_TIME: Duration = Duration::from_secs(2);
/// For telling the end of the job, and for the closing handshake.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// What the user sees.
const SHUT_DOWN: &str = "Agent shut down during execution";

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing was cut off.
    Clean,
    /// A job was cut off.
    CutOff,
}

/// How far the agent is on its way out.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// SIGTERM came: the running job has until then.
    grace_until: Option<Instant>,
    /// The job was cancelled for it, and its process is killed then.
    kill_at: Option<Instant>,
    cut_off: bool,
    /// Nothing is left to do but to say goodbye until then.
    goodbye_until: Option<Instant>,
    closing: bool,
}

impl Leaving {
    /// Whether no more work will be taken.
    pub(super) fn has_begun(&self) -> bool {
        self.grace_until.is_some() || self.goodbye_until.is_some()
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        [self.grace_until.filter(|_| !self.cut_off), self.kill_at, self.goodbye_until]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Agent {
    pub(super) fn on_signal(&mut self, signal: Signal) {
        let now = Instant::now();
        match signal {
            Signal::Drain => tracing::info!("draining: no new jobs, leaving when idle"),
            Signal::Terminate if self.leaving.grace_until.is_some() => {
                tracing::info!("asked again: ending the running job now");
                self.leaving.grace_until = Some(now);
            }
            Signal::Terminate => {
                let grace = self.config.times.shutdown_grace;
                tracing::info!("shutting down; a running job has {:.0} s", grace.as_secs_f64());
                self.leaving.grace_until = Some(now + grace);
            }
        }
        self.warm = None;
        self.feed(Event::Drain);
        if self.job.is_some() {
            let status = self.status_message();
            self.send_now(&status);
        }
    }

    /// Ends the job when its grace time is over.
    pub(super) fn watch_shutdown(&mut self, now: Instant) {
        let Some(running) = &self.job else {
            self.leaving.kill_at = None;
            return;
        };
        let grace_over = self.leaving.grace_until.is_some_and(|until| until <= now);
        if grace_over && !self.leaving.cut_off {
            tracing::warn!(job.id = running.voice.job().job_id, "cutting off the running job");
            self.leaving.cut_off = true;
            self.leaving.kill_at = Some(now + CANCEL_TIME);
            self.cancel_job(true, "the agent shuts down".to_owned());
        } else if self.leaving.kill_at.is_some_and(|at| at <= now) {
            self.leaving.kill_at = None;
            running.job.kill();
        }
    }

    /// What is told instead of the end of a job that was cut off.
    pub(super) fn shutdown_status(&self, voice: &Voice, state: JobState) -> Option<FromAgent> {
        (self.leaving.cut_off && state != JobState::Success)
            .then(|| voice.failed_because(SHUT_DOWN, json!({ "kind": "agent-shutdown" })))
    }

    /// Draining and idle.
    pub(super) fn leave(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        self.leaving.goodbye_until.get_or_insert(until);
    }

    /// The exit, once everything was said or there is no time left.
    pub(super) fn way_out(&mut self, now: Instant) -> Option<Exit> {
        // A job that was cut off while the orchestrator is away cannot be told for ever.
        if self.leaving.cut_off && self.job.is_none() {
            self.leave();
        }
        let until = self.leaving.goodbye_until?;
        let exit = if self.leaving.cut_off { Exit::CutOff } else { Exit::Clean };
        if now >= until || (self.socket.is_none() && self.outbox.is_empty()) {
            return Some(exit);
        }
        let can_tell = self.link.is_ready();
        if !self.leaving.closing
            && (self.outbox.is_empty() || !can_tell && self.link.job().is_none())
        {
            self.leaving.closing = true;
            match &self.socket {
                Some(socket) if can_tell => socket.close(Self::goodbye()),
                Some(_) | None => return Some(exit),
            }
        }
        None
    }
}
