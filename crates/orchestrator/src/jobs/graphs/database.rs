//! The same runs in PostgreSQL, by the code that serves agents and people: `runs::create`, claims, batches of facts,
//! decisions, cancels, reconcilers.
//!
//! What happens at the same time is in transactions of different connections. Before some ends, the transaction that
//! writes them is cut off once, as by a crash.

use std::time::{Duration, Instant};

use kici_model::approval::Person;
use kici_model::state::{EndReason, JobState};
use kici_store::claim::{Claim, Limit, job_candidates, job_claim, waiting_lines};
use kici_store::leader::{Leader, leader_take};
use kici_store::{Connect, Presence, Store, StoreError};
use kici_testkit::pg::TestDb;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;
use uuid::Uuid;

use super::super::apply::apply;
use super::super::{Ending, Fact, Finish, finish};
use super::memory::stamped;
use super::numbers;
use super::play::{Seen, SeenJob, System, Tally, play};
use super::shape::{Shape, shapes};
use super::step::{Outcome, Step, Told};
use crate::app::App;
use crate::config::Config;
use crate::holds::{Decider, Decision, decide, expire};
use crate::reconcile::look_after;
use crate::runs::{cancel, create};

/// Seeds of the suite; another range finds other things: `GRAPH_SEEDS=1000..1500`.
const SEEDS: std::ops::Range<u64> = 0..100;

/// The suite stops early on a busy machine, after at least [`ENOUGH`] seeds.
const TIME: Duration = Duration::from_secs(20);
const ENOUGH: usize = 12;

/// How often a graph that fails is made smaller.
const SHRINKS: usize = 60;

/// An orchestrator without its tasks: what it does is done by the test.
struct World {
    app: App,
    leader: Leader,
    _presence: Presence,
    _data: TempDir,
    _db: TestDb,
}

