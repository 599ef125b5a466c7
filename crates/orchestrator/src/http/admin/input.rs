//! Reads what a request carries, and says in the API's own words what is wrong with it.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use kici_protocol::http::error::{ErrorDetail, PathPart};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use uuid::Uuid;

use super::ApiError;

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

/// A JSON body that may be left out.
pub(super) struct MaybeBody<T>(pub(super) T);

/// The query.
pub(super) struct Query<T>(pub(super) T);

/// An id in the path.
pub(super) struct Id(pub(super) Uuid);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = bytes(request, state).await?;
        json(&bytes).map(Body)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = bytes(request, state).await?;
        if bytes.trim_ascii().is_empty() {
            Ok(MaybeBody(T::default()))
        } else {
            json(&bytes).map(MaybeBody)
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let reader = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(reader).map(Query).map_err(|error| invalid(&error))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<Uuid>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Id(id)),
            Err(_) => Err(ApiError::Malformed),
        }
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|refused: BytesRejection| {
        match refused.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge,
            _ => ApiError::BadRequest("the body could not be read".into()),
        }
    })
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        match error.inner().classify() {
            serde_json::error::Category::Data => invalid(&error),
            _ => ApiError::InvalidJson,
        }
    })?;
    reader.end().map_err(|_| ApiError::InvalidJson)?;
    Ok(value)
}

fn invalid<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> ApiError {
    let path = error.path().iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(PathPart::Index(*index)),
        Segment::Map { key } => Some(PathPart::Key(key.clone())),
        Segment::Enum { variant } => Some(PathPart::Key(variant.clone())),
        Segment::Unknown => None,
    });
    let text = error.inner().to_string();
    // The position in the text helps nobody who sent a generated body.
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    ApiError::Invalid(vec![ErrorDetail {
        code: "invalid_type".into(),
        path: path.collect(),
        message,
    }])
}
