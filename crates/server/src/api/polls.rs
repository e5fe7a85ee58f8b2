//! Triggers that ask a system: how far they came, and where they begin.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use engine::{LiveRecipe, PollError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{PollPosition, PollRow, RecipeId, Timestamp};
use utoipa::ToSchema;

use super::{JsonBody, Page, Part, instant, read_limit};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// A trigger that asks, as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PollOut {
    recipe: String,
    recipe_id: String,
    /// `connection.trigger`.
    source: String,
    /// When it asks again; a recipe that is switched off does not ask.
    next_at: String,
    /// Seconds between two questions, as things are.
    pause_seconds: i64,
    /// When its system answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_at: Option<String>,
    /// When an answer last held something new.
    #[serde(skip_serializing_if = "Option::is_none")]
    found_at: Option<String>,
    /// Where it begins, until its first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// What the connector keeps of its last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Value>,
    /// Runs it started in all.
    runs: i64,
    /// Questions that failed since the last answer.
    failures: i64,
    /// Why the last question failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// Where to begin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    /// What happened at or after this instant starts runs, unless it did before.
    since: String,
    /// Only counts what would start.
    #[serde(default)]
    dry_run: bool,
}

/// What a move does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Moved {
    /// True when the trigger was moved.
    moved: bool,
    /// Events that would start runs; only of a dry run. Those that started one before are counted, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_start: Option<u64>,
    /// Events the trigger's condition does not want; only of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered: Option<u64>,
    /// True when there are more than were counted; only of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
}

impl PollOut {
    fn of(row: PollRow, recipe: String) -> Self {
        let (since, cursor) = match row.position {
            PollPosition::Since(micros) => (Some(instant(Timestamp::from_micros(micros))), None),
            PollPosition::After(cursor) => (None, Some(cursor)),
        };
        Self {
            recipe,
            recipe_id: row.recipe.to_string(),
            source: row.source,
            next_at: instant(row.due_at),
            pause_seconds: row.pause_us / 1_000_000,
            asked_at: row.asked_at.map(instant),
            found_at: row.found_at.map(instant),
            since,
            cursor,
            runs: row.events,
            failures: row.failures,
            error: row.error,
        }
    }
}

/// Triggers that ask, in the order of their recipes' ids.
#[utoipa::path(get, path = "/polls", tag = "polls", params(Part), responses((status = 200, body = Page<PollOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(asked): Query<Part>,
) -> Result<Json<Page<PollOut>>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let limit = read_limit(asked.limit)?;
    let after = asked.cursor.as_deref().map(str::parse::<RecipeId>).transpose();
    let after = after.map_err(|_| ApiError::field("cursor", "This cursor is of another list. Begin without one."))?;
    let mut rows = Vec::new();
    for row in app.store().polls(after, limit + 1).await? {
        let slug = app.store().recipe_by_id(row.recipe).await?.map(|recipe| recipe.slug);
        rows.push(PollOut::of(row, slug.unwrap_or_default()));
    }
    Ok(Json(Page::cut(rows, limit, |row| row.recipe_id.clone())))
}

/// How the trigger of one recipe stands.
#[utoipa::path(get, path = "/polls/{recipe}", tag = "polls", params(("recipe" = String, Path)),
    responses((status = 200, body = PollOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(State(app): State<Shared>, caller: Caller, Path(slug): Path<String>) -> Result<Json<PollOut>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let missing = || ApiError::not_found(format!("trigger of {slug:?} that asks a system"));
    let recipe = app.store().recipe(&slug).await?.ok_or_else(missing)?;
    let row = app.store().poll(recipe.id).await?.ok_or_else(missing)?;
    Ok(Json(PollOut::of(row, slug)))
}

/// Moves a trigger to another instant, or only counts what that would start.
#[utoipa::path(post, path = "/polls/{recipe}/move", tag = "polls", params(("recipe" = String, Path)), request_body = Move,
    responses((status = 200, body = Moved), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(crate) async fn shift(
    State(app): State<Shared>,
    caller: Caller,
    Path(slug): Path<String>,
    JsonBody(wanted): JsonBody<Move>,
) -> Result<Json<Moved>, ApiError> {
    caller.need(Scope::RecipesWrite)?;
    let recipe = live(&app, &slug)?;
    let since: jiff::Timestamp = wanted.since.trim().parse().map_err(|_| {
        ApiError::field(
            "since",
            format!("{:?} is no instant. Write a date and a time with its zone: 2026-03-01T08:00:00Z.", wanted.since),
        )
    })?;
    let since = Timestamp::from_micros(since.as_microsecond());
    if wanted.dry_run {
        let count = app.engine.count_poll(&recipe, since).await.map_err(|error| refused(error, &slug))?;
        let (would_start, filtered, more) = (Some(count.wanted), Some(count.filtered), Some(count.more));
        return Ok(Json(Moved { moved: false, would_start, filtered, more }));
    }
    app.engine.move_poll(&recipe, since).await.map_err(|error| refused(error, &slug))?;
    Ok(Json(Moved { moved: true, would_start: None, filtered: None, more: None }))
}

/// Lets a trigger ask at once.
#[utoipa::path(post, path = "/polls/{recipe}/ask", tag = "polls", params(("recipe" = String, Path)),
    responses((status = 202, description = "It asks"), (status = 404, body = ErrorBody)))]
pub(crate) async fn ask(State(app): State<Shared>, caller: Caller, Path(slug): Path<String>) -> Result<StatusCode, ApiError> {
    caller.need(Scope::RecipesWrite)?;
    let recipe = live(&app, &slug)?;
    app.engine.hasten_poll(&recipe).await.map_err(|error| refused(error, &slug))?;
    Ok(StatusCode::ACCEPTED)
}

fn live(app: &Shared, slug: &str) -> Result<Arc<LiveRecipe>, ApiError> {
    let found = app.engine.catalogue().recipes.get(slug).map(Arc::clone);
    found.ok_or_else(|| ApiError::not_found(format!("recipe {slug:?} that is switched on")))
}

fn refused(error: PollError, slug: &str) -> ApiError {
    match error {
        PollError::NotAsking => ApiError::not_found(format!("trigger of {slug:?} that asks a system")),
        PollError::Step(error) => {
            let next = error.next.unwrap_or_else(|| "Try again later.".to_owned());
            ApiError::new(
                StatusCode::BAD_GATEWAY,
                "NOT_ANSWERED",
                format!("The system could not be asked: {}. {next}", error.message),
            )
        }
        held @ PollError::Held(_) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "CONNECTION_HELD",
            format!("The system is not asked just now: {held}."),
        )
        .retry_after(30),
        PollError::Store(error) => error.into(),
    }
}
