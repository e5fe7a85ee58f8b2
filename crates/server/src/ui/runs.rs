//! `/runs`

use std::time::Duration;

use axum::{extract::State, http::StatusCode, response::Response};
use store::{RunFilter as StoreFilter, RunRow as StoreRow, RunStatus as Kept, StoreError, Timestamp, WaitingFor};

use super::{
    causes,
    visit::{Asked, Visitor, page},
};
use crate::{
    pages::{Count, LoadFailure, RecipeChoice, RunFilter, RunKind, RunRow, RunStatus, RunsPage, WaitFor, causes::CausesPanel},
    state::{App, Shared},
};

/// Rows on a page.
pub(super) const ROWS: u32 = 50;
/// Counting is given up after this: the list matters more than its numbers.
const COUNT_PATIENCE: Duration = Duration::from_millis(200);

pub(super) async fn list(State(app): State<Shared>, visitor: Visitor, filter: Asked<RunFilter>) -> Response {
    let filter = filter.map(|query| query.0).unwrap_or_default();
    let shell = visitor.shell(&app).await;
    let recipes = app.store().recipes().await.unwrap_or_default();
    let recipe = filter.recipe.as_ref().map(|slug| recipes.iter().find(|recipe| recipe.slug == *slug).map(|recipe| recipe.id));
    let wanted = wanted(&filter, recipe.flatten(), shell.now_us);
    let known = recipe != Some(None);
    let (rows, counts, causes) = tokio::join!(
        async {
            // Of a recipe that is not there, there are no runs.
            if known { app.store().runs(&StoreFilter { limit: ROWS + 1, ..wanted.clone() }).await } else { Ok(Vec::new()) }
        },
        async { if known { count(&app, &filter, &wanted).await } else { Vec::new() } },
        async { if known { causes_of(&app, &filter, wanted.recipe).await } else { CausesPanel::default() } }
    );
    let (rows, next_cursor) = match rows {
        Ok(mut rows) => {
            let more = rows.len() > ROWS as usize;
            rows.truncate(ROWS as usize);
            let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
            (Ok(rows.into_iter().map(row).collect::<Vec<_>>()), next)
        }
        Err(error) => (Err(failure("The runs could not be loaded", &error)), None),
    };
    let filtered = RunFilter::default() != filter;
    let status = if rows.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let any = filtered || rows.as_ref().is_ok_and(|rows| !rows.is_empty());
    let recipes = recipes.into_iter().map(|recipe| RecipeChoice { slug: recipe.slug, title: recipe.title }).collect();
    page(status, &RunsPage { shell, filter, recipes, counts, causes, rows, next_cursor, any, kept_days: None })
}

/// The filter as the store understands it.
pub(super) fn wanted(filter: &RunFilter, recipe: Option<store::RecipeId>, now_us: i64) -> StoreFilter {
    let (since, until) = filter.window(now_us);
    StoreFilter {
        recipe,
        statuses: filter.status.map(kept).into_iter().collect(),
        text: filter.q.clone(),
        since: since.map(Timestamp::from_micros),
        until: until.map(Timestamp::from_micros),
        before: filter.cursor.as_deref().and_then(|cursor| cursor.parse().ok()),
        dead_letters: false,
        cause: None,
        limit: ROWS,
    }
}

/// The numbers of the tabs; none when the store cannot tell them soon, or not for this filter.
async fn count(app: &App, filter: &RunFilter, wanted: &StoreFilter) -> Vec<(Option<RunKind>, Count)> {
    if filter.q.is_some() || filter.until.is_some() {
        return Vec::new();
    }
    let counting = app.store().run_counts(wanted.recipe, wanted.since.unwrap_or_default());
    let Ok(Ok(counted)) = tokio::time::timeout(COUNT_PATIENCE, counting).await else { return Vec::new() };
    let number = |status: Kept| counted.iter().find(|(of, _)| *of == status).map_or(0, |(_, runs)| runs.unsigned_abs());
    let mut out = vec![(None, Count::Exact(Kept::ALL.into_iter().map(number).sum()))];
    out.extend(RunKind::ALL.into_iter().map(|kind| (Some(kind), Count::Exact(number(kept(kind))))));
    out
}

