//! Live events of one run, as `GET /api/v1/admin/runs/{runId}/follow` streams them.
//!
//! The stream is server-sent events: each `data:` is the JSON of a [`RunEvent`]. It starts with the
//! run, its jobs and the log as they are, goes on with what changes, and ends with
//! [`RunEvent::Ended`]. A client that lost the connection asks again: states repeat, and log lines
//! are named by (job, step, line), so that what was already shown can be left out.

use kici_model::ids::JobId;
use serde::{Deserialize, Serialize};

use super::runs::{JobView, LogLine, RunDetail};

/// One thing that happened in a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RunEvent {
    /// The run as it is now.
    Run {
        /// The run.
        run: Box<RunDetail>,
    },
    /// A job, with its steps, as it is now.
    Job {
        /// The job.
        job: Box<JobView>,
    },
    /// Lines that a step wrote.
    Log {
        /// The job.
        job_id: JobId,
        /// The job's name.
        job_name: String,
        /// The step's position in the job.
        step_index: i32,
        /// The number of the first of these lines in the step's log, from 0.
        first_line: u64,
        /// The lines, in order.
        lines: Vec<LogLine>,
    },
    /// The run has ended, and its log is complete up to here.
    Ended {
        /// How.
        status: String,
    },
}
