//! Runs, their jobs and their logs.

use kici_model::ids::{JobId, RunId};
use kici_protocol::http::runs::{
    CancelRun, JobList, LogPage, RerunRun, RunAnswer, RunCancelled, RunCount, RunList, RunRepeated,
    StructuredRun,
};
use reqwest::Method;
use serde::Serialize;

use crate::{Client, ClientError, Follow};

const RUNS: [&str; 4] = ["api", "v1", "admin", "runs"];

/// Which runs are wanted.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunsQuery {
    /// Only these states, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only this workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
    /// Only this repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Only those made later than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// How many to skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
}

/// Which lines of a step's log are wanted.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsQuery {
    /// The first of them.
    pub cursor: u64,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only those of this attempt; otherwise those of all, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
}

impl Client {
    /// A page of runs, newest first.
    pub async fn run_list(&self, query: &RunsQuery) -> Result<RunList, ClientError> {
        self.get(&RUNS, query).await
    }

    /// How many runs there are.
    pub async fn run_count(&self, query: &RunsQuery) -> Result<RunCount, ClientError> {
        let request = self.request(Method::GET, &RUNS).query(query).query(&[("count", "true")]);
        self.json(request, &RUNS).await
    }

    /// One run.
    pub async fn run_get(&self, id: RunId) -> Result<RunAnswer, ClientError> {
        let [api, v1, admin, runs] = RUNS;
        self.get(&[api, v1, admin, runs, &id.to_string()], &()).await
    }

    /// The jobs of a run.
    pub async fn run_jobs(&self, id: RunId, with_steps: bool) -> Result<JobList, ClientError> {
        let with_steps = if with_steps { "true" } else { "false" };
        self.get(&below(&id.to_string(), "jobs"), &[("includeSteps", with_steps)]).await
    }

    /// Some jobs of a run: at most `limit` from `cursor` on.
    pub async fn run_jobs_part(
        &self,
        id: RunId,
        with_steps: bool,
        cursor: i32,
        limit: i32,
    ) -> Result<JobList, ClientError> {
        let with_steps = if with_steps { "true" } else { "false" };
        let (cursor, limit) = (cursor.to_string(), limit.to_string());
        let query = [("includeSteps", with_steps), ("cursor", &cursor), ("limit", &limit)];
        self.get(&below(&id.to_string(), "jobs"), &query).await
    }

    /// A run for programs.
    pub async fn run_structured(&self, id: RunId) -> Result<StructuredRun, ClientError> {
        self.get(&below(&id.to_string(), "structured"), &()).await
    }

    /// Asks a run to stop.
    pub async fn run_cancel(&self, id: RunId, force: bool) -> Result<RunCancelled, ClientError> {
        self.send(Method::POST, &below(&id.to_string(), "cancel"), &CancelRun { force }).await
    }

    /// Repeats a run that has ended, or a part of it.
    pub async fn run_rerun(&self, id: RunId, body: &RerunRun) -> Result<RunRepeated, ClientError> {
        self.send(Method::POST, &below(&id.to_string(), "rerun"), body).await
    }

    /// Lines of a step's log.
    pub async fn step_logs(
        &self,
        run: RunId,
        job: JobId,
        step: i32,
        query: &LogsQuery,
    ) -> Result<LogPage, ClientError> {
        let (run, job, step) = (run.to_string(), job.to_string(), step.to_string());
        let [api, v1, admin, runs] = RUNS;
        let path = [api, v1, admin, runs, &run, "jobs", &job, "steps", &step, "logs"];
        self.get(&path, query).await
    }

    /// The events of a run, from its beginning to its end.
    pub fn run_follow(&self, id: RunId) -> Follow {
        Follow::new(self.clone(), id)
    }

    pub(crate) fn follow_request(&self, id: RunId) -> reqwest::RequestBuilder {
        self.request(Method::GET, &below(&id.to_string(), "follow"))
    }
}

fn below<'a>(id: &'a str, what: &'a str) -> [&'a str; 6] {
    let [api, v1, admin, runs] = RUNS;
    [api, v1, admin, runs, id, what]
}
