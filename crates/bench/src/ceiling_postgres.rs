//! The ceiling on PostgreSQL: the same web side, two writer lanes, one statement a group.

use std::sync::Arc;

use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use crate::ceiling::{Row, listen};

const GROUP_MAX: usize = 128;
const LANES: usize = 2;

/// Serves on a free port and prints the address.
pub(crate) async fn serve(url: &str, target: &str) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new().max_connections(4).connect(url).await?;
    sqlx::query("drop table if exists ceiling_journal").execute(&pool).await?;
    sqlx::query(
        "create table ceiling_journal (run uuid not null, seq integer not null, data text not null, primary key (run, seq))",
    )
    .execute(&pool)
    .await?;
    let (rows, inbox) = mpsc::channel(4096);
    let inbox = Arc::new(Mutex::new(inbox));
    for _ in 0..LANES {
        tokio::spawn(write_all(pool.clone(), Arc::clone(&inbox)));
    }
    listen(rows, target).await
}

/// Empties the database named, which is there for measuring only.
pub(crate) async fn reset(url: &str) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
    sqlx::query("drop schema if exists public cascade").execute(&pool).await?;
    sqlx::query("create schema public").execute(&pool).await?;
    Ok(())
}

async fn write_all(pool: PgPool, inbox: Arc<Mutex<mpsc::Receiver<Row>>>) {
    let mut rows = Vec::with_capacity(GROUP_MAX);
    loop {
        if inbox.lock().await.recv_many(&mut rows, GROUP_MAX).await == 0 {
            return;
        }
        let (runs, seqs): (Vec<Uuid>, Vec<i32>) = rows.iter().map(|row| (row.run, row.seq)).unzip();
        let data: Vec<&str> = rows.iter().map(|row| row.data.as_str()).collect();
        let written =
            sqlx::query("insert into ceiling_journal (run, seq, data) select * from unnest($1::uuid[], $2::int[], $3::text[])")
                .bind(&runs)
                .bind(&seqs)
                .bind(&data)
                .execute(&pool)
                .await;
        if let Err(error) = written {
            println!("ceiling: {error}");
            return;
        }
        for row in rows.drain(..) {
            let _ = row.done.send(());
        }
    }
}
