//! Where an installation under measurement keeps its data: a folder of its own, and on PostgreSQL a database of its own.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::product::{self, Process};

/// Removed with everything in it when it is [`Place::remove`]d.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    postgres: Option<Database>,
}

struct Database {
    server: String,
    name: String,
    url: String,
}

impl Place {
    /// On the PostgreSQL server named, or on SQLite.
    pub(crate) async fn new(server: Option<&str>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let Some(server) = server else { return Ok(Self { folder, postgres: None }) };
        let name = format!("liaison_bench_{}", uuid::Uuid::new_v4().simple());
        let mut url: reqwest::Url = server.parse().with_context(|| "the URL of the PostgreSQL server makes no sense")?;
        url.set_path(&name);
        let mut connection = PgConnection::connect(server).await?;
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self { folder, postgres: Some(Database { server: server.to_owned(), name, url: url.into() }) })
    }

    pub(crate) fn kind(&self) -> &'static str {
        if self.postgres.is_some() { "PostgreSQL" } else { "SQLite" }
    }

    /// Its PostgreSQL, if it has one.
    pub(crate) fn url(&self) -> Option<&str> {
        self.postgres.as_ref().map(|database| database.url.as_str())
    }

    /// A server on it.
    pub(crate) async fn serve(&self, flags: &[&str]) -> anyhow::Result<Process> {
        product::serve_with(self.folder.path(), self.url(), flags).await
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        if let Some(Database { server, name, .. }) = &self.postgres {
            let mut connection = PgConnection::connect(server).await?;
            sqlx::query(AssertSqlSafe(format!("drop database {name} with (force)"))).execute(&mut connection).await?;
            connection.close().await?;
        }
        Ok(self.folder.close()?)
    }

    /// Bytes of tables with their indexes, or of the file; never of the log.
    pub(crate) async fn bytes(&self) -> anyhow::Result<u64> {
        let Some(database) = &self.postgres else { return self.file("liaison.db") };
        let mut connection = PgConnection::connect(&database.url).await?;
        let bytes: i64 = sqlx::query_scalar(
            "select coalesce(sum(pg_total_relation_size(relid)), 0)::bigint from pg_stat_user_tables where schemaname = 'public'",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(u64::try_from(bytes)?)
    }

    /// What takes the room, for people.
    pub(crate) async fn sizes(&self) -> anyhow::Result<String> {
        let Some(database) = &self.postgres else {
            return Ok(format!(
                "liaison.db {:.1} MiB, -wal {:.1} MiB",
                mib(self.file("liaison.db")?),
                mib(self.file("liaison.db-wal")?)
            ));
        };
        let mut connection = PgConnection::connect(&database.url).await?;
        let tables: Vec<(String, i64, i64)> = sqlx::query_as(
            "select relname::text, pg_table_size(relid), pg_indexes_size(relid) from pg_stat_user_tables \
             where relname in ('runs', 'journal', 'event_keys') order by relname desc",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        let told = tables.into_iter().map(|(name, table, indexes)| {
            let [table, indexes] = [table, indexes].map(|bytes| mib(u64::try_from(bytes).unwrap_or(0)));
            format!("{name} {table:.1} + {indexes:.1} MiB")
        });
        Ok(told.collect::<Vec<_>>().join(", "))
    }

    /// Rows of runs, journals and keys that are removed but whose room cannot be used yet; and those that are there.
    pub(crate) async fn dead_rows(&self) -> anyhow::Result<(i64, i64)> {
        let Some(database) = &self.postgres else { return Ok((0, 0)) };
        let mut connection = PgConnection::connect(&database.url).await?;
        let rows = sqlx::query_as(
            "select sum(n_dead_tup)::bigint, sum(n_live_tup)::bigint from pg_stat_user_tables \
             where relname in ('runs', 'journal', 'event_keys')",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(rows)
    }

    fn file(&self, name: &str) -> anyhow::Result<u64> {
        match std::fs::metadata(self.folder.path().join(name)) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// As people read sizes.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
