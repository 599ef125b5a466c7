//! Builds and sends the messages of a claimed batch. What cannot be sent goes back or fails with its reason.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kici_model::lock::Workflow;
use kici_model::state::{EndReason, InitCategory};
use kici_store::definition::definition_get;
use kici_store::delivery::delivery_claimed;
use kici_store::grow::{Generation, generation};
use kici_store::lease::{GiveBack, job_give_back};
use kici_store::run::run_lock;
use kici_store::send::{ToSend, Upstream, job_to_send, job_upstreams};
use kici_store::{PgConnection, Store, StoreError};
use serde_json::Value;
use tracing::{info, warn};
use uuid::Uuid;

use super::claim::Claimed;
use super::message::{Generated, Sources, build};
use crate::app::App;
use crate::forge::{CloneSource, ForgeError};
use crate::jobs::apply::{announce, give_back};
use crate::jobs::{Ending, Finish, finish};
use crate::logging::Chain;

/// What the messages of a batch are made of.
struct Parts {
    jobs: HashMap<Uuid, ToSend>,
    /// By the job that needs them.
    upstreams: HashMap<Uuid, Vec<Upstream>>,
    /// Of generated jobs.
    generations: HashMap<Uuid, Generation>,
    workflows: HashMap<Uuid, Arc<Workflow>>,
    payloads: HashMap<Uuid, Value>,
}

/// Why a job was not sent.
enum Failure {
    /// The agent is gone: nobody's fault, at once to another.
    AgentGone,
    /// Trying later may help.
    Later(String),
    /// It never will.
    Never(String),
}

/// Sends a batch.
pub(super) async fn send(app: App, claimed: Vec<Claimed>) {
    let parts = match read(&app, &claimed).await {
        Ok(parts) => parts,
        Err(error) => {
            warn!(error = %Chain(&error), jobs = claimed.len(), "could not read what claimed jobs are made of");
            for claim in &claimed {
                failed(&app, claim, Failure::AgentGone).await;
            }
            return;
        }
    };
    let mut sources: HashMap<(String, String), Result<CloneSource, ForgeError>> = HashMap::new();
    let mut sent = 0;
    for claim in &claimed {
        match send_one(&app, claim, &parts, &mut sources).await {
            Ok(()) => sent += 1,
            Err(failure) => failed(&app, claim, failure).await,
        }
    }
    app.metrics.dispatched(sent);
}

async fn send_one(
    app: &App,
    claim: &Claimed,
    parts: &Parts,
    sources: &mut HashMap<(String, String), Result<CloneSource, ForgeError>>,
) -> Result<(), Failure> {
    let job = parts.jobs.get(&claim.job).ok_or(Failure::AgentGone)?;
    let workflow = job
        .definition
        .and_then(|definition| parts.workflows.get(&definition))
        .ok_or_else(|| Failure::Never("the stored workflow is gone".into()))?;
    let key = (job.routing_key.clone(), job.repo.clone());
    if !sources.contains_key(&key) {
        let source = app.forge.clone_source(&job.routing_key, &job.repo).await;
        sources.insert(key.clone(), source);
    }
    let source = match sources.get(&key) {
        Some(Ok(source)) => source.clone(),
        Some(Err(ForgeError::Permanent(text))) => return Err(Failure::Never(text.clone())),
        Some(Err(ForgeError::Retry(text))) => return Err(Failure::Later(text.clone())),
        None => return Err(Failure::AgentGone),
    };
    let upstreams_of =
        |job: Uuid| -> Vec<&Upstream> { parts.upstreams.get(&job).into_iter().flatten().collect() };
    let generation = parts
        .generations
        .get(&job.id)
        .map(|siblings| Generated { siblings, seen: upstreams_of(siblings.generator) });
    let payload =
        job.delivery.and_then(|id| parts.payloads.get(&id)).cloned().unwrap_or(Value::Null);
    let upstreams = upstreams_of(job.id);
    let agent = &claim.offer.agent;
    let sources = Sources { workflow, upstreams, generation, payload, clone: source, agent };
    let message = build(job, sources).map_err(Failure::Never)?;
    info!(job.id = %job.id, run.id = %job.run_id, agent.id = claim.offer.agent.id(), attempt = claim.attempt,
          "job {} goes to agent {}", job.name, claim.offer.agent.id());
    if claim.offer.agent.dispatch(message) { Ok(()) } else { Err(Failure::AgentGone) }
}

