//! What an agent has to put right when its last process was killed while a job ran.

use std::collections::BTreeMap;
use std::time::Instant;

use kici_protocol::agent::Fate;
use serde_json::json;

use crate::job::{self, Voice};
use crate::outbox::Outbox;

/// What the user sees.
const ERROR: &str =
    "agent restarted while the job ran: the agent process was killed, and with it the job";
const LAST_LINE: &str =
    "[kici] the agent was restarted while the job ran; the last second of this log may be missing";

/// Takes over what earlier processes did not tell, and ends what the last one left running. Gives what has to be said
/// about the jobs whose end is still to be told.
pub(crate) fn settle(outbox: &mut Outbox) -> BTreeMap<String, Fate> {
    for unfinished in outbox.recover() {
        let ended = unfinished.process.as_ref().map_or(0, job::clean_up);
        tracing::warn!(
            run.id = unfinished.job.run_id,
            job.id = unfinished.job.job_id,
            "the last process of this agent was killed while this job ran; {ended} processes of the \
             job were left and were ended, the job is reported as failed"
        );
        let end = Voice::new(unfinished.job.clone())
            .failed_because(ERROR, json!({ "kind": "agent-restarted" }));
        outbox.end_unfinished(&unfinished.job, LAST_LINE, &end, Instant::now());
    }
    outbox.fates()
}
