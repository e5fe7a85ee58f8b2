//! The simulated systems begin anew with every start, and Liaison's memory does not: what it still means to do with the
//! systems of an earlier start is put away before anything runs.

use engine::Engine;
use store::{RecipeId, RunFilter, RunStatus};

/// Rows looked at in one go.
const PAGE: u32 = 100;

/// Cancels the runs that are not over and lets the recipes begin anew, of all recipes with one of these connections. Says what it
/// did when there was anything to do.
pub(super) async fn begin(engine: &Engine, connections: &[(&str, &str)]) -> anyhow::Result<Option<String>> {
    let cancelled = cancel_runs(engine, connections).await?;
    let mut recipes = 0;
    for row in engine.store().recipes().await? {
        if uses(engine, row.id, row.active_version.unwrap_or(row.latest_version), connections).await {
            // Records of the new systems are older than this moment, and what comes is younger.
            engine.store().begin_anew(row.id, engine.now()).await?;
            recipes += 1;
        }
    }
    if recipes == 0 {
        return Ok(None);
    }
    Ok(Some(format!(
        "The simulated systems begin anew with every start, and so do the {recipes} recipes over them: they know no event and keep \
         nothing of before. {cancelled} of their runs were not over and are cancelled."
    )))
}

async fn cancel_runs(engine: &Engine, connections: &[(&str, &str)]) -> anyhow::Result<usize> {
    let (mut cancelled, mut before) = (0, None);
    loop {
        let statuses = vec![RunStatus::Queued, RunStatus::Running, RunStatus::Waiting];
        let page = engine.store().runs(&RunFilter { statuses, before, limit: PAGE, ..RunFilter::default() }).await?;
        let Some(last) = page.last() else { return Ok(cancelled) };
        before = Some(last.id);
        for run in &page {
            // One that was called is cancelled with its caller.
            if uses(engine, run.recipe, run.version, connections).await
                && engine.cancel(run.id, "a new start of the demo").await.is_ok()
            {
                cancelled += 1;
            }
        }
    }
}

/// Whether a recipe has one of the connections; a version this build cannot read does nothing in it.
async fn uses(engine: &Engine, recipe: RecipeId, version: i32, connections: &[(&str, &str)]) -> bool {
    let program = engine.program(recipe, version).await;
    program.is_ok_and(|program| program.connections.iter().any(|(own, _)| connections.iter().any(|(name, _)| own == name)))
}
