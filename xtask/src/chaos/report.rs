//! What a round came to, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::check::Findings;

/// Findings of a kind that are shown; the file has all of them.
const SHOWN: usize = 12;

/// One round.
pub(super) struct Round {
    pub(super) seed: u64,
    pub(super) length: Duration,
    pub(super) findings: Findings,
    /// Faults that happened, by kind.
    pub(super) faults: BTreeMap<&'static str, u64>,
}

impl Round {
    /// Whether everything is as it must be.
    pub(super) fn is_clean(&self) -> bool {
        self.findings.is_clean()
    }

    /// Prints it.
    pub(super) fn print(&self, json: bool) {
        if json { self.print_json() } else { print!("{}", self.summary(SHOWN)) }
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        self.summary(usize::MAX)
    }

    fn print_json(&self) {
        let line = |metric: &str, value: u64, unit: &str| {
            println!(
                "{}",
                json!({ "bench": "chaos", "metric": metric, "value": value, "unit": unit })
            );
        };
        line("seed", self.seed, "seed");
        line("seconds", self.length.as_secs(), "s");
        for (name, findings) in self.findings.verdicts() {
            line(name, findings.len() as u64, "count");
        }
        for (name, count) in &self.findings.counts {
            line(name, *count, if name.ends_with("_ms") { "ms" } else { "count" });
        }
        line("faults", self.faults.values().sum(), "count");
        for (kind, count) in &self.faults {
            line(&format!("fault_{kind}"), *count, "count");
        }
        for (name, findings) in self.findings.verdicts() {
            for finding in findings.iter().take(SHOWN) {
                eprintln!("{name}: {finding}");
            }
        }
    }

    fn summary(&self, most: usize) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            let _written = writeln!(text, "{line}");
        };
        line(format!("\nchaos, {} s, seed {}", self.length.as_secs(), self.seed));
        for (name, count) in &self.findings.counts {
            line(format!("  {name:<24} {count:>8}"));
        }
        line(format!("  {:<24} {:>8}", "faults", self.faults.values().sum::<u64>()));
        for (kind, count) in &self.faults {
            line(format!("    {kind:<22} {count:>8}"));
        }
        for (name, findings) in self.findings.verdicts() {
            line(format!("{name:<26} {:>8}", findings.len()));
            for finding in findings.iter().take(most) {
                line(format!("    {finding}"));
            }
            if findings.len() > most {
                line(format!("    … and {} more, see findings.txt", findings.len() - most));
            }
        }
        let verdict = if self.is_clean() { "nothing was lost" } else { "FINDINGS, see above" };
        line(format!(
            "{verdict}; the same faults again: cargo xtask chaos --seconds {} --seed {}",
            self.length.as_secs(),
            self.seed
        ));
        text
    }
}