async fn world() -> World {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let db = TestDb::migrated(async |url: &str| -> Result<(), StoreError> {
        let store = Store::connect(url, Connect::default()).await?;
        store.migrate().await?;
        store.close().await;
        Ok(())
    })
    .await;
    let data = TempDir::new().unwrap();
    let variables = [
        ("KICI_MODE", "independent"),
        ("KICI_DATABASE_URL", db.url()),
        ("KICI_SECRET_KEY", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
        ("KICI_DATA_DIR", data.path().to_str().unwrap()),
        // Nobody acknowledges here.
        ("KICI_DISPATCH_ACK_TIMEOUT_MS", "3600000"),
    ];
    let (config, _) =
        Config::from_vars(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .unwrap();
    let store = Store::connect(db.url(), Connect::default()).await.unwrap();
    let presence = Presence::announce(&store).await.unwrap();
    let mut conn = store.connection().await.unwrap();
    let lease = leader_take(&mut conn, "graphs", presence.number(), Duration::from_secs(3600));
    let leader = lease.await.unwrap().unwrap();
    drop(conn);
    let (app, _) = App::new(config, store, presence.number()).unwrap();
    World { app, leader, _presence: presence, _data: data, _db: db }
}

struct Database<'a> {
    world: &'a World,
    shape: &'a Shape,
    run: Uuid,
    /// What was last reported, to be said again.
    reported: Vec<Vec<Fact>>,
}

impl<'a> Database<'a> {
    async fn new(world: &'a World, shape: &'a Shape) -> Self {
        let new = stamped(&shape.workflow());
        let mut conn = world.app.store.connection().await.unwrap();
        world.app.contents.store(&mut conn, &[&new]).await.unwrap();
        let mut tx = world.app.store.begin().await.unwrap();
        create(&mut tx, &[&new]).await.unwrap();
        Store::commit(tx).await.unwrap();
        Database { world, shape, run: new.row.id, reported: Vec::new() }
    }

    async fn ids(&self) -> Vec<(String, Uuid, i32)> {
        let mut conn = self.world.app.store.connection().await.unwrap();
        sqlx::query_as("SELECT name, id, attempt FROM job WHERE run_id = $1")
            .bind(self.run)
            .fetch_all(&mut *conn)
            .await
            .unwrap()
    }

    async fn id(&self, name: &str) -> (Uuid, i32) {
        let (_, id, attempt) = self.ids().await.into_iter().find(|(own, ..)| own == name).unwrap();
        (id, attempt)
    }

    fn started(&self, job: Uuid, attempt: i32) -> [Fact; 2] {
        let run = self.run;
        [Fact::Acked { run, job, attempt }, Fact::Started { run, job, attempt }]
    }

    fn ended(&self, told: &Told, job: Uuid, attempt: i32) -> Finish {
        let generator = told.job.strip_prefix("__dynamic__ci__").and_then(|at| at.parse().ok());
        let success = told.outcome == Outcome::Success;
        Finish {
            run: self.run,
            job,
            attempt: Some(attempt),
            ending: match told.outcome {
                Outcome::Success => Ending::Success,
                Outcome::Failed => Ending::Failed,
                Outcome::Cancelled => Ending::Cancelled,
                Outcome::Stale => Ending::Stale,
            },
            error: None,
            reason: None,
            outputs: success.then(|| r#"{"s":{"v":1}}"#.to_owned()),
            evaluated: generator.filter(|_| success).map(|at| self.shape.generated(at)),
            dropped: told.dropped.clone(),
            hosts: None,
        }
    }

    /// All batches at the same time, each on a connection of its own.
    async fn apply_all(&self, batches: &[Vec<Fact>]) {
        let applied = batches.iter().map(|batch| apply(&self.world.app, batch));
        for done in futures_util::future::join_all(applied).await {
            done.unwrap();
        }
    }

    async fn report(&mut self, batches: &[Vec<Told>]) {
        let ids = self.ids().await;
        let mut reported = Vec::new();
        for batch in batches {
            let mut facts = Vec::new();
            let mut ends = Vec::new();
            for told in batch {
                let (_, job, attempt) = ids.iter().find(|(name, ..)| *name == told.job).unwrap();
                facts.extend(self.started(*job, *attempt));
                ends.push(self.ended(told, *job, *attempt));
            }
            if batches.len() == 1 && batch.len() % 2 == 1 {
                // Cut off before its commit: nothing of it has happened.
                let mut tx = self.world.app.store.begin().await.unwrap();
                finish(&mut tx, &ends, &[]).await.unwrap();
                drop(tx);
            }
            facts.extend(ends.into_iter().map(|end| Fact::Ended(Box::new(end))));
            reported.push(facts);
        }
        self.apply_all(&reported).await;
        self.reported = reported;
    }

    async fn expire(&self, job: &str) {
        let (job, _) = self.id(job).await;
        let end = Finish::because(self.run, job, Ending::Stale, EndReason::expired(None));
        let mut tx = self.world.app.store.begin().await.unwrap();
        finish(&mut tx, &[end], &[]).await.unwrap();
        Store::commit(tx).await.unwrap();
    }

    async fn decide(&self, job: Option<&str>, approve: bool) {
        let app = &self.world.app;
        let mut conn = app.store.connection().await.unwrap();
        let hold: Uuid = sqlx::query_scalar(
            "SELECT h.id FROM hold h LEFT JOIN job j ON j.id = h.job_id
              WHERE h.run_id = $1 AND j.name IS NOT DISTINCT FROM $2 AND h.state = 'pending'",
        )
        .bind(self.run)
        .bind(job)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        if !approve && hold.as_u128().is_multiple_of(2) {
            // Nobody says no; nobody says anything in time.
            let past = "UPDATE hold SET expires_at = now() - interval '1 second' WHERE id = $1";
            sqlx::query(past).bind(hold).execute(&mut *conn).await.unwrap();
            return expire(app).await.unwrap();
        }
        drop(conn);
        let person = Person { user: "ada".into(), teams: Vec::new() };
        let by = Decider { person, token: Uuid::nil() };
        let decision = if approve { Decision::Approve } else { Decision::Reject };
        decide(app, hold, decision, &by, None).await.unwrap();
    }
}

impl System for Database<'_> {
    async fn look(&mut self) -> Seen {
        let mut conn = self.world.app.store.connection().await.unwrap();
        let (state, reason, open_jobs) =
            sqlx::query_as("SELECT state, failure_reason, open_jobs FROM run WHERE id = $1")
                .bind(self.run)
                .fetch_one(&mut *conn)
                .await
                .unwrap();
        let jobs: Vec<(String, String, i32, bool, i32, i16)> = sqlx::query_as(
            "SELECT name, state, open_needs, agent_id IS NOT NULL, attempt, failures FROM job WHERE run_id = $1
              ORDER BY position",
        )
        .bind(self.run)
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        let job = |(name, state, open_needs, agent, attempt, failures): (_, String, _, _, _, _)| {
            let state: JobState = state.parse().unwrap();
            SeenJob { name, state, open_needs, agent, attempt, failures }
        };
        Seen { state, reason, open_jobs, jobs: jobs.into_iter().map(job).collect() }
    }

    async fn claim(&mut self, most: usize) -> Vec<String> {
        let app = &self.world.app;
        let mut tx = app.store.begin().await.unwrap();
        let lines = waiting_lines(&mut tx).await.unwrap();
        let limit = |line: &kici_store::claim::Line| Limit {
            selector: line.selector,
            share: line.share,
            jobs: i32::try_from(most).unwrap(),
        };
        let limits: Vec<Limit> = lines.iter().map(limit).collect();
        let mut candidates = job_candidates(&mut tx, &limits).await.unwrap();
        candidates.truncate(most);
        let claim = |job: &kici_store::claim::Waiting| Claim { job: job.id, agent: "a1".into() };
        let claims: Vec<Claim> = candidates.iter().map(claim).collect();
        let claimed =
            job_claim(&mut tx, app.number, app.config.agents.ack_timeout, &claims).await.unwrap();
        Store::commit(tx).await.unwrap();
        let ids = self.ids().await;
        let name = |(job, _): &(Uuid, i32)| {
            let own = ids.iter().find(|(_, id, _)| id == job);
            own.map_or_else(|| "a job of another run".to_owned(), |(name, ..)| name.clone())
        };
        claimed.iter().map(name).collect()
    }

    async fn take(&mut self, step: &Step) {
        let app = &self.world.app;
        self.reported.clear();
        match step {
            Step::Start(jobs) => {
                let mut facts = Vec::new();
                for job in jobs {
                    let (job, attempt) = self.id(job).await;
                    facts.extend(self.started(job, attempt));
                }
                self.reported = vec![facts];
                self.apply_all(&self.reported).await;
            }
            Step::Refuse(job) => {
                let (job, attempt) = self.id(job).await;
                let (agent, why) = ("a1".to_owned(), "busy".to_owned());
                self.reported =
                    vec![vec![Fact::Refused { run: self.run, job, attempt, agent, why }]];
                self.apply_all(&self.reported).await;
            }
            Step::Report(batches) => self.report(batches).await,
            Step::Expire(job) => self.expire(job).await,
            Step::Decide { job, approve } => self.decide(job.as_deref(), *approve).await,
            Step::Cancel { force } => {
                cancel(app, self.run, *force, "ada", "enough").await.unwrap();
            }
        }
    }

    async fn again(&mut self, step: &Step) {
        self.apply_all(&self.reported).await;
        if let Step::Expire(job) = step {
            self.expire(job).await;
        }
        look_after(&self.world.app, &self.world.leader).await.unwrap();
    }
}

async fn one(
    world: &World,
    shape: &Shape,
    numbers: &[u16],
    tally: &mut Tally,
) -> Result<(), String> {
    let mut run = Database::new(world, shape).await;
    let played = play(shape, numbers, &mut run, tally).await;
    if played.is_err() {
        // Its jobs must not wait among those of the next one.
        sqlx::query("DELETE FROM run WHERE id = $1")
            .bind(run.run)
            .execute(&mut *world.app.store.connection().await.unwrap())
            .await
            .unwrap();
    }
    played
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("GRAPH_SEEDS") else { return SEEDS };
    let (first, end) = text.split_once("..").expect("GRAPH_SEEDS is a range such as 5..6");
    first.parse().expect("a number")..end.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_graph_ends_in_postgresql_as_the_naive_model_says() {
    let world = world().await;
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut played = 0;
    for seed in seeds() {
        if played >= ENOUGH && started.elapsed() > TIME && std::env::var("GRAPH_SEEDS").is_err() {
            break;
        }
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), chance);
        let mut tree = (shapes(2..16), numbers()).new_tree(&mut runner).unwrap();
        let (shape, numbers) = tree.current();
        let Err(first) = one(&world, &shape, &numbers, &mut tally).await else {
            played += 1;
            continue;
        };
        let (mut shape, mut numbers, mut problem) = (shape, numbers, first);
        let mut smaller = tree.simplify();
        for _ in 0..SHRINKS {
            if !smaller {
                break;
            }
            let (try_shape, try_numbers) = tree.current();
            smaller = match one(&world, &try_shape, &try_numbers, &mut Tally::default()).await {
                Err(still) => {
                    (shape, numbers, problem) = (try_shape, try_numbers, still);
                    tree.simplify()
                }
                Ok(()) => tree.complicate(),
            };
        }
        panic!("GRAPH_SEEDS={seed}..{}: {problem}\n{shape:#?}\nnumbers {numbers:?}", seed + 1);
    }
    println!("{played} graphs in {:?}: {tally:?}", started.elapsed());
    assert!(
        std::env::var("GRAPH_SEEDS").is_ok() || tally.together > 0 && tally.cancels > 0,
        "{tally:?}"
    );
}
