//! Sending a delivery, as a hook of a repository does.

use kici_protocol::http::webhook::{Accepted, Rejected};
use reqwest::Method;

use crate::{Client, ClientError};

/// A delivery to a generic or local source.
#[derive(Debug, Clone)]
pub struct Delivery<'a> {
    /// The organisation.
    pub org_id: &'a str,
    /// The source's name or id.
    pub source: &'a str,
    /// The event's name.
    pub event: &'a str,
    /// The same id is taken only once.
    pub delivery_id: &'a str,
    /// The body, which is sent as JSON.
    pub body: &'a serde_json::Value,
}

impl Client {
    /// Sends a delivery. No token is needed.
    pub async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Accepted, ClientError> {
        let path = ["webhook", delivery.org_id, "generic", delivery.source];
        let request = self
            .request(Method::POST, &path)
            .header("x-event-type", delivery.event)
            .header("x-delivery-id", delivery.delivery_id)
            .json(delivery.body);
        self.json(request, &path).await.map_err(reason)
    }
}

/// Webhook routes say why under another name than the API, so their answer came as plain text.
fn reason(error: ClientError) -> ClientError {
    match error {
        ClientError::Refused { status, mut body } => {
            if let Ok(rejected) = serde_json::from_str::<Rejected>(&body.error) {
                body.error = rejected.reason;
            }
            ClientError::Refused { status, body }
        }
        other => other,
    }
}
