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
mod tests {
    use super::*;

    fn edge(upstream: &str, run_on: &[&str]) -> Edge {
        let words: Vec<String> = run_on.iter().map(ToString::to_string).collect();
        Edge { upstream: upstream.into(), accepts: Accepts::from_run_on(Some(&words)) }
    }

    #[test]
    fn a_run_with_one_failure_skips_and_starts_as_observed() {
        let on_failure = ["failed", "timed_out_stale"];
        let always = JobState::FINAL.map(|state| state.to_string());
        let always: Vec<&str> = always.iter().map(String::as_str).collect();
        let status = |name: &str| match name {
            "ok" => Some(JobState::Success),
            "bad" => Some(JobState::Failed),
            "dflt" | "dflt2" => Some(JobState::Skipped),
            "slow" => Some(JobState::Running),
            _ => None,
        };
        let shown = |edges: &[Edge]| match evaluate(edges, status) {
            Readiness::Ready => "ready".to_owned(),
            Readiness::Wait { on } => format!("wait {}", on.join(",")),
            Readiness::Skip { reason } => reason.to_string(),
        };
        let success = ["success"];
        assert_eq!(
            shown(&[edge("ok", &success), edge("bad", &success)]),
            "upstream_unmet: bad (failed)"
        );
        assert_eq!(shown(&[edge("dflt", &success)]), "upstream_unmet: dflt (skipped)");
        assert_eq!(shown(&[edge("bad", &always), edge("dflt", &always)]), "ready");
        assert_eq!(shown(&[edge("bad", &on_failure)]), "ready");
        assert_eq!(shown(&[edge("ok", &on_failure)]), "upstream_unmet: ok (success)");
        assert_eq!(shown(&[edge("dflt2", &["skipped"])]), "ready");
        assert_eq!(shown(&[edge("slow", &success), edge("ok", &success)]), "wait slow");
        assert_eq!(
            shown(&[edge("slow", &success), edge("bad", &success)]),
            "upstream_unmet: bad (failed)"
        );
        assert_eq!(shown(&[]), "ready");
    }

    #[test]
    fn needs_on_fan_outs_and_groups_become_one_edge_each() {
        let children = HashMap::from([("t".to_owned(), vec!["t (1)".into(), "t (2)".into()])]);
        let groups = HashMap::from([("g".to_owned(), vec!["g1".into()])]);
        let needs = [
            Need::Job("t".into()),
            Need::Group { group: "g".into(), run_on: Some(vec!["skipped".into()]) },
            Need::Group { group: "empty".into(), run_on: None },
            Need::JobWhen { name: "a".into(), run_on: None },
        ];
        let edges = edges(&needs, &children, &groups);
        let shown: Vec<String> = edges
            .iter()
            .map(|e| format!("{} {}", e.upstream, e.accepts.to_run_on().join("|")))
            .collect();
        assert_eq!(shown, ["t (1) success", "t (2) success", "g1 skipped", "a success"]);
    }

    #[test]
    fn cycles_are_found_and_named() {
        let jobs = vec![("a", vec!["b"]), ("b", vec!["c", "x"]), ("c", vec!["b"])];
        assert_eq!(find_cycles(&jobs), [["b", "c", "b"]]);
        assert_eq!(find_cycles(&[("a", vec!["a"])]), [["a", "a"]]);
        let two = vec![
            ("a", vec!["b", "c"]),
            ("b", vec!["a"]),
            ("c", vec!["d"]),
            ("d", vec!["a", "e", "c"]),
            ("e", vec![]),
        ];
        assert_eq!(find_cycles(&two), [["a", "b", "a"], ["c", "d", "c"]]);
        let diamond =
            vec![("a", vec!["b", "c"]), ("b", vec!["d"]), ("c", vec!["d"]), ("d", vec![])];
        assert!(find_cycles(&diamond).is_empty());
    }

    #[test]
    fn an_end_is_followed_through_skips_to_those_that_accept_them() {
        let on = |words: &[&str]| {
            Accepts::from_run_on(Some(&words.iter().map(ToString::to_string).collect::<Vec<_>>()))
        };
        // 0 fails: 1 and 2 are skipped, 3 takes a skip, 4 waits for 3 and takes a failure of 0.
        let waiting = HashMap::from([
            (0, vec![(1, on(&["success"])), (4, on(&["failed"]))]),
            (1, vec![(2, on(&["success"])), (3, on(&["skipped"]))]),
            (2, vec![(3, on(&["success", "skipped"])), (1, on(&["success"]))]),
        ]);
        let after = cascade(&[(0, JobState::Failed)], &waiting);
        assert_eq!(after.skips, [(1, 0, JobState::Failed), (2, 1, JobState::Skipped)]);
        assert_eq!(after.met, HashMap::from([(4, 1), (3, 2)]));
    }

    #[test]
    fn a_chain_of_ten_thousand_jobs_is_no_problem() {
        let names: Vec<String> = (0..10_000).map(|i| format!("j{i}")).collect();
        let jobs: Vec<(&str, Vec<&str>)> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                (name.as_str(), names.get(i + 1).map(String::as_str).into_iter().collect())
            })
            .collect();
        assert!(find_cycles(&jobs).is_empty());
    }
}
