//! Whether everything waited for its turn: for the ends of its needs, and for room among its siblings.
//!
//! What the steps wrote themselves counts, as far as it is the job's doing (`life`).

use std::collections::BTreeMap;

use super::life::Lives;
use super::{Case, Evidence, Findings, Job, shown};
use crate::chaos::journal::{Execution, Mark};

/// The lines of something from the first to the last: from there to there it was at work, beyond doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Mark,
    pub(super) to: Mark,
}

impl Span {
    /// From the first to the last of these.
    pub(super) fn of(marks: impl IntoIterator<Item = Mark>) -> Option<Self> {
        let mut marks = marks.into_iter();
        let first = marks.next()?;
        let span = Self { from: first, to: first };
        Some(
            marks
                .fold(span, |span, mark| Self { from: span.from.min(mark), to: span.to.max(mark) }),
        )
    }
}

/// The most that were at work at the same time, and who they were.
pub(super) fn most_at_once<T: Copy + Ord>(spans: &[(T, Span)]) -> Vec<T> {
    let at = |place: usize| {
        let mut who: Vec<T> = spans
            .iter()
            .filter(|(_, span)| span.from.place <= place && place <= span.to.place)
            .map(|(who, _)| *who)
            .collect();
        who.sort_unstable();
        who.dedup();
        who
    };
    spans.iter().map(|(_, span)| at(span.from.place)).max_by_key(Vec::len).unwrap_or_default()
}

/// What a job's executions did, each by itself.
pub(super) fn spans(evidence: &Evidence<'_>, lives: &Lives<'_>, job: &Job) -> Vec<Span> {
    let executions = evidence.journal.of(&job.run_id, &job.name);
    executions.filter_map(|(_, execution)| Span::of(lives.marks(&job.id, execution))).collect()
}

pub(super) fn check(
    evidence: &Evidence<'_>,
    lives: &Lives<'_>,
    case: &Case<'_>,
    findings: &mut Findings,
) {
    let rows: BTreeMap<&str, &Job> =
        case.jobs.iter().map(|job| (job.name.as_str(), *job)).collect();
    let did: BTreeMap<&str, Vec<Span>> =
        rows.iter().map(|(name, job)| (*name, spans(evidence, lives, job))).collect();
    needs(lives, case, &rows, &did, findings);
    windows(case, &did, findings);
    ends(evidence, lives, case, findings);
}

/// Nothing begins before what it needs, or has its turn behind, has ended.
fn needs(
    lives: &Lives<'_>,
    case: &Case<'_>,
    rows: &BTreeMap<&str, &Job>,
    did: &BTreeMap<&str, Vec<Span>>,
    findings: &mut Findings,
) {
    for planned in case.plan.jobs {
        for began in did.get(planned.name).into_iter().flatten() {
            for need in planned.needs.iter().chain(planned.behind) {
                let Some(upstream) = rows.get(need) else { continue };
                let busy = did[need].iter().any(|span| span.to.place > began.from.place);
                let open = lives.ended(&upstream.id).is_none_or(|at| at > began.from.at_ms);
                if busy || open {
                    let how = if busy { "was still at work" } else { "had not ended" };
                    findings.out_of_turn.push(format!(
                        "{} began while its need {how}: {}",
                        shown(rows[planned.name]),
                        shown(upstream)
                    ));
                }
            }
        }
    }
}

/// Of a limited fan-out, only so many work at once.
fn windows(case: &Case<'_>, did: &BTreeMap<&str, Vec<Span>>, findings: &mut Findings) {
    for (base, most) in case.plan.windows {
        let children: Vec<(&str, Span)> = did
            .iter()
            .filter(|(name, _)| name.strip_prefix(base).is_some_and(|rest| rest.starts_with(" (")))
            .flat_map(|(name, spans)| spans.iter().map(|span| (*name, *span)))
            .collect();
        let together = most_at_once(&children);
        findings.count("fanouts_watched", 1);
        if together.len() > *most {
            findings.out_of_turn.push(format!(
                "run {}: {} children of {base} worked at once, {most} may: {}",
                case.run.id,
                together.len(),
                together.join(", ")
            ));
        }
    }
}

/// An end that an agent reports is the end. Of a job with several attempts, an earlier one may still go on.
fn ends(evidence: &Evidence<'_>, lives: &Lives<'_>, case: &Case<'_>, findings: &mut Findings) {
    for job in case.jobs.iter().filter(|job| job.attempt == 1) {
        let error = job.error_message.as_deref().unwrap_or_default();
        let told = job.state == "success" || error.ends_with("failed: this step fails on purpose");
        let Some(ended) = lives.ended(&job.id).filter(|_| told) else { continue };
        let mut executions = evidence.journal.of(&job.run_id, &job.name);
        let late = |execution: &Execution| execution.marks.iter().any(|mark| mark.at_ms > ended);
        if executions.any(|(_, execution)| late(execution)) {
            findings.out_of_turn.push(format!("{} went on after its end", shown(job)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: usize, to: usize) -> Span {
        let mark = |place| Mark { place, at_ms: 0 };
        Span { from: mark(from), to: mark(to) }
    }

    #[test]
    fn who_works_at_the_same_time_is_counted_once_each() {
        assert!(most_at_once::<u8>(&[]).is_empty());
        assert_eq!(most_at_once(&[(1, span(0, 3)), (2, span(4, 6))]).len(), 1);
        let all = [(1, span(0, 5)), (2, span(2, 3)), (2, span(2, 9)), (3, span(5, 6))];
        assert_eq!(most_at_once(&all), [1, 2, 3]);
    }

    #[test]
    fn a_span_goes_from_the_first_line_to_the_last() {
        let mark = |place| Mark { place, at_ms: 0 };
        assert_eq!(Span::of([mark(4), mark(2), mark(3)]), Some(span(2, 4)));
        assert_eq!(Span::of([]), None);
    }
}
