//! What a long line of runs costs those at its head: claims and memory with few and with a million behind.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::{load, made_up, product};

/// Runs that are claimed and ended while it is measured.
const MEASURED: u64 = 20_000;
/// Behind them: half of them parked, half of them due.
const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
/// How often few and many take turns: what else the machine does must not decide.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// W1's steps, in a line of their own: who waits in it has begun nothing.
const LINE: &str = r#"liaison: 1
recipe: line
trigger: { from: webhook }
settings: { concurrency: { limit: 1 } }
steps:
  - id: pause
    wait: { for: 12h }
"#;

/// What one round came to.
struct Seen {
    per_second: f64,
    cpu_per_1000: f64,
    peak_mb: f64,
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let (few, many) = (prepare(FEW).await?, prepare(MANY).await?);
    println!("{MEASURED} runs of W1 claimed and ended, with {FEW} and with {MANY} behind them, half parked, half due");
    let mut rates = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (folder, behind, rates) in [(&few, FEW, &mut rates.0), (&many, MANY, &mut rates.1)] {
            let seen = measure(folder.path()).await?;
            println!(
                "{behind:>9} behind: {:>6.0} runs/s, {:.3} CPU s/1000, peak {:.0} MB",
                seen.per_second, seen.cpu_per_1000, seen.peak_mb
            );
            rates.push(seen);
        }
    }
    let median = |seen: &[Seen], value: fn(&Seen) -> f64| {
        let mut values: Vec<f64> = seen.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratio = |value: fn(&Seen) -> f64| median(&rates.1, value) / median(&rates.0, value);
    let (rate, cpu, memory) = (ratio(|seen| seen.per_second), ratio(|seen| seen.cpu_per_1000), ratio(|seen| seen.peak_mb));
    let verdict = |good: bool| if good { "met" } else { "missed" };
    println!(
        "  claims {rate:.2} x (at least 0.8: {}), CPU {cpu:.2} x, memory {memory:.2} x (at most 1.1: {})",
        verdict(rate >= 0.8),
        verdict(memory <= 1.1),
    );
    parked(many.path()).await
}

/// A database with that many runs behind those to be measured.
async fn prepare(behind: u64) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let server = product::serve(folder.path(), None).await?;
    product::set_up(&server.address, "127.0.0.1:1").await?;
    product::save(&server.address, "line", LINE.to_owned()).await?;
    // The first of the line waits for hours, and the others for it.
    load::run(&server.address, "/hooks/line", 4, 1).await?;
    server.end().await?;
    let mut connection = made_up::open(folder.path()).await?;
    let model: Vec<u8> =
        made_up::one(&mut connection, "select id from runs where waiting_for = 7 order by id desc limit 1").await?;
    let accepted_at: i64 = made_up::one(&mut connection, "select max(accepted_at) from runs").await?;
    let recipe: Vec<u8> = made_up::one(&mut connection, "select id from recipes where slug = 'w1'").await?;
    for (days, count, state) in [
        (40, MEASURED * ROUNDS as u64, "0, null, at, null"),
        (30, behind / 2, "0, null, at, null"),
        (20, behind / 2, "2, 1, at + 2000000000000, null"),
    ] {
        let first_ms = accepted_at / 1000 - days * 24 * 60 * 60 * 1000;
        let runs = made_up::Runs { model: &model, recipe: &recipe, first_ms, count, state };
        made_up::runs(&mut connection, &runs).await?;
    }
    made_up::close(connection).await?;
    Ok(folder)
}

/// Lets a server take the next [`MEASURED`] of the line.
async fn measure(folder: &std::path::Path) -> anyhow::Result<Seen> {
    // What is not measured here must not begin meanwhile.
    let server = product::serve_with(folder, &["--retention-interval", "1h"]).await?;
    let (before, began) = (server.cpu()?, Instant::now());
    loop {
        let ended = product::ended(&[&server.address], "w1").await?;
        if ended >= MEASURED {
            let seconds = began.elapsed().as_secs_f64();
            let (cpu, ended_f) = (server.cpu()? - before, ended as f64);
            let seen = Seen { per_second: ended_f / seconds, cpu_per_1000: cpu / ended_f * 1000.0, peak_mb: server.peak_mb()? };
            server.end().await?;
            return Ok(seen);
        }
        if began.elapsed() > PATIENCE {
            bail!("only {ended} of {MEASURED} runs ended");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What a process does that has nothing but parked runs.
async fn parked(folder: &std::path::Path) -> anyhow::Result<()> {
    let mut connection = made_up::open(folder).await?;
    sqlx::query("update runs set due_at = null, status = 3, ended_at = accepted_at where status in (0, 1)")
        .execute(&mut connection)
        .await?;
    made_up::close(connection).await?;
    let server = product::serve_with(folder, &["--retention-interval", "1h"]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, watched) = (server.cpu()?, Duration::from_secs(15));
    tokio::time::sleep(watched).await;
    let share = (server.cpu()? - before) / watched.as_secs_f64() * 100.0;
    println!("  with {} parked and nothing else: {share:.2} % CPU, {:.0} MB", MANY / 2, server.memory_mb()?);
    server.end().await
}
