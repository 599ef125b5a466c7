//! The access log.

use kici_protocol::http::access_log::{AccessEntry, AccessPage};
use serde::Serialize;
use uuid::Uuid;

use crate::{Client, ClientError};

const LOG: [&str; 4] = ["api", "v1", "admin", "access-log"];

/// Which entries are wanted; absent fields let everything through.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessQuery {
    /// Of this organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
    /// Of this kind of actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_type: Option<String>,
    /// Of this actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// Of this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Of this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Of this outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// About this kind of thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_type: Option<String>,
    /// About this thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// With this in the error's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// How many, 1 to 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Client {
    /// A page of entries, newest first.
    pub async fn access_log(&self, query: &AccessQuery) -> Result<AccessPage, ClientError> {
        self.get(&LOG, query).await
    }

    /// One entry.
    pub async fn access_log_get(&self, id: Uuid) -> Result<AccessEntry, ClientError> {
        let [api, v1, admin, log] = LOG;
        self.get(&[api, v1, admin, log, &id.to_string()], &()).await
    }
}
