//! `/runs/{id}`: one run, what people do to it, and its data.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use engine::{OutlineStep, Program};
use recipe::ast::TriggerSource;
use serde::Deserialize;
use store::{DeadLetter, RunFilter, RunId, StoreError, Via};

use super::{
    run_rows::{self, Plan, mark_of},
    run_story,
    runs::{reason, status},
    visit::{Asked, Visitor, page},
};
use crate::{
    api::files,
    detail::{self, RunDetail, pass_of},
    error::ApiError,
    pages::{
        Behind, LeftOut, Mark, MessagePage, RunHead, RunPage, RunPane, RunQuery, RunStatus, StepKind, StepRow, Waiting,
        run::chosen, run::step_href,
    },
    state::{App, Shared},
};

pub(super) async fn timeline(
    state: State<Shared>,
    visitor: Visitor,
    path: Path<String>,
    query: Asked<RunQuery>,
) -> Result<Response, ApiError> {
    show(state, visitor, path, query, false).await
}

pub(super) async fn log(
    state: State<Shared>,
    visitor: Visitor,
    path: Path<String>,
    query: Asked<RunQuery>,
) -> Result<Response, ApiError> {
    show(state, visitor, path, query, true).await
}

async fn show(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(id): Path<String>,
    query: Asked<RunQuery>,
    log: bool,
) -> Result<Response, ApiError> {
    let query = query.map(|query| query.0.with_item()).unwrap_or_default();
    let shell = visitor.shell(&app).await;
    let Some((run, program)) = read(&app, &id, query.pass()).await? else {
        return Ok(page(StatusCode::NOT_FOUND, &MessagePage::run_not_found(shell, &id)));
    };
    let told = Told::of(&app, &run, program.as_deref());
    let mut rows = told.rows(&run);
    if let Some(at) = chosen(&rows, &query) {
        run_story::complete(&mut rows[at], &run, &told.outline);
    }
    let mut head = head(&run, &rows);
    head.newer_version = newer_version(&app, &run);
    if let Some(waiting) = &mut head.waiting {
        waiting.behind = detail::behind(app.store(), &run.row).await?.map(behind);
    }
    if run.row.dead_letter == Some(DeadLetter::Open) {
        // Not all are among the rows, and a doubt the recipe dealt with is no question any more.
        head.doubts = app.engine.doubts(run.row.id).await?;
    }
    head.left_out = left_out(&run, &rows);
    if let Some(error) = &mut head.error {
        error.others = others(&app, &run).await?;
    }
    let pane = if log { RunPane::Log(run_story::log(&run)) } else { RunPane::Timeline };
    Ok(page(StatusCode::OK, &RunPage::new(shell, head, rows, pane, &query)))
}

async fn read(app: &App, id: &str, pass: Option<&str>) -> Result<Option<(RunDetail, Option<Arc<Program>>)>, StoreError> {
    let Ok(id) = id.parse::<RunId>() else { return Ok(None) };
    let read = match pass {
        Some(pass) => detail::read_with(app.store(), id, pass).await?,
        None => detail::read(app.store(), id).await?,
    };
    let Some(run) = read else { return Ok(None) };
    // A version that this build cannot run is still shown from its journal.
    let program = app.engine.program(run.row.recipe, run.row.version).await.ok();
    Ok(Some((run, program)))
}

/// What the rows need besides the journal.
struct Told<'a> {
    outline: Vec<OutlineStep>,
    program: Option<&'a Program>,
    app: &'a App,
    trigger: Mark,
}

impl<'a> Told<'a> {
    fn of(app: &'a App, run: &RunDetail, program: Option<&'a Program>) -> Self {
        let outline = program.map_or_else(|| run_rows::outline_of(run), |program| program.outline.clone());
        Self { outline, program, app, trigger: trigger_mark(app, run.row.via, program) }
    }

    fn connections(&self) -> &[(String, String)] {
        self.program.map_or(&[], |program| program.connections.as_slice())
    }

    fn rows(&self, run: &RunDetail) -> Vec<StepRow> {
        let tries = |id: &str| self.program.and_then(|program| program.tries_max(id));
        let plan = Plan {
            outline: &self.outline,
            connections: self.connections(),
            connectors: &self.app.engine.connectors,
            tries: &tries,
            trigger: (trigger_title(run.row.via), &self.trigger),
        };
        run_rows::rows(run, plan)
    }
}

fn trigger_title(via: Via) -> &'static str {
    match via {
        Via::Webhook => "Webhook received",
        Via::Api => "Called over the API",
        Via::Schedule => "Schedule fired",
        Via::Replay => "Event replayed",
        Via::Call => "Run by another recipe",
        Via::Failure => "Another run failed",
        Via::Poll => "Found in the system",
    }
}

fn trigger_mark(app: &App, via: Via, program: Option<&Program>) -> Mark {
    match (via, program.map(|program| &program.source)) {
        (Via::Webhook | Via::Replay | Via::Poll, Some(TriggerSource::Connection { connection, trigger })) => {
            let connections = program.map_or(&[][..], |program| program.connections.as_slice());
            mark_of(&format!("{connection}.{trigger}"), connections, &app.engine.connectors)
        }
        (Via::Webhook, _) => Mark::word("webhook"),
        (Via::Schedule, _) => Mark::word("schedule"),
        (Via::Api, _) => Mark::word("api"),
        (Via::Call, _) => Mark::word("call"),
        (Via::Replay | Via::Failure | Via::Poll, _) => Mark::word("trigger"),
    }
}

