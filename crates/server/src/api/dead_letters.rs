//! Dead letters: runs that failed and wait for somebody.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use engine::fingerprint::{fingerprint, without_passes};
use serde::{Deserialize, Serialize};
use store::{Cause, Fingerprint, RunFilter, RunId};
use utoipa::{IntoParams, ToSchema};

use super::{
    JsonBody, Page, instant, read_limit,
    runs::{RunRowOut, RunsQuery, read_doubt, read_filter, read_id, row_out},
};
use crate::{
    access::Caller,
    error::{ApiError, ErrorBody},
    state::Shared,
};

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

/// Which dead letters to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct LettersQuery {
    /// A recipe's slug.
    recipe: Option<String>,
    /// Only those of this cause.
    fingerprint: Option<String>,
    /// Part of a label, or a run's id.
    q: Option<String>,
    /// Accepted at or after this instant.
    since: Option<String>,
    /// Accepted before this instant.
    until: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    limit: Option<u32>,
}

/// A dead letter in one line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LetterOut {
    #[serde(flatten)]
    row: RunRowOut,
    /// What it has in common with others of the same cause.
    fingerprint: String,
}

/// Open dead letters that failed for the same reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CauseOut {
    fingerprint: String,
    recipe: String,
    /// The step that failed, whatever the pass of a loop.
    step: Option<String>,
    class: String,
    code: String,
    /// What the newest of them says.
    message: String,
    count: i64,
    /// When the first of them failed.
    first: String,
    /// When the last did.
    last: String,
    /// The newest of them.
    sample: String,
}

/// Which causes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct CausesQuery {
    /// A recipe's slug.
    recipe: Option<String>,
    /// How many, 1 to 200.
    limit: Option<u32>,
}

/// Open dead letters, newest first.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", params(LettersQuery),
    responses((status = 200, body = Page<LetterOut>), (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<LettersQuery>,
) -> Result<Json<Page<LetterOut>>, ApiError> {
    caller.need("runs:read")?;
    let cause = read_fingerprint(query.fingerprint.as_deref())?;
    if cause.is_some() {
        app.engine.sort_letters().await?;
    }
    let query = RunsQuery {
        recipe: query.recipe,
        status: None,
        q: query.q,
        since: query.since,
        until: query.until,
        cursor: query.cursor,
        limit: query.limit,
    };
    let filter = RunFilter { dead_letters: true, cause, ..read_filter(&app, &query).await? };
    let rows = app.store().runs(&RunFilter { limit: filter.limit + 1, ..filter.clone() }).await?;
    let rows = rows.into_iter().map(|row| {
        let fingerprint = fingerprint(row.recipe, row.error.as_ref()).to_string();
        LetterOut { row: row_out(row), fingerprint }
    });
    Ok(Json(Page::cut(rows.collect(), filter.limit, |letter| letter.row.id.clone())))
}

/// Why open dead letters failed, those causes with the most first.
#[utoipa::path(get, path = "/dead-letters/causes", tag = "dead letters", params(CausesQuery),
    responses((status = 200, body = Page<CauseOut>), (status = 404, body = ErrorBody)))]
pub(crate) async fn causes(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<CausesQuery>,
) -> Result<Json<Page<CauseOut>>, ApiError> {
    caller.need("runs:read")?;
    let limit = read_limit(query.limit)?;
    let recipe = match query.recipe.as_deref().filter(|slug| !slug.is_empty()) {
        None => None,
        Some(slug) => Some(app.store().recipe(slug).await?.ok_or_else(|| ApiError::not_found(format!("recipe {slug:?}")))?.id),
    };
    app.engine.sort_letters().await?;
    let causes = app.store().causes(recipe, limit).await?;
    Ok(Json(Page::whole(causes.into_iter().map(cause_out).collect())))
}

fn cause_out(cause: Cause) -> CauseOut {
    let error = cause.error;
    CauseOut {
        fingerprint: cause.fingerprint.to_string(),
        recipe: cause.slug,
        step: error.as_ref().and_then(|error| error.path.as_deref()).map(without_passes),
        class: error.as_ref().map(|error| error.class.clone()).unwrap_or_default(),
        code: error.as_ref().map(|error| error.code.clone()).unwrap_or_default(),
        message: error.map(|error| error.message).unwrap_or_default(),
        count: cause.count,
        first: instant(cause.first),
        last: instant(cause.last),
        sample: cause.sample.to_string(),
    }
}

fn read_fingerprint(text: Option<&str>) -> Result<Option<Fingerprint>, ApiError> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            text.parse().map_err(|_| {
                ApiError::field(
                    "fingerprint",
                    format!("fingerprint is {text:?}; it must have 32 hexadecimal digits, as /dead-letters/causes gives them."),
                )
            })
        })
        .transpose()
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
