//! Many schedules: how soon a process with all of them works, and how late they fire.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{made_up, product};

/// Recipes with a schedule, each with a web address, too.
const SCHEDULES: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(150);

const TICK: &str = r#"liaison: 1
recipe: tick
trigger: { from: schedule, with: { cron: "59 * * * *", zone: UTC } }
steps:
  - id: seen
    set: { at: "${ trigger.scheduled_at }" }
"#;

pub(crate) async fn run() -> anyhow::Result<()> {
    // Each at a minute of its own of every hour; then all of them every minute.
    one("spread over the hour", "(i % 60)", SCHEDULES as i64 / 60).await?;
    one("all due in the same minute", "'*'", SCHEDULES as i64).await
}

/// One set of schedules, of which so many fire in a minute; `minute` is SQL for theirs.
async fn one(what: &str, minute: &str, firing: i64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = product::serve(folder.path(), None).await?;
    product::save(&server.address, "tick", TICK.to_owned()).await?;
    server.end().await?;
    let mut connection = made_up::sqlite(folder.path()).await?;
    made_up::recipes(&mut connection, "tick", SCHEDULES, minute).await?;
    made_up::close(connection).await?;

    let began = Instant::now();
    let server = product::serve(folder.path(), None).await?;
    product::ready(&server.address).await?;
    let start = began.elapsed();
    let memory = server.memory_mb()?;
    // The minute that begins while it is ready, and the one after.
    let mut lateness = late(folder.path(), began, firing).await?;
    lateness.sort_unstable();
    let worst = *lateness.last().context("nothing fired")? as f64 / 1000.0;
    let middle = lateness[lateness.len() / 2] as f64 / 1000.0;
    let verdict = |good: bool| if good { "met" } else { "missed" };
    println!(
        "{SCHEDULES} recipes, each with a schedule, {what}: ready after {} ms (under 2000: {}), {memory:.0} MB; {} fired, late by {middle:.0} ms in \
         the middle and {worst:.0} ms at most (under 1000: {})\n",
        start.as_millis(),
        verdict(start < Duration::from_secs(2)),
        lateness.len(),
        verdict(worst < 1000.0),
    );
    server.end().await
}

/// How many microseconds after their minute the runs of two minutes were accepted.
async fn late(folder: &std::path::Path, began: Instant, firing: i64) -> anyhow::Result<Vec<i64>> {
    let mut connection = made_up::sqlite(folder).await?;
    loop {
        let accepted: Vec<i64> =
            sqlx::query_scalar("select accepted_at % 60000000 from runs where via = 2").fetch_all(&mut connection).await?;
        if i64::try_from(accepted.len())? >= 2 * firing {
            return Ok(accepted);
        }
        if began.elapsed() > PATIENCE {
            bail!("only {} runs were fired", accepted.len());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
