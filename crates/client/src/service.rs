//! What the service says about itself.

use kici_protocol::http::service::{Capabilities, Diagnosis};
use reqwest::Method;

use crate::{Client, ClientError};

impl Client {
    /// The versions that the orchestrator speaks.
    pub async fn capabilities(&self) -> Result<Capabilities, ClientError> {
        self.get(&["api", "v1", "capabilities"], &()).await
    }

    /// Whether the orchestrator is well.
    pub async fn diagnose(&self) -> Result<Diagnosis, ClientError> {
        self.get(&["admin", "diagnose"], &()).await
    }

    /// Whether the orchestrator takes work.
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.answer(self.request(Method::GET, &["ready"])).await.map(drop)
    }
}
