//! How the passes of retention go, under the names of scheduled jobs (`job="cleanup"`).

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

const BUCKETS: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Job {
    job: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Run {
    job: &'static str,
    result: &'static str,
}

const JOB: Job = Job { job: "cleanup" };

/// See the module.
pub(super) struct Cleanup {
    runs: Family<Run, Counter>,
    seconds: Family<Job, Histogram, fn() -> Histogram>,
    last_success: Family<Job, Gauge>,
    last_failure: Family<Job, Gauge>,
    failures: Family<Job, Gauge>,
}

impl Cleanup {
    pub(super) fn new() -> Cleanup {
        Cleanup {
            runs: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            last_success: Family::default(),
            last_failure: Family::default(),
            failures: Family::default(),
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register("kici_orch_job_runs", "Passes of housekeeping", self.runs.clone());
        r.register(
            "kici_orch_job_duration_seconds",
            "How long passes of housekeeping take",
            self.seconds.clone(),
        );
        r.register(
            "kici_orch_job_last_success_timestamp_seconds",
            "When housekeeping last succeeded",
            self.last_success.clone(),
        );
        r.register(
            "kici_orch_job_last_failure_timestamp_seconds",
            "When housekeeping last failed",
            self.last_failure.clone(),
        );
        r.register(
            "kici_orch_job_consecutive_failures",
            "Passes of housekeeping that failed since the last success",
            self.failures.clone(),
        );
    }

    /// Notes a pass.
    pub(super) fn passed(&self, success: bool, took: Duration) {
        let result = if success { "success" } else { "failure" };
        self.runs.get_or_create(&Run { job: JOB.job, result }).inc();
        self.seconds.get_or_create(&JOB).observe(took.as_secs_f64());
        let at = if success { &self.last_success } else { &self.last_failure };
        at.get_or_create(&JOB).set(jiff::Timestamp::now().as_second());
        let failures = self.failures.get_or_create(&JOB);
        if success {
            failures.set(0)
        } else {
            failures.inc()
        };
    }
}
