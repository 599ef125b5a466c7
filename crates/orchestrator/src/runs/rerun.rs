//! Repeats a run that has ended: with the same event, inputs and definition, as a new run that is linked to it.
//!
//! The definition is stored with the run, so nothing is fetched from the forge. Rows are made like those of every
//! run (`stamp`, `create`); approvals are asked for again.

use kici_model::event::Event;
use kici_model::fields::InitFields;
use kici_model::lock::{JobEntry, StaticJob, Workflow};
use kici_model::state::RunState;
use kici_store::definition::definition_get;
use kici_store::delivery::delivery_claimed;
use kici_store::rerun::{
    Original, Repeats, job_reuse, rerun_edges, rerun_jobs, rerun_known, rerun_original, run_repeats,
};
use kici_store::run::run_lock;
use kici_store::{PgConnection, Store, StoreError};
use serde_json::{Value, json};
use tracing::info;
use uuid::Uuid;

use super::create::{NewRun, create};
use super::hosts::Hosts;
use super::plan::WorkflowPlan;
use super::repeat::{CannotRepeat, Scope, repeat};
use super::runner::Runner;
use super::stamp::{Cause, stamp};
use crate::app::App;

/// Somebody looks at it: its jobs start ahead of those that nobody waits for (docs/design/queue.md).
const PRIORITY: i16 = 2;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) scope: Scope,
    /// Who asks.
    pub(crate) by: &'a str,
    /// Makes the same request known again, so that it makes one run.
    pub(crate) key: Option<&'a str>,
}

/// The run that came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) run: Uuid,
    /// The first of the chain.
    pub(crate) original: Uuid,
    /// False: the same request has made it before.
    pub(crate) made: bool,
}

