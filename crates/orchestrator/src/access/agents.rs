//! Agent tokens: `kat_` and 64 hex digits.

use kici_model::ids::TokenId;
use kici_protocol::http::agent_tokens::CreateAgentToken;
use kici_store::agent_token::{AgentTokenRow, agent_token_insert, agent_token_use};
use kici_store::{Store, StoreError, Time};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::token::{Credential, token_hash};

/// What every agent credential begins with.
const PREFIX: &str = "kat_";
/// How much of a credential lists show.
const SHOWN: usize = 12;

/// What an agent's token says about it.
#[derive(Debug, Clone)]
pub(crate) struct AgentIdentity {
    /// The token, for revocation.
    pub(crate) token: TokenId,
    /// The labels that the agent may offer; `None` allows any.
    pub(crate) scope: Option<Vec<String>>,
    /// The labels that every job on this agent has to ask for.
    pub(crate) mandatory: Vec<String>,
    /// An ephemeral token belongs to one agent: its id.
    pub(crate) bound_to: Option<String>,
}

/// Checks what an agent presents; `None` when it is unknown, withdrawn or expired.
pub(crate) async fn agent_token_verify(
    store: &Store,
    presented: &str,
) -> Result<Option<AgentIdentity>, StoreError> {
    if !presented.starts_with(PREFIX) {
        return Ok(None);
    }
    let mut conn = store.connection().await?;
    let row = agent_token_use(&mut conn, &token_hash(presented)).await?;
    Ok(row.map(|row| AgentIdentity {
        token: TokenId(row.id),
        scope: (!row.labels.is_empty()).then_some(row.labels),
        mandatory: row.mandatory_labels,
        bound_to: row.created_by.filter(|_| row.agent_type == "ephemeral"),
    }))
}

/// Makes a token that any number of agents may use until it is withdrawn.
///
/// Mandatory labels are also in scope, as otherwise no agent could offer them.
pub(crate) async fn agent_token_create(
    store: &Store,
    wanted: CreateAgentToken,
) -> Result<(AgentTokenRow, SecretString), StoreError> {
    let made = Credential::generate(PREFIX);
    let mut labels = wanted.labels;
    labels.extend(wanted.mandatory_labels.iter().cloned());
    let row = AgentTokenRow {
        id: Uuid::now_v7(),
        token_prefix: made.secret.expose_secret()[..SHOWN].to_owned(),
        labels: distinct(labels),
        mandatory_labels: distinct(wanted.mandatory_labels),
        agent_type: "static".into(),
        created_by: wanted.created_by,
        created_at: Time::from_millis(jiff::Timestamp::now().as_millisecond()),
        last_seen_at: None,
        expires_at: None,
    };
    let mut conn = store.connection().await?;
    agent_token_insert(&mut conn, &made.hash, &row).await?;
    Ok((row, made.secret))
}

fn distinct(labels: Vec<String>) -> Vec<String> {
    let mut seen = Vec::with_capacity(labels.len());
    for label in labels {
        if !seen.contains(&label) {
            seen.push(label);
        }
    }
    seen
}
