//! Signing in to another system with a browser: where to go. The way back is a page, `/oauth/callback`.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use axum_extra::extract::CookieJar;
use engine::SignInError;
use serde::Serialize;
use utoipa::ToSchema;

use super::instant;
use crate::{
    access::{Caller, SESSION_COOKIE, Scope, hash},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// A sign-in that began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignInOut {
    /// The address to open in a browser. It is good once.
    url: String,
    /// Where the other system sends people back to; it must be registered there.
    redirect_uri: String,
    /// It must be done by then.
    expires_at: String,
}

/// Begins a sign-in with a browser: gives the address to open. A sign-in begun in a signed-in browser ends only in that one.
#[utoipa::path(post, path = "/connections/{name}/sign-in", tag = "connections", params(("name" = String, Path)),
    responses((status = 201, body = SignInOut), (status = 404, body = ErrorBody), (status = 409, description = "Its people do not sign in with a browser, or it lacks something for it", body = ErrorBody)))]
pub(crate) async fn begin(
    State(app): State<Shared>,
    caller: Caller,
    jar: CookieJar,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<SignInOut>), ApiError> {
    caller.need(Scope::ConnectionsWrite)?;
    let session = if caller.key_name().is_some() { None } else { jar.get(SESSION_COOKIE).map(|cookie| hash(cookie.value())) };
    let begun = app.engine.begin_sign_in(&name, &caller.name, session).await?;
    let out = SignInOut { url: begun.url, redirect_uri: begun.redirect, expires_at: instant(begun.expires_at) };
    Ok((StatusCode::CREATED, Json(out)))
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::NotFound(name) => Self::not_found(format!("connection {name:?}")),
            SignInError::Unfit(message) => Self::conflict("NO_BROWSER_SIGN_IN", message),
            SignInError::Store(error) => error.into(),
            other @ (SignInError::Over | SignInError::Refused(..)) => Self::conflict("SIGN_IN_REFUSED", other.to_string()),
        }
    }
}