/// Why failed runs failed, above the first page of them; none when the store cannot tell soon.
async fn causes_of(app: &App, filter: &RunFilter, recipe: Option<store::RecipeId>) -> CausesPanel {
    let narrowed = filter.q.is_some() || filter.until.is_some() || filter.cursor.is_some();
    if filter.status != Some(RunKind::Failed) || narrowed {
        return CausesPanel::default();
    }
    let sorted = async {
        app.engine.sort_letters().await?;
        causes::panel(app, recipe, None, app.now()).await
    };
    tokio::time::timeout(COUNT_PATIENCE, sorted).await.ok().and_then(Result::ok).unwrap_or_default()
}

const fn kept(kind: RunKind) -> Kept {
    match kind {
        RunKind::Queued => Kept::Queued,
        RunKind::Running => Kept::Running,
        RunKind::Waiting => Kept::Waiting,
        RunKind::Succeeded => Kept::Succeeded,
        RunKind::Failed => Kept::Failed,
        RunKind::Cancelled => Kept::Cancelled,
    }
}

/// How a run stands, in the words of the pages.
pub(super) fn status(row: &StoreRow) -> RunStatus {
    match row.status {
        Kept::Queued => RunStatus::Queued,
        Kept::Running => RunStatus::Running,
        Kept::Waiting => RunStatus::Waiting(reason(row.waiting_for)),
        Kept::Succeeded => RunStatus::Succeeded,
        Kept::Failed => RunStatus::Failed,
        Kept::Cancelled => RunStatus::Cancelled,
    }
}

/// What a run waits for; a run that does not say waits for a time.
pub(super) fn reason(waiting_for: Option<WaitingFor>) -> WaitFor {
    match waiting_for {
        Some(WaitingFor::Timer) | None => WaitFor::Timer,
        Some(WaitingFor::Retry) => WaitFor::Retry,
        Some(WaitingFor::Approval) => WaitFor::Approval,
        Some(WaitingFor::Callback) => WaitFor::Callback,
        Some(WaitingFor::Circuit) => WaitFor::Circuit,
        Some(WaitingFor::Budget) => WaitFor::Budget,
        Some(WaitingFor::Order) => WaitFor::Order,
        Some(WaitingFor::Call) => WaitFor::Call,
    }
}

/// One row of the list.
pub(super) fn row(row: StoreRow) -> RunRow {
    let status = status(&row);
    let tries = u32::try_from(row.attempts).unwrap_or(0).max(1);
    let reason = match status {
        RunStatus::Failed => row.error.map(|error| error.message).unwrap_or_default(),
        RunStatus::Waiting(WaitFor::Retry) => format!("Try {tries} failed"),
        RunStatus::Waiting(reason) => format!("For {}", reason.what()),
        _ => String::new(),
    };
    RunRow {
        id: row.id.to_string(),
        status,
        reason,
        due_us: row.due_at.map(Timestamp::micros),
        recipe: row.slug,
        recipe_title: row.title,
        version: u32::try_from(row.version).unwrap_or(0),
        label: row.label.filter(|label| !label.is_empty()),
        started_us: row.accepted_at.micros(),
        ended_us: row.ended_at.map(Timestamp::micros),
        tries,
    }
}

/// A list that could not be loaded.
pub(super) fn failure(what: &str, error: &StoreError) -> LoadFailure {
    let why = match error {
        StoreError::Unavailable(_) => "The database does not answer. Your recipes keep running as far as they can.",
        _ => "Liaison failed. The log has the details under the request’s ID.",
    };
    tracing::warn!(%error, "ui.store: a list could not be loaded");
    LoadFailure { what: what.to_owned(), why: why.to_owned() }
}
