//! Looks for holes in logs: every step counts its lines, and so does this.
//!
//! Logs are read through the API of all orchestrators in turn, as each must be able to show each run. What counts is the
//! log of the executions that the last attempt knows of: a lost agent that goes on with its job does so as another
//! attempt, and what it had said before stays with the one before.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::{Evidence, Findings, Job, shown};
use crate::chaos::fleet::Admin;
use crate::chaos::schedule::ORCHESTRATORS;

/// Requests at the same time.
const AT_ONCE: usize = 4;

/// How the part of each further attempt begins.
const HEADING: &str = "--- attempt ";

/// Where the job itself writes.
const JOB_LOG: i64 = -1;

/// What a log says where lines may be missing.
const MARKS: &[&str] = &[
    "log lines may be missing here",
    "dropped due to backpressure",
    "[TRUNCATED",
    "log messages are missing here",
    "lines are missing",
    "lines were lost",
];

/// One line of `journal.ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    execution: String,
    step: String,
    number: u64,
    of: u64,
}

/// What a step's lines say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    executions: BTreeSet<String>,
    /// Lines that are missing between two others.
    holes: u64,
    /// Lines that came again.
    repeats: u64,
    /// Lines that are missing at the end.
    tail: u64,
}

pub(super) async fn check(evidence: &Evidence<'_>, admin: &Admin, findings: &mut Findings) {
    let mut steps: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let attempts: BTreeMap<&str, u32> =
        evidence.jobs.iter().map(|job| (job.id.as_str(), job.attempt)).collect();
    for step in &evidence.steps {
        if attempts.get(step.job_id.as_str()) == Some(&step.attempt) {
            steps.entry(&step.job_id).or_default().push(step.idx);
        }
    }
    let jobs = evidence
        .jobs
        .iter()
        .filter(|job| job.final_state)
        .filter_map(|job| Some((job, steps.get(job.id.as_str())?)));
    let read = stream::iter(jobs.enumerate())
        .map(|(number, (job, steps))| async move {
            let number = number % ORCHESTRATORS;
            let mut logs = Vec::new();
            let mut resumed = false;
            for step in steps {
                let (earlier, last) = split(read(admin, number, job, *step).await?);
                let earlier = of_the_same(earlier, &last);
                resumed |= !earlier.is_empty();
                logs.push((*step, [earlier, last].concat()));
            }
            let (earlier, last) = split(read(admin, number, job, JOB_LOG).await?);
            let marked = has_mark(&last) || resumed && has_mark(&earlier);
            anyhow::Ok((job, marked, logs))
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    for result in read {
        match result {
            Ok((job, marked, logs)) => job_logs(job, marked, &logs, findings),
            Err(error) => findings.lost.push(format!("a log cannot be read: {error:#}")),
        }
    }
}

fn job_logs(job: &Job, marked: bool, logs: &[(i64, Vec<String>)], findings: &mut Findings) {
    let mut executions = BTreeSet::new();
    // An end that the agent reported comes after all of its log.
    let told = matches!(job.state.as_str(), "success")
        || job.end_reason.as_ref().is_some_and(|reason| reason["kind"] == "step_failed");
    for (step, lines) in logs {
        findings.count("log_lines", lines.len() as u64);
        let reading = count(lines);
        executions.extend(reading.executions);
        let missing = reading.holes + if told { reading.tail } else { 0 };
        if missing > 0 {
            findings.count("log_lines_missing", missing);
            if marked || has_mark(lines) {
                findings.count("marked_gaps", 1);
            } else {
                findings.unmarked_gaps.push(format!(
                    "{}: step {step} lacks {} lines inside and {} at the end",
                    shown(job),
                    reading.holes,
                    reading.tail
                ));
            }
        } else if has_mark(lines) {
            findings.count("needless_marks", 1);
        }
        if reading.repeats > 0 {
            findings.unmarked_gaps.push(format!(
                "{}: step {step} has {} lines twice",
                shown(job),
                reading.repeats
            ));
        }
    }
    if executions.len() > 1 {
        findings.doubled.push(format!(
            "{}: its log has lines of {} executions",
            shown(job),
            executions.len()
        ));
    }
}

/// The lines of earlier attempts, and those of the last one.
fn split(mut lines: Vec<String>) -> (Vec<String>, Vec<String>) {
    let heading = lines.iter().rposition(|line| line.starts_with(HEADING));
    let last = lines.split_off(heading.map_or(0, |at| at + 1));
    (lines, last)
}

/// The earlier lines that executions wrote which went on in the last attempt.
fn of_the_same(mut earlier: Vec<String>, last: &[String]) -> Vec<String> {
    let executions = count(last).executions;
    earlier.retain(|line| parse(line).is_some_and(|line| executions.contains(&line.execution)));
    earlier
}

/// All lines of one step, attempt by attempt.
async fn read(admin: &Admin, number: usize, job: &Job, step: i64) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut cursor = 0;
    loop {
        let path = format!(
            "/api/v1/admin/runs/{}/jobs/{}/steps/{step}/logs?limit=2000&cursor={cursor}",
            job.run_id, job.id
        );
        let answer = admin.get(number, &path).await?;
        anyhow::ensure!(
            answer.status == 200,
            "{path} was answered with {}: {}",
            answer.status,
            answer.body
        );
        let page: Value = serde_json::from_str(&answer.body)?;
        for line in page["lines"].as_array().into_iter().flatten() {
            let line: Value = serde_json::from_str(line["value"].as_str().unwrap_or_default())?;
            lines.push(line["msg"].as_str().unwrap_or_default().to_owned());
        }
        match page["nextCursor"].as_u64() {
            Some(next) if next > cursor => cursor = next,
            _ => return Ok(lines),
        }
    }
}

fn has_mark(lines: &[String]) -> bool {
    lines.iter().any(|line| MARKS.iter().any(|mark| line.contains(mark)))
}

fn parse(line: &str) -> Option<Counted> {
    let (_, rest) = line.split_once("chaos ")?;
    let [execution, step, place] = rest.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
    let (number, of) = place.split_once('/')?;
    Some(Counted {
        execution: execution.to_owned(),
        step: step.to_owned(),
        number: number.parse().ok()?,
        of: of.parse().ok()?,
    })
}

fn count(lines: &[String]) -> Reading {
    let mut reading = Reading::default();
    let mut last: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for line in lines.iter().filter_map(|line| parse(line)) {
        reading.executions.insert(line.execution.clone());
        let (before, _) =
            last.get(&(line.execution.clone(), line.step.clone())).copied().unwrap_or((0, line.of));
        if line.number <= before {
            reading.repeats += 1;
            continue;
        }
        reading.holes += line.number - before - 1;
        last.insert((line.execution, line.step), (line.number, line.of));
    }
    reading.tail = last.values().map(|(number, of)| of - number).sum();
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(numbers: &[u64]) -> Vec<String> {
        numbers.iter().map(|number| format!("[info] chaos x step {number}/6")).collect()
    }

    #[test]
    fn holes_repeats_and_a_missing_end_are_counted() {
        let whole = count(&lines(&[1, 2, 3, 4, 5, 6]));
        assert_eq!((whole.holes, whole.repeats, whole.tail), (0, 0, 0));
        let broken = count(&lines(&[1, 4, 4, 5]));
        assert_eq!((broken.holes, broken.repeats, broken.tail), (2, 1, 1));
        assert_eq!(count(&["nothing of ours".into()]), Reading::default());
    }

    #[test]
    fn an_execution_that_goes_on_as_another_attempt_is_read_as_one() {
        let all = |text: &[&str]| text.iter().map(ToString::to_string).collect::<Vec<_>>();
        let heading = "--- attempt 2 (attempt 1 ended: agent a was lost) ---";
        let (earlier, last) =
            split(all(&["chaos x a 1/3", heading, "chaos x a 2/3", "chaos x a 3/3"]));
        let whole = [of_the_same(earlier, &last), last].concat();
        assert_eq!((whole.len(), count(&whole).holes), (3, 0));
        let (earlier, last) = split(all(&["chaos x a 1/3", heading, "chaos y a 1/1"]));
        assert!(of_the_same(earlier, &last).is_empty(), "another execution begins anew");
        assert_eq!(split(all(&["chaos x a 1/1"])), (vec![], all(&["chaos x a 1/1"])));
    }

    #[test]
    fn two_executions_are_seen() {
        let text = ["chaos x a 1/1".to_owned(), "chaos y a 1/1".to_owned()];
        let reading = count(&text);
        assert_eq!((reading.executions.len(), reading.repeats), (2, 0));
    }
}
