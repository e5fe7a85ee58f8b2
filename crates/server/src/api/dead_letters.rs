//! Dead letters: runs that failed and wait for somebody.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use engine::{
    control::Doubtful,
    fingerprint::{fingerprint, without_passes},
    operations::NewOperation,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    Cause, CauseHours, Fingerprint, OPERATION_RUNS_MAX, Operation, OperationKind, OperationOptions, RunFilter, Selection,
};
use utoipa::{IntoParams, ToSchema};

use super::{
    JsonBody, Page, instant,
    operations::{OperationOut, operation_out},
    read_limit,
    runs::{RunRowOut, RunsQuery, read_doubt, read_filter, read_id, read_version, row_out},
};
use crate::{
    access::{Caller, Scope},
    error::{ApiError, ErrorBody},
    state::Shared,
};

/// Runs one call names at most.
const IDS_MAX: usize = 1000;
/// Runs per second somebody may ask for at most.
const RATE_MAX: u32 = 1000;
/// Runs that may go first at most.
const FIRST_MAX: u32 = 100;
/// A patch may be so large, written as JSON: it is kept with the operation and put on each event.
const PATCH_BYTES_MAX: usize = 64 * 1024;
/// A reason may be so long.
const REASON_CHARS_MAX: usize = 1000;

/// Which dead letters, and how they are dealt with. At least one of `ids`, `recipe`, `fingerprint`, `since`,
/// `until`, `q` and `all` says which; several narrow each other.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    /// These runs, and nothing else narrows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids: Option<Vec<String>>,
    /// All open ones of this recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recipe: Option<String>,
    /// All of this cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// All accepted at or after this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// All accepted before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// All whose label contains this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) q: Option<String>,
    /// Every open one there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) all: Option<bool>,
    /// For resume: `same` (each run's own version) or `active`.
    #[serde(skip_serializing)]
    pub(crate) version: Option<String>,
    /// For resume: what became of steps that may have happened, `happened` or `repeat`.
    #[serde(skip_serializing)]
    pub(crate) uncertain: Option<String>,
    /// For resume: what the steps that happened returned, the same for each. A run with several such steps is left alone.
    #[serde(default, deserialize_with = "super::settle::said", skip_serializing)]
    pub(crate) output: Option<Value>,
    /// For discard: why.
    #[serde(skip_serializing)]
    pub(crate) reason: Option<String>,
    /// For replay: a JSON merge patch (RFC 7396) put on each run's event before it runs again. Fields it names are
    /// set, those it gives as null are removed; the events of the dead letters stay as they are.
    #[serde(skip_serializing)]
    pub(crate) patch: Option<Value>,
    /// So many go first and must end well before the rest goes.
    #[serde(skip_serializing)]
    pub(crate) first: Option<u32>,
    /// Runs per second at most.
    #[serde(skip_serializing)]
    pub(crate) rate: Option<u32>,
}

/// An operation that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Begun {
    pub(crate) operation: OperationOut,
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
    /// How many of them failed in each of the last 24 hours: the oldest first, the last is the hour up to now.
    by_hour: Vec<i64>,
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
    caller.need(Scope::RunsRead)?;
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
    caller.need(Scope::RunsRead)?;
    let limit = read_limit(query.limit)?;
    let recipe = match query.recipe.as_deref().filter(|slug| !slug.is_empty()) {
        None => None,
        Some(slug) => Some(app.store().recipe(slug).await?.ok_or_else(|| ApiError::not_found(format!("recipe {slug:?}")))?.id),
    };
    app.engine.sort_letters().await?;
    let causes = app.store().causes(recipe, limit).await?;
    let of: Vec<_> = causes.iter().map(|cause| (cause.fingerprint, cause.recipe)).collect();
    let hours = app.store().cause_hours(&of, app.now()).await?;
    Ok(Json(Page::whole(causes.into_iter().zip(hours).map(|(cause, hours)| cause_out(cause, hours)).collect())))
}