fn head(run: &RunDetail, rows: &[StepRow]) -> RunHead {
    let status = status(&run.row);
    let settled = run_story::settled(run).filter(|_| run.row.dead_letter != Some(DeadLetter::Open));
    RunHead {
        id: run.row.id.to_string(),
        status,
        recipe: run.row.slug.clone(),
        recipe_title: run.row.title.clone(),
        version: u32::try_from(run.row.version).unwrap_or(0),
        newer_version: None,
        started_us: run.row.accepted_at.micros(),
        ended_us: run_story::us(run.row.ended_at),
        label: run.row.label.clone().filter(|label| !label.is_empty()),
        started_by: run_story::started_by(run.row.via).to_owned(),
        waiting: match status {
            RunStatus::Waiting(_) => Some(Waiting {
                reason: reason(run.row.waiting_for),
                who: None,
                behind: None,
                until_us: run_story::us(run.row.due_at),
                attempt: run_story::coming(rows),
            }),
            _ => None,
        },
        error: if status == RunStatus::Failed { run_story::card(run, rows) } else { None },
        links: run_story::links(run),
        settled,
        doubts: Vec::new(),
        data_gone: run_story::data_gone(run),
        left_out: None,
        may_operate: true,
    }
}

fn behind(found: detail::Behind) -> Behind {
    Behind {
        run: found.head.id.to_string(),
        status: status(&found.head),
        since_us: found.head.accepted_at.micros(),
        before: found.before,
    }
}

/// What is said about the passes that are too many to be shown.
fn left_out(run: &RunDetail, rows: &[StepRow]) -> Option<LeftOut> {
    // One inside another has an item for each pass of that.
    let loops = rows.iter().filter(|row| row.kind == StepKind::Loop && !row.path.contains('['));
    let loops = loops.map(|row| (row.path.clone(), row.title.clone())).collect();
    (run.left_out > 0).then_some(LeftOut { steps: run.left_out, loops })
}

/// The active version, when a failed run could go on under it instead of its own.
fn newer_version(app: &App, run: &RunDetail) -> Option<u32> {
    let active = app.engine.catalogue().recipes.get(&run.row.slug)?.version;
    let open = run.row.dead_letter == Some(DeadLetter::Open);
    u32::try_from(active).ok().filter(|_| open && active != run.row.version)
}

/// How many other dead letters have the same cause, and where they are.
async fn others(app: &App, run: &RunDetail) -> Result<Option<(u64, String)>, StoreError> {
    const COUNTED_MAX: u32 = 1000;
    if run.row.dead_letter != Some(DeadLetter::Open) {
        return Ok(None);
    }
    app.engine.sort_letters().await?;
    let cause = engine::fingerprint::fingerprint(run.row.recipe, run.row.error.as_ref());
    let filter = RunFilter { cause: Some(cause), limit: COUNTED_MAX, ..RunFilter::default() };
    let others = app.store().count_dead_letters(&filter).await?.saturating_sub(1);
    Ok((others > 0).then(|| (u64::from(others), format!("/dead-letters?cause={cause}"))))
}

#[derive(Debug, Deserialize)]
pub(super) struct DataQuery {
    step: String,
    part: Option<String>,
}

/// The whole data of a step as a file.
pub(super) async fn data(
    State(app): State<Shared>,
    _visitor: Visitor,
    Path(id): Path<String>,
    Query(query): Query<DataQuery>,
) -> Result<Response, ApiError> {
    let (run, program) = read(&app, &id, pass_of(&query.step)).await?.ok_or_else(|| ApiError::not_found(format!("run {id}")))?;
    let outline = program.map_or_else(Vec::new, |program| program.outline.clone());
    let input = query.part.as_deref() == Some("input");
    if let Some(apart) = run_rows::apart_of(&run, &outline, &query.step, input) {
        let name = format!("{id}-{}.json", query.step);
        return files::stream(&app, apart.sha256, &name).await;
    }
    let value = run_rows::data_of(&run, &outline, &query.step, input)
        .ok_or_else(|| ApiError::not_found(format!("data of step {} in run {id}", query.step)))?;
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let plain = |text: &str| text.replace(|char: char| !char.is_ascii_alphanumeric() && !matches!(char, '_' | '-' | '.'), "_");
    let part = if input { "input" } else { "output" };
    let name = format!("{}-{}-{part}.json", plain(&id), plain(&query.step));
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_DISPOSITION, disposition),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}

/// Ends a run.
pub(super) async fn cancel(State(app): State<Shared>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    app.engine.cancel(run_id(&id)?, &visitor.name).await?;
    Ok(back(&id, None))
}

/// Starts a new run of the same event and goes there.
pub(super) async fn replay(State(app): State<Shared>, _visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    let new = app.engine.replay(run_id(&id)?, None).await?;
    Ok(back(&new.to_string(), None))
}

pub(super) fn run_id(text: &str) -> Result<RunId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(format!("run {text}")))
}

pub(super) fn back(id: &str, step: Option<&str>) -> Response {
    let place = step.filter(|step| !step.is_empty()).map_or_else(|| format!("/runs/{id}"), |step| step_href(id, step, "input"));
    Redirect::to(&place).into_response()
}
