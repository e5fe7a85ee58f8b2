//! Runs: starting, reading, cancelling, resuming, replaying, watching.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode},
    response::{IntoResponse, Response},
};
use engine::{
    Event, Intake,
    control::{Doubtful, Replay},
    resume::Said,
    trial::short_name,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{RunFilter, RunId, RunRow, RunStatus, Via};
use utoipa::{IntoParams, ToSchema};

use super::{Done, JsonBody, Page, bytes, files::RefOut, instant, not_json, read_instant, read_limit, read_wait};
use crate::{
    access::{Caller, Scope},
    detail::{self, Behind, RunDetail, StepDetail},
    error::{ApiError, ErrorBody, ErrorDetail},
    state::Shared,
};

/// A started run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StartedOut {
    id: RunIdText,
    status: String,
    /// The result, when the caller waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    /// Why it failed, when the caller waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

type RunIdText = String;

/// A run in one line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunRowOut {
    pub(super) id: String,
    recipe: String,
    version: i32,
    status: String,
    waiting_for: Option<String>,
    /// When it goes on by itself.
    due_at: Option<String>,
    label: Option<String>,
    /// What started it: `webhook`, `api`, `schedule`, `replay`, `call`, `failure`.
    via: String,
    replay_of: Option<String>,
    /// The run that called it.
    called_by: Option<String>,
    started_at: String,
    ended_at: Option<String>,
    /// The most attempts any of its steps needed.
    attempts: i32,
    error: Option<Value>,
    dead_letter: Option<Value>,
}

/// One run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunOut {
    #[serde(flatten)]
    row: RunRowOut,
    /// What stays of its data once it is over: `full`, `redacted` (names, no values) or `none`.
    payloads: String,
    /// When its data was taken out.
    #[serde(skip_serializing_if = "Option::is_none")]
    payloads_removed_at: Option<String>,
    /// While it waits its turn (`waiting_for` is `order`): behind whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<BehindOut>,
    /// The event it began with.
    trigger: Value,
    /// Where the event is, when it is too large to be shown here.
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_ref: Option<RefOut>,
    steps: Vec<StepOut>,
    /// Steps in passes of loops that are not among them because there are so many; `pass` shows one.
    #[serde(skip_serializing_if = "is_zero")]
    steps_left_out: usize,
    output: Option<Value>,
    /// Where the result is, when it is too large to be shown here.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_ref: Option<RefOut>,
}

/// Who stands before a run that waits its turn.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BehindOut {
    /// The run whose turn it is; the first of them where several go at once.
    run: String,
    /// Its recipe.
    recipe: String,
    /// How it stands.
    status: String,
    /// What it waits for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<String>,
    /// Since when.
    started_at: String,
    /// Runs that stand before the one that waits, this one included; counted up to 1,000.
    before: u32,
}

impl From<Behind> for BehindOut {
    fn from(Behind { head, before }: Behind) -> Self {
        let RunRowOut { id: run, recipe, status, waiting_for, started_at, .. } = row_out(head);
        Self { run, recipe, status, waiting_for, started_at, before }
    }
}

/// One step of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepOut {
    /// Its place in the run, loop passes included: `push[17].up`.
    path: String,
    id: String,
    /// What it uses: `http.request`, `set`, `choose`.
    #[serde(rename = "use")]
    uses: String,
    status: detail::StepStatus,
    /// How many attempts it needed.
    attempts: usize,
    started_at: String,
    finished_at: Option<String>,
    input: Option<Value>,
    /// Where the input is, when it is too large to be shown here.
    #[serde(skip_serializing_if = "Option::is_none")]
    input_ref: Option<RefOut>,
    output: Option<Value>,
    /// Where the output is, when it is too large to be shown here.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_ref: Option<RefOut>,
    error: Option<Value>,
}