async fn read(app: &App, claimed: &[Claimed]) -> Result<Parts, StoreError> {
    let ids: Vec<Uuid> = claimed.iter().map(|claim| claim.job).collect();
    let mut conn = app.store.connection().await?;
    let jobs: HashMap<Uuid, ToSend> =
        job_to_send(&mut conn, &ids).await?.into_iter().map(|job| (job.id, job)).collect();
    let generated: Vec<Uuid> =
        jobs.values().filter(|job| job.body.is_some()).map(|job| job.id).collect();
    let mut generations = HashMap::new();
    let mut wanted = ids.clone();
    if !generated.is_empty() {
        let known = generation(&mut conn, &generated).await?;
        wanted.extend(known.iter().map(|one| one.generator).collect::<BTreeSet<_>>());
        generations = known.into_iter().map(|one| (one.job_id, one)).collect();
    }
    let mut upstreams: HashMap<Uuid, Vec<Upstream>> = HashMap::new();
    for upstream in job_upstreams(&mut conn, &wanted).await? {
        upstreams.entry(upstream.job_id).or_default().push(upstream);
    }
    let mut workflows = HashMap::new();
    let mut payloads = HashMap::new();
    for job in jobs.values() {
        if let Some(definition) = job.definition
            && !workflows.contains_key(&definition)
            && let Some(workflow) = workflow(app, &mut conn, definition).await?
        {
            workflows.insert(definition, workflow);
        }
        if let Some(delivery) = job.delivery
            && !payloads.contains_key(&delivery)
            && let Some(row) = delivery_claimed(&mut conn, delivery).await?
        {
            payloads.insert(delivery, app.forge.payload(&row));
        }
    }
    Ok(Parts { jobs, upstreams, generations, workflows, payloads })
}

/// A stored workflow, from memory where it was read before.
pub(crate) async fn workflow(
    app: &App,
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Arc<Workflow>>, StoreError> {
    if let Some(known) = app.contents.workflow(id) {
        return Ok(Some(known));
    }
    let Some(body) = definition_get(conn, id).await? else { return Ok(None) };
    match serde_json::from_str::<Workflow>(&body) {
        Ok(workflow) => {
            let workflow = Arc::new(workflow);
            app.contents.keep(id, Arc::clone(&workflow));
            Ok(Some(workflow))
        }
        Err(error) => {
            warn!(definition = %id, %error, "a stored workflow cannot be read");
            Ok(None)
        }
    }
}

/// Settles a claim that was not sent.
async fn failed(app: &App, claim: &Claimed, failure: Failure) {
    claim.offer.agent.release(claim.job);
    let settled = async {
        let mut tx = app.store.begin().await?;
        run_lock(&mut tx, &[claim.run]).await?;
        let end = match &failure {
            Failure::AgentGone => {
                let back = GiveBack {
                    job: claim.job,
                    attempt: claim.attempt,
                    delay: Duration::ZERO,
                    failed: false,
                    refused_by: None,
                    why: None,
                    only_unacked: true,
                };
                job_give_back(&mut tx, &back).await?;
                None
            }
            Failure::Later(text) => {
                give_back(&mut tx, claim.run, claim.job, claim.attempt, None, text, true).await?
            }
            Failure::Never(text) => {
                let reason =
                    EndReason::Init { category: InitCategory::NoAgent, message: text.clone() };
                let finish = Finish::because(claim.run, claim.job, Ending::Failed, reason);
                Some(Finish { attempt: Some(claim.attempt), ..finish })
            }
        };
        let settled = match end {
            Some(end) => Some(finish(&mut tx, &[end], &[]).await?),
            None => None,
        };
        Store::commit(tx).await?;
        Ok::<_, StoreError>(settled)
    };
    match settled.await {
        Ok(settled) => {
            if let Some(settled) = settled {
                announce(app, &settled);
            }
            app.dispatch.wake();
        }
        // The acknowledgement's deadline returns it to the queue.
        Err(error) => {
            warn!(job.id = %claim.job, error = %Chain(&error), "could not settle a job that was not sent")
        }
    }
}
