//! The panel of causes, for the lists that show it.

use engine::fingerprint::without_passes;
use store::{Cause, CauseHours, RecipeId, StepPath, StoreError, Timestamp};

use crate::{
    pages::causes::{CauseRow, CausesPanel},
    state::App,
};

/// Causes shown above a list.
const CAUSES: u32 = 8;

/// Why open dead letters failed, of one recipe or of all. `chosen` is the cause the list is about.
pub(super) async fn panel(
    app: &App,
    recipe: Option<RecipeId>,
    chosen: Option<String>,
    now: Timestamp,
) -> Result<CausesPanel, StoreError> {
    let mut causes = app.store().causes(recipe, CAUSES + 1).await?;
    let more = causes.len() > CAUSES as usize;
    causes.truncate(CAUSES as usize);
    let of: Vec<_> = causes.iter().map(|cause| (cause.fingerprint, cause.recipe)).collect();
    let hours = app.store().cause_hours(&of, now).await?;
    let rows = causes.into_iter().zip(hours).map(|(cause, hours)| row(app, cause, hours)).collect();
    Ok(CausesPanel { rows, more, chosen })
}

/// "7 Create sales order", as the timeline of its runs calls it; its path when the recipe that is on has no
/// such step.
fn step(app: &App, slug: &str, path: &str) -> String {
    let path: StepPath = path.into();
    let id = engine::id_of(&path);
    let live = app.engine.catalogue().recipes.get(slug).cloned();
    let known = live.as_ref().and_then(|live| live.program.outline.iter().enumerate().find(|(_, step)| step.id == id));
    // The trigger has the number 1.
    known.map_or_else(|| without_passes(&path), |(at, step)| format!("{} {}", at + 2, step.title))
}

fn row(app: &App, cause: Cause, hours: CauseHours) -> CauseRow {
    let step = cause.error.as_ref().and_then(|error| error.path.as_deref()).map(|path| step(app, &cause.slug, path));
    CauseRow {
        fingerprint: cause.fingerprint.to_string(),
        message: cause.error.map_or_else(|| "The error cannot be read any more".to_owned(), |error| error.message),
        recipe_title: cause.title,
        step,
        count: cause.count.unsigned_abs(),
        first_us: cause.first.micros(),
        last_us: cause.last.micros(),
        hours: hours.map(i64::unsigned_abs),
    }
}
