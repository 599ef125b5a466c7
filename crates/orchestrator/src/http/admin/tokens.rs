//! Admin tokens.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kici_model::ids::TokenId;
use kici_protocol::http::error::ErrorDetail;
use kici_protocol::http::time::Timestamp;
use kici_protocol::http::tokens::{CreateToken, TokenCreated, TokenList, TokenRevoked, TokenView};
use kici_store::admin_token::{
    NewAdminToken, Revoke, admin_token_insert, admin_token_list, admin_token_revoke,
};
use kici_store::{Store, Time};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::input::{Body, Id};
use super::{ApiError, timestamp};
use crate::access::{BOOTSTRAP_LABEL, Caller, Credential, Permission};
use crate::app::App;
use crate::http::{Access, Routes};

/// Teams of one token.
const MOST_TEAMS: usize = 50;

const MANAGE: Access = Access::Permission(Permission::TokenManage);

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/api/v1/admin/tokens", MANAGE, create)
        .get("/api/v1/admin/tokens", MANAGE, list)
        .delete("/api/v1/admin/tokens/{id}", MANAGE, revoke)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<CreateToken>,
) -> Result<(StatusCode, Json<TokenCreated>), ApiError> {
    caller.require_unscoped()?;
    let expires_at = check(&body)?;
    let made = Credential::generate("");
    let id = Uuid::now_v7();
    let mut conn = app.store.connection().await?;
    let token = NewAdminToken {
        id,
        hash: &made.hash,
        label: &body.label,
        role: body.role.as_str(),
        routing_key: body.routing_key.as_deref(),
        teams: &body.teams,
        expires_at,
    };
    admin_token_insert(&mut conn, token).await?;
    tracing::info!(token.id = %id, by = %caller.token(), "admin token {id} ({}) made", body.role.as_str());
    let token = made.secret.expose_secret().to_owned();
    Ok((StatusCode::CREATED, Json(TokenCreated { token, id: TokenId(id) })))
}

async fn list(State(app): State<App>, caller: Caller) -> Result<Json<TokenList>, ApiError> {
    caller.require_unscoped()?;
    let mut conn = app.store.connection().await?;
    let rows = admin_token_list(&mut conn).await?;
    let tokens = rows.into_iter().map(|row| TokenView {
        id: TokenId(row.id),
        label: row.label,
        role: row.role,
        routing_key: row.routing_key,
        teams: row.teams,
        created_at: timestamp(row.created_at),
        expires_at: row.expires_at.map(timestamp),
        last_used_at: row.last_used_at.map(timestamp),
        revoked: row.revoked,
    });
    Ok(Json(TokenList { tokens: tokens.collect() }))
}

async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<TokenRevoked>, ApiError> {
    caller.require_unscoped()?;
    let mut tx = app.store.begin().await?;
    let outcome = admin_token_revoke(&mut tx, id).await?;
    Store::commit(tx).await?;
    match outcome {
        Revoke::Done => {
            tracing::info!(token.id = %id, by = %caller.token(), "admin token {id} withdrawn");
            Ok(Json(TokenRevoked { revoked: true }))
        }
        Revoke::Unknown => Err(ApiError::NotFound("Token not found".into())),
        Revoke::LastOwner => Err(ApiError::conflict(
            "This is the last usable owner token: make another one before revoking it",
        )),
    }
}

/// Checks the body and works out when the token ends.
fn check(body: &CreateToken) -> Result<Option<Time>, ApiError> {
    let mut wrong = Vec::new();
    if !(1..=255).contains(&body.label.chars().count()) {
        wrong.push(ErrorDetail::at("label", "expected 1 to 255 characters"));
    }
    if body.label == BOOTSTRAP_LABEL {
        wrong.push(ErrorDetail::at("label", "this label belongs to KICI_BOOTSTRAP_ADMIN_TOKEN"));
    }
    if body.routing_key.as_deref() == Some("") {
        wrong.push(ErrorDetail::at("routingKey", "expected a routing key such as github:42"));
    }
    let fits = |team: &String| (1..=255).contains(&team.chars().count());
    if body.teams.len() > MOST_TEAMS || !body.teams.iter().all(fits) {
        let message = format!("expected at most {MOST_TEAMS} names of 1 to 255 characters");
        wrong.push(ErrorDetail::at("teams", &message));
    }
    let now = Timestamp::now();
    let expires_at = match (body.expires_at, body.expires_in_seconds) {
        (Some(_), Some(_)) => {
            wrong.push(ErrorDetail::at("expiresAt", "give either expiresAt or expiresInSeconds"));
            None
        }
        (Some(at), None) => Some(at.unix_micros() / 1000),
        (None, Some(seconds)) => {
            let life = Duration::from_secs(seconds).as_millis();
            let end = i64::try_from(life)
                .ok()
                .and_then(|life| (now.unix_micros() / 1000).checked_add(life));
            if end.is_none() {
                wrong.push(ErrorDetail::at("expiresInSeconds", "is too far away"));
            }
            end
        }
        (None, None) => None,
    };
    if expires_at.is_some_and(|at| at <= now.unix_micros() / 1000) {
        wrong.push(ErrorDetail::at("expiresAt", "is in the past"));
    }
    if wrong.is_empty() {
        Ok(expires_at.map(Time::from_millis))
    } else {
        Err(ApiError::Invalid(wrong))
    }
}