/// Why a run was not repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RerunError {
    /// There is no such run.
    #[error("there is no run {0}")]
    Unknown(Uuid),
    /// It has not ended.
    #[error("Run is not in a terminal state (current: {state})")]
    Open {
        /// Its state.
        state: String,
    },
    /// It ran an uncommitted tree, which is gone.
    #[error("Test runs cannot be re-run")]
    Test,
    /// It failed before it had a workflow.
    #[error(
        "this run never had a workflow ({workflow}): deliver its event again (kici-admin event-log replay) instead"
    )]
    NoWorkflow {
        /// What it is called.
        workflow: String,
    },
    /// What it was made from is not stored any more.
    #[error("the {what} of this run is not stored any more: it cannot be run again")]
    Gone {
        /// The event, or the workflow.
        what: &'static str,
    },
    /// Part of it cannot be repeated.
    #[error(transparent)]
    Part(#[from] CannotRepeat),
    /// The key was used for something else.
    #[error("this key has made run {run} from '{scope}' already")]
    KeyTaken {
        /// The run.
        run: Uuid,
        /// What was asked for then.
        scope: String,
    },
    /// Evaluating expressions broke off.
    #[error("evaluating the inline expressions of the workflow failed")]
    Evaluate(#[source] tokio::task::JoinError),
    /// The database.
    #[error("could not run a run again")]
    Store(#[from] StoreError),
}

/// Repeats a run.
pub(crate) async fn rerun(
    app: &App,
    run: Uuid,
    wanted: &Wanted<'_>,
) -> Result<Repeated, RerunError> {
    let (original, plan, event) = {
        let mut conn = app.store.connection().await?;
        let original = rerun_original(&mut conn, run).await?.ok_or(RerunError::Unknown(run))?;
        check(&original)?;
        let plan = plan(app, &mut conn, &original, &wanted.scope).await?;
        let event = event(app, &mut conn, &original).await?;
        (original, plan, event)
    };
    let root = original.original_run_id.unwrap_or(run);
    let (scope, by) = (wanted.scope.text(), wanted.by.to_owned());
    let first_labels = plan.first_labels.clone();
    let mut new = stamped(original, plan, event, &scope, by).await?;
    {
        let mut conn = app.store.connection().await?;
        if new.evaluates() {
            new.evaluate_on(&Runner::among(&mut conn, &first_labels).await?);
        }
        app.contents.store(&mut conn, &[&new]).await?;
    }
    let mut tx = app.store.begin().await?;
    // Two who ask at once follow each other, and the second finds what the first made.
    if run_lock(&mut tx, &[run]).await?.is_empty() {
        // Retention was faster.
        return Err(RerunError::Unknown(run));
    }
    let known = rerun_known(&mut tx, run, wanted.key, &scope, wanted.by).await?;
    if let Some((before, asked)) = known {
        return match asked {
            Some(asked) if asked != scope => {
                Err(RerunError::KeyTaken { run: before, scope: asked })
            }
            _ => Ok(Repeated { run: before, original: root, made: false }),
        };
    }
    create(&mut tx, &[&new]).await?;
    let repeats = Repeats {
        run: new.row.id,
        parent: run,
        original: root,
        by: wanted.by,
        scope: &scope,
        key: wanted.key,
    };
    run_repeats(&mut tx, &repeats).await?;
    if !new.reused.is_empty() {
        job_reuse(&mut tx, &new.reused).await?;
    }
    Store::commit(tx).await?;
    info!(run.id = %new.row.id, parent.id = %run, scope, reused = new.reused.len(), "run {run} is run again");
    app.metrics.runs("pending", 1);
    app.dispatch.wake();
    Ok(Repeated { run: new.row.id, original: root, made: true })
}

fn check(original: &Original) -> Result<(), RerunError> {
    if !original.state.parse().is_ok_and(RunState::is_final) {
        return Err(RerunError::Open { state: original.state.clone() });
    }
    if original.is_test {
        return Err(RerunError::Test);
    }
    if original.definition.is_none() {
        return Err(RerunError::NoWorkflow { workflow: original.workflow_name.clone() });
    }
    Ok(())
}

async fn plan(
    app: &App,
    conn: &mut PgConnection,
    original: &Original,
    scope: &Scope,
) -> Result<WorkflowPlan, RerunError> {
    let gone = RerunError::Gone { what: "workflow" };
    let Some(id) = original.definition else { return Err(gone) };
    let Some(body) = definition_get(conn, id).await? else { return Err(gone) };
    let Ok(workflow) = serde_json::from_str::<Workflow>(&body) else {
        return Err(StoreError::Unknown { call: "rerun", what: format!("definition {id}") }.into());
    };
    let whole = WorkflowPlan::of_stored(&workflow);
    if *scope == Scope::All {
        if !whole.asks_for_hosts() {
            return Ok(whole);
        }
        // Those of now: hosts have come and gone since.
        let hosts = Hosts::read(conn, app.config.agents.host_rules()).await?;
        return Ok(whole.on_hosts(&hosts));
    }
    let rows = rerun_jobs(conn, original.id).await?;
    let edges = rerun_edges(conn, original.id).await?;
    let fields = (0..).zip(&workflow.jobs).filter_map(|(index, entry)| match entry {
        JobEntry::Static(lock) => Some((index, InitFields::of(lock))),
        _ => None,
    });
    let mut jobs = repeat(&rows, &edges, scope, &fields.collect())?;
    for job in jobs.iter_mut().filter(|job| !job.kind.evaluates()) {
        let generated: Option<StaticJob> = match &job.body {
            Some(body) => Some(serde_json::from_str(body).map_err(|error| {
                CannotRepeat::Unreadable { job: job.name.clone(), what: error.to_string() }
            })?),
            None => None,
        };
        let lock = match job.lock_index.and_then(|index| workflow.jobs.get(index)) {
            Some(JobEntry::Static(lock)) => Some(&**lock),
            _ => None,
        };
        let Some(declared) = generated.as_ref().or(lock) else { continue };
        // Neither is a result: people are asked again, and its group must have room again.
        job.approval = declared.approval.clone();
        job.group = declared.concurrency_group.clone();
    }
    Ok(WorkflowPlan { jobs, selectors: Vec::new(), ..whole })
}

/// The event with its payload, as it was delivered.
async fn event(
    app: &App,
    conn: &mut PgConnection,
    original: &Original,
) -> Result<Event, RerunError> {
    let mut event: Event = serde_json::from_str(&original.event).map_err(|_| {
        StoreError::Unknown { call: "rerun", what: format!("event of run {}", original.id) }
    })?;
    if let Some(delivery) = original.delivery {
        let row = delivery_claimed(conn, delivery).await?;
        let row = row.ok_or(RerunError::Gone { what: "event" })?;
        event.payload = app.forge.payload(&row);
    }
    Ok(event)
}

/// Makes the rows, off the threads that serve sockets when expressions have to be evaluated.
async fn stamped(
    original: Original,
    plan: WorkflowPlan,
    event: Event,
    scope: &str,
    by: String,
) -> Result<NewRun, RerunError> {
    let before: Value = original
        .decision
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let decision = json!({
        "trigger": "rerun", "parentRunId": original.id, "scope": scope, "actor": by, "matched": before,
    });
    let stamp = move || {
        let mut new = stamp(
            &plan,
            Cause {
                org_id: &original.org_id,
                // Set when the run is linked: only first runs are unique by delivery.
                delivery: None,
                delivery_id: "",
                routing_key: &original.routing_key,
                provider: &original.provider,
                repo: &original.repo,
                git_ref: &original.git_ref,
                sha: &original.sha,
                trust_tier: original.trust_tier.as_deref(),
                lock_file_source: original.lock_file_source.as_deref(),
                event: &event,
                decision: Some(decision.to_string()),
            },
        );
        for job in &mut new.jobs {
            job.priority = PRIORITY;
        }
        new.row.delivery_id = format!("rerun:{}", new.row.id);
        new
    };
    tokio::task::spawn_blocking(stamp).await.map_err(RerunError::Evaluate)
}
