//! State of the database schema.

use axum::Json;
use axum::extract::State;
use kici_protocol::http::db::{Migrated, MigrationList, MigrationState, MigrationView};

use super::{ApiError, timestamp};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};

pub(super) fn routes() -> Routes {
    let may = Access::Permission;
    Routes::new().post("/api/v1/admin/db/migrate", may(Permission::ContextUpdate), migrate).get(
        "/api/v1/admin/db/migrate/status",
        may(Permission::ContextRead),
        status,
    )
}

/// Applies what is missing. Another migration that is under way is waited for.
async fn migrate(State(app): State<App>, caller: Caller) -> Result<Json<Migrated>, ApiError> {
    caller.require_unscoped()?;
    let before = app.store.migrations().await?;
    app.store.migrate().await?;
    let migrations: Vec<String> =
        before.pending.into_iter().map(|(number, name)| format!("{number:04}_{name}")).collect();
    Ok(Json(Migrated { applied: migrations.len(), migrations }))
}

async fn status(State(app): State<App>, caller: Caller) -> Result<Json<MigrationList>, ApiError> {
    caller.require_unscoped()?;
    let state = app.store.migrations().await?;
    let applied = state.applied.into_iter().map(|(number, name, at)| MigrationView {
        name: format!("{number:04}_{name}"),
        status: MigrationState::Applied,
        applied_at: Some(timestamp(at)),
    });
    let pending = state.pending.into_iter().map(|(number, name)| MigrationView {
        name: format!("{number:04}_{name}"),
        status: MigrationState::Pending,
        applied_at: None,
    });
    Ok(Json(MigrationList { migrations: applied.chain(pending).collect() }))
}
