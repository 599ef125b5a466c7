//! Shows a run on a terminal while it happens: turns its events into lines of text.
//!
//! `kici dev`, the demo and others feed it with what `GET …/runs/{id}/follow` streams. It prints
//! nothing itself, and shows nothing twice: after a reconnect the stream starts again.

use std::collections::HashMap;

use kici_protocol::http::follow::RunEvent;
use kici_protocol::http::runs::{JobView, LogLine, RunDetail, StepView};

mod text;

pub use text::{duration, printable};

/// What has been shown of one run.
#[derive(Debug, Default)]
pub struct LiveView {
    colour: bool,
    started: bool,
    /// What was last said about a job.
    jobs: HashMap<String, String>,
    /// What was last said about a step.
    steps: HashMap<(String, i32), String>,
    /// Names of steps, to put beside their log lines.
    names: HashMap<(String, i32), String>,
    /// How many lines of a step's log were shown.
    lines: HashMap<(String, i32), u64>,
}

impl LiveView {
    /// Nothing shown yet. `colour` allows escape sequences, the author's included.
    pub fn new(colour: bool) -> Self {
        Self { colour, ..Self::default() }
    }

    /// The lines that an event adds, each without its line break.
    pub fn lines(&mut self, event: &RunEvent) -> Vec<String> {
        match event {
            RunEvent::Run { run } => self.run(run).into_iter().collect(),
            RunEvent::Job { job } => self.job(job),
            RunEvent::Log { job_id, job_name, step_index, first_line, lines } => {
                self.log((job_id.to_string(), *step_index), job_name, *first_line, lines)
            }
            RunEvent::Ended { status } => vec![self.mark(status, &format!("run {status}"))],
        }
    }

    fn run(&mut self, run: &RunDetail) -> Option<String> {
        if std::mem::replace(&mut self.started, true) {
            return None;
        }
        let run = &run.run;
        let mut line = format!("run {} · {}", run.run_id, printable(&run.workflow_name, false));
        for part in [run.triggered_by.as_deref(), run.git_ref.as_deref()].into_iter().flatten() {
            line += " · ";
            line += &printable(part, false);
        }
        if let Some(sha) = &run.sha {
            line += &format!(" · {}", sha.get(..7).unwrap_or(sha));
        }
        Some(self.bold(&line))
    }

    fn job(&mut self, job: &JobView) -> Vec<String> {
        let name = printable(&job.job_name, false);
        let id = job.job_id.to_string();
        let said = self.about_job(&name, job);
        let ended = is_end(&job.status);
        let mut lines = Vec::new();
        let news = self.jobs.get(&id) != Some(&said);
        if news && !ended {
            lines.push(said.clone());
        }
        for step in job.steps.iter().flatten() {
            lines.extend(self.step(&id, &name, step));
        }
        // A job's end comes after the ends of its steps.
        if news && ended {
            lines.push(said.clone());
        }
        self.jobs.insert(id, said);
        lines
    }

    fn about_job(&self, name: &str, job: &JobView) -> String {
        if is_end(&job.status) {
            let took =
                job.duration_ms.map(|ms| format!(" in {}", duration(ms))).unwrap_or_default();
            let why =
                job.error_message.as_deref().map(|why| format!(": {}", printable(why, false)));
            let kept = if job.reused_from.is_some() { " (kept)" } else { "" };
            let text = format!("{name} {}{kept}{took}{}", job.status, why.unwrap_or_default());
            return self.mark(&job.status, &text);
        }
        let more = match (&job.wait_reason, &job.agent_id) {
            (Some(reason), _) => format!(": {}", printable(&reason.to_string(), false)),
            (None, Some(agent)) => format!(" on {}", printable(agent, false)),
            (None, None) => String::new(),
        };
        format!("· {name} {}{more}", job.status)
    }

    fn step(&mut self, job: &str, job_name: &str, step: &StepView) -> Option<String> {
        let key = (job.to_owned(), step.step_index);
        let name = printable(&step.step_name, false);
        let text = if is_end(&step.status) {
            let took = step.duration_ms.map(|ms| format!(" in {}", duration(ms)));
            let why =
                step.error_message.as_deref().map(|why| format!(": {}", printable(why, false)));
            let text = format!(
                "{job_name} › {name} {}{}{}",
                step.status,
                took.unwrap_or_default(),
                why.unwrap_or_default()
            );
            self.mark(&step.status, &text)
        } else {
            format!("· {job_name} › {name} {}", step.status)
        };
        self.names.insert(key.clone(), name);
        let news = self.steps.get(&key) != Some(&text);
        if news {
            self.steps.insert(key, text.clone());
        }
        news.then_some(text)
    }

