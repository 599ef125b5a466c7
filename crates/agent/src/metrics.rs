//! The agent's numbers: counted in one place, shown on `/metrics` and pushed as `agent.metrics`.
//!
//! [`Metrics::snapshot`] is the one list of series; both outputs are made from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kici_exec::spec::StepStatus;
use kici_protocol::agent::{Bucket, JobState, Metric, MetricType};

use crate::config::Backpressure;
use crate::outbox::Standing;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Metrics {
    jobs: [AtomicU64; JOB_ENDS.len()],
    jobs_active: AtomicI64,
    steps: [AtomicU64; STEP_ENDS.len()],
    step_seconds: Histogram,
    clone_seconds: Histogram,
    overhead_seconds: Histogram,
    log_bytes: AtomicU64,
    log_lines_dropped: AtomicU64,
    backpressure: Backpressure,
    backpressure_events: AtomicU64,
    backpressure_active: AtomicI64,
    connected: AtomicI64,
    outbox: Mutex<Standing>,
}

const JOB_ENDS: [&str; 3] = ["success", "failed", "cancelled"];
const STEP_ENDS: [&str; 4] = ["success", "failed", "skipped", "cancelled"];

impl Metrics {
    /// All zero.
    pub(crate) fn new(backpressure: Backpressure) -> Self {
        Self {
            jobs: Default::default(),
            jobs_active: AtomicI64::new(0),
            steps: Default::default(),
            step_seconds: Histogram::new(&[0.1, 1.0, 5.0, 30.0, 60.0, 300.0, 600.0, 1800.0]),
            clone_seconds: Histogram::new(&[0.5, 1.0, 5.0, 10.0, 30.0, 60.0]),
            overhead_seconds: Histogram::new(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0]),
            log_bytes: AtomicU64::new(0),
            log_lines_dropped: AtomicU64::new(0),
            backpressure,
            backpressure_events: AtomicU64::new(0),
            backpressure_active: AtomicI64::new(0),
            connected: AtomicI64::new(0),
            outbox: Mutex::default(),
        }
    }

    /// A job was taken.
    pub(crate) fn job_started(&self) {
        self.jobs_active.store(1, Ordering::Relaxed);
    }

    /// A job's end was decided; `overhead` is what it took beyond its steps.
    pub(crate) fn job_ended(&self, state: JobState, overhead: Duration) {
        self.jobs_active.store(0, Ordering::Relaxed);
        let index = match state {
            JobState::Success => 0,
            JobState::Cancelled => 2,
            _ => 1,
        };
        self.jobs[index].fetch_add(1, Ordering::Relaxed);
        self.overhead_seconds.observe(overhead);
    }

    /// A step ended.
    pub(crate) fn step_ended(&self, status: StepStatus, took: Duration) {
        let index = match status {
            StepStatus::Success => 0,
            StepStatus::Failed => 1,
            StepStatus::Skipped => 2,
            StepStatus::Cancelled => 3,
        };
        self.steps[index].fetch_add(1, Ordering::Relaxed);
        self.step_seconds.observe(took);
    }

    /// A repository was checked out.
    pub(crate) fn checked_out(&self, took: Duration) {
        self.clone_seconds.observe(took);
    }

    /// Log lines were taken from a job.
    pub(crate) fn log_taken(&self, bytes: u64) {
        self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Log lines were given up.
    pub(crate) fn log_dropped(&self, lines: u64) {
        self.log_lines_dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// Logs come faster than they go, or no longer.
    pub(crate) fn backpressure(&self, active: bool) {
        if self.backpressure_active.swap(active.into(), Ordering::Relaxed) == 0 && active {
            self.backpressure_events.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Registered, or not.
    pub(crate) fn connected(&self, connected: bool) {
        self.connected.store(connected.into(), Ordering::Relaxed);
    }

    /// Whether the agent is registered now.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed) == 1
    }

    /// How the outbox stands.
    pub(crate) fn outbox_stands(&self, standing: Standing) {
        *self.outbox.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// How the outbox stands.
    pub(crate) fn outbox(&self) -> Standing {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Jobs that run now.
    pub(crate) fn active_jobs(&self) -> u32 {
        u32::from(self.jobs_active.load(Ordering::Relaxed) == 1)
    }

    /// Every series with its value of this moment.
    pub(crate) fn snapshot(&self) -> Vec<Metric> {
        let mode = match self.backpressure {
            Backpressure::Pause => "pause",
            Backpressure::Drop => "drop",
        };
        let mut series = Vec::new();
        for (state, count) in JOB_ENDS.iter().zip(&self.jobs) {
            series.push(counter("kici_agent_jobs_total", &[("status", state)], count));
        }
        series.push(gauge("kici_agent_jobs_active", &[], &self.jobs_active));
        for (state, count) in STEP_ENDS.iter().zip(&self.steps) {
            series.push(counter("kici_agent_steps_total", &[("status", state)], count));
        }
        series.push(self.step_seconds.metric("kici_agent_step_duration_seconds"));
        series.push(self.clone_seconds.metric("kici_agent_clone_duration_seconds"));
        series.push(self.overhead_seconds.metric("kici_agent_job_overhead_seconds"));
        series.push(counter("kici_agent_log_bytes_total", &[], &self.log_bytes));
        series.push(counter("kici_agent_log_lines_dropped_total", &[], &self.log_lines_dropped));
        series.push(counter(
            "kici_agent_log_backpressure_events_total",
            &[("mode", mode)],
            &self.backpressure_events,
        ));
        series.push(gauge(
            "kici_agent_log_backpressure_active",
            &[("mode", mode)],
            &self.backpressure_active,
        ));
        let outbox = self.outbox();
        series.push(value("kici_agent_outbox_bytes", outbox.disk_bytes));
        series.push(value("kici_agent_outbox_jobs", outbox.jobs as u64));
        series.push(gauge("kici_agent_connection_status", &[], &self.connected));
        series
    }
}

/// Observations in fixed buckets.
#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    state: Mutex<(Vec<u64>, u64, f64)>,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, state: Mutex::new((vec![0; bounds.len()], 0, 0.0)) }
    }

    fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (bound, count) in self.bounds.iter().zip(&mut state.0) {
            *count += u64::from(seconds <= *bound);
        }
        state.1 += 1;
        state.2 += seconds;
    }

    fn metric(&self, name: &str) -> Metric {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets =
            self.bounds.iter().zip(&state.0).map(|(le, count)| Bucket { le: *le, count: *count });
        Metric {
            buckets: Some(buckets.collect()),
            count: Some(state.1),
            sum: Some(state.2),
            ..metric(name, MetricType::Histogram, &[])
        }
    }
}

fn metric(name: &str, kind: MetricType, labels: &[(&str, &str)]) -> Metric {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Metric {
        name: name.to_owned(),
        kind,
        value: None,
        labels,
        buckets: None,
        count: None,
        sum: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn counter(name: &str, labels: &[(&str, &str)], count: &AtomicU64) -> Metric {
    let value = Some(count.load(Ordering::Relaxed) as f64);
    Metric { value, ..metric(name, MetricType::Counter, labels) }
}

#[expect(clippy::cast_precision_loss, reason = "values are 0 and 1")]
fn gauge(name: &str, labels: &[(&str, &str)], value: &AtomicI64) -> Metric {
    let value = Some(value.load(Ordering::Relaxed) as f64);
    Metric { value, ..metric(name, MetricType::Gauge, labels) }
}

#[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^52")]
fn value(name: &str, value: u64) -> Metric {
    Metric { value: Some(value as f64), ..metric(name, MetricType::Gauge, &[]) }
}

/// Prometheus text exposition of the series, and of this process.
pub(crate) fn exposition(series: &[Metric]) -> String {
    let mut text = String::new();
    let mut last = "";
    for metric in series {
        if metric.name != last {
            let kind = match metric.kind {
                MetricType::Counter => "counter",
                MetricType::Histogram => "histogram",
                MetricType::Gauge | MetricType::UpDownCounter => "gauge",
            };
            write_line(&mut text, format_args!("# TYPE {} {kind}", metric.name));
            last = &metric.name;
        }
        let name = &metric.name;
        if let Some(value) = metric.value {
            write_line(&mut text, format_args!("{name}{} {value}", braces(&metric.labels, None)));
        }
        if let (Some(buckets), Some(count), Some(sum)) = (&metric.buckets, metric.count, metric.sum)
        {
            for bucket in buckets {
                let labels = braces(&metric.labels, Some(&bucket.le.to_string()));
                write_line(&mut text, format_args!("{name}_bucket{labels} {}", bucket.count));
            }
            let labels = braces(&metric.labels, Some("+Inf"));
            write_line(&mut text, format_args!("{name}_bucket{labels} {count}"));
            let labels = braces(&metric.labels, None);
            write_line(&mut text, format_args!("{name}_sum{labels} {sum}"));
            write_line(&mut text, format_args!("{name}_count{labels} {count}"));
        }
    }
    if let Some(bytes) = resident_bytes() {
        write_line(&mut text, format_args!("# TYPE process_resident_memory_bytes gauge"));
        write_line(&mut text, format_args!("process_resident_memory_bytes {bytes}"));
    }
    text
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

/// Our label values are words without quotes.
fn braces(labels: &BTreeMap<String, String>, le: Option<&str>) -> String {
    let le = le.map(|le| format!("le=\"{le}\""));
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).chain(le).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_every_series_of_the_reference() {
        let metrics = Metrics::new(Backpressure::Pause);
        metrics.job_started();
        metrics.job_ended(JobState::Success, Duration::from_millis(20));
        metrics.step_ended(StepStatus::Failed, Duration::from_secs(2));
        metrics.checked_out(Duration::from_secs(3));
        metrics.connected(true);
        let text = exposition(&metrics.snapshot());
        for line in [
            "# TYPE kici_agent_jobs_total counter",
            "kici_agent_jobs_total{status=\"success\"} 1",
            "kici_agent_jobs_active 0",
            "kici_agent_steps_total{status=\"failed\"} 1",
            "kici_agent_step_duration_seconds_bucket{le=\"1\"} 0",
            "kici_agent_step_duration_seconds_bucket{le=\"5\"} 1",
            "kici_agent_step_duration_seconds_bucket{le=\"+Inf\"} 1",
            "kici_agent_step_duration_seconds_sum 2",
            "kici_agent_clone_duration_seconds_bucket{le=\"1\"} 0",
            "kici_agent_clone_duration_seconds_bucket{le=\"5\"} 1",
            "kici_agent_job_overhead_seconds_bucket{le=\"0.025\"} 1",
            "kici_agent_log_bytes_total 0",
            "kici_agent_log_lines_dropped_total 0",
            "kici_agent_log_backpressure_events_total{mode=\"pause\"} 0",
            "kici_agent_log_backpressure_active{mode=\"pause\"} 0",
            "kici_agent_connection_status 1",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line:?} in\n{text}");
        }
        assert_eq!(text.matches("# TYPE kici_agent_jobs_total").count(), 1);
    }
}
