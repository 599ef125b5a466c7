//! A run's jobs for people: one line each for a small run; a large one is folded, so that what went wrong stays in
//! sight. Pure.

use std::collections::{BTreeMap, HashMap};

use kici_client::live::duration;
use kici_model::critical_path::{Leg, Span, critical_path};
use kici_protocol::http::runs::JobView;
use kici_protocol::http::time::Timestamp;

/// A run with more jobs than this is folded, and its steps are not shown.
pub(super) const SMALL: usize = 40;

/// A fan-out with more children than this is folded in a large run.
const SHOWN_CHILDREN: usize = 3;

/// Lines of one kind in a folded run.
const MOST_LINES: usize = 30;

/// Needs of a job that are named.
const NAMED_NEEDS: usize = 3;

/// One line of the table.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// A job.
    Job(&'a JobView),
    /// The children of a fan-out, or jobs of one state that are too many.
    Folded {
        /// What they have in common.
        name: String,
        /// How many of each state.
        states: BTreeMap<&'a str, usize>,
    },
}

/// The lines of a run.
pub(super) fn lines(jobs: &[JobView]) -> Vec<Line<'_>> {
    if jobs.len() <= SMALL {
        return jobs.iter().map(Line::Job).collect();
    }
    let mut children: HashMap<&str, Vec<&JobView>> = HashMap::new();
    for job in jobs {
        children.entry(base(job)).or_default().push(job);
    }
    let mut lines = Vec::new();
    let mut shown: HashMap<&str, usize> = HashMap::new();
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for job in jobs {
        let siblings = children.remove(base(job));
        let Some(siblings) = siblings else { continue };
        if siblings.len() > SHOWN_CHILDREN {
            let mut states: BTreeMap<&str, usize> = BTreeMap::new();
            for child in &siblings {
                *states.entry(&child.status).or_default() += 1;
            }
            lines
                .push(Line::Folded {
                    name: format!("{} × {}", base(job), siblings.len()), states
                });
            let wrong = siblings.into_iter().filter(|child| is_news(child));
            lines.extend(wrong.take(MOST_LINES).map(Line::Job));
            continue;
        }
        for job in siblings {
            let lines_of = shown.entry(&job.status).or_default();
            *lines_of += 1;
            if *lines_of <= MOST_LINES {
                lines.push(Line::Job(job));
            } else {
                *left.entry(&job.status).or_default() += 1;
            }
        }
    }
    if !left.is_empty() {
        lines.push(Line::Folded { name: "… more".to_owned(), states: left });
    }
    lines
}

/// Worth a line of its own inside a folded fan-out.
fn is_news(job: &JobView) -> bool {
    !matches!(job.status.as_str(), "success" | "skipped" | "pending" | "queued" | "waiting")
}

fn base(job: &JobView) -> &str {
    job.base_job_name.as_deref().unwrap_or(&job.job_name)
}

/// The chain of jobs that the run took its time for.
pub(super) fn slowest(jobs: &[JobView], now: Timestamp) -> Vec<Leg> {
    let place: HashMap<&str, usize> =
        jobs.iter().enumerate().map(|(at, job)| (job.job_name.as_str(), at)).collect();
    let ms = |at: Timestamp| at.unix_micros() / 1000;
    let spans: Vec<Span> = jobs
        .iter()
        .map(|job| Span {
            needs: job
                .needs
                .iter()
                .flatten()
                .filter_map(|need| place.get(need.upstream_name.as_str()).copied())
                .collect(),
            // A kept result took no time in this run.
            ready: job.ready_at.filter(|_| job.reused_from.is_none()).map(ms),
            started: job.started_at.map(ms),
            ended: job.completed_at.map(ms),
        })
        .collect();
    critical_path(&spans, ms(now))
}

