//! One pass: which waiting job goes to which agent. Commits before anything is sent.
//!
//! The queue is read line by line (a line is a selector and a repository). Where several repositories want the same
//! agents, [`super::shares`] says who is served; what they hold now is read from the table.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use kici_store::claim::{Claim, Limit, Line, Waiting, job_candidates, job_claim, waiting_lines};
use kici_store::share::{Served, share_held, share_ids, share_served, share_turns};
use kici_store::{PgConnection, Store, StoreError};
use uuid::Uuid;

use super::fitting::Fitting;
use super::selectors::Selectors;
use super::shares::{Standing, Turns, allocate};
use crate::agents::Offer;
use crate::app::App;

/// Jobs of one pass.
pub(super) const BATCH: usize = 200;

/// Up to this many jobs with agents they are counted for every choice between repositories.
const COUNT_ALWAYS: u32 = 200;

/// How old the count of what repositories hold may be when there are more. Between two counts our own claims are added, so that what is
/// off are jobs that ended and claims of other orchestrators, for this long.
const COUNT_AGAIN: Duration = Duration::from_millis(200);

/// A job that an agent has been given.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub(super) job: Uuid,
    pub(super) run: Uuid,
    pub(super) attempt: i32,
    pub(super) offer: Offer,
}

/// What came of a pass.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) claimed: Vec<Claimed>,
    /// Jobs that could be given out may be left: another pass finds them.
    pub(super) again: bool,
}

/// What repositories hold, between two passes.
#[derive(Default)]
pub(super) struct Shares {
    held: HashMap<i64, u32>,
    counted: Option<Instant>,
    /// Those whose weight is not 1; read once.
    weights: Option<HashMap<i64, u32>>,
}

/// Gives as many waiting jobs as there are free agents for them. `timer`: which agents are known is looked up again.
pub(super) async fn pass(
    app: &App,
    selectors: &mut Selectors,
    shares: &mut Shares,
    timer: bool,
) -> Result<Pass, StoreError> {
    let offers = app.agents.offers();
    let free: usize = offers.iter().map(|offer| offer.free).sum();
    if free == 0 {
        return Ok(Pass::default());
    }
    let mut tx = app.store.begin().await?;
    let lines = waiting_lines(&mut tx).await?;
    if lines.is_empty() {
        return Ok(Pass::default());
    }
    let mut waiting: Vec<Uuid> = lines.iter().map(|line| line.selector).collect();
    waiting.dedup();
    selectors.load(&mut tx, &waiting).await?;
    if timer {
        selectors.find_named(&mut tx, &waiting).await?;
    }
    selectors.pin(&waiting, &offers);
    let mut fitting = Fitting::new(selectors, &waiting, &offers);
    let places: HashMap<Uuid, usize> = waiting
        .iter()
        .map(|id| (*id, fitting.places(*id).min(BATCH)))
        .filter(|(_, places)| *places > 0)
        .collect();
    let served: Vec<&Line> =
        lines.iter().filter(|line| line.due && places.contains_key(&line.selector)).collect();
    let standings = shares.standings(app, &mut tx, &served).await?;
    let limits = limits(&served, &places, &standings);
    let wanted: i32 = limits.iter().map(|limit| limit.jobs).sum();
    let candidates =
        if limits.is_empty() { Vec::new() } else { job_candidates(&mut tx, &limits).await? };
    let short = candidates.len() < usize::try_from(wanted).unwrap_or(usize::MAX);
    let is_pinned = |id| selectors.get(id).is_some_and(|known| known.pin().is_some());
    let chosen = choose(&mut fitting, &standings, candidates, is_pinned);
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
    shares.served(&mut tx, &standings, &chosen).await?;
    Store::commit(tx).await?;
    let claimed: Vec<Claimed> = chosen
        .into_iter()
        .filter_map(|(job, at)| {
            let attempt = *attempts.get(&job.id)?;
            let offer = offers[at].clone();
            // Held from now on, so that the next pass does not count the place as free.
            offer.agent.reserve(job.id, job.run_id, attempt);
            Some(Claimed { job: job.id, run: job.run_id, attempt, offer })
        })
        .collect();
    // Only a repository that shares can leave places that another would have taken.
    let again = claimed.len() >= BATCH || (short && !claimed.is_empty() && standings.len() > 1);
    Ok(Pass { claimed, again })
}

/// How many jobs of each line to look at: all places for a repository that is alone, its fair part for each of several.
fn limits(
    lines: &[&Line],
    places: &HashMap<Uuid, usize>,
    standings: &BTreeMap<i64, Standing>,
) -> Vec<Limit> {
    let mut of_selector: BTreeMap<Uuid, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        of_selector.entry(line.selector).or_default().push(line);
    }
    let mut limits = Vec::new();
    for (selector, lines) in of_selector {
        let places = places.get(&selector).copied().unwrap_or(0);
        let parts = match lines.as_slice() {
            [line] => vec![(line.share, places)],
            lines => {
                let standings: Vec<Standing> =
                    lines.iter().filter_map(|line| standings.get(&line.share).copied()).collect();
                allocate(&standings, places)
            }
        };
        limits.extend(parts.into_iter().map(|(share, jobs)| Limit {
            selector,
            share,
            jobs: i32::try_from(jobs).expect("bounded by the batch"),
        }));
    }
    limits
}

