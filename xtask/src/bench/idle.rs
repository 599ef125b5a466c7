//! Memory of idle programs, and the time until they are of use.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kici_devdb::Companion;

use super::measure::{Metrics, percentile_ms};
use crate::installation::{self, Installation};
use crate::processes::children;
use crate::workspace::Profile;

/// How often each program is started; the median counts.
const STARTS: usize = 7;

/// How long a program is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(5);

/// `bench idle`.
pub(super) fn measure(metrics: &mut Metrics) -> Result<()> {
    let folder = installation::fresh_folder("bench-idle")?;
    let mut installation = Installation::start(Profile::Release, &folder)?;
    metrics.progress(&format!("{STARTS} starts of the orchestrator on a migrated database"));
    let mut samples = Vec::new();
    for _ in 0..STARTS {
        installation.stop_orchestrator();
        let started = Instant::now();
        installation.start_orchestrator()?;
        samples.push(started.elapsed());
    }
    metrics.add("orchestrator_start_ms", percentile_ms(&mut samples, 50.0), "ms");

    metrics.progress(&format!("{STARTS} starts of the agent until it is registered"));
    let token = installation.agent_token()?;
    let mut samples = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let agent = installation.start_agent("idle", &token)?;
        samples.push(started.elapsed());
        drop(agent);
    }
    metrics.add("agent_start_ms", percentile_ms(&mut samples, 50.0), "ms");

    metrics.progress(&format!("memory after {SETTLE:?} of rest"));
    let mut agent = installation.start_agent("idle", &token)?;
    rest(&mut agent, SETTLE)?;
    let orchestrator = memory_mb(installation.orchestrator_pid(), "Rss:")?;
    metrics.add("orchestrator_rss_mb", orchestrator, "MB");
    metrics.add("agent_rss_mb", memory_mb(agent.pid(), "Rss:")?, "MB");
    // The agent may keep a started job process waiting. Pages that both share count once here.
    let mut tree = memory_mb(agent.pid(), "Pss:")?;
    for child in children(agent.pid()) {
        tree += memory_mb(child, "Pss:")?;
    }
    metrics.add("agent_with_children_pss_mb", tree, "MB");
    drop(agent);
    drop(installation);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// One line of what the kernel says about a process's memory, e.g. `Rss:`.
pub(super) fn memory_mb(pid: i32, name: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {name}"))? * 1024.0 / 1_000_000.0)
}

/// Lets a program be, and makes sure that it stays up.
fn rest(program: &mut Companion, time: Duration) -> Result<()> {
    match program.wait(time) {
        None => Ok(()),
        Some(status) => anyhow::bail!("it ended with {status} while it was idle"),
    }
}
