//! A long history goes while new runs come: how large the files are meanwhile, and what senders notice.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::{load, made_up, product};

/// The made-up runs are older than what is kept by default.
const OLD: Duration = Duration::from_secs(40 * 24 * 60 * 60);
const CLIENTS: usize = 8;
const SECONDS: u64 = 5;
/// A purge that takes longer is not going on.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);

/// Makes up `runs` ended runs, starts the server, sends new ones, and prints until the old ones are gone.
pub(crate) async fn run(runs: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = product::serve(folder.path(), None).await?;
    product::set_up(&server.address, "127.0.0.1:1").await?;
    let quiet = load::run(&server.address, "/hooks/w1", CLIENTS, SECONDS).await?;
    println!("an empty history: {}", told(&quiet));
    server.end().await?;
    fill(folder.path(), runs).await?;
    println!("{runs} old runs: {}", sizes(folder.path()));

    let flags = ["--retention-interval", "1s", "--tidy-interval", "2s"];
    let server = product::serve_with(folder.path(), &flags).await?;
    let began = Instant::now();
    let (mut smallest, mut worst, mut gone) = (u64::MAX, 0.0_f64, None);
    loop {
        let seen = load::run(&server.address, "/hooks/w1", CLIENTS, SECONDS).await?;
        let removed = product::metric(&server.address, "liaison_removed_total{what=\"runs\"}").await?;
        println!("{:>5.0} s  {removed:>9.0} removed  {}  {}", began.elapsed().as_secs_f64(), told(&seen), sizes(folder.path()));
        if removed >= runs as f64 {
            gone = gone.or(Some(began.elapsed()));
        } else {
            worst = worst.max(seen.p99_ms);
        }
        let size = bytes(folder.path(), "liaison.db");
        // Gone, and nothing more is given back but what new runs take at the same time.
        if removed >= runs as f64 && size >= smallest {
            break;
        }
        smallest = smallest.min(size);
        if began.elapsed() > PATIENCE {
            bail!("the old runs are still not gone");
        }
    }
    let seconds = gone.unwrap_or_default().as_secs_f64();
    println!(
        "{runs} runs gone after {seconds:.0} s, {:.0} a second while new ones came; p99 of new ones {:.1} ms without, {worst:.1} ms at worst",
        runs as f64 / seconds,
        quiet.p99_ms
    );
    server.end().await
}

/// Copies of one run that really ended, with ids of their own time.
async fn fill(folder: &Path, runs: u64) -> anyhow::Result<()> {
    let mut connection = made_up::open(folder).await?;
    let model: Vec<u8> = made_up::one(&mut connection, "select id from runs where status = 3 order by id limit 1").await?;
    let recipe: Vec<u8> = made_up::one(&mut connection, "select id from recipes where slug = 'w1'").await?;
    let accepted_at: i64 = made_up::one(&mut connection, "select min(accepted_at) from runs").await?;
    let first_ms = accepted_at / 1000 - i64::try_from(OLD.as_millis())?;
    let state = "3, null, null, at + 1000";
    made_up::runs(&mut connection, &made_up::Runs { model: &model, recipe: &recipe, first_ms, count: runs, state }).await?;
    made_up::close(connection).await
}

fn told(load: &load::Load) -> String {
    format!("{:>6.0} new runs/s, p50 {:.1} ms, p99 {:.1} ms", load.accepted as f64 / load.seconds, load.p50_ms, load.p99_ms)
}

fn bytes(folder: &Path, name: &str) -> u64 {
    std::fs::metadata(folder.join(name)).map_or(0, |found| found.len())
}

fn sizes(folder: &Path) -> String {
    let mib = |name| bytes(folder, name) as f64 / (1024.0 * 1024.0);
    format!("liaison.db {:.1} MiB, -wal {:.1} MiB", mib("liaison.db"), mib("liaison.db-wal"))
}
