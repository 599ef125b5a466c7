//! Held runs.

use kici_model::ids::{HoldId, RunId};
use kici_protocol::http::holds::{ApproveHold, HoldAnswer, HoldList, RejectHold};
use reqwest::Method;
use serde::Serialize;

use crate::{Client, ClientError};

const HELD: [&str; 4] = ["api", "v1", "admin", "held-runs"];

/// Which holds are wanted.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldsQuery {
    /// Only of this organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
    /// Only in this state; `all` for every state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only of this run, in every state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<HoldId>,
}

impl Client {
    /// Holds, newest first.
    pub async fn hold_list(&self, query: &HoldsQuery) -> Result<HoldList, ClientError> {
        self.get(&HELD, query).await
    }

    /// One hold with what its step shows.
    pub async fn hold_get(&self, id: HoldId) -> Result<HoldAnswer, ClientError> {
        self.get(&[HELD[0], HELD[1], HELD[2], HELD[3], &id.to_string()], &()).await
    }

    /// Approves.
    pub async fn hold_approve(
        &self,
        id: HoldId,
        body: &ApproveHold,
    ) -> Result<HoldAnswer, ClientError> {
        self.send(Method::POST, &below(&id.to_string(), "approve"), body).await
    }

    /// Rejects.
    pub async fn hold_reject(
        &self,
        id: HoldId,
        body: &RejectHold,
    ) -> Result<HoldAnswer, ClientError> {
        self.send(Method::POST, &below(&id.to_string(), "reject"), body).await
    }
}

fn below<'a>(id: &'a str, what: &'a str) -> [&'a str; 6] {
    let [api, v1, admin, held] = HELD;
    [api, v1, admin, held, id, what]
}
