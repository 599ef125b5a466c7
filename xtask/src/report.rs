//! Counts what passed, failed and was skipped, stage by stage.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How many checks of a stage passed, failed and were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// A stage that is one check, and passed.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    /// A stage that is one check, and failed.
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };

    /// Passed or failed.
    pub(crate) fn of(success: bool) -> Self {
        if success { Self::PASSED } else { Self::FAILED }
    }

    /// Adds the counts of another part.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// What a stage came to.
pub(crate) enum Outcome {
    /// It ran.
    Ran(Counts),
    /// Something that it needs is missing.
    Skipped(String),
}

/// The stages run so far.
#[derive(Default)]
pub(crate) struct Report {
    stages: Vec<(&'static str, Duration, String)>,
    sum: Counts,
}

impl Report {
    /// Runs one stage and remembers how it went; false when it failed.
    pub(crate) fn stage(
        &mut self,
        name: &'static str,
        stage: impl FnOnce() -> Result<Outcome>,
    ) -> bool {
        println!("\n== {name}");
        let started = Instant::now();
        let (counts, text) = match stage() {
            Ok(Outcome::Ran(counts)) => (counts, counts.to_string()),
            Ok(Outcome::Skipped(reason)) => {
                println!("skipped: {reason}");
                (Counts { skipped: 1, ..Counts::default() }, format!("skipped: {reason}"))
            }
            Err(error) => {
                println!("error: {error:#}");
                (Counts::FAILED, format!("failed: {error:#}"))
            }
        };
        self.sum.add(counts);
        self.stages.push((name, started.elapsed(), text));
        counts.failed == 0
    }

    /// Prints the stages and, alone on the last line, their sum.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\n{:<14} {:>8}  result", "stage", "seconds");
        for (name, took, text) in &self.stages {
            println!("{name:<14} {:>8.1}  {text}", took.as_secs_f64());
        }
        let total: Duration = self.stages.iter().map(|(_, took, _)| *took).sum();
        println!("{:<14} {:>8.1}", "total", total.as_secs_f64());
        println!("{}", self.sum);
        if self.sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
