//! How much a trivial one-step job costs on a connected agent.
//!
//! A real `kici-agent` is driven over a real WebSocket by a simulated orchestrator
//! (`orchestrator`), one job after the other, as a warm agent would see them.

mod orchestrator;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kici_devdb::Companion;

use super::measure::{Metrics, percentile_ms};
use crate::installation::{self, Repository};
use crate::workspace::{self, Profile};
use orchestrator::{Dispatch, Orchestrator};

/// Jobs before measuring: the agent's caches fill, its first process starts.
const WARM_UP: usize = 20;

/// Jobs that are measured.
const JOBS: usize = 200;

/// A workflow whose job does next to nothing.
const WORKFLOW: &str = r#"import { job, push, step, workflow } from '@kici-dev/sdk';

export default workflow('bench', {
  on: push(),
  jobs: [job('trivial', { runsOn: 'bench', steps: [step('say', async (ctx) => ctx.log.info('hi'))] })],
});
"#;

/// `bench job`.
pub(super) fn measure(metrics: &mut Metrics) -> Result<()> {
    let folder = installation::fresh_folder("bench-job")?;
    let repository = Repository::create(&folder.join("repository"))?;
    repository.write(".kici/workflows/bench.ts", WORKFLOW)?;
    installation::compile(Profile::Release, repository.path())?;
    let sha = repository.commit("A trivial workflow")?;
    let dispatch = Dispatch::from_lock(repository.path(), &sha)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for engine in ["embedded", "node"] {
        metrics.progress(&format!("{WARM_UP} + {JOBS} jobs, {engine} engine"));
        let mut samples =
            runtime.block_on(samples(&folder, engine, &dispatch)).with_context(|| {
                format!(
                    "the agent's log is {}",
                    folder.join(format!("agent-{engine}.log")).display()
                )
            })?;
        let (p50, p99) = (percentile_ms(&mut samples, 50.0), percentile_ms(&mut samples, 99.0));
        metrics.add_for_engine(engine, "overhead_p50_ms", p50, "ms");
        metrics.add_for_engine(engine, "overhead_p99_ms", p99, "ms");
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn samples(folder: &Path, engine: &str, dispatch: &Dispatch) -> Result<Vec<Duration>> {
    let listening = Orchestrator::listen().await?;
    let _agent = start_agent(folder, engine, listening.url())?;
    let mut orchestrator = listening.accept().await?;
    for number in 0..WARM_UP {
        orchestrator.run_job(dispatch, &format!("warm-up {number}")).await?;
    }
    let mut samples = Vec::with_capacity(JOBS);
    for number in 0..JOBS {
        samples.push(orchestrator.run_job(dispatch, &format!("job {number}")).await?);
    }
    Ok(samples)
}

fn start_agent(folder: &Path, engine: &str, url: &str) -> Result<Companion> {
    let program = Profile::Release.program("kici-agent");
    if !program.is_file() {
        bail!("{} is missing; run without --no-build", program.display());
    }
    let mut command = installation::service(&program, &folder.join(format!("agent-{engine}.log")))?;
    command
        .env("KICI_ORCHESTRATOR_URL", url)
        .env("KICI_AGENT_ID", "bench")
        .env("KICI_AGENT_TOKEN", orchestrator::TOKEN)
        .env("KICI_LABELS", "bench")
        .env("KICI_PORT", "0")
        .env("KICI_JS_ENGINE", engine)
        .env("KICI_DATA_DIR", folder.join(format!("agent-{engine}")))
        .env("PATH", workspace::path());
    Companion::spawn(command).context("could not start the agent")
}