fn cause_out(cause: Cause, hours: CauseHours) -> CauseOut {
    let error = cause.error;
    CauseOut {
        fingerprint: cause.fingerprint.to_string(),
        recipe: cause.slug,
        step: error.as_ref().and_then(|error| error.path.as_deref()).map(without_passes),
        class: error.as_ref().map(|error| error.class.clone()).unwrap_or_default(),
        code: error.as_ref().map(|error| error.code.clone()).unwrap_or_default(),
        message: error.map(|error| error.message).unwrap_or_default(),
        count: cause.count,
        by_hour: hours.to_vec(),
        first: instant(cause.first),
        last: instant(cause.last),
        sample: cause.sample.to_string(),
    }
}

pub(crate) fn read_fingerprint(text: Option<&str>) -> Result<Option<Fingerprint>, ApiError> {
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

/// Which runs a caller means.
pub(crate) async fn read_selection(app: &Shared, wish: &Bulk) -> Result<Selection, ApiError> {
    let narrowed = [&wish.recipe, &wish.fingerprint, &wish.since, &wish.until, &wish.q].iter().any(|field| field.is_some());
    match &wish.ids {
        Some(_) if narrowed || wish.all == Some(true) => {
            Err(ApiError::field("ids", "Name runs by ids, or say which with the other fields, but not both."))
        }
        Some(ids) if ids.len() > IDS_MAX => {
            Err(ApiError::field("ids", format!("{} ids are more than the {IDS_MAX} one call takes.", ids.len())))
        }
        Some(ids) if ids.is_empty() => Err(ApiError::field("ids", "ids is empty. Name at least one run.")),
        Some(ids) => Ok(Selection::Runs(ids.iter().map(|id| read_id(id)).collect::<Result<_, _>>()?)),
        None if !narrowed && wish.all != Some(true) => Err(ApiError::field(
            "ids",
            "Say which dead letters: ids, recipe, fingerprint, since, until or q; or \"all\": true for every one.",
        )),
        None => {
            let query = RunsQuery {
                recipe: wish.recipe.clone(),
                q: wish.q.clone(),
                since: wish.since.clone(),
                until: wish.until.clone(),
                ..RunsQuery::default()
            };
            let cause = read_fingerprint(wish.fingerprint.as_deref())?;
            let filter = RunFilter { dead_letters: true, cause, ..read_filter(app, &query).await? };
            Ok(Selection::Filter(Box::new(filter)))
        }
    }
}

/// Begins an operation on many dead letters.
pub(crate) async fn begin(app: &Shared, by: &str, kind: OperationKind, wish: Bulk) -> Result<Operation, ApiError> {
    let said = read_doubt(wish.uncertain.as_deref(), wish.output.clone())?;
    let active_version = read_version(wish.version.as_deref())?;
    let reason = match kind {
        OperationKind::Discard => Some(read_reason(wish.reason.as_deref())?),
        _ => None,
    };
    for (field, number, max) in [("rate", wish.rate, RATE_MAX), ("first", wish.first, FIRST_MAX)] {
        if number.is_some_and(|number| number == 0 || number > max) {
            return Err(ApiError::field(field, format!("{field} must be between 1 and {max}.")));
        }
    }
    if kind == OperationKind::Discard && wish.first.is_some() {
        return Err(ApiError::field(
            "first",
            "A discarded run does not run again, so there is nothing to wait for. Leave first out.",
        ));
    }
    let (uncertain, output) = match said {
        Some(Doubtful::Happened(output)) => (Some("happened".to_owned()), Some(output)),
        Some(Doubtful::Repeat) => (Some("repeat".to_owned()), None),
        None => (None, None),
    };
    read_patch(kind, wish.patch.as_ref())?;
    let selection = read_selection(app, &wish).await?;
    let new = NewOperation {
        kind,
        selection,
        asked: serde_json::to_value(&wish).unwrap_or_default(),
        options: OperationOptions { active_version, uncertain, output, reason, rate: wish.rate, patch: wish.patch },
        first: wish.first.unwrap_or(0),
        by: by.to_owned(),
    };
    app.engine.begin_operation(new).await?.ok_or_else(|| {
        ApiError::field(
            "since",
            format!("That takes more than {OPERATION_RUNS_MAX} dead letters. Take fewer at a time, with since and until."),
        )
    })
}

/// Whether a patch can be put on the events of dead letters.
fn read_patch(kind: OperationKind, patch: Option<&Value>) -> Result<(), ApiError> {
    let Some(patch) = patch else { return Ok(()) };
    let refused = |why: String| Err(ApiError::field("patch", why));
    match kind {
        OperationKind::Replay => {}
        OperationKind::Resume => {
            return refused("A resumed run goes on with the event it has. Leave patch out, or replay.".to_owned());
        }
        OperationKind::Discard => return refused("A discarded run does not run again. Leave patch out, or replay.".to_owned()),
    }
    if !patch.is_object() {
        return refused("patch must be a record of the fields to change, such as {\"currency\": \"EUR\"}.".to_owned());
    }
    let bytes = patch.to_string().len();
    if bytes > PATCH_BYTES_MAX {
        return refused(format!(
            "The patch has {bytes} bytes, more than the {PATCH_BYTES_MAX} one may have. Change fewer fields at a time."
        ));
    }
    Ok(())
}

/// Why something is put aside.
pub(crate) fn read_reason(reason: Option<&str>) -> Result<String, ApiError> {
    match reason.map(str::trim).filter(|reason| !reason.is_empty()) {
        None => Err(ApiError::field("reason", "Say why these are discarded; the reason is kept.")),
        Some(reason) if reason.chars().nth(REASON_CHARS_MAX).is_some() => {
            Err(ApiError::field("reason", format!("A reason has at most {REASON_CHARS_MAX} characters.")))
        }
        Some(reason) => Ok(reason.to_owned()),
    }
}

/// Lets dead letters go on at the steps that failed.
#[utoipa::path(post, path = "/dead-letters/resume", tag = "dead letters", request_body = Bulk,
    responses((status = 202, body = Begun), (status = 422, body = ErrorBody)))]
