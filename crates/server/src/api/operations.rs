//! Operations: what became of something that was wanted for many dead letters.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{ItemState, Operation, OperationChange, OperationId, OperationItem, RunId};
use utoipa::{IntoParams, ToSchema};

use super::{Page, instant, read_limit};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// An operation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperationOut {
    id: String,
    /// `resume`, `replay` or `discard`.
    kind: String,
    /// `running`, `paused`, `done` or `stopped`.
    state: String,
    /// Which dead letters, as they were asked for.
    selection: Value,
    /// For resume: `same` or `active`.
    version: String,
    /// What was said about steps that may have happened.
    uncertain: Option<String>,
    /// What those that happened returned.
    output: Option<Value>,
    /// Why they are discarded.
    reason: Option<String>,
    /// Runs per second at most.
    rate: Option<u32>,
    /// What is put on each event before it runs again.
    patch: Option<Value>,
    /// So many go first and must end well; 0 once the rest may go.
    first: i32,
    /// How many it takes.
    total: i32,
    /// How many were dealt with.
    done: i32,
    /// How many could not be; `/operations/{id}/runs?state=failed` says why.
    failed: i32,
    /// How many are left.
    left: i32,
    /// Why it was stopped.
    note: Option<String>,
    by: String,
    at: String,
    ended_at: Option<String>,
}

/// One run of an operation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemOut {
    id: String,
    /// `pending`, `begun`, `done` or `failed`.
    state: String,
    /// The new run of a replay.
    run: Option<String>,
    /// Why it was refused.
    message: Option<String>,
}

/// Which operations.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationsQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    limit: Option<u32>,
}

/// Which runs of an operation.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsQuery {
    /// `pending`, `begun`, `done` or `failed`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    limit: Option<u32>,
}

pub(crate) fn operation_out(operation: Operation) -> OperationOut {
    OperationOut {
        id: operation.id.to_string(),
        kind: operation.kind.as_str().to_owned(),
        state: operation.state.as_str().to_owned(),
        selection: operation.selection,
        version: if operation.options.active_version { "active" } else { "same" }.to_owned(),
        uncertain: operation.options.uncertain,
        output: operation.options.output,
        reason: operation.options.reason,
        rate: operation.options.rate,
        patch: operation.options.patch,
        first: operation.first,
        total: operation.total,
        done: operation.done,
        failed: operation.failed,
        left: operation.total - operation.done - operation.failed,
        note: operation.note,
        by: operation.by,
        at: instant(operation.at),
        ended_at: operation.ended_at.map(instant),
    }
}

fn item_out(item: OperationItem) -> ItemOut {
    ItemOut {
        id: item.run.to_string(),
        state: item.state.as_str().to_owned(),
        run: item.result.map(|run| run.to_string()),
        message: item.message,
    }
}

pub(crate) fn read_operation(text: &str) -> Result<OperationId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(format!("operation {text:?}")))
}

fn bad_cursor() -> ApiError {
    ApiError::field("cursor", "cursor is not one of this list. Begin without it.")
}

/// Operations, newest first.
#[utoipa::path(get, path = "/operations", tag = "operations", params(OperationsQuery), responses((status = 200, body = Page<OperationOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<OperationsQuery>,
) -> Result<Json<Page<OperationOut>>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let limit = read_limit(query.limit)?;
    let cursor = query.cursor.filter(|text| !text.is_empty());
    let before = cursor.map(|text| text.parse::<OperationId>().map_err(|_| bad_cursor())).transpose()?;
    let rows = app.store().operations(before, limit + 1).await?;
    Ok(Json(Page::cut(rows.into_iter().map(operation_out).collect(), limit, |row| row.id.clone())))
}

/// One operation and how far it is.
#[utoipa::path(get, path = "/operations/{id}", tag = "operations", params(("id" = String, Path)),
    responses((status = 200, body = OperationOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<OperationOut>, ApiError> {
    caller.need(Scope::RunsRead)?;
    Ok(Json(operation_out(find(&app, &id).await?)))
}

async fn find(app: &Shared, id: &str) -> Result<Operation, ApiError> {
    let found = app.store().operation(read_operation(id)?).await?;
    found.ok_or_else(|| ApiError::not_found(format!("operation {id}")))
}

/// The runs of an operation and what became of each.
#[utoipa::path(get, path = "/operations/{id}/runs", tag = "operations", params(("id" = String, Path), ItemsQuery),
    responses((status = 200, body = Page<ItemOut>), (status = 404, body = ErrorBody)))]
pub(crate) async fn runs(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Page<ItemOut>>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let operation = find(&app, &id).await?;
    let limit = read_limit(query.limit)?;
    let state =
        match query.state.as_deref().filter(|word| !word.is_empty()) {
            None => None,
            Some(word) => Some(ItemState::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
                ApiError::field("state", format!("state is {word:?}; it must be pending, begun, done or failed."))
            })?),
        };
    let cursor = query.cursor.filter(|text| !text.is_empty());
    let after = cursor.map(|text| text.parse::<RunId>().map_err(|_| bad_cursor())).transpose()?;
    let rows = app.store().operation_items(operation.id, state, after, limit + 1).await?;
    Ok(Json(Page::cut(rows.into_iter().map(item_out).collect(), limit, |row| row.id.clone())))
}

pub(crate) async fn change(app: &Shared, id: &str, change: OperationChange) -> Result<Operation, ApiError> {
    let operation = find(app, id).await?;
    let wanted = match change {
        OperationChange::Pause => "paused; only a running one can be",
        OperationChange::GoOn => "resumed; only a paused one can be",
        OperationChange::Stop(_) | OperationChange::Release => "stopped; it is over",
    };
    if !app.engine.change_operation(operation.id, change).await? {
        let state = find(app, id).await?.state.as_str();
        return Err(ApiError::conflict("NOT_NOW", format!("This operation is {state}, so it cannot be {wanted}.")));
    }
    find(app, id).await
}

async fn changed(
    app: &Shared,
    caller: &Caller,
    id: &str,
    wish: OperationChange,
) -> Result<(StatusCode, Json<OperationOut>), ApiError> {
    caller.need(Scope::RunsWrite)?;
    Ok((StatusCode::ACCEPTED, Json(operation_out(change(app, id, wish).await?))))
}

/// Pauses a running operation; what is under way at this moment is finished.
#[utoipa::path(post, path = "/operations/{id}/pause", tag = "operations", params(("id" = String, Path)),
    responses((status = 202, body = OperationOut), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn pause(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<OperationOut>), ApiError> {
    changed(&app, &caller, &id, OperationChange::Pause).await
}

/// Goes on with a paused operation.
#[utoipa::path(post, path = "/operations/{id}/resume", tag = "operations", params(("id" = String, Path)),
    responses((status = 202, body = OperationOut), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn resume(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<OperationOut>), ApiError> {
    changed(&app, &caller, &id, OperationChange::GoOn).await
}

/// Ends an operation; the runs whose turn has not come stay as they are.
#[utoipa::path(post, path = "/operations/{id}/stop", tag = "operations", params(("id" = String, Path)),
    responses((status = 202, body = OperationOut), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn stop(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<OperationOut>), ApiError> {
    changed(&app, &caller, &id, OperationChange::Stop(None)).await
}