/// Which runs to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsQuery {
    /// A recipe's slug.
    pub(crate) recipe: Option<String>,
    /// One status, or several separated by commas.
    pub(crate) status: Option<String>,
    /// Part of a label, or a run's id.
    pub(crate) q: Option<String>,
    /// Accepted at or after this instant.
    pub(crate) since: Option<String>,
    /// Accepted before this instant.
    pub(crate) until: Option<String>,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// Rows on a page, 1 to 200.
    pub(crate) limit: Option<u32>,
}

/// How to start a run.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartQuery {
    /// Wait so long for the result: `30s`.
    wait: Option<String>,
}

/// How to resume.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resumption {
    /// What became of a step that may have happened: `happened` or `repeat`.
    uncertain: Option<String>,
    /// What it returned, when it happened.
    #[serde(default, deserialize_with = "super::settle::said")]
    output: Option<Value>,
    /// `same` (the run's own version) or `active`.
    version: Option<String>,
}

/// How to replay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replaying {
    /// The event to run instead of the first one.
    event: Option<Value>,
    /// The version to run instead of the active one.
    version: Option<i32>,
}

pub(super) fn read_id(text: &str) -> Result<RunId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(format!("run {text:?}")))
}

pub(super) fn row_out(row: RunRow) -> RunRowOut {
    RunRowOut {
        id: row.id.to_string(),
        recipe: row.slug,
        version: row.version,
        status: row.status.as_str().to_owned(),
        waiting_for: row.waiting_for.map(|reason| reason.as_str().to_owned()),
        due_at: row.due_at.map(instant),
        label: row.label,
        via: row.via.as_str().to_owned(),
        called_by: row.parent.as_ref().map(|parent| parent.run.to_string()),
        replay_of: row.replay_of.map(|run| run.to_string()),
        started_at: instant(row.accepted_at),
        ended_at: row.ended_at.map(instant),
        attempts: row.attempts,
        error: row.error.and_then(|error| serde_json::to_value(error).ok()),
        dead_letter: row.dead_letter.and_then(|state| serde_json::to_value(state).ok()),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub(super) async fn run_out(app: &Shared, run: RunDetail) -> RunOut {
    let program = app.engine.program(run.row.recipe, run.row.version).await.ok();
    let uses = |path: &Arc<str>| program.as_ref().and_then(|program| program.uses(short_name(path))).unwrap_or_default();
    let id = run.row.id;
    // Shown without it when the store does not answer: who is before it is no part of the run.
    let behind = detail::behind(app.store(), &run.row).await.ok().flatten().map(BehindOut::from);
    let steps = run.steps.iter().map(|step| step_out(id, step, uses(&step.path))).collect();
    let error = run.error.and_then(|error| serde_json::to_value(error).ok());
    RunOut {
        row: RunRowOut { error: error.filter(|_| run.row.status == RunStatus::Failed), ..row_out(run.row) },
        payloads: run.keeps.map_or("full", |(keeps, _)| keeps.as_str()).to_owned(),
        payloads_removed_at: run.keeps.and_then(|(_, at)| at).map(instant),
        behind,
        trigger: Value::clone(&run.event),
        trigger_ref: RefOut::of(id, run.event_apart),
        steps,
        steps_left_out: run.left_out,
        output: run.output.map(|output| Value::clone(&output)),
        output_ref: RefOut::of(id, run.output_apart),
    }
}

fn step_out(run: RunId, step: &StepDetail, uses: String) -> StepOut {
    StepOut {
        path: step.path.to_string(),
        id: short_name(&step.path).to_owned(),
        uses,
        status: step.status,
        attempts: step.attempts.len(),
        started_at: instant(step.started_at),
        finished_at: step.finished_at.map(instant),
        input: step.input.as_deref().cloned(),
        input_ref: RefOut::of(run, step.input_apart),
        output: step.output.as_deref().cloned(),
        output_ref: RefOut::of(run, step.output_apart),
        error: step.error.as_ref().and_then(|error| serde_json::to_value(error).ok()),
    }
}

/// Starts a run of an active recipe with the body as its event.
#[utoipa::path(post, path = "/recipes/{slug}/runs", tag = "runs",
    params(("slug" = String, Path), StartQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first run again")),
    request_body(content = Value, description = "The event"),
    responses((status = 202, description = "Durable; runs on", body = StartedOut), (status = 200, description = "Ended while the caller waited", body = StartedOut),
        (status = 404, body = ErrorBody), (status = 409, description = "The key was used with another body", body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(crate) async fn start(
    State(app): State<Shared>,
    caller: Caller,
    Path(slug): Path<String>,
    Query(query): Query<StartQuery>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    caller.need(Scope::RunsWrite)?;
    let wait = read_wait(query.wait.as_deref(), app.settings.wait_max)?;
    let key = read_key(request.headers())?;
    let trace = crate::hooks::trace(request.headers());
    let body = bytes(request, &app).await?;
    let event: Value =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(|error| not_json(&error))? };
    let catalogue = app.engine.catalogue();
    let recipe = match catalogue.recipes.get(&slug) {
        Some(recipe) => recipe,
        None => {
            return Err(match app.store().recipe(&slug).await? {
                None => ApiError::not_found(format!("recipe {slug:?}")),
                Some(_) => ApiError::conflict(
                    "RECIPE_OFF",
                    format!("Recipe {slug:?} is switched off. Switch it on, then start the run."),
                ),
            });
        }
    };
    if let Some(schema) = &recipe.input {
        let details: Vec<_> = schema
            .iter_errors(&event)
            .map(|error| ErrorDetail { field: format!("body{}", error.instance_path()), message: error.to_string() })
            .take(20)
            .collect();
        if !details.is_empty() {
            return Err(ApiError::invalid("The body does not fit what the recipe says its input looks like.", details));
        }
    }
    // Taken before the run can change, so that no change is missed.
    let mut changes = app.engine.live.watch();
    let digest = Sha256::digest(&body);
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&digest[..16]);
    let event = Event {
        data: Arc::new(event),
        via: Via::Api,
        key_wins: key.is_some(),
        // A namespace of its own: a caller's key never meets a recipe's dedupe key.
        key: key.map(|key| format!("api:{key}").into()),
        fingerprint: Some(fingerprint),
        replay_of: None,
    };
    let (run, replayed) = match app.engine.accept_traced(recipe, event, trace).await? {
        Intake::Accepted { run, status, output, error } => {
            if status.is_final() && wait.is_some() && !recipe.program.responds() {
                let error = error.and_then(|error| serde_json::to_value(&*error).ok());
                let output = Some(output.map_or(Value::Null, |output| Value::clone(&output)));
                return Ok(
                    Json(StartedOut { id: run.to_string(), status: status.as_str().to_owned(), output, error }).into_response()
                );
            }
            (run, false)
        }
        Intake::Duplicate { same_content: false, .. } => {
            return Err(ApiError::key_reused());
        }
        Intake::Duplicate { run, .. } => (run, true),
        Intake::Filtered => {
            return Ok((StatusCode::OK, Json(serde_json::json!({ "filtered": true }))).into_response());
        }
    };
    if let Some(wait) = wait
        && let Some(said) = app.engine.response(&recipe.program, run, wait).await?
    {
        let mut response = crate::answer::of(&said, run);
        if replayed {
            replayed_before(&mut response);
        }
        return Ok(response);
    }
    let ended = match wait {
        Some(wait) => wait_for_end(&app, run, wait, &mut changes).await?,
        None => None,
    };
    let mut response = match ended {
        Some(detail) => {
            let error = detail.error.and_then(|error| serde_json::to_value(error).ok());
            let output = match detail.output_apart {
                Some(apart) => Some(app.engine.payload(apart.sha256).await?),
                None => detail.output,
            };
            let output = Some(output.map_or(Value::Null, |output| Value::clone(&output)));
            Json(StartedOut { id: run.to_string(), status: detail.row.status.as_str().to_owned(), output, error }).into_response()
        }
        None => {
            let status = app.store().run(run).await?.map_or(RunStatus::Queued, |row| row.status);
            let body = StartedOut { id: run.to_string(), status: status.as_str().to_owned(), output: None, error: None };
            (StatusCode::ACCEPTED, Json(body)).into_response()
        }
    };
    if replayed {
        replayed_before(&mut response);
    }
    Ok(response)
}

/// The key under which a caller may ask once more.
fn read_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if !text.is_empty() && text.len() <= 255 => Ok(Some(text.to_owned())),
        _ => Err(ApiError::field("Idempotency-Key", "Idempotency-Key must be 1 to 255 plain characters.")),
    }
}

/// Tells the caller that the answer is that of the first one under the key.
fn replayed_before(response: &mut Response) {
    response.headers_mut().insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
}

/// Waits until the run is over; `None` when it is not in time.
async fn wait_for_end(
    app: &Shared,
    run: RunId,
    wait: Duration,
    changes: &mut tokio::sync::broadcast::Receiver<RunId>,
) -> Result<Option<RunDetail>, ApiError> {
    // Runs of other processes are seen by looking; ours by the hint.
    const LOOK_EVERY: Duration = Duration::from_millis(500);
    let until = tokio::time::Instant::now() + wait;
    loop {
        if let Some(row) = app.store().run(run).await?
            && row.status.is_final()
        {
            return Ok(detail::read(app.store(), run).await?);
        }
        let now = tokio::time::Instant::now();
        if now >= until {
            return Ok(None);
        }
        let look = until.min(now + LOOK_EVERY);
        let hint = async {
            loop {
                match changes.recv().await {
                    Ok(changed) if changed != run => {}
                    // A slow watcher looks for itself.
                    _ => return,
                }
            }
        };
        tokio::select! {
            () = hint => {}
            () = tokio::time::sleep_until(look) => {}
        }
    }
}

/// Reads a filter of the run list.
pub(crate) async fn read_filter(app: &Shared, query: &RunsQuery) -> Result<RunFilter, ApiError> {
    let mut statuses = Vec::new();
    for word in query.status.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|word| !word.is_empty()) {
        statuses.push(RunStatus::parse(word).ok_or_else(|| {
            let words: Vec<_> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
            ApiError::field("status", format!("status is {word:?}; it must be one of {}.", words.join(", ")))
        })?);
    }
    let recipe = match query.recipe.as_deref().filter(|slug| !slug.is_empty()) {
        None => None,
        Some(slug) => Some(app.store().recipe(slug).await?.ok_or_else(|| ApiError::not_found(format!("recipe {slug:?}")))?.id),
    };
    Ok(RunFilter {
        recipe,
        statuses,
        text: query.q.clone().filter(|text| !text.trim().is_empty()),
        since: read_instant("since", query.since.as_deref().filter(|text| !text.is_empty()))?,
        until: read_instant("until", query.until.as_deref().filter(|text| !text.is_empty()))?,
        before: query
            .cursor
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().map_err(|_| ApiError::field("cursor", "cursor is not one of this list. Begin without it.")))
            .transpose()?,
        dead_letters: false,
        cause: None,
        limit: read_limit(query.limit)?,
    })
}

