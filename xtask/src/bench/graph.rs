//! How the time of a run grows with its number of jobs.
//!
//! Runs of 100, 1,000 and 10,000 jobs in three shapes are made by real deliveries, each of a commit of its own, while
//! simulated agents that end every job at once are connected. *Creation* is the time from the stored delivery until
//! the run with all its jobs is committed: the lock file is read, parsed and planned, rows are made and written.
//! *Completion* goes on from there to the end of the run. Both are read from the database's clock.

mod shape;

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::measure::Metrics;
use super::simulated::Agents;
use super::webhook;
use crate::installation::{self, Installation, Repository};
use crate::sim;
use crate::workspace::Profile;
use shape::Shape;

/// Jobs of a run, and how many runs of that size are made; the median counts.
const SIZES: [(usize, usize); 3] = [(100, 5), (1_000, 3), (10_000, 1)];

/// Simulated agents; each has one job at a time.
const AGENTS: usize = 100;

/// How long one run may take: a chain of 10,000 jobs is as many round trips.
const LIMIT: Duration = Duration::from_secs(900);

/// How often the database is asked.
const POLL: Duration = Duration::from_millis(20);

/// What one run took.
#[derive(Debug, Clone, Copy)]
struct Took {
    creation_ms: f64,
    completion_ms: f64,
}

/// `bench graph`.
pub(super) fn measure(metrics: &mut Metrics) -> Result<()> {
    sim::raise_open_files()?;
    let folder = installation::fresh_folder("bench-graph")?;
    let repository = Repository::create(&folder.join("repository"))?;
    let installation = Installation::start(Profile::Release, &folder)?;
    let source = webhook::open_source(&installation, repository.path())?;
    let agents = Agents::start(installation.port(), &installation.agent_token()?, AGENTS)?;
    let mut bench = Bench { repository, installation, source, agents, runs: 0, jobs: 0 };
    bench.agents.wait("all agents are registered", LIMIT, |told| Ok(told.registered == AGENTS))?;

    metrics.progress("warm-up");
    for shape in Shape::ALL {
        bench.run(shape, SIZES[0].0)?;
    }
    let mut worst: f64 = 0.0;
    for shape in Shape::ALL {
        let mut before: Option<(usize, Took)> = None;
        for (jobs, repeats) in SIZES {
            metrics.progress(&format!("{} of {jobs} jobs", shape.name()));
            let took = (0..repeats).map(|_| bench.run(shape, jobs)).collect::<Result<Vec<_>>>()?;
            let took = median(&took);
            let name = |what: &str| format!("{}_{jobs}_{what}", shape.name());
            metrics.add(&name("creation_ms"), took.creation_ms, "ms");
            metrics.add(&name("completion_ms"), took.completion_ms, "ms");
            metrics.add(&name("jobs_per_s"), jobs as f64 / took.completion_ms * 1000.0, "1/s");
            if jobs == SIZES[2].0
                && let Some((fewer, less)) = before
            {
                let times = jobs as f64 / fewer as f64;
                let creation = took.creation_ms / (times * less.creation_ms);
                let completion = took.completion_ms / (times * less.completion_ms);
                metrics.add(&format!("{}_creation_growth", shape.name()), creation, "ratio");
                metrics.add(&format!("{}_completion_growth", shape.name()), completion, "ratio");
                worst = worst.max(creation).max(completion);
            }
            before = Some((jobs, took));
        }
    }
    metrics.add("growth_10k_over_1k", worst, "ratio");
    drop(bench);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

struct Bench {
    repository: Repository,
    installation: Installation,
    source: String,
    agents: Agents,
    /// Made so far.
    runs: usize,
    jobs: usize,
}

impl Bench {
    /// Makes one run and waits for its end.
    fn run(&mut self, shape: Shape, jobs: usize) -> Result<Took> {
        let lock = shape.lock_file(jobs, self.runs);
        self.repository.write(".kici/kici.lock.json", &lock.to_string())?;
        let sha = self.repository.commit("A graph")?;
        let made_at = self.deliver(&sha)?;
        self.runs += 1;
        self.jobs += jobs;
        let Bench { installation, agents, jobs: all, .. } = self;
        let open = "SELECT count(*) FROM run WHERE finished_at IS NULL";
        agents.wait("the run has ended", LIMIT, |told| {
            // The table is asked only when the agents believe to be done: asking costs what is measured.
            Ok(told.jobs as usize >= *all && number(installation, open)? == 0.0)
        })?;
        let newest = "(SELECT id FROM run ORDER BY created_at DESC LIMIT 1)";
        let wrong = format!(
            "SELECT count(*) FILTER (WHERE state = 'success' AND attempt = 1) FROM job WHERE run_id = {newest}"
        );
        let right = number(installation, &wrong)?;
        ensure!(right == jobs as f64, "{right} of {jobs} jobs succeeded at the first attempt");
        let received = "SELECT extract(epoch FROM max(received_at)) * 1000 FROM delivery";
        let finished =
            format!("SELECT extract(epoch FROM finished_at) * 1000 FROM run WHERE id = {newest}");
        Ok(Took {
            creation_ms: made_at - number(installation, received)?,
            completion_ms: number(installation, &finished)? - made_at,
        })
    }

    /// Delivers a push; gives the time at which its run was there, in milliseconds since 1970.
    fn deliver(&self, sha: &str) -> Result<f64> {
        let Bench { installation, source, runs, .. } = self;
        // A session that looks every millisecond: starting one takes longer than making a small run.
        let watch = format!(
            "DO $$ BEGIN WHILE (SELECT count(*) FROM run) <= {runs} LOOP PERFORM pg_sleep(0.001); END LOOP; END $$;
             SELECT extract(epoch FROM clock_timestamp()) * 1000"
        );
        let watching = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO $$%'";
        let watcher = installation.psql(&watch).stdout(Stdio::piped()).spawn();
        let watcher = watcher.context("could not start psql")?;
        let deadline = Instant::now() + LIMIT;
        while number(installation, watching)? < 1.0 {
            ensure!(Instant::now() < deadline, "nobody watched the table within {LIMIT:?}");
            std::thread::park_timeout(POLL);
        }
        webhook::deliver(installation, source, sha, *runs, 1)?;
        let made = watcher.wait_with_output().context("psql is gone")?;
        let made = String::from_utf8_lossy(&made.stdout);
        made.trim().parse().with_context(|| format!("the run was made at {made:?}"))
    }
}

fn median(took: &[Took]) -> Took {
    let middle = |of: fn(&Took) -> f64| {
        let mut values: Vec<f64> = took.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Took {
        creation_ms: middle(|took| took.creation_ms),
        completion_ms: middle(|took| took.completion_ms),
    }
}

fn number(installation: &Installation, sql: &str) -> Result<f64> {
    let text = installation.query(sql)?;
    text.parse().with_context(|| format!("{sql} gave {text:?}"))
}
