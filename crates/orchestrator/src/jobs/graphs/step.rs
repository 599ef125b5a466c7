//! What happens to a run in a test, and how the next thing is chosen.

use kici_model::state::JobState;

use super::naive::Naive;
use super::play::Seen;

/// One thing that happens, or several at the same time.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Agents say that these jobs run.
    Start(Vec<String>),
    /// An agent does not take a job.
    Refuse(String),
    /// Jobs end: each batch in a transaction of its own, all at the same time.
    Report(Vec<Vec<Told>>),
    /// A job has waited for an agent for too long.
    Expire(String),
    /// Somebody decides about a held job, or about the run.
    Decide { job: Option<String>, approve: bool },
    /// Somebody stops the run.
    Cancel { force: bool },
}

/// The end of a job as its agent tells it.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) job: String,
    pub(super) outcome: Outcome,
    /// Siblings that its generator did not give again.
    pub(super) dropped: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failed,
    Cancelled,
    Stale,
}

/// Chance, as a list of numbers that can shrink. After its end all are 0, which is always something that helps the
/// run to its end.
pub(super) struct Dice<'a> {
    numbers: std::slice::Iter<'a, u16>,
}

impl<'a> Dice<'a> {
    pub(super) fn new(numbers: &'a [u16]) -> Self {
        Dice { numbers: numbers.iter() }
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.numbers.next().copied().unwrap_or(0)) % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == sides - 1
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }

    /// Some of these, at least one.
    fn some(&mut self, from: &[String], most: usize) -> Vec<String> {
        let mut left = from.to_vec();
        let count = 1 + self.roll(most.min(left.len()));
        (0..count).map(|_| left.remove(self.roll(left.len()))).collect()
    }
}

/// What happens next; none if nothing but a claim can.
pub(super) fn next(run: &Naive<'_>, seen: &Seen, dice: &mut Dice<'_>) -> Option<Step> {
    let names = |test: &dyn Fn(&super::play::SeenJob) -> bool| -> Vec<String> {
        seen.jobs.iter().filter(|job| test(job)).map(|job| job.name.clone()).collect()
    };
    let queued = names(&|job| job.state == JobState::Queued);
    let sent = names(&|job| job.state == JobState::Queued && job.agent);
    let with_agent =
        names(&|job| job.state.is_with_agent() || (job.state == JobState::Queued && job.agent));
    let fresh = names(&|job| job.state == JobState::Queued && job.agent && job.failures == 0);
    let mut held: Vec<Option<String>> = match run.is_held && !run.is_over() {
        true => vec![None],
        false => names(&|job| job.state == JobState::Held).into_iter().map(Some).collect(),
    };
    held.retain(|_| !run.stopped);
    match dice.roll(48) {
        47 if run.jobs.iter().any(|job| !job.state.is_final()) => {
            return Some(Step::Cancel { force: dice.one_in(2) });
        }
        45 | 46 if !queued.is_empty() => return Some(Step::Expire(dice.pick(&queued))),
        41..=44 if !fresh.is_empty() => return Some(Step::Refuse(dice.pick(&fresh))),
        32..=40 if !sent.is_empty() => return Some(Step::Start(dice.some(&sent, 3))),
        _ => {}
    }
    if !held.is_empty() && (with_agent.is_empty() || dice.one_in(3)) {
        return Some(Step::Decide { job: dice.pick(&held), approve: !dice.one_in(4) });
    }
    // Leaving some time to others makes more jobs wait together.
    if with_agent.is_empty() || (queued.len() > sent.len() && dice.one_in(3)) {
        return None;
    }
    let jobs = dice.some(&with_agent, 4);
    let told = jobs.into_iter().map(|job| told(run, job, dice)).collect::<Vec<_>>();
    let (first, second) = told.split_at(1 + dice.roll(told.len()));
    Some(Step::Report(
        [first, second]
            .into_iter()
            .filter(|batch| !batch.is_empty())
            .map(<[Told]>::to_vec)
            .collect(),
    ))
}

fn told(run: &Naive<'_>, job: String, dice: &mut Dice<'_>) -> Told {
    let outcome = match dice.roll(16) {
        13 | 14 => Outcome::Failed,
        12 => Outcome::Cancelled,
        15 => Outcome::Stale,
        _ => Outcome::Success,
    };
    let siblings = run.siblings(&job);
    let dropped = match outcome == Outcome::Success && !siblings.is_empty() && dice.one_in(2) {
        true => vec![dice.pick(&siblings).to_owned()],
        false => Vec::new(),
    };
    Told { job, outcome, dropped }
}
