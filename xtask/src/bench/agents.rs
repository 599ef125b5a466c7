//! Ten thousand idle agents on one orchestrator: what each costs.
//!
//! The agents are simulated, in a process of their own, over real sockets with tokens and heartbeats.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::idle::memory_mb;
use super::measure::Metrics;
use super::simulated::Agents;
use crate::installation::{self, Installation};
use crate::sim;
use crate::workspace::Profile;

/// How many.
const AGENTS: usize = 10_000;

/// How long all of them may take to register.
const REGISTER_LIMIT: Duration = Duration::from_secs(300);

/// How long the orchestrator is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(5);

/// How long its processor time is watched: pings and heartbeats come round in it.
const WATCH: Duration = Duration::from_secs(60);

/// `bench agents`.
pub(super) fn measure(metrics: &mut Metrics) -> Result<()> {
    // The orchestrator inherits the limit.
    sim::raise_open_files()?;
    let folder = installation::fresh_folder("bench-agents")?;
    let installation = Installation::start(Profile::Release, &folder)?;
    let token = installation.agent_token()?;
    let pid = installation.orchestrator_pid();
    std::thread::park_timeout(SETTLE);
    let before = memory_mb(pid, "Rss:")?;

    metrics.progress(&format!("{AGENTS} agents register"));
    let mut agents = Agents::start(installation.port(), &token, AGENTS)?;
    let told =
        agents.wait("all are registered", REGISTER_LIMIT, |told| Ok(told.registered >= AGENTS))?;
    metrics.add("register_per_s", AGENTS as f64 * 1000.0 / told.elapsed_ms.max(1) as f64, "1/s");

    metrics.progress(&format!("memory after {SETTLE:?} of rest, then {WATCH:?} of doing nothing"));
    std::thread::park_timeout(SETTLE);
    let after = memory_mb(pid, "Rss:")?;
    metrics.add("rss_mb", after, "MB");
    metrics.add(
        "rss_per_agent_kib",
        (after - before) * 1_000_000.0 / 1024.0 / AGENTS as f64,
        "KiB",
    );
    let (used, since) = (cpu_seconds(pid)?, Instant::now());
    std::thread::park_timeout(WATCH);
    let cpu = (cpu_seconds(pid)? - used) / since.elapsed().as_secs_f64();
    metrics.add("idle_cpu_percent", cpu * 100.0, "%");
    let told = agents.told();
    metrics.add("connections_lost", told.lost as f64, "count");
    anyhow::ensure!(told.registered == AGENTS, "only {} are still registered", told.registered);
    drop(agents);
    drop(installation);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Processor time of a process so far, of all its threads.
fn cpu_seconds(pid: i32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    // The name in parentheses may have spaces; user and system time are the 12th and 13th field after it.
    let fields: Vec<&str> =
        text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).with_context(|| format!("{path} is odd"))?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok((user + system) / per_second as f64)
}
