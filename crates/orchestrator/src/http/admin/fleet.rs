//! The fleet: who is there, and the log bundles of all of them in one ZIP.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use kici_protocol::http::error::ErrorBody;
use kici_protocol::http::fleet::{FleetBundleRequest, FleetTopology};

use super::input::MaybeBody;
use super::{ApiError, service};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::fleet::{self, FleetError};
use crate::http::{Access, Routes};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/admin/fleet-topology", Access::Permission(Permission::RunRead), topology)
        .post("/admin/fleet-bundle", Access::Permission(Permission::EventLogReadPayload), bundle)
}

async fn topology(State(app): State<App>, caller: Caller) -> Result<Json<FleetTopology>, ApiError> {
    caller.require_unscoped()?;
    Ok(Json(fleet::topology(&app).await?))
}

async fn bundle(
    State(app): State<App>,
    caller: Caller,
    MaybeBody(request): MaybeBody<FleetBundleRequest>,
) -> Result<Response, ApiError> {
    caller.require_unscoped()?;
    let diagnosis = service::diagnosis(&app).await;
    let zip = fleet::bundle(&app, request, &diagnosis).await?;
    let name = "attachment; filename=\"kici-fleet-bundle.zip\"";
    let headers = [(header::CONTENT_TYPE, "application/zip"), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, zip).into_response())
}

impl From<FleetError> for ApiError {
    fn from(error: FleetError) -> Self {
        match error {
            FleetError::Busy => ApiError::Conflict(ErrorBody::new(error.to_string())),
            FleetError::Request(text) => ApiError::BadRequest(text),
            FleetError::Store(error) => error.into(),
            FleetError::Pack(_) => ApiError::Internal(Box::new(error)),
        }
    }
}