/// Repositories by turns, each one's jobs in their order; a job takes the agent that its selector picks among those
/// with a place left. Jobs that only one agent may take go first: the others may find a place elsewhere.
fn choose(
    fitting: &mut Fitting<'_>,
    standings: &BTreeMap<i64, Standing>,
    mut candidates: Vec<Waiting>,
    is_pinned: impl Fn(Uuid) -> bool,
) -> Vec<(Waiting, usize)> {
    candidates.sort_by_key(|job| (job.place, job.id));
    let (pinned, others): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|job| is_pinned(job.selector));
    let mut standings = standings.clone();
    let mut chosen = Vec::new();
    by_turns(fitting, &mut standings, pinned, &mut chosen);
    by_turns(fitting, &mut standings, others, &mut chosen);
    chosen
}

fn by_turns(
    fitting: &mut Fitting<'_>,
    standings: &mut BTreeMap<i64, Standing>,
    candidates: Vec<Waiting>,
    chosen: &mut Vec<(Waiting, usize)>,
) {
    let mut of_share: BTreeMap<i64, VecDeque<Waiting>> = BTreeMap::new();
    for job in candidates {
        of_share.entry(job.share).or_default().push_back(job);
    }
    let mut turns = Turns::new(of_share.keys().filter_map(|share| standings.get(share).copied()));
    let mut full: HashSet<Uuid> = HashSet::new();
    while chosen.len() < BATCH
        && let Some(next) = turns.next()
    {
        let jobs = of_share.entry(next.share).or_default();
        while let Some(job) = jobs.pop_front() {
            if full.contains(&job.selector) {
                continue;
            }
            let Some(at) = fitting.take(job.selector, job.refused_by.as_deref()) else {
                full.insert(job.selector);
                continue;
            };
            if let Some(standing) = standings.get_mut(&job.share) {
                standing.held = standing.held.saturating_add(1);
            }
            chosen.push((job, at));
            turns.served(next);
            break;
        }
    }
}

impl Shares {
    /// Where the repositories of these lines stand. One that is alone needs no comparison and nothing is read.
    async fn standings(
        &mut self,
        app: &App,
        conn: &mut PgConnection,
        lines: &[&Line],
    ) -> Result<BTreeMap<i64, Standing>, StoreError> {
        let weights = match &mut self.weights {
            Some(weights) => weights,
            None => {
                let configured = &app.config.queue.weights;
                let names: Vec<String> = configured.keys().cloned().collect();
                let ids =
                    if names.is_empty() { Vec::new() } else { share_ids(conn, &names).await? };
                self.weights
                    .insert(ids.into_iter().map(|(name, id)| (id, configured[&name])).collect())
            }
        };
        let mut standings: BTreeMap<i64, Standing> = BTreeMap::new();
        for line in lines {
            let weight = weights.get(&line.share).copied().unwrap_or(1);
            let standing = standings
                .entry(line.share)
                .or_insert_with(|| Standing::new(line.share, weight, line.place));
            standing.place = standing.place.min(line.place);
        }
        if standings.len() < 2 {
            return Ok(standings);
        }
        let few = self.held.values().sum::<u32>() <= COUNT_ALWAYS;
        if few || self.counted.is_none_or(|at| at.elapsed() > COUNT_AGAIN) {
            let held = share_held(conn).await?;
            self.held = held
                .into_iter()
                .map(|(share, held)| (share, u32::try_from(held).unwrap_or(u32::MAX)))
                .collect();
            self.counted = Some(Instant::now());
        }
        let ids: Vec<i64> = standings.keys().copied().collect();
        for turn in share_turns(conn, &ids).await? {
            if let Some(standing) = standings.get_mut(&turn.share) {
                standing.turn = turn.at;
                standing.used = u32::try_from(turn.used).unwrap_or(0);
            }
        }
        for standing in standings.values_mut() {
            standing.held = self.held.get(&standing.share).copied().unwrap_or(0);
        }
        Ok(standings)
    }

    /// Notes what was given, and records it while several repositories share.
    async fn served(
        &mut self,
        conn: &mut PgConnection,
        standings: &BTreeMap<i64, Standing>,
        chosen: &[(Waiting, usize)],
    ) -> Result<(), StoreError> {
        for (job, _) in chosen {
            *self.held.entry(job.share).or_default() += 1;
        }
        if standings.len() < 2 || chosen.is_empty() {
            return Ok(());
        }
        let shares: BTreeSet<i64> = chosen.iter().map(|(job, _)| job.share).collect();
        let served: Vec<Served> = shares
            .into_iter()
            .map(|share| {
                let jobs = chosen.iter().filter(|(job, _)| job.share == share).count();
                let weight = standings.get(&share).map_or(1, |standing| standing.weight);
                Served {
                    share,
                    jobs: i32::try_from(jobs).expect("bounded by the batch"),
                    weight: i32::try_from(weight).unwrap_or(i32::MAX),
                }
            })
            .collect();
        share_served(conn, &served).await
    }
}
