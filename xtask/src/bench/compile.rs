//! How long `kici compile` takes for ten workflows.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::measure::{Metrics, percentile_ms};
use crate::installation::{self, Repository};
use crate::workspace::Profile;

/// How often it is repeated; the median counts.
const REPEATS: usize = 15;

/// `bench compile`.
pub(super) fn measure(metrics: &mut Metrics) -> Result<()> {
    let folder = installation::fresh_folder("bench-compile")?;
    let repository = Repository::create(&folder.join("repository"))?;
    for number in 0..10 {
        repository.write(&format!(".kici/workflows/w{number}.ts"), &workflow(number))?;
    }
    installation::compile(Profile::Release, repository.path())?;
    metrics.progress(&format!("{REPEATS} times ten workflows"));
    let mut samples = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        std::fs::remove_file(repository.path().join(".kici/kici.lock.json"))?;
        samples.push(timed(|| installation::compile(Profile::Release, repository.path()))?);
    }
    metrics.add("ten_workflows_ms", percentile_ms(&mut samples, 50.0), "ms");
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

/// Some jobs with needs and outputs, as a small service would have.
fn workflow(number: usize) -> String {
    let mut jobs = String::new();
    for job in 0..4 {
        let needs = if job == 0 { String::new() } else { format!("needs: ['job{}'], ", job - 1) };
        let _infallible = write!(
            jobs,
            "    job('job{job}', {{ runsOn: 'linux', {needs}steps: [\n\
             \x20     step('a', async (ctx) => {{ await ctx.$`echo {number} {job}`; }}),\n\
             \x20     step('b', async () => ({{ value: {job} }})),\n\
             \x20   ] }}),\n"
        );
    }
    format!(
        "import {{ job, push, pr, step, workflow }} from '@kici-dev/sdk';\n\n\
         export default workflow('w{number}', {{\n\
         \x20 on: [push({{ branches: ['main', 'release/*'] }}), pr()],\n\
         \x20 jobs: [\n{jobs}  ],\n}});\n"
    )
}