    fn log(
        &mut self,
        key: (String, i32),
        job_name: &str,
        first: u64,
        lines: &[LogLine],
    ) -> Vec<String> {
        let shown = self.lines.get(&key).copied().unwrap_or(0);
        let job = printable(job_name, false);
        let from = match self.names.get(&key) {
            Some(name) => format!("{job} › {name} │"),
            None if key.1 < 0 => format!("{job} › setup │"),
            // Its first lines may come before it is named; they begin with the name anyway.
            None => format!("{job} │"),
        };
        let from = self.dim(&from);
        let new = lines.iter().zip(first..).filter(|(_, number)| *number >= shown);
        let texts = new
            .map(|(line, _)| format!("  {from} {}", printable(&line.msg, self.colour)))
            .collect();
        let end = first + u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.lines.insert(key, shown.max(end));
        texts
    }

    fn mark(&self, status: &str, text: &str) -> String {
        let (sign, colour) = match status {
            "success" => ("✓", "32"),
            "skipped" => ("-", "2"),
            "cancelled" => ("■", "33"),
            _ => ("✗", "31"),
        };
        self.painted(colour, &format!("{sign} {text}"))
    }

    fn bold(&self, text: &str) -> String {
        self.painted("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.painted("2", text)
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Whether a job or step with this status stays as it is.
fn is_end(status: &str) -> bool {
    matches!(
        status,
        "success" | "failed" | "cancelled" | "skipped" | "timed_out_stale" | "drift_dropped"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const RUN: &str = "01939e7c-0000-7000-8000-000000000001";
    const JOB: &str = "01939e7c-0000-7000-8000-000000000002";

    fn event(value: Value) -> RunEvent {
        serde_json::from_value(value).expect("an event as the server sends it")
    }

    fn job(status: &str, steps: Value) -> RunEvent {
        event(json!({ "type": "job", "job": {
            "jobId": JOB, "jobName": "build", "status": status, "matrixValues": null,
            "agentId": "laptop", "startedAt": null, "completedAt": null, "durationMs": 1234,
            "errorMessage": null, "runsOnLabels": [], "createdAt": "2026-01-01T00:00:00.000Z",
            "needs": null, "steps": steps,
        }}))
    }

    fn step(status: &str) -> Value {
        json!([{ "stepIndex": 0, "stepName": "compile", "status": status, "startedAt": null,
            "completedAt": null, "durationMs": 12, "exitCode": null, "errorMessage": null,
            "stepType": "step" }])
    }

    fn log(first: u64, texts: &[&str]) -> RunEvent {
        let lines: Vec<Value> = texts
            .iter()
            .map(|text| json!({ "ts": "2026-01-01T00:00:00Z", "level": "stdout", "msg": text }))
            .collect();
        event(json!({ "type": "log", "jobId": JOB, "jobName": "build", "stepIndex": 0,
            "firstLine": first, "lines": lines }))
    }

    #[test]
    fn tells_a_run_once_even_when_the_stream_starts_again() {
        let run = event(json!({ "type": "run", "run": {
            "runId": RUN, "workflowName": "ci", "status": "running", "provider": "local",
            "repoIdentifier": "me/app", "ref": "main", "sha": "0123456789abcdef", "startedAt": null,
            "completedAt": null, "durationMs": null, "parentRunId": null, "triggeredBy": "push",
            "failureReason": null, "environment": null, "trustTier": null,
            "createdAt": "2026-01-01T00:00:00.000Z", "deliveryId": null, "isTestRun": false,
            "originalRunId": null, "cancelledBy": null, "lockFileSource": null,
            "contributorUsername": null,
        }}));
        let stream = [
            run,
            job("running", step("running")),
            log(0, &["one", "two"]),
            log(1, &["two", "three"]),
            job("success", step("success")),
        ];
        let mut view = LiveView::new(false);
        let first: Vec<String> = stream.iter().flat_map(|event| view.lines(event)).collect();
        let expected = [
            format!("run {RUN} · ci · push · main · 0123456"),
            "· build running on laptop".into(),
            "· build › compile running".into(),
            "  build › compile │ one".into(),
            "  build › compile │ two".into(),
            "  build › compile │ three".into(),
            "✓ build › compile success in 12 ms".into(),
            "✓ build success in 1.2 s".into(),
        ];
        assert_eq!(first, expected);
        assert_eq!(view.lines(&job("success", step("success"))), Vec::<String>::new());
        assert_eq!(
            view.lines(&log(0, &["one", "two", "three", "four"])),
            ["  build › compile │ four"]
        );
    }
}
