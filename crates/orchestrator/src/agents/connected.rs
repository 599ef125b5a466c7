//! One registered agent: what it offers, what it holds, and the way to send to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use kici_model::ids::TokenId;
use kici_model::labels::AgentLabels;
use kici_protocol::agent::{Close, JobCancel, JobDispatch, Metric, StepApprovalResolved, ToAgent};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::bundles::Bundles;
use super::life::Life;
use super::link::Link;
use crate::metrics::accept;

/// Messages that may wait for a socket. An agent that does not read its orders counts as gone.
pub(super) const ORDERS: usize = 64;

/// Something for the writing side of a connection.
#[derive(Debug)]
pub(super) enum Order {
    Send(Box<ToAgent>),
    Close(Close),
}

/// What an agent says about its host, as far as jobs are told.
#[derive(Debug)]
pub(crate) struct HostFacts {
    pub(crate) name: String,
    pub(crate) platform: Option<String>,
    pub(crate) arch: Option<String>,
}

/// A registered agent.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(super) id: String,
    pub(super) labels: AgentLabels,
    pub(super) host: HostFacts,
    pub(super) max: usize,
    pub(super) token: Option<TokenId>,
    /// Started by a scaler: gone for good when it goes.
    pub(super) scaler_managed: bool,
    /// Where it connects from.
    pub(super) from: SocketAddr,
    /// The number of its connection over all orchestrators: the highest holds the agent.
    pub(super) connection: i64,
    pub(super) life: Life,
    /// What it measured last.
    pub(super) metrics: Mutex<Vec<Metric>>,
    pub(super) bundles: Bundles,
    pub(super) link: Arc<Mutex<Link>>,
    pub(super) orders: mpsc::Sender<Order>,
    /// Compared with the table; offers may be made.
    pub(super) ready: AtomicBool,
    /// Refused a job and has not said that it is free again.
    pub(super) paused: AtomicBool,
    pub(super) draining: AtomicBool,
    /// Cancelled when a newer connection has its id.
    pub(super) replaced: CancellationToken,
    /// Cancelled when its reader has taken its last frame.
    pub(super) done: CancellationToken,
}

impl Connected {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its labels and taints.
    pub(crate) fn labels(&self) -> &AgentLabels {
        &self.labels
    }

    /// Where it runs.
    pub(crate) fn host(&self) -> &HostFacts {
        &self.host
    }

    /// It takes no more jobs, if `draining`; there is no way back but to register again.
    pub(super) fn drains(&self, draining: bool) {
        if draining && !self.draining.swap(true, Ordering::Relaxed) {
            self.life.tell();
        }
    }

    /// What started it: the backend of a scaler, or nothing that KiCI knows (`stateful`).
    pub(super) fn backend(&self) -> &str {
        let backend = self.labels.labels.iter().find_map(|label| label.strip_prefix("kici:agent:"));
        backend.filter(|_| self.scaler_managed).unwrap_or("stateful")
    }

    /// It reported its own numbers.
    pub(super) fn measured(&self, reported: Vec<Metric>) {
        let accepted = accept(reported);
        *self.metrics.lock().expect("nothing panics while it is held") = accepted;
    }

    /// How many jobs it can take now.
    pub(crate) fn free(&self) -> usize {
        if self.paused.load(Ordering::Relaxed) {
            0
        } else {
            self.max.saturating_sub(self.link().load())
        }
    }

    /// Counts a claimed job as held, before anything is sent.
    pub(crate) fn reserve(&self, job: Uuid, run: Uuid, attempt: i32) {
        self.link().offer(job, run, attempt);
    }

    /// Forgets a job: it was not sent, or its deadline passed.
    pub(crate) fn release(&self, job: Uuid) {
        self.link().withdraw(job);
    }

    /// Whether it holds this attempt.
    pub(crate) fn holds(&self, job: Uuid, attempt: i32) -> bool {
        self.link().holds(job).is_some_and(|held| held.attempt == attempt)
    }

    /// Whether it holds this attempt without having said that it runs.
    pub(crate) fn is_waiting_to_ack(&self, job: Uuid, attempt: i32) -> bool {
        self.link().holds(job).is_some_and(|held| held.attempt == attempt && !held.started)
    }

    /// Sends a job that was reserved. `false`: the connection is gone or stuck.
    pub(crate) fn dispatch(&self, dispatch: JobDispatch) -> bool {
        self.send(ToAgent::JobDispatch(Box::new(dispatch)))
    }

    /// Asks it to stop a job.
    pub(crate) fn cancel(&self, run: Uuid, job: Uuid, reason: &str, force: bool) -> bool {
        self.send(ToAgent::JobCancel(JobCancel {
            message_id: Uuid::new_v4().to_string(),
            run_id: run.to_string(),
            job_id: job.to_string(),
            reason: reason.to_owned(),
            force,
        }))
    }

    /// Tells it what people said about a step.
    pub(crate) fn approval(&self, resolved: StepApprovalResolved) -> bool {
        self.send(ToAgent::StepApprovalResolved(resolved))
    }

    pub(crate) fn close(&self, close: Close) {
        // A full channel is closed by its stuck writer soon.
        let _ = self.orders.try_send(Order::Close(close));
    }

    pub(super) fn send(&self, message: ToAgent) -> bool {
        self.orders.try_send(Order::Send(Box::new(message))).is_ok()
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().expect("the link does not panic")
    }
}
