//! Concurrency groups: never more at work than may be, nobody overtaken, nobody superseded but by a newer run.

use std::collections::BTreeMap;

use super::life::Lives;
use super::turns::{Span, most_at_once, spans};
use super::{Case, Evidence, Findings, shown};
use crate::chaos::rows::{Place, Waiter};
use crate::chaos::scenarios::Group;

/// What was at work in groups: by group, who (a run, or a job) and when.
#[derive(Default)]
pub(super) struct Groups<'a> {
    runs: BTreeMap<&'static str, RunsOf<'a>>,
    jobs: BTreeMap<&'static str, Vec<(String, Span)>>,
}

/// A group with the runs that worked in it.
type RunsOf<'a> = (&'static Group, Vec<(&'a str, Span)>);

impl<'a> Groups<'a> {
    /// Adds what a run and its jobs did.
    pub(super) fn add(&mut self, evidence: &Evidence<'_>, lives: &Lives<'_>, case: &Case<'a>) {
        if let Some(group) = case.plan.group {
            let work = case.jobs.iter().flat_map(|job| spans(evidence, lives, job));
            // A run has its place from its first job to its last.
            if let Some(span) = Span::of(work.flat_map(|span| [span.from, span.to])) {
                let (_, runs) = self.runs.entry(group.name).or_insert((group, Vec::new()));
                runs.push((&case.run.id, span));
            }
        }
        for job in &case.jobs {
            let plan = case.plan.jobs.iter().find(|plan| plan.name == job.name);
            let Some(group) = plan.and_then(|plan| plan.alone_in) else { continue };
            let own = self.jobs.entry(group).or_default();
            let executions = spans(evidence, lives, job);
            own.extend(executions.into_iter().map(|span| (shown(job), span)));
        }
    }

    /// Looks at all of them.
    pub(super) fn check(
        &self,
        evidence: &Evidence<'_>,
        lives: &Lives<'_>,
        findings: &mut Findings,
    ) {
        for (name, (group, runs)) in &self.runs {
            findings.count("runs_in_groups", runs.len() as u64);
            let together = most_at_once(runs);
            if together.len() > group.most {
                findings.out_of_turn.push(format!(
                    "{} runs of group {name} worked at once, {} may: {}",
                    together.len(),
                    group.most,
                    together.join(", ")
                ));
            }
        }
        for (name, jobs) in &self.jobs {
            findings.count("jobs_in_groups", jobs.len() as u64);
            let jobs: Vec<(&str, Span)> =
                jobs.iter().map(|(job, span)| (job.as_str(), *span)).collect();
            let together = most_at_once(&jobs);
            if together.len() > 1 {
                findings
                    .out_of_turn
                    .push(format!("jobs of group {name} worked at once: {}", together.join(", ")));
            }
        }
        findings.count("places_waited_for", evidence.waiters.len() as u64);
        for waiter in &evidence.waiters {
            let superseded = evidence.run(&waiter.run_id).is_some_and(|run| {
                run.failure_reason.as_deref().is_some_and(|why| why.starts_with("Superseded"))
            });
            // Whoever takes its place passes it.
            let left = if superseded { Some(i64::MIN) } else { lives.left(&waiter.holder) };
            for by in overtaken(waiter, left, &evidence.waiters, &evidence.places) {
                findings.out_of_turn.push(format!(
                    "{} waited for group {:?} and was overtaken by {}",
                    waiter.holder, waiter.group_key, by.holder
                ));
            }
        }
    }
}

/// Places that went to younger ones although an older one waited, as everybody could see. `left` is when it gave up, ms.
fn overtaken<'a>(
    waiter: &Waiter,
    left: Option<i64>,
    waiters: &'a [Waiter],
    places: &'a [Place],
) -> Vec<&'a Place> {
    let granted = places.iter().find(|place| place.holder == waiter.holder);
    let until = granted.map_or(i64::MAX, |place| place.at_us);
    let until = left.map_or(until, |left_ms| until.min(left_ms.saturating_mul(1000)));
    let order = |waiter: &Waiter| (waiter.run_id.clone(), waiter.position);
    let age: BTreeMap<&str, (String, i64)> =
        waiters.iter().map(|one| (one.holder.as_str(), order(one))).collect();
    let own = order(waiter);
    places
        .iter()
        .filter(|place| place.group_key == waiter.group_key && place.holder != waiter.holder)
        .filter(|place| place.began_us > waiter.seen_us && place.at_us < until)
        .filter(|place| {
            // One that was never seen waiting: a run is its own holder, so its id says how old it is.
            let at = age.get(place.holder.as_str()).cloned();
            at.unwrap_or_else(|| (place.holder.clone(), 0)) > own
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(id: &str, seen_us: i64) -> Waiter {
        Waiter { holder: id.into(), group_key: "g".into(), run_id: id.into(), position: 0, seen_us }
    }

    fn place(id: &str, began_us: i64) -> Place {
        Place { holder: id.into(), group_key: "g".into(), began_us, at_us: began_us + 5 }
    }

    #[test]
    fn only_who_saw_it_and_is_younger_has_overtaken() {
        let old = waiter("1", 100);
        let all = [waiter("1", 100), waiter("2", 90)];
        let by = |left, places: &[Place]| overtaken(&old, left, &all, places).len();
        assert_eq!(by(None, &[place("2", 99), place("1", 200)]), 0, "it could not be seen");
        assert_eq!(by(None, &[place("2", 101), place("1", 200)]), 1);
        assert_eq!(by(None, &[place("3", 101)]), 1, "never seen waiting, never granted");
        assert_eq!(by(None, &[place("0", 101)]), 0, "older");
        assert_eq!(by(None, &[place("1", 101), place("2", 300)]), 0, "had its place");
        assert_eq!(by(Some(0), &[place("2", 101)]), 0, "was gone");
    }
}
