//! Repeating a run, or a part of it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kici_model::ids::RunId;
use kici_protocol::http::error::{ErrorBody, ErrorDetail};
use kici_protocol::http::runs::{RerunRun, RunRepeated};

use super::ApiError;
use super::input::{Id, MaybeBody};
use super::runs::own_run;
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};
use crate::runs::{RerunError, Scope, Wanted, rerun};

/// A key is a name, not a document.
const LONGEST_KEY: usize = 255;

pub(super) fn routes() -> Routes {
    Routes::new().post(
        "/api/v1/admin/runs/{id}/rerun",
        Access::Permission(Permission::RunCancel),
        repeat,
    )
}

/// 201 with the new run; 200 with the run that the same request has made before.
async fn repeat(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    MaybeBody(body): MaybeBody<RerunRun>,
) -> Result<(StatusCode, Json<RunRepeated>), ApiError> {
    let scope = scope(&body)?;
    {
        let mut conn = app.store.connection().await?;
        own_run(&mut conn, &caller, id).await?;
    }
    let wanted = Wanted { scope, by: caller.label(), key: body.idempotency_key.as_deref() };
    let done = rerun(&app, id, &wanted).await.map_err(refused)?;
    let status = if done.made { StatusCode::CREATED } else { StatusCode::OK };
    let answer = RunRepeated { run_id: RunId(done.run), original_run_id: RunId(done.original) };
    Ok((status, Json(answer)))
}

fn scope(body: &RerunRun) -> Result<Scope, ApiError> {
    let invalid =
        |key: &str, message: String| ApiError::Invalid(vec![ErrorDetail::at(key, message)]);
    if let Some(key) = &body.idempotency_key
        && !(1..=LONGEST_KEY).contains(&key.chars().count())
    {
        let message = format!("expected 1 to {LONGEST_KEY} characters");
        return Err(invalid("idempotencyKey", message));
    }
    match &body.job {
        Some(_) if body.failed_only => {
            Err(invalid("job", "give either job or failedOnly".to_owned()))
        }
        Some(name) => Ok(Scope::Job(name.clone())),
        None if body.failed_only => Ok(Scope::Failed),
        None => Ok(Scope::All),
    }
}

fn refused(error: RerunError) -> ApiError {
    match error {
        RerunError::Unknown(id) => ApiError::NotFound(format!("Run {id} not found")),
        RerunError::Open { ref state } => {
            ApiError::conflict_in_state(&error.to_string(), state.clone())
        }
        RerunError::Gone { .. } => {
            let mut body = ErrorBody::new(error.to_string());
            body.more.insert("code".into(), "runArchivedNotRerunnable".into());
            ApiError::Conflict(body)
        }
        RerunError::Test
        | RerunError::NoWorkflow { .. }
        | RerunError::Part(_)
        | RerunError::KeyTaken { .. } => ApiError::conflict(&error.to_string()),
        RerunError::Evaluate(_) | RerunError::Store(_) => ApiError::Internal(Box::new(error)),
    }
}
