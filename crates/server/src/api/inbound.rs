//! Requests to webhook addresses that started no run: seen, given to a recipe after all, removed.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use engine::{Event, Intake};
use recipe::ast::TriggerSource;
use serde::{Deserialize, Serialize};
use store::{InboundFilter, InboundId, InboundRow, Verdict};
use utoipa::{IntoParams, ToSchema};

use super::{JsonBody, Page, instant, read_instant, read_limit};
use crate::{
    access::{Caller, Scope},
    error::ApiError,
    hooks::{Mask, event, parse},
    state::Shared,
};

/// Which requests.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct InboundQuery {
    /// `unverified`, `unknown`, `switched_off`, `unparsable` or `filtered`.
    verdict: Option<String>,
    /// What stands after `/hooks/`, or the recipe's slug.
    address: Option<String>,
    /// Received at or after.
    since: Option<String>,
    /// Received before.
    until: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page.
    limit: Option<u32>,
}

/// A request that started no run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InboundOut {
    pub(crate) id: String,
    received_at: String,
    /// What stood after `/hooks/`.
    address: String,
    method: String,
    /// What followed the address.
    path: String,
    query: String,
    /// Names and values in the order they came, secrets masked.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: serde_json::Value,
    /// How long the body was.
    body_bytes: i64,
    /// Why it started no run.
    verdict: String,
    /// What the sender was told.
    code: String,
    reason: String,
    expires_at: String,
    /// The recipe at the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<String>,
    /// The run it started after somebody gave it to a recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// How much of the body was kept. Only of one request by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_kept_bytes: Option<usize>,
    /// Whether less was kept than came: it cannot be given to a recipe then. Only of one request by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_cut: Option<bool>,
    /// The body, when it is text. Only of one request by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The body in base64, when it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

fn out(row: InboundRow) -> InboundOut {
    InboundOut {
        id: row.id.to_string(),
        received_at: instant(row.received_at),
        address: row.address,
        method: row.method,
        path: row.path,
        query: row.query,
        headers: row.headers,
        body_bytes: row.body_bytes,
        verdict: row.verdict.as_str().to_owned(),
        code: row.code,
        reason: row.reason,
        expires_at: instant(row.expires_at),
        recipe: Some(row.bucket).filter(|slug| !slug.is_empty()),
        run_id: row.run.map(|run| run.to_string()),
        body_kept_bytes: None,
        body_cut: None,
        body: None,
        body_base64: None,
    }
}

/// Whether less of the body was kept than came.
fn is_cut(row: &InboundRow) -> bool {
    usize::try_from(row.body_bytes).is_ok_and(|whole| whole > row.body.len())
}

/// Requests that started no run, newest first.
#[utoipa::path(get, path = "/inbound", tag = "inbound", params(InboundQuery), responses((status = 200, body = Page<InboundOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<InboundQuery>,
) -> Result<Json<Page<InboundOut>>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let limit = read_limit(query.limit)?;
    let verdict = query.verdict.as_deref().map(|word| {
        let words: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect();
        Verdict::parse(word)
            .ok_or_else(|| ApiError::field("verdict", format!("verdict is {word:?}; it must be one of {}.", words.join(", "))))
    });
    let filter = InboundFilter {
        verdict: verdict.transpose()?,
        address: query.address,
        since: read_instant("since", query.since.as_deref())?,
        until: read_instant("until", query.until.as_deref())?,
        before: query
            .cursor
            .as_deref()
            .map(|cursor| cursor.parse().map_err(|_| ApiError::field("cursor", "cursor is not one that a page gave.")))
            .transpose()?,
        limit: limit + 1,
    };
    let rows = app.store().inbound(&filter).await?;
    Ok(Json(Page::cut(rows.into_iter().map(out).collect(), limit, |row| row.id.clone())))
}

async fn find(app: &Shared, id: &str) -> Result<InboundRow, ApiError> {
    let row = match id.parse::<InboundId>() {
        Ok(id) => app.store().inbound_by_id(id).await?,
        Err(_) => None,
    };
    row.ok_or_else(|| ApiError::not_found(format!("kept request {id}")))
}

