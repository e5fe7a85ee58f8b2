//! API keys, sign-ins, sessions, settings, and what runs out by itself.

use sqlx::PgConnection;
use store::{KeyId, KeyRow, SessionRow, StoreError, Timestamp};

use crate::{
    failed,
    rows::{clean, get, instant},
};

pub(crate) async fn create_key(connection: &mut PgConnection, key: &KeyRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into api_keys (id, name, hash, scopes, created_at, expires_at) values ($1, $2, $3, $4, $5, $6) \
         on conflict (hash) do nothing",
    )
    .bind(key.id.0)
    .bind(clean(&key.name))
    .bind(key.hash.as_slice())
    .bind(clean(&key.scopes.join(" ")))
    .bind(key.created_at.micros())
    .bind(key.expires_at.map(Timestamp::micros))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

pub(crate) async fn key_by_hash(connection: &mut PgConnection, hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError> {
    let row = sqlx::query("select id, name, scopes, created_at, expires_at from api_keys where hash = $1")
        .bind(hash.as_slice())
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(|row| {
        Ok(KeyRow {
            id: KeyId(get(&row, "api_keys.id")?),
            name: get(&row, "api_keys.name")?,
            hash: *hash,
            scopes: get::<String>(&row, "api_keys.scopes")?.split_whitespace().map(str::to_owned).collect(),
            created_at: Timestamp::from_micros(get(&row, "api_keys.created_at")?),
            expires_at: instant(&row, "api_keys.expires_at")?,
        })
    })
    .transpose()
}

pub(crate) async fn create_signin(connection: &mut PgConnection, signin: &SessionRow) -> Result<(), StoreError> {
    sqlx::query("insert into signins (hash, \"user\", expires_at) values ($1, $2, $3)")
        .bind(signin.hash.as_slice())
        .bind(clean(&signin.user))
        .bind(signin.expires_at.micros())
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

pub(crate) async fn spend_signin(
    connection: &mut PgConnection,
    signin: &[u8; 32],
    session: &SessionRow,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // Of two at once, the second waits for the first and then finds nothing to delete.
    let done = sqlx::query(
        "with spent as (delete from signins where hash = $1 and expires_at > $2 returning \"user\") \
         insert into sessions (hash, \"user\", expires_at) select $3, \"user\", $4 from spent",
    )
    .bind(signin.as_slice())
    .bind(now.micros())
    .bind(session.hash.as_slice())
    .bind(session.expires_at.micros())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn session_by_hash(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<SessionRow>, StoreError> {
    let row = sqlx::query("select \"user\", expires_at from sessions where hash = $1 and expires_at > $2")
        .bind(hash.as_slice())
        .bind(now.micros())
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(|row| {
        Ok(SessionRow {
            hash: *hash,
            user: get(&row, "sessions.user")?,
            expires_at: Timestamp::from_micros(get(&row, "sessions.expires_at")?),
        })
    })
    .transpose()
}

pub(crate) async fn end_session(connection: &mut PgConnection, hash: &[u8; 32]) -> Result<(), StoreError> {
    sqlx::query("delete from sessions where hash = $1").bind(hash.as_slice()).execute(connection).await.map(drop).map_err(failed)
}

pub(crate) async fn setting(connection: &mut PgConnection, name: &str, initial: &str) -> Result<String, StoreError> {
    let row = sqlx::query(
        "insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = settings.value returning value",
    )
    .bind(clean(name))
    .bind(clean(initial))
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    get(&row, "settings.value")
}

pub(crate) async fn prune(connection: &mut PgConnection, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut removed = 0;
    // What somebody is taking over at this moment is left to the next round.
    for sql in [
        "delete from inbound where id in (select id from inbound where expires_at <= $1 limit $2 for update skip locked)",
        "delete from sessions where hash in (select hash from sessions where expires_at <= $1 limit $2 for update skip locked)",
        "delete from signins where hash in (select hash from signins where expires_at <= $1 limit $2 for update skip locked)",
        "delete from begun_sign_ins where hash in (select hash from begun_sign_ins where expires_at <= $1 limit $2 for update skip locked)",
    ] {
        removed += sqlx::query(sql)
            .bind(now.micros())
            .bind(i64::from(limit))
            .execute(&mut *connection)
            .await
            .map_err(failed)?
            .rows_affected();
    }
    Ok(removed)
}
