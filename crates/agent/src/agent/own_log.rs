//! Forwards the agent's own log and sends bundles of it.
//!
//! Neither is worth a fact's place: both go only when the pace allows it and nothing of a job waits.

use std::time::Instant;

use kici_protocol::agent::{AgentLog, FleetBundleError, FleetLogsRequest, FromAgent, limits};
use serde_json::json;

use super::Agent;
use crate::bundle::{Bundle, Facts};
use crate::chain::Chain;
use crate::job;
use crate::outbox::Frame;
use crate::{facts, metrics, now};

/// Ticket of bundle frames: no frame of the outbox has it.
const BUNDLE_TICKET: u64 = u64::MAX;
/// Bundles that wait; more are refused.
const BUNDLES: usize = 4;

/// Where forwarding stands.
#[derive(Debug, Default)]
pub(super) struct Forwarding {
    /// When the next batch may go.
    next: Option<Instant>,
    bundles: std::collections::VecDeque<Bundle>,
    /// A frame of a bundle is at the writer.
    busy: bool,
}

impl Agent {
    /// Sends a batch of own lines and a frame of a bundle, if they may go.
    pub(super) fn forward(&mut self, now: Instant) {
        if !self.link.is_ready() {
            self.forwarding.busy = false;
            return;
        }
        let due = self.forward_at().is_some_and(|at| at <= now);
        if due {
            self.forwarding.next = Some(match self.pace.check_log(now) {
                Err(until) => until,
                Ok(()) => {
                    let lines = self.own_log.take(limits::LOG_FLUSH_LINES);
                    self.send_own(lines);
                    now + limits::LOG_FLUSH_INTERVAL
                }
            });
        }
        if self.forwarding.busy || self.pace.check_log(now).is_err() {
            return;
        }
        while let Some(bundle) = self.forwarding.bundles.front_mut() {
            let Some(chunk) = bundle.next() else {
                self.forwarding.bundles.pop_front();
                continue;
            };
            let text = FromAgent::FleetBundleChunk(chunk).to_text();
            self.pace.spend(text.len(), now);
            if let Some(socket) = &self.socket {
                self.forwarding.busy = true;
                socket.send_fact(Frame { ticket: BUNDLE_TICKET, text });
            }
            return;
        }
    }

    /// When the next batch of own lines is due.
    pub(super) fn forward_at(&self) -> Option<Instant> {
        if !self.link.is_ready() || self.own_log.waiting() == 0 {
            return None;
        }
        Some(self.forwarding.next.unwrap_or(self.started))
    }

    /// When a bundle that waits for the pace may go on.
    pub(super) fn bundle_at(&mut self, now: Instant) -> Option<Instant> {
        if self.forwarding.busy || self.forwarding.bundles.is_empty() || !self.link.is_ready() {
            return None;
        }
        Some(self.pace.check_log(now).err().unwrap_or(now))
    }

    /// Whether a written frame was one of a bundle.
    pub(super) fn bundle_written(&mut self, ticket: u64) -> bool {
        let ours = ticket == BUNDLE_TICKET;
        self.forwarding.busy &= !ours;
        ours
    }

    /// The link is gone; whoever asked will ask again.
    pub(super) fn drop_bundles(&mut self) {
        self.forwarding.bundles.clear();
        self.forwarding.busy = false;
    }

    /// Packs a bundle. At most two megabytes of log: a matter of milliseconds.
    pub(super) fn bundle(&mut self, request: &FleetLogsRequest) {
        tracing::info!("an operator asked for this agent's log");
        let refused = |message: String| {
            FromAgent::FleetBundleError(FleetBundleError {
                request_id: request.request_id.clone(),
                message,
            })
        };
        if self.forwarding.bundles.len() >= BUNDLES {
            self.send_now(&refused(format!("{BUNDLES} bundles are being sent already")));
            return;
        }
        let memory = facts::memory();
        let facts = Facts {
            agent_id: self.agent_id.to_string(),
            config: json!(self.config.shown),
            system: json!({
                "registration": self.facts.registration(Vec::new()),
                "uptimeSeconds": self.started.elapsed().as_secs(),
                "memoryAvailableMb": memory.map(|memory| memory.available_mb),
                "outbox": {
                    "bytes": self.metrics.outbox().disk_bytes,
                    "jobs": self.metrics.outbox().jobs,
                    "problem": self.metrics.outbox().problem,
                },
            }),
            metrics: metrics::exposition(&self.metrics.snapshot()),
            now_ms: now::epoch_ms(),
        };
        match Bundle::pack(request, &facts, &self.own_log) {
            Ok(bundle) => self.forwarding.bundles.push_back(bundle),
            Err(error) => self.send_now(&refused(Chain(&error).to_string())),
        }
    }

    /// After a reconnect: how long the link was down, what waited, what is lost.
    pub(super) fn tell_about_the_gap(&mut self, now: Instant) {
        let waiting = self.outbox.waiting();
        let lines = self.own_log.waiting();
        let dropped = self.own_log.take_dropped();
        let Some(lost_at) = self.lost_at.take().filter(|_| waiting + lines > 0 || dropped > 0)
        else {
            return;
        };
        let seconds = now.duration_since(lost_at).as_secs();
        let lost = match dropped {
            0 => String::new(),
            lines => format!("{lines} log lines dropped due to buffer overflow. "),
        };
        self.send_own(vec![format!(
            "--- Orchestrator offline for {seconds}s. Replaying {waiting} buffered events and \
             {lines} buffered log lines. {lost}---"
        )]);
    }

    fn send_own(&mut self, lines: Vec<String>) {
        self.send_now(&FromAgent::AgentLog(AgentLog {
            message_id: job::id(),
            agent_id: self.agent_id.to_string(),
            lines,
            timestamp: now::epoch_ms(),
        }));
    }
}
