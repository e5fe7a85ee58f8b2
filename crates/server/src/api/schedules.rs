//! Schedules: when they fired last and when they fire next.

use axum::{
    Json,
    extract::{Query, State},
};
use engine::{LiveRecipe, schedule};
use recipe::ast::Overlap;
use serde::{Deserialize, Serialize};
use store::{RunFilter, Timestamp, Via};
use utoipa::{IntoParams, ToSchema};

use super::{Page, instant, read_limit};
use crate::{
    access::{Caller, Scope},
    error::ApiError,
    state::Shared,
};

/// Fire times shown unless the caller says otherwise.
const NEXT_DEFAULT: usize = 5;
/// Fire times shown at most.
const NEXT_MAX: usize = 100;
/// Among so many newest runs the last one a schedule started is looked for.
const RUNS_LOOKED_AT: u32 = 20;

/// Which schedules.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchedulesQuery {
    /// Only of this recipe.
    recipe: Option<String>,
    /// So many next fire times; 5 unless said otherwise, at most 100.
    next: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page.
    limit: Option<u32>,
}

/// The schedule of a recipe that is switched on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleOut {
    pub(crate) recipe: String,
    title: String,
    cron: String,
    zone: String,
    /// In words.
    reads: String,
    /// `skip`, `once` or `all`.
    on_missed: &'static str,
    /// `queue`, `skip` or `cancel_running`.
    on_overlap: &'static str,
    /// Fire times up to here are done.
    done_up_to: String,
    /// The last run it started.
    last: Option<LastFire>,
    /// When it fires next, in UTC.
    next: Vec<String>,
}

/// The last run a schedule started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastFire {
    run_id: String,
    at: String,
    status: &'static str,
}

/// Schedules of the recipes that are switched on, by slug.
#[utoipa::path(get, path = "/schedules", tag = "schedules", params(SchedulesQuery), responses((status = 200, body = Page<ScheduleOut>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<SchedulesQuery>,
) -> Result<Json<Page<ScheduleOut>>, ApiError> {
    caller.need(Scope::RunsRead)?;
    let limit = read_limit(query.limit)?;
    let next = match query.next {
        None => NEXT_DEFAULT,
        Some(next) if next <= NEXT_MAX => next,
        Some(next) => return Err(ApiError::field("next", format!("next is {next}; at most {NEXT_MAX} fire times are shown."))),
    };
    let catalogue = app.engine.catalogue();
    let mut recipes: Vec<&LiveRecipe> = catalogue
        .recipes
        .values()
        .map(|recipe| &**recipe)
        .filter(|recipe| recipe.schedule.is_some())
        .filter(|recipe| query.recipe.as_ref().is_none_or(|slug| *slug == recipe.row.slug))
        .filter(|recipe| query.cursor.as_ref().is_none_or(|after| *after < recipe.row.slug))
        .collect();
    recipes.sort_by(|one, other| one.row.slug.cmp(&other.row.slug));
    let mut rows = Vec::new();
    for recipe in recipes.into_iter().take(limit as usize + 1) {
        rows.push(out(&app, recipe, next).await?);
    }
    Ok(Json(Page::cut(rows, limit, |row| row.recipe.clone())))
}

async fn out(app: &Shared, recipe: &LiveRecipe, next: usize) -> Result<ScheduleOut, ApiError> {
    let filter = RunFilter { recipe: Some(recipe.row.id), limit: RUNS_LOOKED_AT, ..RunFilter::default() };
    let last = app.store().runs(&filter).await?.into_iter().find(|run| run.via == Via::Schedule);
    let done_up_to = app.engine.fired_up_to(recipe);
    let with = &recipe.program.trigger_with;
    let coming = |after: &Timestamp| {
        recipe.schedule.as_ref().and_then(|schedule| schedule.next_after(after.micros())).map(Timestamp::from_micros)
    };
    Ok(ScheduleOut {
        recipe: recipe.row.slug.clone(),
        title: recipe.row.title.clone(),
        cron: with["cron"].as_str().unwrap_or_default().to_owned(),
        zone: with["zone"].as_str().unwrap_or("UTC").to_owned(),
        reads: recipe.schedule.as_ref().map(engine::cron::Schedule::describe).unwrap_or_default(),
        on_missed: schedule::OnMissed::of(recipe).as_str(),
        on_overlap: match schedule::overlap(recipe).0 {
            Overlap::Queue => "queue",
            Overlap::Skip => "skip",
            Overlap::CancelRunning => "cancel_running",
        },
        done_up_to: instant(done_up_to),
        last: last.map(|run| LastFire { run_id: run.id.to_string(), at: instant(run.accepted_at), status: run.status.as_str() }),
        next: std::iter::successors(coming(&done_up_to.max(app.now())), coming).take(next).map(instant).collect(),
    })
}
