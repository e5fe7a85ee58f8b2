//! Checks a request against the recipe's connection, and reads its events where the connector knows how.

use axum::http::{StatusCode, request::Parts};
use connector::{Inbound, Reading};
use engine::LiveRecipe;
use recipe::ast::TriggerSource;

use crate::{error::ApiError, state::Shared};

/// What a verified request is.
pub(super) enum Judged {
    /// One event: the request itself, with the sender's own id of it.
    Request(Option<String>),
    /// What the connector made of it.
    Events(Reading),
}

/// Why it is not taken.
pub(super) enum Unfit {
    /// Nobody checks requests at this address, or somebody else sent it.
    Unverified(ApiError),
    /// The sender is who it should be, and what came cannot be read.
    Unreadable(ApiError),
}

pub(super) fn judge(
    app: &Shared,
    catalogue: &engine::Catalogue,
    recipe: &LiveRecipe,
    parts: &Parts,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Judged, Unfit> {
    let slug = &recipe.program.slug;
    let nobody = |why: String| Unfit::Unverified(ApiError::not_found(format!("webhook at this address: recipe {slug} {why}")));
    let (logical, wanted) = match &recipe.program.source {
        TriggerSource::Webhook => return Ok(Judged::Request(None)),
        TriggerSource::Connection { connection, trigger } => (connection, trigger),
        _ => return Err(nobody("is not started by one".to_owned())),
    };
    let missing = |why: String| {
        let message = format!("Recipe {slug} cannot check this request: {why}. Send it again once an admin has mended that.");
        Unfit::Unverified(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "CONNECTION_MISSING", message).retry_after(60))
    };
    let connection = catalogue.connections.get(logical).ok_or_else(|| match catalogue.sealed.get(logical) {
        Some(_) => missing(format!("the secrets of connection \"{logical}\" cannot be opened")),
        None => missing(format!("there is no connection \"{logical}\"")),
    })?;
    let connector = app.engine.connectors.iter().find(|connector| connector.id == connection.connector);
    let trigger = connector.and_then(|connector| connector.trigger(wanted)).ok_or_else(|| {
        missing(format!("connection \"{logical}\" is of connector {}, which has no trigger {wanted}", connection.connector))
    })?;
    let webhook = trigger
        .webhook
        .as_ref()
        .ok_or_else(|| nobody(format!("is started by {logical}.{wanted}, which asks the system by itself")))?;
    let inbound = Inbound {
        method: parts.method.as_str(),
        base: app.settings.public_url.trim_end_matches('/'),
        target: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers,
        body,
        now_s: app.now().micros() / 1_000_000,
    };
    let verified = (webhook.verify)(connection, &inbound)
        .map_err(|refused| Unfit::Unverified(ApiError::new(StatusCode::UNAUTHORIZED, refused.code, refused.message)))?;
    match &webhook.read {
        None => Ok(Judged::Request(verified.event_key)),
        Some(read) => read(connection, &recipe.program.trigger_with, &inbound)
            .map(Judged::Events)
            .map_err(|refused| Unfit::Unreadable(ApiError::new(StatusCode::BAD_REQUEST, refused.code, refused.message))),
    }
}
