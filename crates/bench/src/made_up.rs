//! A database with a history nobody lived: rows put there in large transactions, while no server runs.

use std::path::Path;

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// Rows written in one transaction.
const FILL_MAX: u64 = 50_000;

/// Runs to make up: each has the journal of a run that is there.
pub(crate) struct Runs<'r> {
    /// The run whose journal they have.
    pub(crate) model: &'r [u8],
    /// Their recipe.
    pub(crate) recipe: &'r [u8],
    /// When the first was accepted, in milliseconds since 1970; each of the others a millisecond later.
    pub(crate) first_ms: i64,
    pub(crate) count: u64,
    /// SQL for `status, waiting_for, due_at, ended_at`; `at` is when the run was accepted.
    pub(crate) state: &'r str,
}

/// Opens the database of a server that does not run.
pub(crate) async fn open(folder: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(folder.join("liaison.db"));
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// One value of the database.
pub(crate) async fn one<T>(connection: &mut SqliteConnection, sql: &'static str) -> anyhow::Result<T>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
{
    sqlx::query_scalar(sql).fetch_one(connection).await.with_context(|| format!("nothing found: {sql}"))
}

/// Makes up runs.
pub(crate) async fn runs(connection: &mut SqliteConnection, runs: &Runs<'_>) -> anyhow::Result<()> {
    // A UUIDv7 is 48 bits of milliseconds, the version, and here a counter.
    let numbers = "with recursive n (i) as (select ?1 union all select i + 1 from n where i + 1 < ?2), \
         ids (id, at) as (select unhex(printf('%012x70008%015x', ?3 + i, i)), (?3 + i) * 1000 from n)";
    let rows = format!(
        "{numbers} insert into runs (id, recipe_id, version, epoch, via, attempts, accepted_at, status, waiting_for, due_at, ended_at) \
         select id, ?4, 1, 1, 0, 0, at, {} from ids",
        runs.state
    );
    let journal = format!(
        "{numbers} insert into journal (run_id, seq, chunk) select ids.id, j.seq, j.chunk from ids, journal j where j.run_id = ?4"
    );
    for from in (0..runs.count).step_by(usize::try_from(FILL_MAX)?) {
        let mut transaction = connection.begin().await?;
        for (sql, id) in [(&rows, runs.recipe), (&journal, runs.model)] {
            sqlx::query(AssertSqlSafe(sql.clone()))
                .bind(i64::try_from(from)?)
                .bind(i64::try_from((from + FILL_MAX).min(runs.count))?)
                .bind(runs.first_ms)
                .bind(id)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// Makes up recipes like the one called `model`, each under a slug and address of its own, switched on.
pub(crate) async fn recipes(connection: &mut SqliteConnection, model: &str, count: u64) -> anyhow::Result<()> {
    let now_us: i64 = one(connection, "select cast(unixepoch('subsec') * 1000000 as integer)").await?;
    let numbers = "with recursive n (i) as (select 1 union all select i + 1 from n where i < ?1)";
    let mut transaction = connection.begin().await?;
    for sql in [
        format!(
            "{numbers} insert into recipes (id, slug, title, latest_version, active_version, params, hook_token, revision, \
             schedule_cursor, created_at, updated_at) select unhex(printf('%032x', i)), ?2 || i, ?2 || i, 1, 1, '{{}}', 'token' || i, 1, \
             ?3, ?3, ?3 from n"
        ),
        format!(
            "{numbers} insert into recipe_versions (recipe_id, version, text, hash, created_at, created_by) \
             select unhex(printf('%032x', i)), 1, replace(replace(v.text, 'recipe: ' || ?2, 'recipe: ' || ?2 || i), '59 * * * *', \
             (i % 60) || ' * * * *'), v.hash, ?3, 'bench' from n, recipe_versions v join recipes r on r.id = v.recipe_id where r.slug = ?2"
        ),
    ] {
        sqlx::query(AssertSqlSafe(sql)).bind(i64::try_from(count)?).bind(model).bind(now_us).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Puts everything into the database file itself.
pub(crate) async fn close(mut connection: SqliteConnection) -> anyhow::Result<()> {
    sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await?;
    Ok(connection.close().await?)
}
