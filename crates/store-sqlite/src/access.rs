//! API keys, sign-ins, sessions, settings, and what runs out by itself.

use sqlx::{Connection, SqliteConnection, SqlitePool};
use store::{KeyId, KeyRow, SessionRow, StoreError, Timestamp};

use crate::{
    failed,
    rows::{get, instant},
};

pub(crate) async fn create_key(connection: &mut SqliteConnection, key: &KeyRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into api_keys (id, name, hash, scopes, created_at, expires_at) values (?, ?, ?, ?, ?, ?) on conflict (hash) do nothing",
    )
    .bind(key.id.0)
    .bind(&key.name)
    .bind(key.hash.as_slice())
    .bind(key.scopes.join(" "))
    .bind(key.created_at.micros())
    .bind(key.expires_at.map(Timestamp::micros))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

pub(crate) async fn key_by_hash(pool: &SqlitePool, hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError> {
    let row = sqlx::query("select id, name, scopes, created_at, expires_at from api_keys where hash = ?")
        .bind(hash.as_slice())
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.map(|row| {
        Ok(KeyRow {
            id: KeyId(get(&row, "id")?),
            name: get(&row, "name")?,
            hash: *hash,
            scopes: get::<String>(&row, "scopes")?.split_whitespace().map(str::to_owned).collect(),
            created_at: Timestamp::from_micros(get(&row, "created_at")?),
            expires_at: instant(&row, "expires_at")?,
        })
    })
    .transpose()
}

pub(crate) async fn create_signin(connection: &mut SqliteConnection, signin: &SessionRow) -> Result<(), StoreError> {
    sqlx::query("insert into signins (hash, user, expires_at) values (?, ?, ?)")
        .bind(signin.hash.as_slice())
        .bind(&signin.user)
        .bind(signin.expires_at.micros())
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

pub(crate) async fn spend_signin(
    connection: &mut SqliteConnection,
    signin: &[u8; 32],
    session: &SessionRow,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let spent = sqlx::query("delete from signins where hash = ? and expires_at > ? returning user")
        .bind(signin.as_slice())
        .bind(now.micros())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
    let Some(spent) = spent else { return Ok(false) };
    sqlx::query("insert into sessions (hash, user, expires_at) values (?, ?, ?)")
        .bind(session.hash.as_slice())
        .bind(get::<String>(&spent, "user")?)
        .bind(session.expires_at.micros())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

pub(crate) async fn session_by_hash(
    pool: &SqlitePool,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<SessionRow>, StoreError> {
    let row = sqlx::query("select user, expires_at from sessions where hash = ? and expires_at > ?")
        .bind(hash.as_slice())
        .bind(now.micros())
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.map(|row| {
        Ok(SessionRow { hash: *hash, user: get(&row, "user")?, expires_at: Timestamp::from_micros(get(&row, "expires_at")?) })
    })
    .transpose()
}

pub(crate) async fn end_session(connection: &mut SqliteConnection, hash: &[u8; 32]) -> Result<(), StoreError> {
    sqlx::query("delete from sessions where hash = ?").bind(hash.as_slice()).execute(connection).await.map(drop).map_err(failed)
}

pub(crate) async fn setting(connection: &mut SqliteConnection, name: &str, initial: &str) -> Result<String, StoreError> {
    let row = sqlx::query(
        "insert into settings (name, value) values (?, ?) on conflict (name) do update set value = value returning value",
    )
    .bind(name)
    .bind(initial)
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    get(&row, "value")
}

pub(crate) async fn prune(connection: &mut SqliteConnection, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut removed = 0;
    for sql in [
        "delete from inbound where id in (select id from inbound where expires_at <= ? limit ?)",
        "delete from sessions where hash in (select hash from sessions where expires_at <= ? limit ?)",
        "delete from signins where hash in (select hash from signins where expires_at <= ? limit ?)",
        "delete from begun_sign_ins where hash in (select hash from begun_sign_ins where expires_at <= ? limit ?)",
    ] {
        removed +=
            sqlx::query(sql).bind(now.micros()).bind(limit).execute(&mut *connection).await.map_err(failed)?.rows_affected();
    }
    Ok(removed)
}
