//! What is pushed, and what must come of it.
//!
//! The workflows are in `scenarios/*.ts`; a push of a branch starts those that the list beside it names (`scenarios/*.rs`,
//! in the words of `plan`). To add a scenario, write its workflow with steps of `noted` or `work`, and add it to the
//! list: the rest is counted and checked.

mod basics;
mod fanouts;
mod generated;
mod graphs;
mod groups;
mod holds;
mod plan;

use std::path::Path;

use anyhow::{Context, Result};

use super::random::Random;
use crate::installation::{self, Repository};
use crate::workspace::Profile;

pub(super) use basics::CANCELLED;
pub(super) use plan::{Group, Job, Run, Scenario, There};

/// The files of the repository.
const FILES: &[(&str, &str)] = &[
    (".kici/lib/asked.ts", include_str!("scenarios/asked.ts")),
    (".kici/lib/journal.ts", include_str!("scenarios/journal.ts")),
    (".kici/workflows/basics.ts", include_str!("scenarios/basics.ts")),
    (".kici/workflows/fanouts.ts", include_str!("scenarios/fanouts.ts")),
    (".kici/workflows/generated.ts", include_str!("scenarios/generated.ts")),
    (".kici/workflows/graphs.ts", include_str!("scenarios/graphs.ts")),
    (".kici/workflows/groups.ts", include_str!("scenarios/groups.ts")),
    (".kici/workflows/holds.ts", include_str!("scenarios/holds.ts")),
];

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        basics::SCENARIOS,
        graphs::SCENARIOS,
        fanouts::SCENARIOS,
        generated::SCENARIOS,
        groups::SCENARIOS,
        holds::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// What the runs of a workflow are.
pub(super) fn run(workflow: &str) -> Option<&'static Run> {
    all().flat_map(|scenario| scenario.runs).find(|run| run.workflow == workflow)
}

/// Whether only so many runs of a workflow may be open.
pub(super) fn is_bounded(workflow: &str) -> bool {
    all().any(|scenario| {
        scenario.most_open < u64::MAX && scenario.runs.iter().any(|run| run.workflow == workflow)
    })
}

/// Makes the repository, compiled and committed, with a branch for each scenario; gives the commit.
pub(super) fn repository(folder: &Path, journal: &Path, profile: Profile) -> Result<String> {
    let repository = Repository::create(folder)?;
    let journal = journal.to_str().context("the journal's path is not UTF-8")?;
    for (name, text) in FILES {
        repository.write(name, &text.replace("@JOURNAL@", journal))?;
    }
    installation::compile(profile, repository.path())?;
    let sha = repository.commit("Scenarios")?;
    for scenario in all() {
        repository.git(&["branch", scenario.branch])?;
    }
    Ok(sha)
}

/// Each scenario once, in an order of its own for each round: a short one has them all.
pub(super) fn opening(random: &mut Random) -> Vec<&'static Scenario> {
    let mut scenarios: Vec<_> = all().collect();
    for at in (1..scenarios.len()).rev() {
        scenarios.swap(at, random.place(at + 1));
    }
    scenarios
}

/// One scenario, by weight.
pub(super) fn choose(random: &mut Random) -> &'static Scenario {
    let mut at = random.below(0..all().map(|scenario| scenario.weight).sum());
    for scenario in all() {
        if at < scenario.weight {
            return scenario;
        }
        at -= scenario.weight;
    }
    unreachable!("the weights add up to the range")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_needs_are_jobs_of_the_run() {
        let mut workflows = BTreeSet::new();
        let mut branches = BTreeSet::new();
        for scenario in all() {
            assert!(branches.insert(scenario.branch), "{}", scenario.branch);
            for run in scenario.runs {
                assert!(workflows.insert(run.workflow), "{}", run.workflow);
                let names: BTreeSet<&str> = run.jobs.iter().map(|job| job.name).collect();
                assert_eq!(names.len(), run.jobs.len(), "{}", run.workflow);
                for job in run.jobs {
                    let mut others = job.needs.iter().chain(job.behind);
                    assert!(others.all(|other| names.contains(other)), "{}", job.name);
                }
            }
        }
    }

    #[test]
    fn a_round_opens_with_every_scenario_once() {
        let mut branches: Vec<&str> =
            opening(&mut Random::new(1, 1)).iter().map(|one| one.branch).collect();
        assert_eq!(branches.len(), all().count());
        branches.sort_unstable();
        branches.dedup();
        assert_eq!(branches.len(), all().count());
    }
}
