//! How long a single job of one repository waits while another repository has flooded the queue.
//!
//! All agents work for the flood when the single job comes. Fair is what gives it the next agent that becomes free, so
//! that it waits for at most one job's length, however long the queue is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::measure::{Metrics, percentile_ms};
use super::simulated::Agents;
use super::webhook;
use crate::installation::{self, Installation, Repository};
use crate::sim;
use crate::workspace::Profile;

/// Jobs of one run of the flood, and its runs.
const JOBS: usize = 50;
const RUNS: usize = 100;

/// Simulated agents; each has one job at a time.
const AGENTS: usize = 20;

/// How long a job takes.
const LENGTH: Duration = Duration::from_millis(500);

/// Single jobs, one after the other.
const SINGLES: usize = 20;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How often the table is asked.
const POLL: Duration = Duration::from_millis(50);

/// The repository of the single jobs, below that of the flood.
const OTHER: &str = "other";

const FLOOD: &str = r#"import { job, push, step, workflow } from '@kici-dev/sdk';

const names = Array.from({ length: 50 }, (_, n) => `job-${n}`);
const jobs = names.map((name) => job(name, { runsOn: 'sim', steps: [step('a', async () => {})] }));

export default workflow('flood', { on: push(), jobs });
"#;

const SINGLE: &str = r#"import { job, push, step, workflow } from '@kici-dev/sdk';

const single = job('single', { runsOn: 'sim', steps: [step('a', async () => {})] });

export default workflow('single', { on: push(), jobs: [single] });
"#;

/// `bench fairness`.
pub(super) fn measure(metrics: &mut Metrics) -> Result<()> {
    sim::raise_open_files()?;
    let folder = installation::fresh_folder("bench-fairness")?;
    let repository = Repository::create(&folder.join("repository"))?;
    let flood = commit(&repository, FLOOD)?;
    let other = Repository::create(&repository.path().join(OTHER))?;
    let single = commit(&other, SINGLE)?;
    let installation = Installation::start(Profile::Release, &folder)?;
    let source = webhook::open_source(&installation, repository.path())?;
    let token = installation.agent_token()?;

    metrics.progress(&format!("{} jobs of one repository", RUNS * JOBS));
    webhook::deliver(&installation, &source, &flood, 0, RUNS)?;
    let made = (RUNS * JOBS) as f64;
    wait("the flood is queued", || Ok(number(&installation, "SELECT count(*) FROM job")? >= made))?;
    let mut agents = Agents::start_with_jobs_of(installation.port(), &token, AGENTS, LENGTH)?;
    agents
        .wait("every agent has ended a job", LIMIT, |told| Ok(told.jobs as usize >= 2 * AGENTS))?;

    metrics
        .progress(&format!("{SINGLES} single jobs of another, {AGENTS} agents, {LENGTH:?} each"));
    let mut waits = Vec::with_capacity(SINGLES);
    let started = "SELECT count(started_at) FROM job WHERE name = 'single'";
    for at in 0..SINGLES {
        webhook::deliver_to(&installation, &source, OTHER, &single, at, 1)?;
        wait("the single job started", || Ok(number(&installation, started)? > at as f64))?;
    }
    let last =
        "SELECT string_agg((extract(epoch FROM started_at - ready_at) * 1000)::text, ',') FROM job
                 WHERE name = 'single' AND started_at IS NOT NULL";
    for ms in installation.query(last)?.split(',') {
        let ms: f64 = ms.trim().parse().with_context(|| format!("{ms:?} is no number"))?;
        waits.push(Duration::from_secs_f64(ms / 1000.0));
    }
    let left = "SELECT count(*) FROM job WHERE state = 'queued' AND agent_id IS NULL";
    ensure!(number(&installation, left)? > 0.0, "the flood has ended before the single jobs");
    let (p50, most) = (percentile_ms(&mut waits, 50.0), percentile_ms(&mut waits, 100.0));
    metrics.add("wait_p50_ms", p50, "ms");
    metrics.add("wait_max_ms", most, "ms");
    metrics.add("wait_over_job_length", most / LENGTH.as_secs_f64() / 1000.0, "ratio");
    drop(agents);
    drop(installation);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn commit(repository: &Repository, workflow: &str) -> Result<String> {
    repository.write(".kici/workflows/bench.ts", workflow)?;
    installation::compile(Profile::Release, repository.path())?;
    repository.commit("A workflow")
}

fn wait(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !done()? {
        ensure!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        std::thread::park_timeout(POLL);
    }
    Ok(())
}

fn number(installation: &Installation, sql: &str) -> Result<f64> {
    let text = installation.query(sql)?;
    text.parse().with_context(|| format!("{sql} gave {text:?}"))
}
