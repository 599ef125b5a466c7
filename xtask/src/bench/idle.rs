//! Memory of idle programs, and the time until they are of use.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kici_devdb::Companion;

use super::measure::{Metrics, percentile_ms};
use crate::installation::{self, Installation};
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
    metrics.add("orchestrator_rss_mb", rss_mb(installation.orchestrator_pid())?, "MB");
    metrics.add("agent_rss_mb", rss_mb(agent.pid())?, "MB");
    drop(agent);
    drop(installation);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Resident memory of a process and its children (an agent may keep a warm job process).
fn rss_mb(pid: i32) -> Result<f64> {
    let mut sum = 0.0;
    for pid in std::iter::once(pid).chain(children(pid)) {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
        let line = text.lines().find(|line| line.starts_with("Rss:")).context("no Rss line")?;
        let kib: f64 =
            line.split_whitespace().nth(1).context("no number in the Rss line")?.parse()?;
        sum += kib * 1024.0 / 1_000_000.0;
    }
    Ok(sum)
}

fn children(pid: i32) -> Vec<i32> {
    let tasks = format!("/proc/{pid}/task");
    let Ok(tasks) = std::fs::read_dir(Path::new(&tasks)) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

/// Lets a program be, and makes sure that it stays up.
fn rest(program: &mut Companion, time: Duration) -> Result<()> {
    match program.wait(time) {
        None => Ok(()),
        Some(status) => anyhow::bail!("it ended with {status} while it was idle"),
    }
}