/// Runs, newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(RunsQuery), responses((status = 200, body = Page<RunRowOut>), (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Page<RunRowOut>>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let filter = read_filter(&app, &query).await?;
    let rows = app.store().runs(&RunFilter { limit: filter.limit + 1, ..filter.clone() }).await?;
    Ok(Json(Page::cut(rows.into_iter().map(row_out).collect(), filter.limit, |row| row.id.clone())))
}

/// What of a run to show.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunQuery {
    /// A pass of a loop that is to be shown wherever in its loop it is: `rows[51233]`.
    pub(crate) pass: Option<String>,
}

/// One run with its steps and data. Of loops with very many passes the first and the last are shown, and
/// those that failed or are not over.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = String, Path), RunQuery), responses((status = 200, body = RunOut), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<RunQuery>,
) -> Result<Json<RunOut>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let run = read_id(&id)?;
    let detail = match query.pass.as_deref() {
        Some(pass) => detail::read_with(app.store(), run, pass).await?,
        None => detail::read(app.store(), run).await?,
    };
    let detail = detail.ok_or_else(|| ApiError::not_found(format!("run {id}")))?;
    Ok(Json(run_out(&app, detail).await))
}

async fn done(app: &Shared, run: RunId) -> Result<(StatusCode, Json<Done>), ApiError> {
    let status = app.store().run(run).await?.map_or("unknown", |row| row.status.as_str());
    Ok((StatusCode::ACCEPTED, Json(Done { id: run.to_string(), status: status.to_owned() })))
}

