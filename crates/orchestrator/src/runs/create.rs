//! Writes runs with all their jobs and edges, for a whole batch at once, in the caller's transaction.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kici_model::lock::Workflow;
use kici_store::definition::{Content, NAMED_FOR, definition_insert, selector_insert};
use kici_store::hold::{HoldRow, hold_insert};
use kici_store::job::{JobRow, NeedRow, job_insert, job_insert_plain, need_insert};
use kici_store::run::{RunRow, run_insert};
use kici_store::slot::{SlotRow, slot_insert};
use kici_store::{PgConnection, StoreError};
use uuid::Uuid;

use super::runner::Runner;

/// All rows of a run.
#[derive(Debug)]
pub(crate) struct NewRun {
    pub(crate) row: RunRow,
    pub(crate) jobs: Vec<JobRow>,
    pub(crate) needs: Vec<NeedRow>,
    pub(crate) holds: Vec<HoldRow>,
    pub(crate) slots: Vec<SlotRow>,
    /// Jobs that have the result of another: (job, that other).
    pub(crate) reused: Vec<(Uuid, Uuid)>,
    pub(crate) definition: Option<Content>,
    pub(crate) selectors: Vec<Content>,
}

impl NewRun {
    /// Whether some of its jobs only evaluate.
    pub(crate) fn evaluates(&self) -> bool {
        self.jobs.iter().any(|job| job.kind.evaluates())
    }

    /// Lets these agents evaluate for it.
    pub(crate) fn evaluate_on(&mut self, runner: &Runner) {
        let content = runner.content();
        for job in self.jobs.iter_mut().filter(|job| job.kind.evaluates()) {
            job.selector = content.id;
        }
        self.selectors.push(content);
    }
}

/// Contents that are known to be stored, since when, and workflows that were read back. They are not deleted while
/// something names them or did a moment ago, so a miss only costs an insert that changes nothing, or a read.
#[derive(Debug, Default)]
pub(crate) struct StoredContents {
    stored: Mutex<HashMap<Uuid, Instant>>,
    workflows: Mutex<HashMap<Uuid, Arc<Workflow>>>,
}

/// More than this many are forgotten together.
const REMEMBERED: usize = 10_000;

/// Workflows in memory; a full cache starts again.
const WORKFLOWS: usize = 500;

/// Writes runs. Those that their delivery has made before are left out; answers the ids of the others.
pub(crate) async fn create(
    conn: &mut PgConnection,
    runs: &[&NewRun],
) -> Result<HashSet<Uuid>, StoreError> {
    let rows: Vec<RunRow> = runs.iter().map(|run| run.row.clone()).collect();
    let made = run_insert(conn, &rows).await?;
    let shares: HashMap<Uuid, i64> = made.into_iter().map(|run| (run.id, run.share)).collect();
    let of: Vec<(&NewRun, i64)> =
        runs.iter().filter_map(|run| Some((*run, shares.get(&run.row.id).copied()?))).collect();
    let jobs = of.iter().flat_map(|(run, share)| run.jobs.iter().map(|job| (job, *share)));
    let (plain, others): (Vec<_>, Vec<_>) = jobs.partition(|(job, _)| job.is_plain());
    if !plain.is_empty() {
        job_insert_plain(conn, &plain).await?;
    }
    if !others.is_empty() {
        let others: Vec<JobRow> = others.into_iter().map(|(job, _)| job.clone()).collect();
        job_insert(conn, &others).await?;
    }
    let new: Vec<&NewRun> = of.into_iter().map(|(run, _)| run).collect();
    let needs: Vec<NeedRow> = new.iter().flat_map(|run| run.needs.iter().cloned()).collect();
    if !needs.is_empty() {
        need_insert(conn, &needs).await?;
    }
    let holds: Vec<HoldRow> = new.iter().flat_map(|run| run.holds.iter().cloned()).collect();
    if !holds.is_empty() {
        hold_insert(conn, &holds).await?;
    }
    let slots: Vec<SlotRow> = new.iter().flat_map(|run| run.slots.iter().cloned()).collect();
    if !slots.is_empty() {
        slot_insert(conn, &slots).await?;
    }
    Ok(shares.into_keys().collect())
}

impl StoredContents {
    /// Stores the workflows and selectors that runs name, before the transaction that makes the runs: they are the
    /// same for many runs, and two transactions inserting the same ones would wait for each other.
    pub(crate) async fn store(
        &self,
        conn: &mut PgConnection,
        runs: &[&NewRun],
    ) -> Result<(), StoreError> {
        let now = Instant::now();
        let definitions = self.unknown(runs.iter().filter_map(|run| run.definition.as_ref()));
        if !definitions.is_empty() {
            definition_insert(conn, &definitions).await?;
        }
        let selectors = self.unknown(runs.iter().flat_map(|run| &run.selectors));
        if !selectors.is_empty() {
            selector_insert(conn, &selectors).await?;
        }
        let mut stored = self.stored.lock().expect("nothing panics while it is held");
        if stored.len() > REMEMBERED {
            stored.clear();
        }
        stored.extend(definitions.iter().chain(&selectors).map(|content| (content.id, now)));
        Ok(())
    }

    /// A workflow that was read before.
    pub(crate) fn workflow(&self, id: Uuid) -> Option<Arc<Workflow>> {
        self.workflows.lock().expect("nothing panics while it is held").get(&id).cloned()
    }

    /// Keeps a workflow that was read.
    pub(crate) fn keep(&self, id: Uuid, workflow: Arc<Workflow>) {
        let mut workflows = self.workflows.lock().expect("nothing panics while it is held");
        if workflows.len() >= WORKFLOWS {
            workflows.clear();
        }
        workflows.insert(id, workflow);
    }

    fn unknown<'a>(&self, contents: impl Iterator<Item = &'a Content>) -> Vec<Content> {
        let stored = self.stored.lock().expect("nothing panics while it is held");
        let fresh = |id| stored.get(&id).is_some_and(|at| at.elapsed() < NAMED_FOR);
        let mut seen = HashSet::new();
        let mut new: Vec<Content> = contents
            .filter(|content| !fresh(content.id) && seen.insert(content.id))
            .cloned()
            .collect();
        // The same order everywhere: two orchestrators that insert the same rows must not deadlock.
        new.sort_by_key(|content| content.id);
        new
    }
}
