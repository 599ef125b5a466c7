//! The graph of `needs`: which jobs may start, which can never start, and whether it has a cycle.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

use crate::lock::Need;
use crate::state::{EndReason, JobState};

/// Final states that an edge accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accepts(u8);

impl Accepts {
    /// Only success.
    pub const SUCCESS: Self = Self(1);

    /// The states of a `runOn` list; absent = success. Unknown words accept nothing.
    pub fn from_run_on(run_on: Option<&[String]>) -> Self {
        let Some(words) = run_on else { return Self::SUCCESS };
        let states = words.iter().filter_map(|word| word.parse().ok());
        Self(states.filter_map(bit).fold(0, |all, bit| all | bit))
    }

    /// Whether the state is accepted.
    pub fn contains(self, state: JobState) -> bool {
        bit(state).is_some_and(|bit| self.0 & bit != 0)
    }

    /// The accepted states as words, in the order of the format.
    pub fn to_run_on(self) -> Vec<String> {
        let accepted = JobState::FINAL.iter().filter(|state| self.contains(**state));
        accepted.map(ToString::to_string).collect()
    }
}

fn bit(state: JobState) -> Option<u8> {
    JobState::FINAL.iter().position(|own| *own == state).map(|index| 1 << index)
}

/// One upstream of one job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The upstream's expanded name.
    pub upstream: String,
    /// Accepted final states.
    pub accepts: Accepts,
}

/// Turns written needs into edges: a need on a fan-out's base name becomes one edge per child, a
/// need on a group one per generated job (none for a group without jobs, which is satisfied).
pub fn edges(
    needs: &[Need],
    children: &HashMap<String, Vec<String>>,
    groups: &HashMap<String, Vec<String>>,
) -> Vec<Edge> {
    let mut out: Vec<Edge> = Vec::new();
    for need in needs {
        let (names, run_on) = match need {
            Need::Job(name) => (children.get(name).cloned().unwrap_or(vec![name.clone()]), None),
            Need::JobWhen { name, run_on } => {
                (children.get(name).cloned().unwrap_or(vec![name.clone()]), run_on.as_deref())
            }
            Need::Group { group, run_on } => {
                (groups.get(group).cloned().unwrap_or_default(), run_on.as_deref())
            }
        };
        let accepts = Accepts::from_run_on(run_on);
        out.extend(names.into_iter().map(|upstream| Edge { upstream, accepts }));
    }
    out
}

/// Whether a job may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Every upstream ended in an accepted state.
    Ready,
    /// These have not ended.
    Wait {
        /// Upstreams that are still open.
        on: Vec<String>,
    },
    /// An upstream ended in a state that is not accepted: the job is skipped at once.
    Skip {
        /// `upstream_unmet: <job> (<status>)`.
        reason: EndReason,
    },
}

/// Decides about one job. An upstream without a status has not ended.
pub fn evaluate<'a>(edges: &'a [Edge], status: impl Fn(&'a str) -> Option<JobState>) -> Readiness {
    let mut open = Vec::new();
    for edge in edges {
        match status(&edge.upstream) {
            Some(state) if state.is_final() => {
                if !edge.accepts.contains(state) {
                    let upstream = edge.upstream.clone();
                    return Readiness::Skip {
                        reason: EndReason::UpstreamUnmet { upstream, status: state },
                    };
                }
            }
            _ => open.push(edge.upstream.clone()),
        }
    }
    if open.is_empty() { Readiness::Ready } else { Readiness::Wait { on: open } }
}

/// What follows for waiting jobs when others end.
#[derive(Debug, Clone)]
pub struct Cascade<J> {
    /// Jobs that can never start, with the upstream that is to blame and its state, in the order in which they are
    /// found.
    pub skips: Vec<(J, J, JobState)>,
    /// How many edges are met for each of the others.
    pub met: HashMap<J, usize>,
}

/// Follows ended jobs through the graph: a job with an upstream in a state that it does not accept is skipped at once,
/// which is an end too. `waiting` says who waits for a job, in job order, and what it accepts. Every edge is looked at
/// once, however deep the skips go.
pub fn cascade<J: Copy + Eq + Hash>(
    ended: &[(J, JobState)],
    waiting: &HashMap<J, Vec<(J, Accepts)>>,
) -> Cascade<J> {
    let mut out = Cascade { skips: Vec::new(), met: HashMap::new() };
    let mut gone: HashSet<J> = ended.iter().map(|(job, _)| *job).collect();
    let mut queue: VecDeque<(J, JobState)> = ended.iter().copied().collect();
    while let Some((upstream, state)) = queue.pop_front() {
        for (job, accepts) in waiting.get(&upstream).into_iter().flatten() {
            if gone.contains(job) {
                continue;
            }
            if accepts.contains(state) {
                *out.met.entry(*job).or_default() += 1;
                continue;
            }
            gone.insert(*job);
            out.met.remove(job);
            out.skips.push((*job, upstream, state));
            queue.push_back((*job, JobState::Skipped));
        }
    }
    out
}

/// All cycles, `[a, b, a]` each, none sharing a job: without the jobs of these, the graph has no cycle. Names that no
/// job has are ignored.
pub fn find_cycles<'a>(jobs: &[(&'a str, Vec<&'a str>)]) -> Vec<Vec<&'a str>> {
    let index: HashMap<&str, usize> =
        jobs.iter().enumerate().rev().map(|(i, (name, _))| (*name, i)).collect();
    let mut cycles = Vec::new();
    let mut done = vec![false; jobs.len()];
    for start in 0..jobs.len() {
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        let mut on_path: HashMap<usize, usize> = HashMap::from([(start, 0)]);
        while let Some((job, next)) = path.last().copied() {
            let upstream = jobs[job].1.get(next).filter(|_| !done[job]);
            let Some(name) = upstream else {
                done[job] = true;
                on_path.remove(&job);
                path.pop();
                continue;
            };
            path.last_mut().expect("the loop saw an element").1 += 1;
            let Some(upstream) = index.get(name).copied() else { continue };
            if let Some(from) = on_path.get(&upstream).copied() {
                let cycle = path[from..].iter().map(|(job, _)| *job).chain([upstream]);
                cycles.push(cycle.map(|job| jobs[job].0).collect());
                // Its jobs are out of the graph; the search goes on from where it met them.
                for (job, _) in path.drain(from..) {
                    done[job] = true;
                    on_path.remove(&job);
                }
                continue;
            }
            if !done[upstream] {
                on_path.insert(upstream, path.len());
                path.push((upstream, 0));
            }
        }
    }
    cycles
}

#[cfg(test)]
mod tests;
