//! What organisations have set.

use axum::Json;
use axum::extract::State;
use kici_protocol::http::error::ErrorDetail;
use kici_protocol::http::org_settings::{OrgSettings, OrgSettingsAnswer, UpdateOrgSettings};
use kici_store::PgConnection;
use kici_store::org_setting::{org_settings, org_settings_update};
use serde::Deserialize;

use super::input::{Body, Query};
use super::{ApiError, timestamp};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};

const PATH: &str = "/api/v1/admin/org-settings/global-workflows";

/// PostgreSQL could not add a longer time.
const LONGEST_EXPIRY: i64 = 10 * 365 * 24 * 60 * 60;

pub(super) fn routes() -> Routes {
    Routes::new().get(PATH, Access::Permission(Permission::SecretRead), show).patch(
        PATH,
        Access::Permission(Permission::SecretWrite),
        update,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShowQuery {
    customer_id: String,
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ShowQuery>,
) -> Result<Json<OrgSettingsAnswer>, ApiError> {
    caller.require_unscoped()?;
    let mut conn = app.store.connection().await?;
    answer(&mut conn, &query.customer_id).await
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<UpdateOrgSettings>,
) -> Result<Json<OrgSettingsAnswer>, ApiError> {
    caller.require_unscoped()?;
    let mut wrong = Vec::new();
    if body.customer_id.is_empty() || body.customer_id.contains('\0') {
        wrong.push(ErrorDetail::at("customerId", "expected an organisation"));
    }
    if body.approval_expiry_seconds.is_some_and(|secs| !(1..=LONGEST_EXPIRY).contains(&secs)) {
        let message = format!("expected 1 to {LONGEST_EXPIRY}");
        wrong.push(ErrorDetail::at("approvalExpirySeconds", message));
    }
    if !wrong.is_empty() {
        return Err(ApiError::Invalid(wrong));
    }
    let mut conn = app.store.connection().await?;
    let (expiry, own) = (body.approval_expiry_seconds, body.allow_self_approval);
    org_settings_update(&mut conn, &body.customer_id, expiry, own).await?;
    answer(&mut conn, &body.customer_id).await
}

async fn answer(conn: &mut PgConnection, org: &str) -> Result<Json<OrgSettingsAnswer>, ApiError> {
    let row = org_settings(conn, org).await?;
    let settings = OrgSettings {
        approval_expiry_seconds: row.approval_expiry_seconds,
        allow_self_approval: row.allow_self_approval,
        created_at: row.created_at.map(timestamp),
        updated_at: row.updated_at.map(timestamp),
    };
    Ok(Json(OrgSettingsAnswer { settings }))
}
