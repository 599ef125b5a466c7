//! Jobs per second through simulated agents.
//!
//! Real deliveries make runs of [`JOBS`] independent jobs while no agent is connected. Then the agents come, and
//! each ends its job at once. The rate is counted over the table: from the first job that started to the last that
//! ended, so that it includes claims, dispatch, acknowledgements, reports, ends of jobs and of runs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::measure::Metrics;
use super::simulated::Agents;
use super::webhook;
use crate::installation::{self, Installation, Repository};
use crate::sim;
use crate::workspace::Profile;

/// Jobs of one run.
const JOBS: usize = 50;

/// Runs of the warm-up and of the measurement.
const WARM_UP: usize = 40;
const RUNS: usize = 600;

/// Simulated agents; each has one job at a time.
const AGENTS: usize = 500;

/// How long the queue may take to drain.
const LIMIT: Duration = Duration::from_secs(300);

/// How often the table is asked whether all runs are made.
const POLL: Duration = Duration::from_millis(200);

const WORKFLOW: &str = r#"import { job, push, step, workflow } from '@kici-dev/sdk';

const names = Array.from({ length: 50 }, (_, n) => `job-${n}`);
const jobs = names.map((name) => job(name, { runsOn: 'sim', steps: [step('a', async () => {})] }));

export default workflow('bench', { on: push(), jobs });
"#;

/// `bench dispatch`.
pub(super) fn measure(metrics: &mut Metrics) -> Result<()> {
    sim::raise_open_files()?;
    let folder = installation::fresh_folder("bench-dispatch")?;
    let repository = Repository::create(&folder.join("repository"))?;
    repository.write(".kici/workflows/bench.ts", WORKFLOW)?;
    installation::compile(Profile::Release, repository.path())?;
    let sha = repository.commit("Fifty jobs")?;
    let installation = Installation::start(Profile::Release, &folder)?;
    let source = webhook::open_source(&installation, repository.path())?;
    let token = installation.agent_token()?;

    metrics.progress(&format!("warm-up: {} jobs", WARM_UP * JOBS));
    drain(&installation, &source, &sha, &token, WARM_UP, 0)?;
    metrics.progress(&format!("{} jobs, {AGENTS} agents", RUNS * JOBS));
    let rate = drain(&installation, &source, &sha, &token, RUNS, WARM_UP)?;
    metrics.add("jobs_per_s", rate, "1/s");
    let failed = number(&installation, "SELECT count(*) FROM job WHERE state <> 'success'")?;
    metrics.add("not_succeeded", failed, "count");
    let twice = number(&installation, "SELECT count(*) FROM job WHERE attempt <> 1")?;
    metrics.add("more_than_one_attempt", twice, "count");
    drop(installation);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Queues runs, lets agents empty the queue, and gives the rate.
fn drain(
    installation: &Installation,
    source: &str,
    sha: &str,
    token: &str,
    runs: usize,
    before: usize,
) -> Result<f64> {
    webhook::deliver(installation, source, sha, before, runs)?;
    let wanted = ((before + runs) * JOBS) as f64;
    let deadline = Instant::now() + LIMIT;
    while number(installation, "SELECT count(*) FROM job")? < wanted {
        ensure!(Instant::now() < deadline, "the runs were not made within {LIMIT:?}");
        std::thread::park_timeout(POLL);
    }
    let mut agents = Agents::start(installation.port(), token, AGENTS)?;
    let ended = "SELECT count(*) FROM job WHERE finished_at IS NOT NULL";
    agents.wait("the queue is empty", LIMIT, |told| {
        // The table is asked only when the agents believe to be done: a count costs what is measured.
        Ok(told.jobs as usize >= runs * JOBS && number(installation, ended)? >= wanted)
    })?;
    let took = "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM job
                 WHERE run_id IN (SELECT id FROM run ORDER BY created_at OFFSET ";
    let took = number(installation, &format!("{took}{before})"))?;
    Ok((runs * JOBS) as f64 / took)
}

fn number(installation: &Installation, sql: &str) -> Result<f64> {
    let text = installation.query(sql)?;
    text.parse().with_context(|| format!("{sql} gave {text:?}"))
}
