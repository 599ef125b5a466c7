//! The delivery log.

use kici_protocol::http::deliveries::{DeliveryDetail, DeliveryList, Replayed};
use reqwest::Method;
use serde::Serialize;

use crate::{Client, ClientError};

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveriesQuery {
    /// Only this organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
    /// Only this routing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
    /// Only this event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Only this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Only ids with this in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// How many to skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
}

impl Client {
    /// A page of deliveries, newest first.
    pub async fn delivery_list(
        &self,
        query: &DeliveriesQuery,
    ) -> Result<DeliveryList, ClientError> {
        self.get(&["api", "v1", "admin", "event-log"], query).await
    }

    /// One delivery, with its body if asked for.
    pub async fn delivery_get(
        &self,
        org_id: &str,
        delivery_id: &str,
        with_payload: bool,
    ) -> Result<DeliveryDetail, ClientError> {
        let with_payload = if with_payload { "true" } else { "false" };
        let query = [("orgId", org_id), ("includePayload", with_payload)];
        self.get(&["api", "v1", "admin", "event-log", delivery_id], &query).await
    }

    /// Processes a stored delivery once more.
    pub async fn delivery_replay(
        &self,
        org_id: &str,
        delivery_id: &str,
    ) -> Result<Replayed, ClientError> {
        let path = ["api", "v1", "admin", "event-log", delivery_id, "replay"];
        let request = self.request(Method::POST, &path).query(&[("orgId", org_id)]);
        self.json(request, &path).await
    }
}
