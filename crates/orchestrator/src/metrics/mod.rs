//! What is counted and measured, and its text form for scrapes.
//!
//! `agents` adds what agents report, `cleanup` is about retention. The names follow the reference list; `guide` adds the names that the deployment guide promises, with the same
//! values.

mod agents;
mod cleanup;
mod text;

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub(crate) use agents::{Sums, accept};

/// Event names come from senders: beyond this many different ones they count as `other`.
const MAX_EVENT_NAMES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    source: String,
    event: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Depth {
    status: String,
    label: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

/// Waiting and dispatched jobs, as last counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueDepth {
    pub(crate) waiting: i64,
    pub(crate) dispatched: i64,
}

/// All series of this process.
pub(crate) struct Metrics {
    registry: Registry,
    received: Family<Received, Counter>,
    received_guide: Counter,
    event_names: Mutex<HashSet<String>>,
    processed: Family<ResultLabel, Counter>,
    match_seconds: Histogram,
    duplicates: Counter,
    executions: Family<StatusLabel, Counter>,
    execution_seconds: Histogram,
    steps: Family<StatusLabel, Counter>,
    log_chunks: Counter,
    log_bytes: Counter,
    dispatched: Counter,
    lock_hits: Counter,
    lock_misses: Counter,
    stale: Counter,
    requests: Family<StatusLabel, Counter>,
    agents: Gauge,
    queue: Family<StatusLabel, Gauge>,
    queue_by_label: Family<Depth, Gauge>,
    repaired: Family<KindLabel, Counter>,
    waiting: AtomicI64,
    with_agents: AtomicI64,
    backpressure: Gauge,
    removed: Family<KindLabel, Counter>,
    logs_stored: Gauge,
    cleanup: cleanup::Cleanup,
    resident: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let seconds = |buckets: &[f64]| Histogram::new(buckets.iter().copied());
        let metrics = Metrics {
            registry: Registry::default(),
            received: Family::default(),
            received_guide: Counter::default(),
            event_names: Mutex::default(),
            processed: Family::default(),
            match_seconds: seconds(&[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0]),
            duplicates: Counter::default(),
            executions: Family::default(),
            execution_seconds: seconds(&[1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0]),
            steps: Family::default(),
            log_chunks: Counter::default(),
            log_bytes: Counter::default(),
            dispatched: Counter::default(),
            lock_hits: Counter::default(),
            lock_misses: Counter::default(),
            stale: Counter::default(),
            requests: Family::default(),
            agents: Gauge::default(),
            queue: Family::default(),
            queue_by_label: Family::default(),
            repaired: Family::default(),
            waiting: AtomicI64::new(0),
            with_agents: AtomicI64::new(0),
            backpressure: Gauge::default(),
            removed: Family::default(),
            logs_stored: Gauge::default(),
            cleanup: cleanup::Cleanup::new(),
            resident: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Metrics {
        let r = &mut self.registry;
        let both = |r: &mut Registry, name: &str, help: &str, metric: &Gauge| {
            r.register(format!("kici_orch_{name}"), help, metric.clone());
            r.register(format!("kici_{name}"), help, metric.clone());
        };
        both(r, "agents_active", "Connected agents", &self.agents);
        r.register(
            "kici_orch_dispatch_queue_depth",
            "Jobs waiting for an agent or given to one",
            self.queue.clone(),
        );
        r.register(
            "kici_dispatch_queue_depth",
            "Jobs waiting for an agent or given to one",
            self.queue.clone(),
        );
        r.register(
            "kici_orch_retention_removed",
            "What was removed because it was too old, by kind",
            self.removed.clone(),
        );
        r.register(
            "kici_orch_log_storage_bytes",
            "What the logs of all jobs take in storage, as last added up by the leader; 0 elsewhere",
            self.logs_stored.clone(),
        );
        self.cleanup.register(r);
        r.register(
            "kici_orch_dispatch_queue_depth_by_label",
            "Jobs waiting for an agent or given to one, by the labels that they ask for",
            self.queue_by_label.clone(),
        );
        r.register(
            "kici_orch_repaired",
            "Jobs, fan-outs and runs that were stuck without a reason and were put right: a bug if it is not 0",
            self.repaired.clone(),
        );
        r.register(
            "kici_orch_queue_backpressure",
            "1 while more jobs wait for an agent than the warning level",
            self.backpressure.clone(),
        );
        for (name, help) in [
            ("kici_orch_config_version", "Version of the shared configuration"),
            ("kici_orch_declared_hosts_unreachable", "Declared hosts that are away"),
            ("kici_orch_stale_runs_current", "Runs with a silent job"),
            ("kici_orch_event_dlq_depth", "Events that could not be dispatched"),
            ("kici_platform_connection_status", "1 when connected to a platform"),
        ] {
            r.register(name, help, <Gauge>::default());
        }
        r.register(
            "kici_orch_scaler_spawn_refusals",
            "Agents that a scaler refused to start",
            <Counter>::default(),
        );
        r.register("kici_orch_webhooks_received", "Deliveries received", self.received.clone());
        r.register("kici_webhooks_received", "Deliveries received", self.received_guide.clone());
        r.register("kici_orch_webhooks_processed", "Deliveries processed", self.processed.clone());
        r.register("kici_webhooks_processed", "Deliveries processed", self.processed.clone());
        for name in
            ["kici_orch_trigger_match_duration_seconds", "kici_trigger_match_duration_seconds"]
        {
            r.register(
                name,
                "Time to match the triggers of a lock file",
                self.match_seconds.clone(),
            );
        }
        for name in ["kici_orch_dedup_hits", "kici_dedup_hits"] {
            r.register(name, "Deliveries that were there already", self.duplicates.clone());
        }
        r.register("kici_orch_executions", "Runs made and ended", self.executions.clone());
        r.register(
            "kici_orch_execution_duration_seconds",
            "Time from making a run to its end",
            self.execution_seconds.clone(),
        );
        r.register("kici_orch_steps", "Step reports", self.steps.clone());
        r.register(
            "kici_orch_log_chunks_received",
            "Log messages from agents",
            self.log_chunks.clone(),
        );
        r.register("kici_orch_log_bytes_stored", "Log bytes in storage", self.log_bytes.clone());
        r.register("kici_jobs_dispatched", "Jobs sent to an agent", self.dispatched.clone());
        r.register(
            "kici_lockfile_cache_hits",
            "Lock files found in the cache",
            self.lock_hits.clone(),
        );
        r.register("kici_lockfile_cache_misses", "Lock files fetched", self.lock_misses.clone());
        r.register("kici_orch_stale_runs_detected", "Jobs that went silent", self.stale.clone());
        r.register("kici_orch_http_requests", "Requests by status", self.requests.clone());
        r.register("process_resident_memory_bytes", "Resident memory", self.resident.clone());
        // Series without labels of their own, and those that a dashboard expects, are there from the start.
        for status in ["pending", "dispatched"] {
            self.queue.get_or_create(&StatusLabel { status: status.into() }).set(0);
        }
        for kind in ["job", "fan_out", "run"] {
            self.repaired(kind, 0);
        }
        self
    }

    /// A verified delivery, before it is known whether it is a duplicate.
    pub(crate) fn webhook_received(&self, source: &str, event: &str) {
        let event = if self.known_event(event) { event } else { "other" };
        self.received.get_or_create(&Received { source: source.into(), event: event.into() }).inc();
        self.received_guide.inc();
    }

    fn known_event(&self, event: &str) -> bool {
        let mut names = self.event_names.lock().expect("nothing panics while it is held");
        names.contains(event) || (names.len() < MAX_EVENT_NAMES && names.insert(event.to_owned()))
    }

    pub(crate) fn webhook_processed(&self, result: &str) {
        self.processed.get_or_create(&ResultLabel { result: result.into() }).inc();
    }

    pub(crate) fn matched_in(&self, time: Duration) {
        self.match_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn duplicate(&self) {
        self.duplicates.inc();
    }

    pub(crate) fn runs(&self, status: &str, count: u64) {
        self.executions.get_or_create(&StatusLabel { status: status.into() }).inc_by(count);
    }

    pub(crate) fn run_took(&self, time: Duration) {
        self.execution_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn step(&self, status: &str) {
        self.steps.get_or_create(&StatusLabel { status: status.into() }).inc();
    }

    pub(crate) fn log_chunk(&self) {
        self.log_chunks.inc();
    }

    pub(crate) fn log_stored(&self, bytes: u64) {
        self.log_bytes.inc_by(bytes);
    }

    pub(crate) fn dispatched(&self, count: u64) {
        self.dispatched.inc_by(count);
    }

    pub(crate) fn lock_file(&self, hit: bool) {
        if hit { &self.lock_hits } else { &self.lock_misses }.inc();
    }

    pub(crate) fn stale(&self, count: u64) {
        self.stale.inc_by(count);
    }

    pub(crate) fn request(&self, status: u16) {
        self.requests.get_or_create(&StatusLabel { status: status.to_string() }).inc();
    }

    /// Notes the depth of the queue, counted by the reconciler.
    pub(crate) fn set_queue(&self, depth: QueueDepth) {
        self.waiting.store(depth.waiting, Ordering::Relaxed);
        self.with_agents.store(depth.dispatched, Ordering::Relaxed);
        self.queue.get_or_create(&StatusLabel { status: "pending".into() }).set(depth.waiting);
        self.queue
            .get_or_create(&StatusLabel { status: "dispatched".into() })
            .set(depth.dispatched);
    }

    /// Notes the depth of the queue by label. What has fallen to nothing disappears.
    pub(crate) fn set_queue_by_label(&self, depths: BTreeMap<String, QueueDepth>) {
        self.queue_by_label.clear();
        for (label, depth) in depths {
            for (status, jobs) in [("pending", depth.waiting), ("dispatched", depth.dispatched)] {
                if jobs > 0 {
                    let series = Depth { status: status.into(), label: label.clone() };
                    self.queue_by_label.get_or_create(&series).set(jobs);
                }
            }
        }
    }

    /// Counts what was stuck without a reason: `job`, `fan_out` or `run`.
    pub(crate) fn repaired(&self, kind: &str, count: u64) {
        self.repaired.get_or_create(&KindLabel { kind: kind.into() }).inc_by(count);
    }

    /// Counts what was removed because it was too old.
    pub(crate) fn removed(&self, kind: &str, count: u64) {
        self.removed.get_or_create(&KindLabel { kind: kind.into() }).inc_by(count);
    }

    /// Notes what logs take in storage.
    pub(crate) fn set_logs_stored(&self, bytes: i64) {
        self.logs_stored.set(bytes);
    }

    /// Notes a pass of retention.
    pub(crate) fn cleanup(&self, success: bool, took: Duration) {
        self.cleanup.passed(success, took);
    }

    /// Whether the queue is deeper than it should be for a while.
    pub(crate) fn set_backpressure(&self, high: bool) {
        self.backpressure.set(i64::from(high));
    }

    /// The depth of the queue as last counted.
    pub(crate) fn queue(&self) -> QueueDepth {
        QueueDepth {
            waiting: self.waiting.load(Ordering::Relaxed),
            dispatched: self.with_agents.load(Ordering::Relaxed),
        }
    }

    /// All series as text.
    pub(crate) fn render(&self, agents: i64, measured: &Sums) -> String {
        self.agents.set(agents);
        self.resident.set(text::resident_bytes());
        let mut text = text::prometheus(&self.registry);
        measured.render(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_nobody_waits_for_any_more_disappear() {
        let metrics = Metrics::new();
        let depth = QueueDepth { waiting: 2, dispatched: 0 };
        metrics.set_queue_by_label(BTreeMap::from([("gpu".to_owned(), depth)]));
        let name = "kici_orch_dispatch_queue_depth_by_label";
        let line = format!("{name}{{status=\"pending\",label=\"gpu\"}} 2");
        let text = metrics.render(0, &Sums::default());
        assert!(text.lines().any(|l| l == line), "{line} is missing in:\n{text}");
        metrics.set_queue_by_label(BTreeMap::new());
        let text = metrics.render(0, &Sums::default());
        assert!(!text.lines().any(|l| l.starts_with(name)), "{text}");
    }

    #[test]
    fn both_sets_of_names_are_there_from_the_start() {
        let metrics = Metrics::new();
        metrics.webhook_received("generic", "push");
        metrics.webhook_processed("matched");
        let text = metrics.render(3, &Sums::default());
        for line in [
            "kici_orch_agents_active 3",
            "kici_agents_active 3",
            "kici_orch_dispatch_queue_depth{status=\"pending\"} 0",
            "kici_orch_dispatch_queue_depth{status=\"dispatched\"} 0",
            "kici_orch_config_version 0",
            "kici_orch_event_dlq_depth 0",
            "kici_orch_webhooks_received_total{source=\"generic\",event=\"push\"} 1",
            "kici_webhooks_received_total 1",
            "kici_webhooks_processed_total{result=\"matched\"} 1",
            "kici_lockfile_cache_hits_total 0",
            "kici_jobs_dispatched_total 0",
            "kici_orch_repaired_total{kind=\"job\"} 0",
            "# TYPE kici_jobs_dispatched_total counter",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in:\n{text}");
        }
        assert!(!text.contains("# EOF"), "that is OpenMetrics, not the text format");
    }
}
