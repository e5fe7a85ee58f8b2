//! A database with a history nobody lived: rows put there in large transactions, while no server runs.

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use crate::place::Place;

/// Rows written in one transaction.
const FILL_MAX: u64 = 50_000;

/// Runs to make up: each has the journal of a run that is there, and a key of its own if that one has.
pub(crate) struct Runs<'r> {
    /// The run whose journal they have.
    pub(crate) model: Uuid,
    /// Their recipe.
    pub(crate) recipe: Uuid,
    /// When the first was accepted, in milliseconds since 1970; each of the others a millisecond later.
    pub(crate) first_ms: i64,
    pub(crate) count: u64,
    /// SQL for `status, waiting_for, due_at, ended_at`; `at` is when the run was accepted.
    pub(crate) state: &'r str,
}

/// The database of a server that does not run.
pub(crate) enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Does the same on both: `$body` with `$connection`.
macro_rules! on {
    ($database:expr, $connection:ident => $body:expr) => {
        match $database {
            Database::Sqlite($connection) => $body,
            Database::Postgres($connection) => $body,
        }
    };
}

impl Database {
    pub(crate) async fn open(place: &Place) -> anyhow::Result<Self> {
        Ok(match place.url() {
            Some(url) => Self::Postgres(PgConnection::connect(url).await?),
            None => Self::Sqlite(sqlite(place.folder.path()).await?),
        })
    }

    /// One id of the database.
    pub(crate) async fn id(&mut self, sql: &'static str) -> anyhow::Result<Uuid> {
        Ok(on!(self, connection => sqlx::query_scalar(sql).fetch_one(connection).await?))
    }

    /// One number of the database.
    pub(crate) async fn number(&mut self, sql: &'static str) -> anyhow::Result<i64> {
        Ok(on!(self, connection => sqlx::query_scalar(sql).fetch_one(connection).await?))
    }

    pub(crate) async fn execute(&mut self, sql: &'static str) -> anyhow::Result<()> {
        on!(self, connection => sqlx::query(sql).execute(connection).await.map(drop)?);
        Ok(())
    }

    /// Makes up runs.
    pub(crate) async fn add(&mut self, runs: &Runs<'_>) -> anyhow::Result<()> {
        // A UUIDv7 is 48 bits of milliseconds, the version, and here a counter.
        let numbers = match self {
            Self::Sqlite(_) => {
                "with recursive n (i) as (select $1 union all select i + 1 from n where i + 1 < $2), \
                 ids (id, at) as (select unhex(printf('%012x70008%015x', $3 + i, i)), ($3 + i) * 1000 from n)"
            }
            Self::Postgres(_) => {
                "with ids (id, at) as materialized (select \
                 (lpad(to_hex($3::bigint + i), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid, ($3::bigint + i) * 1000 \
                 from generate_series($1::bigint, $2::bigint - 1) as n (i))"
            }
        };
        let rows = format!(
            "{numbers} insert into runs (id, recipe_id, version, epoch, via, attempts, accepted_at, status, waiting_for, due_at, ended_at) \
             select id, $4, 1, 1, 0, 0, at, {} from ids",
            runs.state
        );
        let journal = format!(
            "{numbers} insert into journal (run_id, seq, chunk) select ids.id, j.seq, j.chunk from ids, journal j where j.run_id = $4"
        );
        let random = match self {
            Self::Sqlite(_) => "randomblob(16)",
            Self::Postgres(_) => "uuid_send(gen_random_uuid())",
        };
        let keys = format!(
            "{numbers} insert into event_keys (recipe_id, key, run_id, expires_at, fingerprint) \
             select k.recipe_id, {random}, ids.id, ids.at + k.expires_at - r.accepted_at, k.fingerprint \
             from ids, event_keys k join runs r on r.id = k.run_id where k.run_id = $4"
        );
        for from in (0..runs.count).step_by(usize::try_from(FILL_MAX)?) {
            let numbers = (i64::try_from(from)?, i64::try_from((from + FILL_MAX).min(runs.count))?);
            on!(self, connection => {
                let mut transaction = connection.begin().await?;
                for (sql, id) in [(&rows, runs.recipe), (&journal, runs.model), (&keys, runs.model)] {
                    sqlx::query(AssertSqlSafe(sql.clone()))
                        .bind(numbers.0)
                        .bind(numbers.1)
                        .bind(runs.first_ms)
                        .bind(id)
                        .execute(&mut *transaction)
                        .await?;
                }
                transaction.commit().await?;
            });
        }
        Ok(())
    }

    /// Leaves it as a server would that had lived with it: nothing in the log, and looked through by the vacuum.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(connection) => close(connection).await,
            Self::Postgres(mut connection) => {
                sqlx::query("vacuum (analyze) runs, journal").execute(&mut connection).await?;
                Ok(connection.close().await?)
            }
        }
    }
}

/// Opens the SQLite of a server that does not run.
pub(crate) async fn sqlite(folder: &std::path::Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(folder.join("liaison.db"));
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// Makes up recipes like the one called `model`, each under a slug and address of its own, switched on.
pub(crate) async fn recipes(connection: &mut SqliteConnection, model: &str, count: u64, minute: &str) -> anyhow::Result<()> {
    let now_us: i64 =
        sqlx::query_scalar("select cast(unixepoch('subsec') * 1000000 as integer)").fetch_one(&mut *connection).await?;
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
             {minute} || ' * * * *'), v.hash, ?3, 'bench' from n, recipe_versions v join recipes r on r.id = v.recipe_id where r.slug = ?2"
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
