//! What is pushed, and what must come of it.
//!
//! The workflows are in `scenarios/*.ts`; a push of a branch starts those that are named here. To add a scenario, write
//! its workflow with steps of `noted` or `work`, and add it to [`SCENARIOS`]: the rest is counted and checked.

use std::path::Path;

use anyhow::{Context, Result};

use super::random::Random;
use crate::installation::{self, Repository};
use crate::workspace::Profile;

/// A push and the runs that it makes.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) branch: &'static str,
    /// How often it comes up, beside the others.
    weight: u64,
    pub(super) runs: &'static [Run],
}

/// One run, when nothing hurts it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) workflow: &'static str,
    pub(super) jobs: &'static [Job],
}

/// One job, when nothing hurts it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) state: &'static str,
    /// The steps that it must have executed from start to end to be in that state.
    pub(super) steps: &'static [&'static str],
}

const fn ok(name: &'static str, steps: &'static [&'static str]) -> Job {
    Job { name, state: "success", steps }
}

const fn fails(name: &'static str, steps: &'static [&'static str]) -> Job {
    Job { name, state: "failed", steps }
}

const fn skipped(name: &'static str) -> Job {
    Job { name, state: "skipped", steps: &[] }
}

/// The workflow whose runs are cancelled while they run.
pub(super) const CANCELLED: &str = "cancelled";

/// All of them.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        branch: "single",
        weight: 30,
        runs: &[Run { workflow: "single", jobs: &[ok("only", &["first", "second"])] }],
    },
    Scenario {
        branch: "long",
        weight: 10,
        runs: &[Run { workflow: "long", jobs: &[ok("long", &["sleep", "after"])] }],
    },
    Scenario {
        branch: "verbose",
        weight: 10,
        runs: &[Run { workflow: "verbose", jobs: &[ok("verbose", &["much", "more"])] }],
    },
    Scenario {
        branch: "failing",
        weight: 8,
        runs: &[Run { workflow: "failing", jobs: &[fails("fails", &["good", "bad"])] }],
    },
    Scenario {
        branch: "cancelled",
        weight: 8,
        runs: &[Run {
            workflow: CANCELLED,
            jobs: &[ok("slow", &["slow"]), ok("other", &["quick"])],
        }],
    },
    Scenario {
        branch: "diamond",
        weight: 12,
        runs: &[Run {
            workflow: "diamond",
            jobs: &[
                ok("root", &["number"]),
                ok("left", &["left"]),
                ok("right", &["right"]),
                ok("join", &["join"]),
            ],
        }],
    },
    Scenario {
        branch: "rescue",
        weight: 8,
        runs: &[Run {
            workflow: "rescue",
            jobs: &[
                fails("breaks", &["breaks"]),
                skipped("needs-success"),
                ok("cleanup", &["cleanup"]),
                ok("on-failure", &["on-failure"]),
            ],
        }],
    },
    Scenario {
        branch: "fan",
        weight: 6,
        runs: &[Run {
            workflow: "fan",
            jobs: &[
                ok("part-0", &["part"]),
                ok("part-1", &["part"]),
                ok("part-2", &["part"]),
                ok("part-3", &["part"]),
                ok("part-4", &["part"]),
                ok("part-5", &["part"]),
                ok("all", &["all"]),
            ],
        }],
    },
    Scenario {
        branch: "twins",
        weight: 8,
        runs: &[
            Run { workflow: "twin-a", jobs: &[ok("a", &["a"])] },
            Run { workflow: "twin-b", jobs: &[ok("b", &["b"])] },
        ],
    },
];

/// The files of the repository.
const FILES: &[(&str, &str)] = &[
    (".kici/lib/journal.ts", include_str!("scenarios/journal.ts")),
    (".kici/workflows/basics.ts", include_str!("scenarios/basics.ts")),
    (".kici/workflows/graphs.ts", include_str!("scenarios/graphs.ts")),
];

/// Makes the repository, compiled and committed, with a branch for each scenario; gives the commit.
pub(super) fn repository(folder: &Path, journal: &Path, profile: Profile) -> Result<String> {
    let repository = Repository::create(folder)?;
    let journal = journal.to_str().context("the journal's path is not UTF-8")?;
    for (name, text) in FILES {
        repository.write(name, &text.replace("@JOURNAL@", journal))?;
    }
    installation::compile(profile, repository.path())?;
    let sha = repository.commit("Scenarios")?;
    for scenario in SCENARIOS {
        repository.git(&["branch", scenario.branch])?;
    }
    Ok(sha)
}

/// One scenario, by weight.
pub(super) fn choose(random: &mut Random) -> &'static Scenario {
    let mut at = random.below(0..SCENARIOS.iter().map(|scenario| scenario.weight).sum());
    for scenario in SCENARIOS {
        if at < scenario.weight {
            return scenario;
        }
        at -= scenario.weight;
    }
    unreachable!("the weights add up to the range")
}
