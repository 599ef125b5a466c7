//! The one road from a refusal or failure to a status code.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kici_protocol::http::error::{ErrorBody, ErrorDetail};
use kici_store::StoreError;
use serde_json::Value;

use crate::access::Denied;
use crate::audit::Refusal;
use crate::http::Failure;
use crate::logging::Chain;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// No credential that could be one.
    MissingAuthorization,
    /// A credential that does not work.
    InvalidToken,
    /// The caller may not.
    Denied(Denied),
    /// The caller may do such things, but not this one.
    Forbidden(String),
    /// The content is wrong; says where.
    Invalid(Vec<ErrorDetail>),
    /// The body is not JSON.
    InvalidJson,
    /// An id or another typed value is not of its form.
    Malformed,
    /// The request makes no sense for another reason.
    BadRequest(String),
    /// There is no such thing, or the caller may not know of it.
    NotFound(String),
    /// It cannot be done in the present state.
    Conflict(ErrorBody),
    /// The body is over the limit.
    TooLarge,
    /// Something needed is not there at the moment.
    Unavailable(String),
    /// Not the caller's fault. The log has the reason, with the request's id.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl ApiError {
    /// A conflict that is one sentence.
    pub(super) fn conflict(sentence: &str) -> ApiError {
        ApiError::Conflict(ErrorBody::new(sentence))
    }

    /// A conflict that tells the state in which the thing is.
    pub(super) fn conflict_in_state(sentence: &str, status: String) -> ApiError {
        let mut body = ErrorBody::new(sentence);
        body.more.insert("status".into(), Value::String(status));
        ApiError::Conflict(body)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_conflict() {
            return ApiError::conflict("Conflict: resource already exists");
        }
        ApiError::Internal(Box::new(error))
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        ApiError::Denied(denied)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            ApiError::MissingAuthorization => {
                (StatusCode::UNAUTHORIZED, ErrorBody::new("Missing authorization"))
            }
            ApiError::InvalidToken => {
                (StatusCode::UNAUTHORIZED, ErrorBody::new("Invalid or expired token"))
            }
            ApiError::Denied(denied) => (StatusCode::FORBIDDEN, ErrorBody::new(denied.to_string())),
            ApiError::Forbidden(text) => (StatusCode::FORBIDDEN, ErrorBody::new(text)),
            ApiError::Invalid(details) => {
                let body = ErrorBody { details, ..ErrorBody::new("Validation error") };
                (StatusCode::BAD_REQUEST, body)
            }
            ApiError::InvalidJson => (StatusCode::BAD_REQUEST, ErrorBody::new("Invalid JSON body")),
            ApiError::Malformed => (
                StatusCode::BAD_REQUEST,
                ErrorBody::new("Invalid request: malformed value for a typed field"),
            ),
            ApiError::BadRequest(text) => (StatusCode::BAD_REQUEST, ErrorBody::new(text)),
            ApiError::NotFound(text) => (StatusCode::NOT_FOUND, ErrorBody::new(text)),
            ApiError::Conflict(body) => (StatusCode::CONFLICT, body),
            ApiError::TooLarge => {
                return (StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large").into_response();
            }
            ApiError::Unavailable(text) => (StatusCode::SERVICE_UNAVAILABLE, ErrorBody::new(text)),
            ApiError::Internal(error) => {
                let body = ErrorBody::new("Internal server error");
                let mut response = (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response();
                response.extensions_mut().insert(Failure(Chain(&*error).to_string()));
                return response;
            }
        };
        let refusal = Refusal(body.error.clone());
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(refusal);
        response
    }
}
