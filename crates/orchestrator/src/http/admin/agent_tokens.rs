//! Agent tokens, and connections that have not shown one yet.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kici_model::ids::TokenId;
use kici_protocol::http::agent_tokens::{
    AgentTokenCreated, AgentTokenList, AgentTokenRevoked, AgentTokenView, CreateAgentToken,
    PendingAgentList,
};
use kici_protocol::http::error::{ErrorDetail, PathPart};
use kici_store::agent_token::{agent_token_list, agent_token_revoke};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::input::{Id, MaybeBody, Query};
use super::{ApiError, timestamp};
use crate::access::{Caller, Permission, agent_token_create};
use crate::app::App;
use crate::http::{Access, Routes};

const MANAGE: Access = Access::Permission(Permission::TokenManage);

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/api/v1/agent-tokens", MANAGE, create)
        .get("/api/v1/agent-tokens", MANAGE, list)
        .get("/api/v1/agent-tokens/pending", MANAGE, pending)
        .delete("/api/v1/agent-tokens/{id}", MANAGE, revoke)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    MaybeBody(body): MaybeBody<CreateAgentToken>,
) -> Result<(StatusCode, Json<AgentTokenCreated>), ApiError> {
    caller.require_unscoped()?;
    let mut wrong = Vec::new();
    check_labels("labels", &body.labels, &mut wrong);
    check_labels("mandatoryLabels", &body.mandatory_labels, &mut wrong);
    if !wrong.is_empty() {
        return Err(ApiError::Invalid(wrong));
    }
    let (row, secret) = agent_token_create(&app.store, body).await?;
    tracing::info!(token.id = %row.id, by = %caller.token(), "agent token {} made", row.id);
    let answer = AgentTokenCreated {
        id: TokenId(row.id),
        token: secret.expose_secret().to_owned(),
        token_prefix: row.token_prefix,
        labels: row.labels,
        agent_type: row.agent_type,
        created_at: timestamp(row.created_at),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(rename = "type")]
    kind: Option<Kind>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Static,
    Ephemeral,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<AgentTokenList>, ApiError> {
    caller.require_unscoped()?;
    let kind = query.kind.map(|kind| match kind {
        Kind::Static => "static",
        Kind::Ephemeral => "ephemeral",
    });
    let mut conn = app.store.connection().await?;
    let rows = agent_token_list(&mut conn, kind).await?;
    let tokens = rows.into_iter().map(|row| AgentTokenView {
        id: TokenId(row.id),
        token_prefix: row.token_prefix,
        labels: row.labels,
        mandatory_labels: row.mandatory_labels,
        agent_type: row.agent_type,
        created_at: timestamp(row.created_at),
        last_seen_at: row.last_seen_at.map(timestamp),
        expires_at: row.expires_at.map(timestamp),
    });
    Ok(Json(AgentTokenList { tokens: tokens.collect() }))
}

async fn pending(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<PendingAgentList>, ApiError> {
    caller.require_unscoped()?;
    Ok(Json(PendingAgentList { pending: app.agents.pending() }))
}

async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<AgentTokenRevoked>, ApiError> {
    caller.require_unscoped()?;
    let mut conn = app.store.connection().await?;
    if !agent_token_revoke(&mut conn, id).await? {
        return Err(ApiError::NotFound("Agent token not found or already revoked".into()));
    }
    // Other orchestrators hear of it through the database.
    let kicked = app.agents.kick(TokenId(id));
    tracing::info!(token.id = %id, by = %caller.token(), kicked, "agent token {id} withdrawn");
    Ok(Json(AgentTokenRevoked { kicked }))
}

fn check_labels(field: &str, labels: &[String], wrong: &mut Vec<ErrorDetail>) {
    for (index, label) in labels.iter().enumerate() {
        let fits = (1..=255).contains(&label.len())
            && !label.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control());
        if !fits {
            let text = format!(
                "{label:?} is no label: expected 1 to 255 characters without ',' and spaces"
            );
            let mut detail = ErrorDetail::at(field, text);
            detail.path.push(PathPart::Index(index));
            wrong.push(detail);
        }
    }
}
