//! One pass: which waiting job goes to which agent. Commits before anything is sent.

use std::collections::{HashMap, HashSet};

use kici_model::lock::RunsOnPick;
use kici_store::claim::{Claim, Waiting, job_candidates, job_claim, waiting_selectors};
use kici_store::{Store, StoreError};
use uuid::Uuid;

use super::selectors::Selectors;
use crate::agents::Offer;
use crate::app::App;

/// Jobs of one pass.
pub(super) const BATCH: usize = 200;

/// A job that an agent has been given.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub(super) job: Uuid,
    pub(super) run: Uuid,
    pub(super) attempt: i32,
    pub(super) offer: Offer,
}

/// Gives as many waiting jobs as there are free agents for them.
pub(super) async fn pass(
    app: &App,
    selectors: &mut Selectors,
    explain: bool,
) -> Result<Vec<Claimed>, StoreError> {
    let offers = app.agents.offers();
    let free: usize = offers.iter().map(|offer| offer.free).sum();
    if free == 0 && !explain {
        return Ok(Vec::new());
    }
    let mut tx = app.store.begin().await?;
    let waiting = waiting_selectors(&mut tx).await?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    selectors.load(&mut tx, &waiting).await?;
    if explain {
        selectors.explain(&mut tx, &waiting, &offers).await?;
    }
    let limits = limits(selectors, &waiting, &offers);
    let candidates =
        if limits.is_empty() { Vec::new() } else { job_candidates(&mut tx, &limits).await? };
    let chosen = choose(selectors, candidates, &offers);
    let claims: Vec<Claim> = chosen
        .iter()
        .map(|(job, at)| Claim { job: job.id, agent: offers[*at].agent.id().to_owned() })
        .collect();
    let attempts: HashMap<Uuid, i32> = match claims.is_empty() {
        true => HashMap::new(),
        false => job_claim(&mut tx, app.number, app.config.agents.ack_timeout, &claims)
            .await?
            .into_iter()
            .collect(),
    };
    Store::commit(tx).await?;
    let claimed = chosen.into_iter().filter_map(|(job, at)| {
        let attempt = *attempts.get(&job.id)?;
        let offer = offers[at].clone();
        // Held from now on, so that the next pass does not count the place as free.
        offer.agent.reserve(job.id, job.run_id, attempt);
        Some(Claimed { job: job.id, run: job.run_id, attempt, offer })
    });
    Ok(claimed.collect())
}

/// For each selector that some free agent fits: how many jobs to look at.
fn limits(selectors: &Selectors, waiting: &[Uuid], offers: &[Offer]) -> Vec<(Uuid, i32)> {
    let places = |id: &Uuid| -> usize {
        let Some(known) = selectors.get(*id) else { return 0 };
        offers
            .iter()
            .filter(|offer| offer.free > 0 && known.selector.matches(offer.agent.labels()))
            .map(|offer| offer.free)
            .sum()
    };
    waiting
        .iter()
        .map(|id| (*id, places(id).min(BATCH)))
        .filter(|(_, places)| *places > 0)
        .map(|(id, places)| (id, i32::try_from(places).expect("bounded by the batch")))
        .collect()
}

/// Oldest first; each job takes the agent that its selector picks among those with a place left.
fn choose(
    selectors: &Selectors,
    mut candidates: Vec<Waiting>,
    offers: &[Offer],
) -> Vec<(Waiting, usize)> {
    candidates.sort_by_key(|job| job.id);
    candidates.truncate(BATCH);
    let mut free: Vec<usize> = offers.iter().map(|offer| offer.free).collect();
    let mut full: HashSet<Uuid> = HashSet::new();
    let mut chosen = Vec::new();
    for job in candidates {
        if full.contains(&job.selector) {
            continue;
        }
        let Some(known) = selectors.get(job.selector) else { continue };
        let fitting: Vec<usize> = (0..offers.len())
            .filter(|at| free[*at] > 0 && known.selector.matches(offers[*at].agent.labels()))
            .collect();
        if fitting.is_empty() {
            full.insert(job.selector);
            continue;
        }
        // Offers come sorted by agent id: the first is the lowest. Who refused the job goes last.
        let others: Vec<usize> = fitting
            .iter()
            .copied()
            .filter(|at| job.refused_by.as_deref() != Some(offers[*at].agent.id()))
            .collect();
        let fitting = if others.is_empty() { fitting } else { others };
        let at = match known.pick {
            RunsOnPick::Deterministic => fitting[0],
            RunsOnPick::Any => fitting[chosen.len() % fitting.len()],
        };
        free[at] -= 1;
        chosen.push((job, at));
    }
    chosen
}
