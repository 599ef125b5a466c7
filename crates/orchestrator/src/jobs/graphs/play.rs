//! Plays a run to its end, step by step, and compares it with the naive one after each.

use std::collections::BTreeMap;

use kici_model::state::JobState;

use super::naive::Naive;
use super::shape::Shape;
use super::step::{Dice, Step, next};

/// What keeps the run: rows in memory, or PostgreSQL.
pub(super) trait System {
    /// The run as it is.
    async fn look(&mut self) -> Seen;

    /// Gives up to so many waiting jobs to agents; answers their names.
    async fn claim(&mut self, most: usize) -> Vec<String>;

    async fn take(&mut self, step: &Step);

    /// The same once more, and whatever else must change nothing.
    async fn again(&mut self, step: &Step);
}

/// A run as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) open_jobs: i32,
    pub(super) jobs: Vec<SeenJob>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeenJob {
    pub(super) name: String,
    pub(super) state: JobState,
    pub(super) open_needs: i32,
    /// An agent has it.
    pub(super) agent: bool,
    pub(super) attempt: i32,
    /// Dispatches that failed.
    pub(super) failures: i16,
}

/// What happened in a run: a test in which nothing happens proves nothing.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) ends: BTreeMap<&'static str, usize>,
    pub(super) runs: BTreeMap<String, usize>,
    pub(super) together: usize,
    pub(super) cancels: usize,
    pub(super) decisions: usize,
    pub(super) generated: usize,
}

/// More steps than any run needs.
const STEPS: usize = 2_000;

/// Plays a run.
pub(super) async fn play(
    shape: &Shape,
    numbers: &[u16],
    system: &mut impl System,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut dice = Dice::new(numbers);
    let mut run = Naive::new(shape);
    let mut seen = system.look().await;
    compare(&run, &seen).map_err(|difference| format!("at the beginning: {difference}"))?;
    for _ in 0..STEPS {
        if run.is_over() {
            return over(&run, &seen, tally);
        }
        let Some(step) = next(&run, &seen, &mut dice) else {
            seen = claim(&run, &seen, system, 1 + dice.roll(5)).await?;
            continue;
        };
        count(&step, tally);
        system.take(&step).await;
        let after = system.look().await;
        let mut differences = Vec::new();
        let as_it_is = |possible: &Naive<'_>| {
            compare(possible, &after).map_err(|difference| differences.push(difference)).is_ok()
        };
        let Some(now) = run.after(&step).find(as_it_is) else {
            return Err(format!("after {step:?}: {}", differences.join("\n or ")));
        };
        run = now;
        let revived =
            |(before, now): (&SeenJob, &SeenJob)| before.state.is_final() && before != now;
        if let Some((job, now)) = seen.jobs.iter().zip(&after.jobs).find(|pair| revived(*pair)) {
            return Err(format!("after {step:?}: {job:?} had ended and is {now:?} now"));
        }
        if dice.roll(3) == 0 {
            system.again(&step).await;
            let repeated = system.look().await;
            if repeated != after {
                return Err(format!("{step:?} once more changed {after:?} to {repeated:?}"));
            }
        }
        seen = after;
    }
    Err(format!("not over after {STEPS} steps: {seen:?}"))
}

/// Gives jobs to agents: only those whose time has come, and some if there are any.
async fn claim(
    run: &Naive<'_>,
    seen: &Seen,
    system: &mut impl System,
    most: usize,
) -> Result<Seen, String> {
    let claimed = system.claim(most).await;
    for name in &claimed {
        let waits = |job: &&SeenJob| job.name == *name && !job.agent;
        let ready = run.jobs.iter().any(|job| job.name == *name && job.state == JobState::Queued);
        if !ready || !seen.jobs.iter().any(|job| waits(&job)) {
            return Err(format!("{name} was given to an agent too early: {seen:?}"));
        }
    }
    if claimed.is_empty() {
        return Err(format!("nothing can happen any more: {seen:?}"));
    }
    let after = system.look().await;
    compare(run, &after).map_err(|difference| format!("after a claim: {difference}"))?;
    Ok(after)
}

fn compare(run: &Naive<'_>, seen: &Seen) -> Result<(), String> {
    let wanted: Vec<(&str, JobState)> =
        run.jobs.iter().map(|job| (job.name.as_str(), job.state)).collect();
    let is: Vec<(&str, JobState)> =
        seen.jobs.iter().map(|job| (job.name.as_str(), job.state)).collect();
    if wanted != is {
        let different: Vec<String> = wanted
            .iter()
            .zip(&is)
            .filter(|(wanted, is)| wanted != is)
            .map(|((name, wanted), (other, is))| {
                format!("{name} should be {wanted}, {other} is {is}")
            })
            .collect();
        return Err(format!("{} ({} jobs, not {})", different.join("; "), is.len(), wanted.len()));
    }
    let open = seen.jobs.iter().filter(|job| !job.state.is_final()).count();
    if usize::try_from(seen.open_jobs) != Ok(open) {
        return Err(format!("the run counts {} open jobs, there are {open}", seen.open_jobs));
    }
    let ready = |job: &&SeenJob| job.open_needs == 0;
    if let Some(job) = seen.jobs.iter().filter(ready).find(|job| job.state == JobState::Pending) {
        return Err(format!("{} waits for nothing", job.name));
    }
    let (state, reason) = run.verdict();
    let over = matches!(seen.state.as_str(), "success" | "failed" | "cancelled");
    if over != run.is_over() {
        return Err(format!("the run is {} with {open} open jobs", seen.state));
    }
    if over && (seen.state != state || (reason.is_some() && seen.reason != reason)) {
        return Err(format!(
            "the run should be {state} {reason:?}, is {} {:?}",
            seen.state, seen.reason
        ));
    }
    if run.stopped && !over && seen.state != "cancelling" {
        return Err(format!("the stopped run is {}", seen.state));
    }
    Ok(())
}

fn over(run: &Naive<'_>, seen: &Seen, tally: &mut Tally) -> Result<(), String> {
    for job in &run.jobs {
        *tally.ends.entry(job.state.as_str()).or_default() += 1;
        tally.generated += usize::from(job.made.is_some());
    }
    *tally.runs.entry(seen.state.clone()).or_default() += 1;
    Ok(())
}

fn count(step: &Step, tally: &mut Tally) {
    match step {
        Step::Report(batches) => tally.together += usize::from(batches.len() > 1),
        Step::Cancel { .. } => tally.cancels += 1,
        Step::Decide { .. } => tally.decisions += 1,
        Step::Start(_) | Step::Refuse(_) | Step::Expire(_) => {}
    }
}
