//! Agent tokens, and the agents themselves.

use kici_model::ids::TokenId;
use kici_protocol::http::agent_tokens::{
    AgentTokenCreated, AgentTokenList, AgentTokenRevoked, CreateAgentToken, PendingAgentList,
};
use kici_protocol::http::agents::{AgentList, AgentView};
use reqwest::Method;

use crate::{Client, ClientError};

const AGENT_TOKENS: [&str; 3] = ["api", "v1", "agent-tokens"];

impl Client {
    /// Makes an agent token.
    pub async fn agent_token_create(
        &self,
        body: &CreateAgentToken,
    ) -> Result<AgentTokenCreated, ClientError> {
        self.send(Method::POST, &AGENT_TOKENS, body).await
    }

    /// The agent tokens that work; `kind` is `static` or `ephemeral`.
    pub async fn agent_token_list(
        &self,
        kind: Option<&str>,
    ) -> Result<AgentTokenList, ClientError> {
        self.get(&AGENT_TOKENS, &[("type", kind)]).await
    }

    /// Withdraws an agent token; its connections are closed.
    pub async fn agent_token_revoke(&self, id: TokenId) -> Result<AgentTokenRevoked, ClientError> {
        let path = ["api", "v1", "agent-tokens", &id.to_string()];
        self.json(self.request(Method::DELETE, &path), &path).await
    }

    /// All agents of the roster, by id.
    pub async fn agent_list(&self) -> Result<Vec<AgentView>, ClientError> {
        let mut agents = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let path = ["api", "v1", "admin", "agents"];
            let page: AgentList = self.get(&path, &[("cursor", &cursor)]).await?;
            agents.extend(page.agents);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(agents),
            }
        }
    }

    /// Connections that have not said yet who they are.
    pub async fn agent_pending(&self) -> Result<PendingAgentList, ClientError> {
        self.get(&["api", "v1", "agent-tokens", "pending"], &()).await
    }
}
