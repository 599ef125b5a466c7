//! Matched deliveries per second, beside what the same PostgreSQL does with single-row inserts.
//!
//! Eight clients post pushes to a local source whose workflow has two jobs. A delivery counts once
//! its run with two jobs is in the database, so answering quickly and working later gains nothing.

mod client;
mod pgbench;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::measure::{Metrics, percentile_ms};
use crate::installation::{self, Installation, Repository};
use crate::workspace::Profile;
use client::Client;
use serde_json::Value;

/// Clients that post at the same time, each waiting for its answer.
pub(super) const CLIENTS: usize = 8;

/// How long they post.
const POSTING: Duration = Duration::from_secs(12);

/// How long a warm-up posts: connections, caches, the first extension of tables.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long the backlog may take.
const BACKLOG: Duration = Duration::from_secs(120);

/// Runs that have both of their jobs.
const COUNT: &str =
    "SELECT count(*) FROM (SELECT run_id FROM job GROUP BY run_id HAVING count(*) = 2) AS runs";

const WORKFLOW: &str = r#"import { job, push, step, workflow } from '@kici-dev/sdk';

const first = job('first', { runsOn: 'nobody', steps: [step('a', async () => {})] });
const second = job('second', { runsOn: 'nobody', needs: [first], steps: [step('b', async () => {})] });

export default workflow('bench', { on: push(), jobs: [first, second] });
"#;

/// `bench webhook`.
pub(super) fn measure(metrics: &mut Metrics) -> Result<()> {
    let folder = installation::fresh_folder("bench-webhook")?;
    let repository = Repository::create(&folder.join("repository"))?;
    repository.write(".kici/workflows/bench.ts", WORKFLOW)?;
    installation::compile(Profile::Release, repository.path())?;
    let sha = repository.commit("Two jobs")?;

    let installation = Installation::start(Profile::Release, &folder)?;
    let source = open_source(&installation, repository.path())?;
    let body = Arc::new(Body { repository: ".".to_owned(), sha, counter: AtomicU64::new(0) });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;

    metrics.progress("pgbench, first half");
    let first = pgbench::inserts_per_second(installation.cluster())?;
    metrics.progress("warm-up");
    runtime.block_on(post(&installation, &source, &body, WARM_UP))?;
    wait_for_runs(&installation, body.counter.load(Ordering::Relaxed))?;

    metrics.progress(&format!("{CLIENTS} clients for {POSTING:?}"));
    let before = body.counter.load(Ordering::Relaxed);
    let started = Instant::now();
    let mut answers = runtime.block_on(post(&installation, &source, &body, POSTING))?;
    let posted = body.counter.load(Ordering::Relaxed);
    wait_for_runs(&installation, posted)?;
    let elapsed = started.elapsed();

    metrics.progress("pgbench, second half");
    let second = pgbench::inserts_per_second(installation.cluster())?;
    let inserts = f64::midpoint(first, second);
    let matched = (posted - before) as f64 / elapsed.as_secs_f64();
    metrics.add("matched_per_s", matched, "1/s");
    metrics.add("answer_p99_ms", percentile_ms(&mut answers, 99.0), "ms");
    metrics.add("pgbench_inserts_per_s", inserts, "1/s");
    metrics.add("ratio_to_pgbench", matched / inserts, "ratio");
    drop(installation);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Makes a source without a limit; gives where its deliveries go.
pub(super) fn open_source(installation: &Installation, repository: &Path) -> Result<String> {
    let source = installation.add_local_source(repository)?;
    let id = source["id"].as_str().context("the source has no id")?;
    installation.admin_json(&["source", "update-generic", id, "--rate-limit", "100000000"])?;
    webhook_path(&source)
}

/// Delivers `count` pushes, numbered from `first`, one after the other.
pub(super) fn deliver(
    installation: &Installation,
    source: &str,
    sha: &str,
    first: usize,
    count: usize,
) -> Result<()> {
    deliver_to(installation, source, ".", sha, first, count)
}

/// The same for a repository of the source.
pub(super) fn deliver_to(
    installation: &Installation,
    source: &str,
    repository: &str,
    sha: &str,
    first: usize,
    count: usize,
) -> Result<()> {
    let counter = AtomicU64::new(first as u64);
    let body = Body { repository: repository.to_owned(), sha: sha.to_owned(), counter };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::connect(installation.port(), source).await?;
        for _ in 0..count {
            client.deliver(&body.next()).await?;
        }
        Ok(())
    })
}

/// Where deliveries of a source go.
fn webhook_path(source: &Value) -> Result<String> {
    let text = |key: &str| source[key].as_str().with_context(|| format!("the source has no {key}"));
    Ok(format!("/webhook/{}/generic/{}", text("customer_id")?, text("name")?))
}

/// Makes each delivery different: the same content twice is one delivery.
struct Body {
    repository: String,
    sha: String,
    counter: AtomicU64,
}

impl Body {
    fn next(&self) -> String {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let Body { repository, sha, .. } = self;
        format!(
            r#"{{"ref":"refs/heads/main","after":"{sha}","number":{number},"repository":{{"full_name":"{repository}","default_branch":"main"}}}}"#
        )
    }
}

/// Posts from all clients for some time; gives how long each answer took.
async fn post(
    installation: &Installation,
    source: &str,
    body: &Arc<Body>,
    time: Duration,
) -> Result<Vec<Duration>> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect(installation.port(), source).await?;
        let body = body.clone();
        clients.push(tokio::spawn(async move {
            let end = Instant::now() + time;
            let mut answers = Vec::new();
            while Instant::now() < end {
                let started = Instant::now();
                client.deliver(&body.next()).await?;
                answers.push(started.elapsed());
            }
            anyhow::Ok(answers)
        }));
    }
    let mut answers = Vec::new();
    for client in clients {
        answers.extend(client.await??);
    }
    Ok(answers)
}

fn wait_for_runs(installation: &Installation, wanted: u64) -> Result<()> {
    let deadline = Instant::now() + BACKLOG;
    loop {
        let runs: u64 = installation.query(COUNT)?.parse().context("the count is a number")?;
        if runs >= wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "{wanted} deliveries were accepted, but only {runs} runs exist {BACKLOG:?} later"
            );
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
