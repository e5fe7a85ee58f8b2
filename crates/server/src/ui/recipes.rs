//! `/recipes`

use std::{collections::HashMap, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use engine::Program;
use recipe::ast::TriggerSource;
use serde::Deserialize;
use store::{RecipeId, RecipeRow as StoreRow, RecipeStats, RunFilter, RunRow, StoreError, Timestamp};

use super::{
    run_rows::mark_of,
    runs::{failure, status},
    visit::{Asked, Visitor, page},
};
use crate::{
    pages::{LastRun, Mark, RecipeRow, RecipeState, RecipesPage},
    state::{App, Shared},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Newest runs looked at once for the column "Last run".
const RECENT: u32 = 200;
/// Recipes whose last run is not among those are asked about one by one, up to this many.
const ASKED_MAX: usize = 50;
/// Tiles shown of one recipe.
const MARKS_MAX: usize = 6;

#[derive(Debug, Default, Deserialize)]
pub(super) struct RecipesQuery {
    #[serde(default)]
    q: String,
}

pub(super) async fn list(State(app): State<Shared>, visitor: Visitor, query: Asked<RecipesQuery>) -> Response {
    let q = query.map(|query| query.0.q.trim().to_owned()).unwrap_or_default();
    let shell = visitor.shell(&app).await;
    let (rows, total) = match rows(&app).await {
        Ok(rows) => {
            let total = rows.len() as u64;
            (Ok(rows.into_iter().filter(|row| matches(row, &q.to_lowercase())).collect()), total)
        }
        Err(error) => (Err(failure("The recipes could not be loaded", &error)), 0),
    };
    let status = if rows.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    page(status, &RecipesPage { shell, q, rows, total })
}

fn matches(row: &RecipeRow, q: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(q);
    has(&row.title) || has(&row.slug) || has(&row.description) || row.marks.iter().any(|mark| has(mark.name()))
}

async fn rows(app: &App) -> Result<Vec<RecipeRow>, StoreError> {
    let store = app.store();
    let day_ago = Timestamp::from_micros(app.now().micros().saturating_sub(i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX)));
    let recipes = store.recipes().await?;
    let stats: HashMap<RecipeId, RecipeStats> = store.recipe_stats(day_ago).await?.into_iter().collect();
    let mut last: HashMap<RecipeId, RunRow> = HashMap::new();
    for run in store.runs(&RunFilter { limit: RECENT, ..RunFilter::default() }).await? {
        last.entry(run.recipe).or_insert(run);
    }
    let missing: Vec<RecipeId> = recipes.iter().map(|recipe| recipe.id).filter(|id| !last.contains_key(id)).collect();
    for id in missing.into_iter().take(ASKED_MAX) {
        let newest = store.runs(&RunFilter { recipe: Some(id), limit: 1, ..RunFilter::default() }).await?;
        last.extend(newest.into_iter().map(|run| (id, run)));
    }
    let mut out = Vec::with_capacity(recipes.len());
    for recipe in recipes {
        let version = recipe.active_version.unwrap_or(recipe.latest_version);
        // A version this build cannot run is listed all the same.
        let program = app.engine.program(recipe.id, version).await.ok();
        let stats = stats.get(&recipe.id).copied().unwrap_or_default();
        let run = last.remove(&recipe.id);
        out.push(row(app, recipe, program.as_deref(), stats, run));
    }
    out.sort_by_key(|row: &RecipeRow| row.title.to_lowercase());
    Ok(out)
}

fn row(app: &App, recipe: StoreRow, program: Option<&Program>, stats: RecipeStats, run: Option<RunRow>) -> RecipeRow {
    let number = |count: i64| count.max(0).unsigned_abs();
    let version = |version: i32| u32::try_from(version).unwrap_or(0);
    RecipeRow {
        description: program.and_then(|program| program.note.as_deref()).map(first_sentence).unwrap_or_default(),
        marks: program.map(|program| marks(app, program)).unwrap_or_default(),
        state: if recipe.active_version.is_some() { RecipeState::On } else { RecipeState::Off },
        runs_24h: number(stats.runs),
        succeeded_24h: number(stats.succeeded),
        failed_24h: number(stats.failed),
        last_run: run.map(|run| LastRun { id: run.id.to_string(), status: status(&run), at_us: run.accepted_at.micros() }),
        version: Some(version(recipe.active_version.unwrap_or(recipe.latest_version))),
        newer_version: recipe
            .active_version
            .filter(|active| *active < recipe.latest_version)
            .map(|_| version(recipe.latest_version)),
        slug: recipe.slug,
        title: recipe.title,
    }
}

/// The tiles of the trigger and of the apps, in order, without repeats.
fn marks(app: &App, program: &Program) -> Vec<Mark> {
    let mut out = vec![trigger_mark(app, program)];
    for step in program.outline.iter().filter(|step| step.uses.contains('.')) {
        let mark = mark_of(&step.uses, &program.connections, &app.engine.connectors);
        if !out.contains(&mark) && out.len() < MARKS_MAX {
            out.push(mark);
        }
    }
    out
}

fn trigger_mark(app: &App, program: &Program) -> Mark {
    match &program.source {
        TriggerSource::Webhook => Mark::word("webhook"),
        TriggerSource::Schedule => Mark::word("schedule"),
        TriggerSource::Api => Mark::word("api"),
        TriggerSource::Call => Mark::word("call"),
        TriggerSource::Failure => Mark::word("failure"),
        TriggerSource::Connection { connection, trigger } => {
            mark_of(&format!("{connection}.{trigger}"), &program.connections, &app.engine.connectors)
        }
    }
}

fn first_sentence(note: &str) -> String {
    let flat = note.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.find(". ") {
        Some(end) => flat[..end].to_owned(),
        None => flat.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_one_sentence() {
        assert_eq!(first_sentence("Sends an event. The ledger\n  gets it.\n"), "Sends an event");
        assert_eq!(first_sentence("Over v1.2 of\nthe API."), "Over v1.2 of the API");
        assert_eq!(first_sentence(""), "");
    }
}
