//! Numbers: percentiles, and how they are printed.

use std::time::Duration;

use serde_json::json;

/// Prints what one bench found.
pub(super) struct Metrics {
    bench: &'static str,
    json: bool,
}

impl Metrics {
    pub(super) fn new(bench: &'static str, json: bool) -> Self {
        Self { bench, json }
    }

    /// One number.
    pub(super) fn add(&mut self, metric: &str, value: f64, unit: &str) {
        self.print(metric, value, unit, None);
    }

    /// One number of one JavaScript engine.
    pub(super) fn add_for_engine(&mut self, engine: &str, metric: &str, value: f64, unit: &str) {
        self.print(metric, value, unit, Some(engine));
    }

    /// What is being done; not part of the result.
    pub(super) fn progress(&self, text: &str) {
        eprintln!("{}: {text}", self.bench);
    }

    fn print(&self, metric: &str, value: f64, unit: &str, engine: Option<&str>) {
        // More digits than the measurement has would only look precise.
        let value = (value * 1000.0).round() / 1000.0;
        if self.json {
            let mut line = json!({
                "bench": self.bench, "metric": metric, "value": value, "unit": unit,
            });
            if let Some(engine) = engine {
                line["engine"] = json!(engine);
            }
            println!("{line}");
        } else {
            let engine = engine.map(|engine| format!(" ({engine})")).unwrap_or_default();
            println!("{:<10} {:<28} {value:>12} {unit}", self.bench, format!("{metric}{engine}"));
        }
    }
}

/// The smallest sample that at least `percent` of the samples do not exceed, in milliseconds.
pub(super) fn percentile_ms(samples: &mut [Duration], percent: f64) -> f64 {
    samples.sort_unstable();
    let rank = (percent / 100.0 * samples.len() as f64).ceil() as usize;
    let sample = samples.get(rank.saturating_sub(1)).copied().unwrap_or_default();
    sample.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&mut samples, 50.0), 100.0);
        assert_eq!(percentile_ms(&mut samples, 99.0), 198.0);
        assert_eq!(percentile_ms(&mut samples, 100.0), 200.0);
        assert_eq!(percentile_ms(&mut [Duration::from_millis(7)], 99.0), 7.0);
    }
}
