//! A fresh database for every test, on the server `LIAISON_TEST_POSTGRES_URL` names.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{PostgresOptions, PostgresStore};

/// The variable that names a server on which databases may be made and dropped.
pub const URL_VARIABLE: &str = "LIAISON_TEST_POSTGRES_URL";

/// A database nobody else uses.
#[derive(Debug)]
pub struct FreshDatabase {
    /// Where it is.
    pub url: String,
    server: String,
    name: String,
}

impl FreshDatabase {
    /// Makes an empty database.
    ///
    /// # Panics
    /// When no server is named or it refuses: a test that needs PostgreSQL never passes without.
    pub async fn make() -> Self {
        let server = std::env::var(URL_VARIABLE)
            .unwrap_or_else(|_| panic!("set {URL_VARIABLE} or run `cargo xtask test`, which starts a throwaway server"));
        let name = format!("liaison_test_{}", uuid::Uuid::now_v7().simple());
        let (address, parameters) = server.split_once('?').map_or((server.as_str(), ""), |(address, rest)| (address, rest));
        let (base, _) = address.rsplit_once('/').filter(|(base, _)| !base.ends_with('/')).unwrap_or((address, ""));
        let url = format!("{base}/{name}{}{parameters}", if parameters.is_empty() { "" } else { "?" });
        // Not from template1, which must have no other user while it is copied.
        execute(&server, format!("create database {name} template template0")).await;
        Self { url, server, name }
    }

    /// Opens a store on it, as one more process would.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn open(&self) -> PostgresStore {
        let options = PostgresOptions { connections: 8, ..PostgresOptions::default() };
        PostgresStore::open(&self.url, options).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs statements of a test's own.
    ///
    /// # Panics
    /// When the server refuses them.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql.to_owned()).await;
    }

    /// Drops the database, whoever still uses it.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn remove(&self) {
        execute(&self.server, format!("drop database {} with (force)", self.name)).await;
    }
}

async fn execute(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap_or_else(|error| panic!("{URL_VARIABLE}: {error}"));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap_or_else(|error| panic!("{URL_VARIABLE}: {error}"));
    drop(connection.close().await);
}
