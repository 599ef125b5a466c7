//! `cargo xtask bench`: measures release builds and prints numbers that can be compared.
//!
//! A debug xtask builds everything with `--release` and hands over to the release xtask, because
//! what drives the programs must not slow them down.

mod agents;
mod compile;
mod dispatch;
mod fairness;
mod graph;
mod idle;
mod job;
mod measure;
mod simulated;
mod webhook;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use crate::bench::measure::Metrics;
use crate::workspace::{self, Profile};
use crate::{setup, shell};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure.
    #[arg(value_enum)]
    bench: Bench,
    /// One JSON object a line on standard output, nothing else there.
    #[arg(long)]
    json: bool,
    /// Measure what is built already.
    #[arg(long)]
    no_build: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bench {
    /// A trivial one-step job on a connected agent: dispatch received to final status sent.
    Job,
    /// Matched webhook deliveries per second, beside single-row inserts of the same PostgreSQL.
    Webhook,
    /// Memory of idle programs, and how fast they start.
    Idle,
    /// `kici compile` with ten workflows.
    Compile,
    /// Ten thousand idle agents on one orchestrator.
    Agents,
    /// Jobs per second through simulated agents.
    Dispatch,
    /// How long a single job waits while another repository floods the queue.
    Fairness,
    /// How the time of a run grows with its number of jobs.
    Graph,
}

impl Bench {
    fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Webhook => "webhook",
            Self::Idle => "idle",
            Self::Compile => "compile",
            Self::Agents => "agents",
            Self::Dispatch => "dispatch",
            Self::Fairness => "fairness",
            Self::Graph => "graph",
        }
    }
}

/// `cargo xtask bench`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return in_release(arguments);
    }
    let mut metrics = Metrics::new(arguments.bench.name(), arguments.json);
    match arguments.bench {
        Bench::Job => job::measure(&mut metrics)?,
        Bench::Webhook => webhook::measure(&mut metrics)?,
        Bench::Idle => idle::measure(&mut metrics)?,
        Bench::Compile => compile::measure(&mut metrics)?,
        Bench::Agents => agents::measure(&mut metrics)?,
        Bench::Dispatch => dispatch::measure(&mut metrics)?,
        Bench::Fairness => fairness::measure(&mut metrics)?,
        Bench::Graph => graph::measure(&mut metrics)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn in_release(arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.no_build {
        setup::ensure()?;
        let mut build = workspace::cargo();
        build.args(["build", "--release", "--workspace", "--bins"]);
        shell::run_quietly(&mut build)?;
    }
    let mut measured = workspace::command(Profile::Release.program("xtask"));
    measured.args(["bench", arguments.bench.name()]);
    if arguments.json {
        measured.arg("--json");
    }
    let status = measured.status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
