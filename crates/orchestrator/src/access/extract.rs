//! Turns a request into a [`Caller`], or into a refusal.
//!
//! The rule of the route comes with the request as an extension (`http::routes`), so a handler that
//! takes a `Caller` has its permission checked before it runs. The access log learns here who asks.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::caller::Caller;
use crate::app::App;
use crate::audit::Slot;
use crate::http::Access;
use crate::http::admin::ApiError;

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, ApiError> {
        let presented = bearer(parts).ok_or(ApiError::MissingAuthorization)?;
        let slot = parts.extensions.get::<Arc<Slot>>();
        let Some(caller) = app.access.verify(presented).await? else {
            slot.inspect(|slot| slot.unknown(presented));
            return Err(ApiError::InvalidToken);
        };
        slot.inspect(|slot| slot.caller(&caller));
        if let Some(Access::Permission(needed)) = parts.extensions.get::<Access>() {
            caller.require(*needed)?;
        }
        Ok(caller)
    }
}

/// A caller if there is a token that works; for routes that show more to those who are known.
impl axum::extract::OptionalFromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Caller>, ApiError> {
        match bearer(parts) {
            Some(presented) => Ok(app.access.verify(presented).await?),
            None => Ok(None),
        }
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
