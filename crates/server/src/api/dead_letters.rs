//! Dead letters: runs that failed and wait for somebody.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use store::{RunFilter, RunId};
use utoipa::ToSchema;

use super::{
    JsonBody, Page,
    runs::{RunRowOut, RunsQuery, read_doubt, read_filter, read_id, row_out},
};
use crate::{access::Caller, error::ApiError, state::Shared};

/// Dead letters one call deals with at most.
const AT_ONCE_MAX: usize = 1000;

/// Which dead letters.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selection {
    /// These runs.
    ids: Option<Vec<String>>,
    /// Or all open ones of this recipe.
    recipe: Option<String>,
    /// For resume: what became of steps that may have happened, `happened` or `repeat`.
    uncertain: Option<String>,
    /// For discard: why.
    reason: Option<String>,
}

/// What became of each.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Outcome {
    /// Dealt with.
    done: Vec<String>,
    /// Not dealt with, and why.
    refused: Vec<RefusedOne>,
}

/// One that was not dealt with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedOne {
    id: String,
    message: String,
}

/// Open dead letters, newest first.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", params(RunsQuery), responses((status = 200, body = Page<RunRowOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Page<RunRowOut>>, ApiError> {
    caller.need("runs:read")?;
    let filter = RunFilter { dead_letters: true, ..read_filter(&app, &query).await? };
    let rows = app.store().runs(&RunFilter { limit: filter.limit + 1, ..filter.clone() }).await?;
    Ok(Json(Page::cut(rows.into_iter().map(row_out).collect(), filter.limit, |row| row.id.clone())))
}

async fn select(app: &Shared, selection: &Selection) -> Result<Vec<RunId>, ApiError> {
    match (&selection.ids, &selection.recipe) {
        (Some(ids), None) if ids.len() <= AT_ONCE_MAX => ids.iter().map(|id| read_id(id)).collect(),
        (Some(ids), None) => {
            Err(ApiError::field("ids", format!("{} ids are more than the {AT_ONCE_MAX} one call takes.", ids.len())))
        }
        (None, Some(slug)) => {
            let query = RunsQuery { recipe: Some(slug.clone()), ..RunsQuery::default() };
            let filter = RunFilter {
                dead_letters: true,
                limit: u32::try_from(AT_ONCE_MAX).unwrap_or(u32::MAX),
                ..read_filter(app, &query).await?
            };
            Ok(app.store().runs(&filter).await?.into_iter().map(|row| row.id).collect())
        }
        _ => Err(ApiError::field("ids", "Say which dead letters: either ids or recipe.")),
    }
}

fn sorted(outcomes: Vec<(RunId, Result<RunId, ApiError>)>) -> (StatusCode, Json<Outcome>) {
    let mut outcome = Outcome { done: Vec::new(), refused: Vec::new() };
    for (id, result) in outcomes {
        match result {
            Ok(done) => outcome.done.push(done.to_string()),
            Err(error) => outcome.refused.push(RefusedOne { id: id.to_string(), message: error.message }),
        }
    }
    (StatusCode::ACCEPTED, Json(outcome))
}

/// Lets dead letters go on at the steps that failed.
#[utoipa::path(post, path = "/dead-letters/resume", tag = "dead letters", request_body = Selection, responses((status = 202, body = Outcome)))]
pub(crate) async fn resume(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(selection): JsonBody<Selection>,
) -> Result<(StatusCode, Json<Outcome>), ApiError> {
    caller.need("runs:write")?;
    let doubt = read_doubt(selection.uncertain.as_deref(), None)?;
    let mut outcomes = Vec::new();
    for id in select(&app, &selection).await? {
        let result = app.engine.resume(id, doubt.clone(), &caller.name).await;
        outcomes.push((id, result.map(|()| id).map_err(ApiError::from)));
    }
    Ok(sorted(outcomes))
}

/// Runs the events of dead letters again as new runs; `done` names the new runs.
#[utoipa::path(post, path = "/dead-letters/replay", tag = "dead letters", request_body = Selection, responses((status = 202, body = Outcome)))]
pub(crate) async fn replay(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(selection): JsonBody<Selection>,
) -> Result<(StatusCode, Json<Outcome>), ApiError> {
    caller.need("runs:write")?;
    let mut outcomes = Vec::new();
    for id in select(&app, &selection).await? {
        outcomes.push((id, app.engine.replay(id, None).await.map_err(ApiError::from)));
    }
    Ok(sorted(outcomes))
}

/// Puts dead letters aside, with a reason.
#[utoipa::path(post, path = "/dead-letters/discard", tag = "dead letters", request_body = Selection, responses((status = 202, body = Outcome)))]
pub(crate) async fn discard(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(selection): JsonBody<Selection>,
) -> Result<(StatusCode, Json<Outcome>), ApiError> {
    caller.need("runs:write")?;
    let Some(reason) = selection.reason.as_deref().filter(|reason| !reason.trim().is_empty()) else {
        return Err(ApiError::field("reason", "Say why these are discarded; the reason is kept."));
    };
    let mut outcomes = Vec::new();
    for id in select(&app, &selection).await? {
        let result = app.engine.discard(id, reason, &caller.name).await;
        outcomes.push((id, result.map(|()| id).map_err(ApiError::from)));
    }
    Ok(sorted(outcomes))
}
