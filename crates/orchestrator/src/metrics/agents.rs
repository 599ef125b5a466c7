//! The numbers that agents report, summed over agents, as part of our own text.
//!
//! What an agent sends is bounded and checked when it comes ([`accept`]), so that a broken agent cannot fill the
//! memory or spoil the text for everybody.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kici_protocol::agent::{Metric, MetricType};

/// Series of one agent.
const SERIES: usize = 128;

/// Series of all agents together; what comes beyond is left out.
const ALL_SERIES: usize = 2048;

/// Labels of a series, and bytes of a value.
const LABELS: usize = 6;
const VALUE: usize = 128;

/// The series of a report that are kept: those of agents, with sound names and few labels.
pub(crate) fn accept(reported: Vec<Metric>) -> Vec<Metric> {
    reported.into_iter().filter(is_sound).take(SERIES).collect()
}

fn is_sound(metric: &Metric) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= VALUE
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.as_bytes()[0].is_ascii_digit()
    };
    metric.name.starts_with("kici_agent_")
        && is_name(&metric.name)
        && metric.labels.len() <= LABELS
        && metric.labels.iter().all(|(name, value)| {
            is_name(name) && !["scaler", "le"].contains(&name.as_str()) && value.len() <= VALUE
        })
        && metric.buckets.as_ref().is_none_or(|buckets| buckets.len() <= 32)
}

/// Sums over agents.
#[derive(Default)]
pub(crate) struct Sums {
    names: BTreeMap<String, (MetricType, BTreeMap<String, Sum>)>,
    series: usize,
}

#[derive(Default)]
struct Sum {
    value: f64,
    /// By upper bound, in the order of the first report.
    buckets: Vec<(f64, u64)>,
    count: u64,
    sum: f64,
}

impl Sums {
    /// Adds what one agent reported last.
    pub(crate) fn add(&mut self, reported: &[Metric], scaler: &str) {
        for metric in reported {
            let mut labels: Vec<String> =
                metric.labels.iter().map(|(name, value)| pair(name, value)).collect();
            labels.push(pair("scaler", scaler));
            let (kind, series) = self
                .names
                .entry(metric.name.clone())
                .or_insert_with(|| (metric.kind, BTreeMap::new()));
            let labels = labels.join(",");
            let known = series.contains_key(&labels);
            // Two agents of different versions may disagree about a type; the first one counts.
            if *kind != metric.kind || (!known && self.series >= ALL_SERIES) {
                continue;
            }
            self.series += usize::from(!known);
            series.entry(labels).or_default().add(metric);
        }
    }

    /// In the Prometheus text format.
    pub(crate) fn render(&self, text: &mut String) {
        for (name, (kind, series)) in &self.names {
            let kind = match kind {
                MetricType::Counter => "counter",
                MetricType::Histogram => "histogram",
                MetricType::Gauge | MetricType::UpDownCounter => "gauge",
            };
            let _ = writeln!(text, "# HELP {name} Reported by agents\n# TYPE {name} {kind}");
            for (labels, sum) in series {
                let _ = match kind {
                    "histogram" => sum.histogram(text, name, labels),
                    _ => writeln!(text, "{name}{{{labels}}} {}", sum.value),
                };
            }
        }
    }
}

impl Sum {
    fn add(&mut self, metric: &Metric) {
        self.value += metric.value.filter(|value| value.is_finite()).unwrap_or(0.0);
        self.count = self.count.saturating_add(metric.count.unwrap_or(0));
        self.sum += metric.sum.filter(|sum| sum.is_finite()).unwrap_or(0.0);
        for bucket in metric.buckets.iter().flatten() {
            match self.buckets.iter_mut().find(|(le, _)| *le == bucket.le) {
                Some((_, count)) => *count = count.saturating_add(bucket.count),
                None => self.buckets.push((bucket.le, bucket.count)),
            }
        }
    }

    fn histogram(&self, text: &mut String, name: &str, labels: &str) -> std::fmt::Result {
        for (le, count) in self.buckets.iter().filter(|(le, _)| le.is_finite()) {
            writeln!(text, "{name}_bucket{{{labels},le=\"{le}\"}} {count}")?;
        }
        writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", self.count)?;
        writeln!(text, "{name}_sum{{{labels}}} {}", self.sum)?;
        writeln!(text, "{name}_count{{{labels}}} {}", self.count)
    }
}

/// `name="value"`, escaped.
fn pair(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metrics(list: Value) -> Vec<Metric> {
        accept(serde_json::from_value(list).unwrap())
    }

    #[test]
    fn numbers_of_agents_are_summed() {
        let one = metrics(json!([
            {"name": "kici_agent_jobs_total", "type": "counter", "value": 2, "labels": {"status": "a\"b"}},
            {"name": "kici_agent_jobs_active", "type": "upDownCounter", "value": 1},
            {"name": "kici_agent_step_duration_seconds", "type": "histogram", "count": 3, "sum": 0.5,
             "buckets": [{"le": 0.1, "count": 1}, {"le": 1, "count": 3}]},
        ]));
        let mut sums = Sums::default();
        sums.add(&one, "stateful");
        sums.add(&one, "stateful");
        let mut text = String::new();
        sums.render(&mut text);
        for line in [
            "# TYPE kici_agent_jobs_total counter",
            r#"kici_agent_jobs_total{status="a\"b",scaler="stateful"} 4"#,
            r#"kici_agent_jobs_active{scaler="stateful"} 2"#,
            r#"kici_agent_step_duration_seconds_bucket{scaler="stateful",le="0.1"} 2"#,
            r#"kici_agent_step_duration_seconds_bucket{scaler="stateful",le="+Inf"} 6"#,
            r#"kici_agent_step_duration_seconds_sum{scaler="stateful"} 1"#,
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is missing in:\n{text}");
        }
    }

    #[test]
    fn what_would_spoil_the_text_or_the_memory_is_left_out() {
        let odd = metrics(json!([
            {"name": "kici_agent_x\n# TYPE", "type": "gauge", "value": 1},
            {"name": "nodejs.eventloop.utilization", "type": "gauge", "value": 1},
            {"name": "kici_orch_agents_active", "type": "gauge", "value": 1},
            {"name": "kici_agent_y", "type": "gauge", "value": 1, "labels": {"scaler": "mine"}},
            {"name": "kici_agent_z", "type": "gauge", "value": 1, "labels": {"a": "x".repeat(1000)}},
        ]));
        assert!(odd.is_empty(), "{odd:?}");
        let many: Vec<Value> = (0..4000)
            .map(|n| json!({"name": "kici_agent_n", "type": "gauge", "value": 1, "labels": {"n": n.to_string()}}))
            .collect();
        assert_eq!(metrics(Value::from(many)).len(), SERIES);
    }
}
