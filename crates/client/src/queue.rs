//! The queue.

use kici_model::ids::RunId;
use kici_protocol::http::queue::{ClearQueue, QueueCleared, QueueEntry, QueueList};
use reqwest::Method;
use serde::Serialize;

use crate::{Client, ClientError};

const QUEUE: [&str; 4] = ["api", "v1", "admin", "queue"];

/// Which entries are wanted.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueQuery {
    /// Only in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// In none of these states, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_not_in: Option<String>,
    /// Only jobs of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// Only jobs whose name begins with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_name_prefix: Option<String>,
    /// No jobs whose name is like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_name_not_like: Option<String>,
    /// Only of this workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
    /// Only of this repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Only of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Only of runs made at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_after: Option<String>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

impl Client {
    /// What is with agents, then what waits, by place.
    pub async fn queue_list(&self, query: &QueueQuery) -> Result<QueueList, ClientError> {
        self.get(&QUEUE, query).await
    }

    /// One entry.
    pub async fn queue_get(&self, id: &str) -> Result<QueueEntry, ClientError> {
        self.get(&[QUEUE[0], QUEUE[1], QUEUE[2], QUEUE[3], id], &()).await
    }

    /// Ends waiting jobs.
    pub async fn queue_clear(&self, body: &ClearQueue) -> Result<QueueCleared, ClientError> {
        self.send(Method::POST, &[QUEUE[0], QUEUE[1], QUEUE[2], QUEUE[3], "clear"], body).await
    }
}