/// The chain as one line for each job, with its sum.
pub(super) fn chain(jobs: &[JobView], path: &[Leg]) -> Vec<String> {
    let total: i64 = path.iter().map(|leg| leg.queued_ms + leg.ran_ms).sum();
    let mut lines = vec![format!("Critical path: {}", duration(total))];
    let of = |leg: &Leg| {
        let (queued, ran) = (duration(leg.queued_ms), duration(leg.ran_ms));
        format!("  {} (waited {queued}, ran {ran})", jobs[leg.job].job_name)
    };
    lines.extend(path.iter().take(MOST_LINES).map(of));
    if path.len() > MOST_LINES {
        lines.push(format!("  … {} more", path.len() - MOST_LINES));
    }
    lines
}

/// `build, test +3`.
pub(super) fn needs(job: &JobView) -> String {
    let names: Vec<&str> =
        job.needs.iter().flatten().map(|need| need.upstream_name.as_str()).collect();
    let shown = names.iter().take(NAMED_NEEDS).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_NEEDS) {
        0 => shown,
        more => format!("{shown} +{more}"),
    }
}

/// `9998 success, 2 failed`: what is worse comes first.
pub(super) fn counts(states: &BTreeMap<&str, usize>) -> String {
    let mut states: Vec<(&str, usize)> = states.iter().map(|(state, n)| (*state, *n)).collect();
    states.sort_by_key(|(state, _)| (matches!(*state, "success" | "skipped"), *state));
    states.iter().map(|(state, n)| format!("{n} {state}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, base: &str, status: &str, needs: &[&str]) -> JobView {
        let needs: Vec<_> = needs
            .iter()
            .map(|name| serde_json::json!({"upstreamName": name, "runOn": []}))
            .collect();
        serde_json::from_value(serde_json::json!({
            "jobId": "00000000-0000-7000-8000-000000000000", "jobName": name, "baseJobName": base, "status": status,
            "matrixValues": null, "agentId": null, "startedAt": "2026-01-01T00:00:02Z",
            "completedAt": "2026-01-01T00:00:05Z", "durationMs": 3000, "errorMessage": null, "runsOnLabels": [],
            "createdAt": "2026-01-01T00:00:00Z", "readyAt": "2026-01-01T00:00:01Z", "needs": needs,
        }))
        .unwrap()
    }

    #[test]
    fn ten_thousand_jobs_fit_on_a_page_and_failures_stay_in_sight() {
        let mut jobs = vec![job("prepare", "prepare", "success", &[])];
        for n in 0..5000 {
            let status = if n == 17 { "failed" } else { "success" };
            jobs.push(job(&format!("shard ({n})"), "shard", status, &["prepare"]));
        }
        for n in 0..5000 {
            jobs.push(job(&format!("step-{n}"), &format!("step-{n}"), "success", &[]));
        }
        let lines = lines(&jobs);
        assert!(lines.len() < 40, "{}", lines.len());
        let Line::Folded { name, states } = &lines[1] else { panic!("{:?}", lines[1]) };
        assert_eq!(
            (name.as_str(), counts(states).as_str()),
            ("shard × 5000", "1 failed, 4999 success")
        );
        assert!(matches!(lines[2], Line::Job(job) if job.job_name == "shard (17)"));
        let Some(Line::Folded { states, .. }) = lines.last() else { panic!("nothing is left") };
        assert_eq!(counts(states), "4971 success");
    }

    #[test]
    fn the_chain_has_its_waits_and_its_sum() {
        let jobs = [job("a", "a", "success", &[]), job("b", "b", "success", &["a"])];
        let path = slowest(&jobs, Timestamp::now());
        assert_eq!(
            chain(&jobs, &path),
            [
                "Critical path: 8.0 s",
                "  a (waited 1.0 s, ran 3.0 s)",
                "  b (waited 1.0 s, ran 3.0 s)"
            ]
        );
        assert_eq!(needs(&job("x", "x", "success", &["a", "b", "c", "d", "e"])), "a, b, c +2");
    }
}
