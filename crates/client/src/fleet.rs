//! The fleet and its log bundles.

use std::time::Duration;

use kici_protocol::http::fleet::{FleetBundleRequest, FleetTopology};
use reqwest::Method;

use crate::{Client, ClientError};

/// Agents are asked two at a time, and no more than a hundred; each may have what the request says.
const ROUNDS: u64 = 50;
const LONGEST_OF_ONE: u64 = 600;

impl Client {
    /// Orchestrators and connected agents.
    pub async fn fleet_topology(&self) -> Result<FleetTopology, ClientError> {
        self.get(&["admin", "fleet-topology"], &()).await
    }

    /// A ZIP with the log bundles of the agents that are asked for.
    pub async fn fleet_bundle(&self, body: &FleetBundleRequest) -> Result<Vec<u8>, ClientError> {
        let one = body.timeout_seconds.unwrap_or(LONGEST_OF_ONE).min(LONGEST_OF_ONE);
        let request = self
            .request(Method::POST, &["admin", "fleet-bundle"])
            .timeout(Duration::from_secs(60 + one * ROUNDS))
            .json(body);
        let response = self.answer(request).await?;
        let bytes = response.bytes().await.map_err(|source| ClientError::Broken { source })?;
        Ok(bytes.into())
    }
}
