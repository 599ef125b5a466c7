//! Jobs that ask for a place in a concurrency group: the question comes over the socket, who gets a place is decided in
//! [`crate::slots`]. A job that has to wait keeps its agent; it is told when its run has a place.

use std::sync::Arc;

use kici_protocol::agent::{ConcurrencyAck, ConcurrencyAction, ToAgent};
use uuid::Uuid;

use super::connected::Connected;
use super::reader::Reader;
use super::registry::Agents;
use crate::slots::{self, Answer};

/// The answer to a report, or to one that was answered with `wait` before: it has the same id, which is what old agents
/// look for.
pub(super) fn ack(
    request: &str,
    (run, job): (String, String),
    action: ConcurrencyAction,
    reason: Option<String>,
) -> ToAgent {
    ToAgent::ConcurrencyAck(ConcurrencyAck {
        request_id: request.to_owned(),
        action,
        reason,
        run_id: Some(run),
        job_id: Some(job),
    })
}

impl Reader {
    /// Answers the report of a job that this connection holds.
    pub(super) async fn group(&self, run: Uuid, job: Uuid, request: String, group: &str) {
        let answer = slots::report(&self.app, run, group).await;
        let (action, reason) = match answer {
            Answer::GoOn => (ConcurrencyAction::Proceed, None),
            Answer::Wait { reason } => (ConcurrencyAction::Wait, Some(reason)),
            Answer::Refuse { reason } => (ConcurrencyAction::Cancel, Some(reason)),
        };
        self.send(ack(&request, (run.to_string(), job.to_string()), action, reason)).await;
        if action == ConcurrencyAction::Wait {
            self.link().park(job, request);
            // The place may have been given out since.
            self.app.slots.wake();
        }
    }
}

impl Agents {
    /// Jobs of agents connected here that wait for their concurrency group: agent, run and job.
    pub(crate) fn parked(&self) -> Vec<(Arc<Connected>, Uuid, Uuid)> {
        let of = |agent: &Arc<Connected>| {
            let parked = agent.link().parked();
            parked.into_iter().map(|(run, job)| (Arc::clone(agent), run, job)).collect::<Vec<_>>()
        };
        self.all().iter().flat_map(of).collect()
    }
}

impl Connected {
    /// Lets a job go on that was told to wait.
    pub(crate) fn go_on(&self, run: Uuid, job: Uuid) {
        let Some(request) = self.link().unpark(job) else { return };
        let ids = (run.to_string(), job.to_string());
        // An agent that takes no message is stuck: its connection ends, and it asks again over the next one.
        self.send(ack(&request, ids, ConcurrencyAction::Proceed, None));
    }
}