pub(crate) async fn resume(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(wish): JsonBody<Bulk>,
) -> Result<(StatusCode, Json<Begun>), ApiError> {
    caller.need(Scope::RunsWrite)?;
    begun(begin(&app, &caller.name, OperationKind::Resume, wish).await?)
}

/// Runs the events of dead letters again as new runs of the active version.
#[utoipa::path(post, path = "/dead-letters/replay", tag = "dead letters", request_body = Bulk,
    responses((status = 202, body = Begun), (status = 422, body = ErrorBody)))]
pub(crate) async fn replay(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(wish): JsonBody<Bulk>,
) -> Result<(StatusCode, Json<Begun>), ApiError> {
    caller.need(Scope::RunsWrite)?;
    begun(begin(&app, &caller.name, OperationKind::Replay, wish).await?)
}

/// Puts dead letters aside, with a reason.
#[utoipa::path(post, path = "/dead-letters/discard", tag = "dead letters", request_body = Bulk,
    responses((status = 202, body = Begun), (status = 422, body = ErrorBody)))]
pub(crate) async fn discard(
    State(app): State<Shared>,
    caller: Caller,
    JsonBody(wish): JsonBody<Bulk>,
) -> Result<(StatusCode, Json<Begun>), ApiError> {
    caller.need(Scope::RunsWrite)?;
    begun(begin(&app, &caller.name, OperationKind::Discard, wish).await?)
}

fn begun(operation: Operation) -> Result<(StatusCode, Json<Begun>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(Begun { operation: operation_out(operation) })))
}