/// Ends a run that is not over. A call under way may still happen.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", params(("id" = String, Path)),
    responses((status = 202, body = Done), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn cancel(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Done>), ApiError> {
    caller.need(Scope::RunsWrite)?;
    let run = read_id(&id)?;
    app.engine.cancel(run, &caller.name).await?;
    done(&app, run).await
}

/// Reads what somebody says about a step that may have happened.
pub(crate) fn read_doubt(word: Option<&str>, output: Option<Value>) -> Result<Option<Doubtful>, ApiError> {
    match word {
        None | Some("") => Ok(None),
        Some("happened") => match output {
            Some(output) => Ok(Some(Doubtful::Happened(output))),
            None => Err(super::settle::no_output()),
        },
        Some("repeat") => Ok(Some(Doubtful::Repeat)),
        Some(other) => {
            Err(ApiError::field("uncertain", format!("uncertain is {other:?}; it must be \"happened\" or \"repeat\".")))
        }
    }
}

/// Reads under which version a run goes on; true for the active one.
pub(super) fn read_version(word: Option<&str>) -> Result<bool, ApiError> {
    match word {
        None | Some("" | "same") => Ok(false),
        Some("active") => Ok(true),
        Some(other) => Err(ApiError::field("version", format!("version is {other:?}; it must be \"same\" or \"active\"."))),
    }
}

/// Lets a failed run go on at the step that failed. Finished steps are not done again.
#[utoipa::path(post, path = "/runs/{id}/resume", tag = "runs", params(("id" = String, Path)), request_body = Resumption,
    responses((status = 202, body = Done), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn resume(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(wish): JsonBody<Resumption>,
) -> Result<(StatusCode, Json<Done>), ApiError> {
    caller.need(Scope::RunsWrite)?;
    let run = read_id(&id)?;
    let said = read_doubt(wish.uncertain.as_deref(), wish.output)?;
    if matches!(said, Some(Doubtful::Happened(_))) && app.engine.doubts(run).await?.len() > 1 {
        let sentence = "Several steps of this run are in doubt; one answer cannot be the answer of each. Say it per step: POST /runs/{id}/settle.";
        return Err(ApiError::new(StatusCode::CONFLICT, "SEVERAL_DOUBTS", sentence));
    }
    let said = said.map_or(Said::Nothing, Said::All);
    let active_version = read_version(wish.version.as_deref())?;
    app.engine.resume_with(run, &engine::resume::Resumption { active_version, said, failed_at: None }, &caller.name).await?;
    done(&app, run).await
}

/// Runs the event again as a new run of the active version, linked to this one. A dead letter is settled with it: of several
/// who replay, resume or discard it at the same moment one is heard, and the others get 409. A run that was replayed
/// may be replayed once more; send an `Idempotency-Key` where an answer may get lost.
#[utoipa::path(post, path = "/runs/{id}/replay", tag = "runs", params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first new run again")), request_body = Replaying,
    responses((status = 202, description = "The new run", body = Done), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn replay(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(wish): JsonBody<Replaying>,
) -> Result<Response, ApiError> {
    caller.need(Scope::RunsWrite)?;
    let wish = Replay { event: wish.event, version: wish.version, key: read_key(&headers)?, failed_at: None };
    let new = app.engine.replay_with(read_id(&id)?, wish).await?;
    let mut response = done(&app, new.run).await?.into_response();
    if new.again {
        replayed_before(&mut response);
    }
    Ok(response)
}
