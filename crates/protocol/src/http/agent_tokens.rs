//! Agent tokens: what an agent shows to be let in, and the labels it may offer.

use kici_model::ids::TokenId;
use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Body of `POST /api/v1/agent-tokens`; an empty body means no labels.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateAgentToken {
    /// The labels that an agent with this token may offer; empty means any.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The labels that an agent with this token always has, whatever it says.
    #[serde(default)]
    pub mandatory_labels: Vec<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

/// Answer to [`CreateAgentToken`]; the only time the token is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentTokenCreated {
    /// The name to revoke it by.
    pub id: TokenId,
    /// The credential: `kat_` and 64 hex digits.
    pub token: String,
    /// Its first 12 characters, which lists show.
    pub token_prefix: String,
    /// The labels an agent may offer with it.
    pub labels: Vec<String>,
    /// `static`: made by an operator.
    pub agent_type: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An agent token as lists show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentTokenView {
    /// The name to revoke it by.
    pub id: TokenId,
    /// The first 12 characters of the token.
    pub token_prefix: String,
    /// The labels an agent may offer with it.
    pub labels: Vec<String>,
    /// The labels an agent always has with it.
    #[serde(default)]
    pub mandatory_labels: Vec<String>,
    /// `static` (made by an operator) or `ephemeral` (made for one machine).
    pub agent_type: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an agent last came with it.
    pub last_seen_at: Option<Timestamp>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// Answer of `GET /api/v1/agent-tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentTokenList {
    /// Newest first, without withdrawn ones.
    pub tokens: Vec<AgentTokenView>,
}

/// Answer of `DELETE /api/v1/agent-tokens/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentTokenRevoked {
    /// How many live connections were closed.
    pub kicked: usize,
}

/// A connection that has not said yet who it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingAgentView {
    /// Names the connection.
    pub connection_id: String,
    /// Where it comes from.
    pub remote_address: String,
    /// Since when.
    pub connected_at: Timestamp,
}

/// Answer of `GET /api/v1/agent-tokens/pending`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingAgentList {
    /// Connections that wait to be known.
    pub pending: Vec<PendingAgentView>,
}
