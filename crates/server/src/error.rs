//! One error type for the API: what happened, why, what to do next, with a stable code.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use engine::{IntakeError, control::ControlError};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

/// When to send again what found the disk full, in seconds.
const DISK_RETRY_S: u64 = 30;

/// The body of every error answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorInfo,
}

/// An error.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ErrorInfo {
    /// Stable code: `VALIDATION_ERROR`, `NOT_FOUND`.
    pub code: String,
    /// What happened, why, and what to do next.
    pub message: String,
    /// The places it concerns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<ErrorDetail>,
    /// Names this request in the logs.
    pub request_id: String,
}

/// One place an error concerns.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// The field, by its path in the body.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// An error on its way out. The outermost layer writes the body, because only it knows the request id.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) details: Vec<ErrorDetail>,
    pub(crate) retry_after_s: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new(), retry_after_s: None }
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("There is no {what}."))
    }

    pub(crate) fn invalid(message: impl Into<String>, details: Vec<ErrorDetail>) -> Self {
        Self { details, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", message) }
    }

    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = ErrorDetail { field: field.into(), message: message.clone() };
        Self::invalid(message, vec![detail])
    }

    /// An `Idempotency-Key` that was used for something else.
    pub(crate) fn key_reused() -> Self {
        Self::conflict(
            "IDEMPOTENCY_KEY_REUSED",
            "This Idempotency-Key was used with another body. Send the first body again, or use a new key.",
        )
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// The body, for the layer that knows the request's id.
    pub(crate) fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody {
            error: ErrorInfo {
                code: self.code.to_owned(),
                message: self.message.clone(),
                details: self.details.clone(),
                request_id: request_id.to_owned(),
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body(""))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) if reason.starts_with(store::NO_ROOM) => {
                tracing::error!(reason, "api.store: the disk is full");
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "DISK_FULL",
                    "There is no room left on the disk of the database, so this was not kept. Nothing that was accepted is lost. \
                     Free some room: Liaison goes on by itself. Then send it again.",
                )
                .retry_after(DISK_RETRY_S)
            }
            StoreError::Unavailable(reason) => {
                tracing::warn!(reason, "api.store: the database does not answer");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "DATABASE_UNAVAILABLE",
                    "The database does not answer, so it is not certain whether this was done. Look, or send it again in a moment; \
                     an event with its key, or an Idempotency-Key, is taken once however often it comes.",
                )
                .retry_after(2)
            }
            other => {
                tracing::error!(error = %other, "api.store: an unexpected answer");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "INTERNAL",
                    "Liaison failed. The log has the details under this request id.",
                )
            }
        }
    }
}

impl From<IntakeError> for ApiError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Busy { retry_after } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TOO_MANY_RUNS_WAITING",
                "More runs are waiting than this installation allows, so the event was not taken. Send it again later.",
            )
            .retry_after(retry_after.as_secs()),
            IntakeError::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "STOPPING",
                "This process is stopping and takes no more events. Send it again in a moment.",
            )
            .retry_after(2),
            IntakeError::Settled => Self::conflict("NOT_NOW", "Somebody dealt with this failed run just now. Look at it again."),
            IntakeError::Store(error) => error.into(),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotFound(run) => Self::not_found(format!("run {run}")),
            ControlError::NotNow(message) => Self::conflict("NOT_NOW", message),
            ControlError::KeyReused => Self::key_reused(),
            ControlError::SayFirst { path } => Self {
                details: vec![ErrorDetail { field: "uncertain".to_owned(), message: format!("Step {path} may have happened.") }],
                ..Self::conflict(
                    "SAY_WHAT_HAPPENED",
                    format!(
                        "Step {path} may have happened. Look in the other system, then send \
                         {{\"uncertain\": \"happened\", \"output\": …}} or {{\"uncertain\": \"repeat\"}}."
                    ),
                )
            },
            ControlError::NotKept(run) => Self::conflict(
                "PAYLOAD_NOT_KEPT",
                format!(
                    "The event of run {run} was not kept: its recipe says so in `settings.keep.payloads`. Send the event along, \
                     as {{\"event\": …}}, or let its sender send it again."
                ),
            ),
            ControlError::Store(error) => error.into(),
            ControlError::Intake(error) => error.into(),
        }
    }
}
