//! A long history goes while new runs come: how large the files are meanwhile, and what senders notice.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{load, product};

/// Runs written in one transaction while the history is made up.
const FILL_MAX: u64 = 50_000;
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
    let mut smallest = u64::MAX;
    loop {
        let seen = load::run(&server.address, "/hooks/w1", CLIENTS, SECONDS).await?;
        let removed = product::metric(&server.address, "liaison_removed_total{what=\"runs\"}").await?;
        println!("{:>5.0} s  {removed:>9.0} removed  {}  {}", began.elapsed().as_secs_f64(), told(&seen), sizes(folder.path()));
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
    server.end().await
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

/// Copies of one run that really ended, with ids of their own time.
async fn fill(folder: &Path, runs: u64) -> anyhow::Result<()> {
    let options = SqliteConnectOptions::new().filename(folder.join("liaison.db"));
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let (model, accepted_at): (Vec<u8>, i64) =
        sqlx::query_as("select id, accepted_at from runs where status = 3 order by id limit 1")
            .fetch_one(&mut connection)
            .await
            .context("no run ended")?;
    let first_ms = accepted_at / 1000 - i64::try_from(OLD.as_millis())?;
    let columns = "recipe_id, version, status, waiting_for, due_at, owner, epoch, via, attempts, label";
    for from in (0..runs).step_by(usize::try_from(FILL_MAX)?) {
        let mut transaction = connection.begin().await?;
        // A UUIDv7 is 48 bits of milliseconds, the version, and here a counter.
        let numbers = "with recursive n (i) as (select ?1 union all select i + 1 from n where i + 1 < ?2), \
             ids (id, at) as (select unhex(printf('%012x70008%015x', ?3 + i, i)), (?3 + i) * 1000 from n)";
        let sql = format!(
            "{numbers} insert into runs (id, accepted_at, ended_at, {columns}) select ids.id, ids.at, ids.at + 1000, {columns} \
             from ids, (select {columns} from runs where id = ?4)"
        );
        let journal = format!(
            "{numbers} insert into journal (run_id, seq, chunk) select ids.id, j.seq, j.chunk from ids, journal j where j.run_id = ?4"
        );
        for sql in [sql, journal] {
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(i64::try_from(from)?)
                .bind(i64::try_from((from + FILL_MAX).min(runs))?)
                .bind(first_ms)
                .bind(&model)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
