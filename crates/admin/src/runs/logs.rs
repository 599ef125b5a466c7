//! `kici-admin runs logs`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use kici_client::live::{LiveView, printable};
use kici_client::{Client, LogsQuery};
use kici_model::ids::RunId;
use kici_protocol::http::follow::RunEvent;
use kici_protocol::http::runs::{JobView, LogLine};
use serde_json::{Value, json};

use crate::context::Context;

/// The number under which a job's own log is kept: checkout and what else is around its steps.
const AROUND: i32 = -1;
/// Lines of one answer.
const PAGE: u32 = 2000;

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The run's id.
    run: RunId,
    /// Only this job, by name or id.
    #[arg(long, value_name = "NAME|ID")]
    job: Option<String>,
    /// Only this step, by its number; -1 is what happened around the steps.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    step: Option<i32>,
    /// Only this attempt of each job, by its number. Otherwise the attempts follow each other.
    #[arg(long, value_name = "N", conflicts_with = "follow", value_parser = clap::value_parser!(i32).range(1..))]
    attempt: Option<i32>,
    /// Go on until the run ends, and show jobs and steps as they start and end.
    #[arg(long, short)]
    follow: bool,
    /// End with the run's result: 0 success, 1 failed, 2 cancelled, 3 not ended yet.
    #[arg(long)]
    exit_status: bool,
}

impl Logs {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let client = context.client()?;
        let status = match self.follow {
            true => self.follow(context, &client).await?,
            false => self.stored(context, &client).await?,
        };
        Ok(match (self.exit_status, status.as_str()) {
            (false, _) | (true, "success") => ExitCode::SUCCESS,
            (true, "failed") => ExitCode::from(1),
            (true, "cancelled") => ExitCode::from(2),
            (true, _) => ExitCode::from(3),
        })
    }

    /// What is stored by now; gives the run's status.
    async fn stored(&self, context: &mut Context, client: &Client) -> Result<String> {
        let status = client.run_get(self.run).await?.run.run.status;
        let jobs = client.run_jobs(self.run, true).await?.jobs;
        let jobs: Vec<JobView> = jobs.into_iter().filter(|job| self.wants_job(job)).collect();
        if jobs.is_empty()
            && let Some(job) = &self.job
        {
            bail!("run {} has no job {job:?}", self.run);
        }
        let mut document = Vec::new();
        let mut shown = 0;
        for job in &jobs {
            // Hooks may share the number of a step, and then its log.
            let mut steps: BTreeMap<i32, &str> = BTreeMap::from([(AROUND, "setup")]);
            let earlier = job.attempts.iter().rev().flat_map(|attempt| &attempt.steps);
            for step in job.steps.iter().flatten().chain(earlier) {
                steps.entry(step.step_index).or_insert(&step.step_name);
            }
            for (index, name) in steps.into_iter().filter(|(index, _)| self.wants_step(*index)) {
                shown += self.step(context, client, job, (index, name), &mut document).await?;
            }
        }
        if !context.out.json(&json!({ "runId": self.run, "steps": document }))? && shown == 0 {
            context.out.line("No log lines found.")?;
        }
        Ok(status)
    }

    /// Prints, or collects, the lines of one step; gives their number.
    async fn step(
        &self,
        context: &mut Context,
        client: &Client,
        job: &JobView,
        (index, name): (i32, &str),
        document: &mut Vec<Value>,
    ) -> Result<usize> {
        let mut lines = Vec::new();
        let mut shown = 0;
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            let query = LogsQuery { cursor: from, limit: Some(PAGE), attempt: self.attempt };
            let page = client.step_logs(self.run, job.job_id, index, &query).await?;
            for line in page.lines {
                let line = parsed(&line.value);
                shown += 1;
                if context.out.is_json() {
                    lines.push(line);
                    continue;
                }
                let colour = context.out.colour();
                let place = format!("{} › {name}", job.job_name);
                let text = printable(&line.msg, colour);
                context.out.line(&format!("{} │ {text}", printable(&place, false)))?;
            }
            // A page that did not move on would be asked for for ever.
            cursor = page.next_cursor.filter(|next| *next > from);
        }
        if shown > 0 {
            document.push(json!({
                "jobId": job.job_id,
                "jobName": job.job_name,
                "stepIndex": index,
                "stepName": name,
                "lines": lines,
            }));
        }
        Ok(shown)
    }

    /// Events until the run ends; gives its status.
    async fn follow(&self, context: &mut Context, client: &Client) -> Result<String> {
        let mut follow = client.run_follow(self.run);
        let mut view = LiveView::new(context.out.colour());
        let mut status = String::new();
        while let Some(event) = follow.next().await? {
            if let RunEvent::Ended { status: ended } = &event {
                status.clone_from(ended);
            }
            if !self.wants(&event) {
                continue;
            }
            if context.out.is_json() {
                context.out.line(&serde_json::to_string(&event)?)?;
                continue;
            }
            for line in view.lines(&event) {
                context.out.line(&line)?;
            }
        }
        Ok(status)
    }

    fn wants(&self, event: &RunEvent) -> bool {
        match event {
            RunEvent::Run { .. } | RunEvent::Ended { .. } => true,
            RunEvent::Job { job } => self.wants_job(job),
            RunEvent::Log { job_id, job_name, step_index, .. } => {
                self.wants_step(*step_index)
                    && self
                        .job
                        .as_ref()
                        .is_none_or(|job| job == job_name || *job == job_id.to_string())
            }
        }
    }

    fn wants_job(&self, job: &JobView) -> bool {
        self.job
            .as_ref()
            .is_none_or(|name| *name == job.job_name || *name == job.job_id.to_string())
    }

    fn wants_step(&self, index: i32) -> bool {
        self.step.is_none_or(|step| step == index)
    }
}

/// A stored line; one that is no JSON is text.
fn parsed(line: &str) -> LogLine {
    serde_json::from_str(line).unwrap_or_else(|_| LogLine {
        ts: String::new(),
        level: "stdout".into(),
        msg: line.to_owned(),
        meta: None,
    })
}