/// One request with its body.
#[utoipa::path(get, path = "/inbound/{id}", tag = "inbound", params(("id" = String, Path)), responses((status = 200, body = InboundOut)))]
pub(crate) async fn get(State(app): State<Shared>, caller: Caller, Path(id): Path<String>) -> Result<Json<InboundOut>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let mut row = find(&app, &id).await?;
    let (body_kept_bytes, body_cut) = (Some(row.body.len()), Some(is_cut(&row)));
    let (body, body_base64) = match String::from_utf8(std::mem::take(&mut row.body)) {
        Ok(text) => (Some(text), None),
        Err(bytes) => (None, Some(BASE64.encode(bytes.as_bytes()))),
    };
    Ok(Json(InboundOut { body_kept_bytes, body_cut, body, body_base64, ..out(row) }))
}

/// To which recipe.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assign {
    /// Its slug. It must be switched on and started by a webhook.
    recipe: String,
}

/// What became of a request somebody gave to a recipe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Assigned {
    /// The run; of the first such event when this one came before.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// A run of this event was there already.
    duplicate: bool,
    /// The recipe's trigger does not want it.
    filtered: bool,
}

/// Gives a request to a recipe as an event, as if its sender had been let in. What tells equal events in the
/// recipe applies; without that, one request starts one run of a recipe at most.
#[utoipa::path(
    post, path = "/inbound/{id}/assign", tag = "inbound", params(("id" = String, Path)), request_body = Assign,
    responses((status = 202, body = Assigned), (status = 200, body = Assigned))
)]
pub(crate) async fn assign(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(wish): JsonBody<Assign>,
) -> Result<(StatusCode, Json<Assigned>), ApiError> {
    caller.need(Scope::RunsWrite)?;
    let row = find(&app, &id).await?;
    let catalogue = app.engine.catalogue();
    let recipe = catalogue.recipes.get(&wish.recipe).ok_or_else(|| {
        ApiError::conflict("NOT_NOW", format!("No recipe {} is switched on. Switch it on, then try again.", wish.recipe))
    })?;
    if !matches!(recipe.program.source, TriggerSource::Webhook | TriggerSource::Connection { .. }) {
        return Err(ApiError::conflict("NOT_NOW", format!("Recipe {} is not started by a webhook.", wish.recipe)));
    }
    if is_cut(&row) {
        return Err(ApiError::conflict(
            "BODY_CUT",
            format!(
                "Only {} of the {} bytes of its body were kept. Let the sender send it again; inbound_body_bytes_max says how much is kept.",
                row.body.len(),
                row.body_bytes
            ),
        ));
    }
    let headers: Vec<(String, String)> = serde_json::from_value(row.headers.clone()).unwrap_or_default();
    let body = parse(Some(&app.engine), &headers, &row.body).await?;
    let event = Event {
        key: Some(format!("inbound:{}", row.id).into()),
        ..event(&row.method, &row.path, &row.query, &Mask::default(), &headers, body)
    };
    let (status, run, duplicate) = match app.engine.accept(recipe, event).await? {
        Intake::Accepted { run, .. } => (StatusCode::ACCEPTED, Some(run), false),
        Intake::Duplicate { run, .. } => (StatusCode::OK, Some(run), true),
        Intake::Filtered => (StatusCode::OK, None, false),
    };
    if run.is_some() {
        app.store().assign_inbound(row.id, recipe.row.id, run).await?;
    }
    metrics::counter!("liaison_inbound_assigned_total").increment(1);
    tracing::info!(request = %row.id, recipe = wish.recipe, by = caller.name, "inbound.assign");
    let filtered = run.is_none();
    Ok((status, Json(Assigned { run_id: run.map(|run| run.to_string()), duplicate, filtered })))
}

/// Removes a request.
#[utoipa::path(delete, path = "/inbound/{id}", tag = "inbound", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(State(app): State<Shared>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    caller.need(Scope::RunsWrite)?;
    let row = find(&app, &id).await?;
    app.store().delete_inbound(row.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
