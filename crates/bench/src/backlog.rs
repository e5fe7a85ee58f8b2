//! What a long line of runs costs those at its head: claims and memory with few and with a million behind, on either store.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::{
    load,
    made_up::{Database, Runs},
    measure::verdict,
    place::Place,
    product,
    rounds::median,
};

/// Few are one of so many.
const FEW_SHARE: u64 = 1_000;
/// Runs that are claimed and ended while it is measured: one of so many, and not too few to be measured.
const MEASURED_SHARE: u64 = 50;
const MEASURED_MIN: u64 = 2_000;
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

/// With `many` runs behind those that are measured, half of them parked, half of them due, and with a thousandth of that.
pub(crate) async fn run(server: Option<&str>, many: u64) -> anyhow::Result<()> {
    let (few, measured) = (many / FEW_SHARE, (many / MEASURED_SHARE).max(MEASURED_MIN));
    let places = [(prepare(server, few, measured).await?, few), (prepare(server, many, measured).await?, many)];
    println!(
        "{}: {measured} runs of W1 claimed and ended, with {few} and with {many} behind them, half parked, half due",
        places[0].0.kind()
    );
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((place, behind), rounds) in places.iter().zip(&mut rounds) {
            let seen = measure(place, measured).await?;
            println!(
                "{behind:>9} behind: {:>6.0} runs/s, {:.3} CPU s/1000, peak {:.0} MB",
                seen.per_second, seen.cpu_per_1000, seen.peak_mb
            );
            rounds.push(seen);
        }
    }
    let of = |seen: &[Seen], value: fn(&Seen) -> f64| median(seen.iter().map(value));
    let ratio = |value: fn(&Seen) -> f64| of(&rounds[1], value) / of(&rounds[0], value);
    let (rate, cpu, memory) = (ratio(|seen| seen.per_second), ratio(|seen| seen.cpu_per_1000), ratio(|seen| seen.peak_mb));
    println!(
        "  claims {rate:.2} x (at least 0.8: {}), CPU {cpu:.2} x, memory {memory:.2} x (at most 1.1: {})",
        verdict(rate >= 0.8),
        verdict(memory <= 1.1),
    );
    let [(few, _), (many, behind)] = places;
    parked(&many, behind / 2).await?;
    many.remove().await?;
    few.remove().await
}

/// A database with that many runs behind those to be measured.
async fn prepare(server: Option<&str>, behind: u64, measured: u64) -> anyhow::Result<Place> {
    let place = Place::new(server).await?;
    let server = place.serve(&[]).await?;
    product::set_up(&server.address, "127.0.0.1:1", "w1").await?;
    product::save(&server.address, "line", LINE.to_owned()).await?;
    // The first of the line waits for hours, and the others for it.
    load::run(&server.address, "/hooks/line", 4, 1).await?;
    server.end().await?;
    let mut database = Database::open(&place).await?;
    let model = database.id("select id from runs where waiting_for = 7 order by id desc limit 1").await?;
    let accepted_at = database.number("select max(accepted_at) from runs").await?;
    let recipe = database.id("select id from recipes where slug = 'w1'").await?;
    for (days, count, state) in [
        // More than are measured: a server that is killed takes with it what it had taken up.
        (40, measured * (ROUNDS as u64 + 1), "0, null, at, null"),
        (30, behind / 2, "0, null, at, null"),
        (20, behind / 2, "2, 1, at + 2000000000000, null"),
    ] {
        let first_ms = accepted_at / 1000 - days * 24 * 60 * 60 * 1000;
        database.add(&Runs { model, recipe, first_ms, count, state }).await?;
    }
    database.close().await?;
    Ok(place)
}

/// Lets a server take the next `measured` of the line.
async fn measure(place: &Place, measured: u64) -> anyhow::Result<Seen> {
    // What is not measured here must not begin meanwhile.
    let server = place.serve(&["--retention-interval", "1h"]).await?;
    let (before, began) = (server.cpu()?, Instant::now());
    loop {
        let ended = product::ended(&[&server.address], "w1").await?;
        if ended >= measured {
            let seconds = began.elapsed().as_secs_f64();
            let (cpu, ended_f) = (server.cpu()? - before, ended as f64);
            let seen = Seen { per_second: ended_f / seconds, cpu_per_1000: cpu / ended_f * 1000.0, peak_mb: server.peak_mb()? };
            server.end().await?;
            return Ok(seen);
        }
        if began.elapsed() > PATIENCE {
            bail!("only {ended} of {measured} runs ended");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What a process does that has nothing but parked runs.
async fn parked(place: &Place, parked: u64) -> anyhow::Result<()> {
    let mut database = Database::open(place).await?;
    database.execute("update runs set due_at = null, status = 3, ended_at = accepted_at where status in (0, 1)").await?;
    database.close().await?;
    let server = place.serve(&["--retention-interval", "1h"]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, watched) = (server.cpu()?, Duration::from_secs(15));
    tokio::time::sleep(watched).await;
    let share = (server.cpu()? - before) / watched.as_secs_f64() * 100.0;
    println!("  with {parked} parked and nothing else: {share:.2} % CPU, {:.0} MB\n", server.memory_mb()?);
    server.end().await
}
