//! What the end of jobs means for those that wait: skips, edges that are met, and whose turn it is.
//!
//! Reads and decides; [`super::finish`] writes. The graph itself is followed by [`kici_model::graph::cascade`].

use std::collections::HashMap;

use kici_model::graph::{Accepts, cascade};
use kici_model::state::{EndReason, JobState};
use kici_store::job::{
    Dependant, EndedJob, JobEnd, Met, job_dependants, job_dependants_of_skipped,
};
use kici_store::window::{Gated, Turns, job_gated};
use kici_store::{PgConnection, StoreError};
use uuid::Uuid;

use super::finish::json;

/// One end that is about to be written.
pub(super) struct Ended {
    pub(super) run: Uuid,
    pub(super) name: String,
    pub(super) to: JobState,
    pub(super) end: JobEnd,
}

/// What follows from ends.
pub(super) struct After {
    /// Jobs that will never start.
    pub(super) skips: Vec<Ended>,
    /// Edges that are met for others.
    pub(super) met: HashMap<Uuid, i32>,
}

/// Children of limited fan-outs that ends are about.
#[derive(Default)]
pub(super) struct TurnsAfter {
    /// Their turn has come.
    pub(super) next: Vec<Uuid>,
    /// Their turn will never come.
    pub(super) halted: Vec<Gated>,
}

/// A child that ends lets the next one of its fan-out go, in the order of their index. With `failFast`, one that did
/// not succeed stops all that wait for their turn.
pub(super) async fn turns_after(
    conn: &mut PgConnection,
    ended: &[(Ended, EndedJob)],
) -> Result<TurnsAfter, StoreError> {
    let mut wanted: HashMap<(Uuid, &str), Turns> = HashMap::new();
    for (end, job) in ended.iter().filter(|(_, job)| job.max_parallel.is_some()) {
        let turns = wanted.entry((end.run, &job.base_name)).or_insert_with(|| Turns {
            run: end.run,
            base_name: job.base_name.clone(),
            limit: Some(0),
        });
        turns.limit = match turns.limit {
            _ if job.fail_fast && end.to != JobState::Success => None,
            // One that never had a turn leaves no place behind.
            Some(places) => Some(places + i64::from(!job.gated)),
            None => None,
        };
    }
    if wanted.is_empty() {
        return Ok(TurnsAfter::default());
    }
    let turns: Vec<Turns> = wanted.values().cloned().collect();
    let (mut next, mut halted) = (Vec::new(), Vec::new());
    for child in job_gated(conn, &turns).await? {
        match wanted.get(&(child.run_id, child.base_name.as_str())) {
            Some(Turns { limit: None, .. }) => halted.push(child),
            _ => next.push(child.id),
        }
    }
    Ok(TurnsAfter { next, halted })
}

/// Follows ends and halted children through the graph.
pub(super) async fn follow(
    conn: &mut PgConnection,
    ended: &[(Ended, EndedJob)],
    halted: &[Gated],
) -> Result<After, StoreError> {
    let mut names: HashMap<Uuid, String> = HashMap::new();
    let mut states: Vec<(Uuid, JobState)> = Vec::new();
    for (end, _) in ended {
        names.insert(end.end.id, end.name.clone());
        states.push((end.end.id, end.to));
    }
    for child in halted {
        names.insert(child.id, child.name.clone());
        states.push((child.id, JobState::Skipped));
    }
    let ids: Vec<Uuid> = states.iter().map(|(id, _)| *id).collect();
    let mut edges = job_dependants(conn, &ids).await?;
    let mut after = cascade(&states, &by_upstream(&edges));
    if !after.skips.is_empty() {
        let skipped: Vec<Uuid> = after.skips.iter().map(|(id, _, _)| *id).collect();
        edges.extend(job_dependants_of_skipped(conn, &skipped).await?);
        after = cascade(&states, &by_upstream(&edges));
    }
    let waiting: HashMap<Uuid, &Dependant> = edges.iter().map(|edge| (edge.id, edge)).collect();
    let mut skips: Vec<Ended> = halted
        .iter()
        .map(|child| skip(child.id, child.run_id, &child.name, child.attempt, EndReason::FailFast))
        .collect();
    for (id, upstream, status) in after.skips {
        let Some(job) = waiting.get(&id) else { continue };
        let blamed = names.get(&upstream).cloned();
        let reason = EndReason::UpstreamUnmet { upstream: blamed.unwrap_or_default(), status };
        names.insert(id, job.name.clone());
        skips.push(skip(id, job.run_id, &job.name, job.attempt, reason));
    }
    let met = after.met.into_iter().map(|(id, edges)| {
        (id, i32::try_from(edges).expect("no more edges than jobs in a lock file"))
    });
    Ok(After { skips, met: met.collect() })
}

/// Edges that are met together with the turns that have come.
pub(super) fn with_turns(met: HashMap<Uuid, i32>, next: &[Uuid]) -> Vec<Met> {
    let mut all: HashMap<Uuid, Met> =
        met.into_iter().map(|(job, edges)| (job, Met { job, edges, turn: false })).collect();
    for job in next {
        all.entry(*job).or_insert(Met { job: *job, ..Met::default() }).turn = true;
    }
    let mut all: Vec<Met> = all.into_values().collect();
    all.sort_unstable_by_key(|met| met.job);
    all
}

fn by_upstream(edges: &[Dependant]) -> HashMap<Uuid, Vec<(Uuid, Accepts)>> {
    let mut waiting: HashMap<Uuid, Vec<(Uuid, Accepts)>> = HashMap::new();
    for edge in edges {
        let accepts = Accepts::from_run_on(Some(&edge.run_on));
        waiting.entry(edge.upstream).or_default().push((edge.id, accepts));
    }
    waiting
}

fn skip(id: Uuid, run: Uuid, name: &str, attempt: i32, reason: EndReason) -> Ended {
    Ended {
        run,
        name: name.to_owned(),
        to: JobState::Skipped,
        end: JobEnd {
            id,
            attempt,
            from: JobState::Pending.as_str().to_owned(),
            to: JobState::Skipped.as_str().to_owned(),
            error: Some(reason.to_string()),
            reason: Some(json(&reason)),
            outputs: None,
        },
    }
}
