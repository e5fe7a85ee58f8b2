//! A fresh place for every test, on the server `LIAISON_TEST_POSTGRES_URL` names.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{PostgresOptions, PostgresStore};

/// The variable that names a server on which databases may be made and dropped.
pub const URL_VARIABLE: &str = "LIAISON_TEST_POSTGRES_URL";

const REACH_WITHIN: Duration = Duration::from_secs(60);

/// A place nobody else uses.
#[derive(Debug)]
pub struct FreshDatabase {
    /// Where it is.
    pub url: String,
    server: String,
    removal: String,
}

impl FreshDatabase {
    /// Makes an empty schema in the server's database: in a moment, but its notices reach every test
    /// that does the same.
    ///
    /// # Panics
    /// When no server is named or it refuses: a test that needs PostgreSQL never passes without.
    pub async fn schema() -> Self {
        let (server, name) = (server(), unique());
        execute(&server, format!("create schema {name}")).await;
        let url = format!("{server}{}options[search_path]={name}", if server.contains('?') { '&' } else { '?' });
        Self { url, server, removal: format!("drop schema {name} cascade") }
    }

    /// Makes an empty database, which nothing of other tests reaches. Takes its time: the server
    /// writes everything to the disk before it drops one.
    ///
    /// # Panics
    /// As [`FreshDatabase::schema`].
    pub async fn database() -> Self {
        let (server, name) = (server(), unique());
        // Not from template1, which must have no other user while it is copied.
        execute(&server, format!("create database {name} template template0")).await;
        let (address, parameters) =
            server.split_once('?').map_or((server.as_str(), None), |(address, rest)| (address, Some(rest)));
        let base = address.rsplit_once('/').map(|(base, _)| base).filter(|base| !base.ends_with('/')).unwrap_or(address);
        let url = format!("{base}/{name}{}", parameters.map(|rest| format!("?{rest}")).unwrap_or_default());
        Self { url, server, removal: format!("drop database {name} with (force)") }
    }

    /// Opens a store on it, as one more process would.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn open(&self) -> PostgresStore {
        // Many tests at once on a machine that does something else may wait long for a connection.
        let options = PostgresOptions { connections: 8, reach_within: REACH_WITHIN, ..PostgresOptions::default() };
        PostgresStore::open(&self.url, options).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs statements of a test's own.
    ///
    /// # Panics
    /// When the server refuses them.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql.to_owned()).await;
    }

    /// One number a statement of a test's own gives.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.unwrap_or_else(|error| panic!("{URL_VARIABLE}: {error}"));
        let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        drop(connection.close().await);
        number
    }

    /// Removes it with everything in it.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn remove(&self) {
        execute(&self.server, self.removal.clone()).await;
    }
}

fn server() -> String {
    std::env::var(URL_VARIABLE)
        .ok()
        .filter(|url| !url.is_empty())
        .unwrap_or_else(|| panic!("set {URL_VARIABLE} or run `cargo xtask test`, which starts a throwaway server"))
}

fn unique() -> String {
    format!("liaison_test_{}", uuid::Uuid::now_v7().simple())
}

async fn execute(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap_or_else(|error| panic!("{URL_VARIABLE}: {error}"));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap_or_else(|error| panic!("{URL_VARIABLE}: {error}"));
    drop(connection.close().await);
}
