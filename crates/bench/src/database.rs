//! What a load costs PostgreSQL: CPU of its processes on this machine, WAL, transactions and rows.

use sqlx::{Connection, PgConnection};

/// Everything counted up to one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    cpu: f64,
    wal: f64,
    commits: f64,
    rows: f64,
}

impl Counted {
    /// Counters of the server are told when a transaction ends, at most a second late.
    pub(crate) async fn now(url: &str) -> anyhow::Result<Self> {
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        let mut connection = PgConnection::connect(url).await?;
        let (wal, commits, rows): (f64, f64, f64) = sqlx::query_as(
            "select (select wal_bytes::float8 from pg_stat_wal), xact_commit::float8, \
             (tup_inserted + tup_updated + tup_deleted)::float8 from pg_stat_database where datname = current_database()",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(Self { cpu: cpu()?, wal, commits, rows })
    }

    /// What a run cost since then.
    pub(crate) fn told(&self, before: &Self, runs: u64) -> String {
        let each = |now: f64, before: f64| (now - before) / runs as f64;
        format!(
            "  database: {:.3} CPU s/1000, {:.0} bytes of WAL, {:.2} transactions and {:.2} rows written a run",
            each(self.cpu, before.cpu) * 1000.0,
            each(self.wal, before.wal),
            each(self.commits, before.commits),
            each(self.rows, before.rows),
        )
    }
}

/// CPU seconds of the server's processes here, with those that ended; 0 when it runs elsewhere.
fn cpu() -> anyhow::Result<f64> {
    let mut ticks = 0.0;
    for entry in std::fs::read_dir("/proc")? {
        let Ok(text) = std::fs::read_to_string(entry?.path().join("stat")) else { continue };
        if text.contains("(postgres)") {
            // proc(5): fields 14 to 17 after the name in parentheses, in clock ticks of 1/100 s.
            let fields = text.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(4);
            ticks += fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
        }
    }
    Ok(ticks / 100.0)
}
