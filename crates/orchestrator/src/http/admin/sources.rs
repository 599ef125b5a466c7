//! Generic and local sources.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kici_protocol::http::sources::{
    CreateSource, SourceAnswer, SourceDeleted, SourceEnabled, SourceList, SourceView, UpdateSource,
};
use kici_store::PgConnection;
use kici_store::source::{
    Deleted, SourceRow, source_enable, source_erase, source_get, source_insert, source_list,
    source_remove, source_update,
};
use serde::Deserialize;
use tracing::info;
use uuid::Uuid;

use super::ApiError;
use super::input::{Body, Id, Query};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};
use crate::sources::{self, ChangeError};

pub(super) fn routes() -> Routes {
    let may = Access::Permission;
    Routes::new()
        .post("/api/v1/admin/generic-sources", may(Permission::ContextCreate), create)
        .get("/api/v1/admin/generic-sources", may(Permission::ContextRead), list)
        .get("/api/v1/admin/generic-sources/{id}", may(Permission::ContextRead), get)
        .patch("/api/v1/admin/generic-sources/{id}", may(Permission::ContextUpdate), update)
        .delete("/api/v1/admin/generic-sources/{id}", may(Permission::ContextDelete), delete)
        .post("/api/v1/admin/generic-sources/{id}/enable", may(Permission::ContextUpdate), enable)
        .post("/api/v1/admin/generic-sources/{id}/disable", may(Permission::ContextUpdate), disable)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<CreateSource>,
) -> Result<(StatusCode, Json<SourceAnswer>), ApiError> {
    caller.require_unscoped()?;
    let id = Uuid::now_v7();
    let org_id = body.org_id.clone();
    let (kind, content) = sources::create(body, id, app.sources.sealer())?;
    let routing_key = format!("generic:{org_id}:{id}");
    let mut conn = app.store.connection().await?;
    source_insert(&mut conn, id, &org_id, &routing_key, kind.as_str(), &content).await?;
    info!(source.id = %id, by = %caller.token(), "source {} of {org_id} made", content.name);
    let row = row(&mut conn, id).await?;
    drop(conn);
    app.sources.reload(&app.store).await?;
    Ok((StatusCode::CREATED, Json(SourceAnswer { source: shown(&app, &caller, row) })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    org_id: Option<String>,
    #[serde(default)]
    include_deleted: bool,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<SourceList>, ApiError> {
    let Some(org_id) = query.org_id.filter(|org_id| !org_id.is_empty()) else {
        return Err(ApiError::BadRequest("Missing orgId query parameter".into()));
    };
    let only = caller.narrow(None)?;
    let mut conn = app.store.connection().await?;
    let rows = source_list(&mut conn, &org_id, query.include_deleted, only.as_deref()).await?;
    let sources = rows.into_iter().map(|row| shown(&app, &caller, row)).collect();
    Ok(Json(SourceList { sources }))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<SourceAnswer>, ApiError> {
    let mut conn = app.store.connection().await?;
    let row = own_row(&mut conn, &caller, id).await?;
    Ok(Json(SourceAnswer { source: shown(&app, &caller, row) }))
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<UpdateSource>,
) -> Result<Json<SourceAnswer>, ApiError> {
    let mut conn = app.store.connection().await?;
    let old = own_row(&mut conn, &caller, id).await?;
    let content = sources::update(old, body, app.sources.sealer())?;
    if !source_update(&mut conn, id, &content).await? {
        return Err(unknown());
    }
    info!(source.id = %id, by = %caller.token(), "source {} changed", content.name);
    let row = row(&mut conn, id).await?;
    drop(conn);
    app.sources.reload(&app.store).await?;
    Ok(Json(SourceAnswer { source: shown(&app, &caller, row) }))
}

#[derive(Deserialize)]
struct DeleteQuery {
    #[serde(default)]
    hard: bool,
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<SourceDeleted>, ApiError> {
    let mut conn = app.store.connection().await?;
    own_row(&mut conn, &caller, id).await?;
    let deleted = match query.hard {
        true => source_erase(&mut conn, id).await?,
        false => source_remove(&mut conn, id).await?,
    };
    drop(conn);
    if deleted == Deleted::Unknown {
        return Err(unknown());
    }
    info!(source.id = %id, by = %caller.token(), hard = query.hard, "source {id} removed");
    app.sources.reload(&app.store).await?;
    Ok(Json(SourceDeleted { deleted: true, hard: query.hard }))
}

async fn enable(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<SourceEnabled>, ApiError> {
    set_enabled(&app, &caller, id, true).await
}

async fn disable(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<SourceEnabled>, ApiError> {
    set_enabled(&app, &caller, id, false).await
}

async fn set_enabled(
    app: &App,
    caller: &Caller,
    id: Uuid,
    enabled: bool,
) -> Result<Json<SourceEnabled>, ApiError> {
    let mut conn = app.store.connection().await?;
    own_row(&mut conn, caller, id).await?;
    let known = source_enable(&mut conn, id, enabled).await?;
    drop(conn);
    if !known {
        return Err(unknown());
    }
    info!(source.id = %id, by = %caller.token(), enabled, "source {id} switched");
    app.sources.reload(&app.store).await?;
    Ok(Json(SourceEnabled { enabled }))
}

/// The row, if the caller may know of it.
async fn own_row(
    conn: &mut PgConnection,
    caller: &Caller,
    id: Uuid,
) -> Result<SourceRow, ApiError> {
    let row = row(conn, id).await?;
    caller.require_key(&row.routing_key)?;
    Ok(row)
}

async fn row(conn: &mut PgConnection, id: Uuid) -> Result<SourceRow, ApiError> {
    source_get(conn, id).await?.ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::NotFound("Source not found".into())
}

fn shown(app: &App, caller: &Caller, row: SourceRow) -> SourceView {
    let reveal = caller.may(Permission::SecretReveal);
    sources::view(row, reveal.then(|| app.sources.sealer()))
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Invalid(details) => ApiError::Invalid(details),
            ChangeError::NoKey(error) => ApiError::Unavailable(error.to_string()),
        }
    }
}
