//! A look at a database before it is opened.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};
use store::Glance;

use crate::{OpenError, PostgresOptions, connect_options, error::Place};

/// Looks at the database at `url` without changing it.
///
/// # Errors
/// [`OpenError`] when it cannot be reached or read.
pub async fn look(url: &str, options: &PostgresOptions) -> Result<Glance, OpenError> {
    let target = connect_options(url)?;
    let place = Place::of(&target);
    let looking = async {
        let mut connection = PgConnection::connect_with(&target).await?;
        let glance = read(&mut connection).await;
        drop(connection.close().await);
        glance
    };
    match tokio::time::timeout(options.reach_within, looking).await {
        Ok(glance) => glance.map_err(|error| place.refused(&error)),
        Err(_) => Err(place.silent(options.reach_within)),
    }
}

async fn read(connection: &mut PgConnection) -> Result<Glance, sqlx::Error> {
    let (migrated, settled, connected, keyed): (bool, bool, bool, bool) = sqlx::query_as(
        "select to_regclass('_sqlx_migrations') is not null, to_regclass('settings') is not null, to_regclass('connections') is not null, \
         to_regclass('data_keys') is not null",
    )
    .fetch_one(&mut *connection)
    .await?;
    let schema = if migrated {
        sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(&mut *connection)
            .await?
    } else {
        0
    };
    let settings: BTreeMap<String, String> = if settled {
        sqlx::query_as("select name, value from settings").fetch_all(&mut *connection).await?.into_iter().collect()
    } else {
        BTreeMap::new()
    };
    // Before there were data keys, credentials were sealed under the master key itself.
    let sealed = if keyed {
        sqlx::query_scalar("select wrapped from data_keys limit 1").fetch_optional(&mut *connection).await?
    } else if connected {
        sqlx::query_scalar("select sealed from connections where length(sealed) > 0 limit 1")
            .fetch_optional(&mut *connection)
            .await?
    } else {
        None
    };
    Ok(Glance { schema, settings, sealed })
}
