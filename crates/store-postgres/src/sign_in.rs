//! Tokens of connections, whether they can sign in, and sign-ins that people began.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, postgres::PgRow};
use store::{
    AuditRow, BegunSignIn, ConnectionId, ConnectionState, SignInRefused, SignIns, StoreError, Timestamp, TokenRow, Turn, TurnAsk,
    sound,
};

use crate::{
    PostgresStore, TRIES_MAX,
    data_keys::key_id,
    error::{failed, in_the_way, sealed_failed},
    gate::keep_audit,
    rows::{clean, get, instant},
};

const TOKEN: &str = "select connection, place, sealed, renew_at, revision from tokens where connection = $1 and place = $2";

#[async_trait]
impl SignIns for PostgresStore {
    async fn token(&self, connection: &str, place: &str) -> Result<Option<TokenRow>, StoreError> {
        let name = connection;
        ask!(self, connection => read_token(connection, name, place))
    }

    async fn take_turn(&self, ask: &TurnAsk<'_>) -> Result<Turn, StoreError> {
        ask!(self, connection => take_turn(connection, ask))
    }

    async fn end_turn(&self, connection: &str, place: &str, holder: &str) -> Result<(), StoreError> {
        let name = connection;
        ask!(self, connection => end_turn(connection, name, place, holder))
    }

    async fn keep_token(&self, row: &TokenRow, holder: &str) -> Result<bool, StoreError> {
        ask!(self, connection => keep_token(connection, row, holder))
    }

    async fn connection_states(&self) -> Result<Vec<ConnectionState>, StoreError> {
        ask!(self, connection => connection_states(connection))
    }

    async fn need_sign_in(&self, refused: &SignInRefused<'_>, audit: &AuditRow) -> Result<bool, StoreError> {
        ask!(self, connection => need_sign_in(connection, refused, audit))
    }

    async fn try_sign_in(&self, connection: &str, now: Timestamp, next: Timestamp) -> Result<bool, StoreError> {
        let name = connection;
        ask!(self, connection => try_sign_in(connection, name, now, next))
    }

    async fn signed_in(&self, connection: &str, now: Timestamp, audit: &AuditRow) -> Result<bool, StoreError> {
        let name = connection;
        ask!(self, connection => signed_in(connection, name, now, audit))
    }

    async fn note_use(&self, connection: &str, at: Timestamp) -> Result<(), StoreError> {
        let name = connection;
        ask!(self, connection => note_use(connection, name, at))
    }

    async fn begin_sign_in(&self, begun: &BegunSignIn) -> Result<(), StoreError> {
        ask!(self, connection => begin_sign_in(connection, begun))
    }

    async fn spend_sign_in(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<BegunSignIn>, StoreError> {
        ask!(self, connection => spend_sign_in(connection, hash, now))
    }
}

async fn read_token(db: &mut PgConnection, connection: &str, place: &str) -> Result<Option<TokenRow>, StoreError> {
    let row = sqlx::query(TOKEN).bind(clean(connection)).bind(clean(place)).fetch_optional(db).await.map_err(failed)?;
    row.as_ref().map(token).transpose()
}

async fn take_turn(db: &mut PgConnection, ask: &TurnAsk<'_>) -> Result<Turn, StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    let taken = sqlx::query(
        "insert into tokens (connection, place, sealed, renew_at, revision, holder, holder_until) values ($1, $2, ''::bytea, null, 0, $3, $4) \
         on conflict (connection, place) do update set holder = excluded.holder, holder_until = excluded.holder_until \
         where tokens.revision <= $5 and (tokens.holder is null or tokens.holder = $3 or tokens.holder_until <= $6)",
    )
    .bind(clean(ask.connection))
    .bind(clean(ask.place))
    .bind(clean(ask.holder))
    .bind(ask.until.micros())
    .bind(ask.seen)
    .bind(ask.now.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    let turn = match taken.rows_affected() {
        0 => others_turn(&mut transaction, ask).await?,
        _ => Turn::Mine,
    };
    transaction.commit().await.map_err(failed)?;
    Ok(turn)
}

async fn end_turn(db: &mut PgConnection, connection: &str, place: &str, holder: &str) -> Result<(), StoreError> {
    sqlx::query("update tokens set holder = null, holder_until = null where connection = $1 and place = $2 and holder = $3")
        .bind(clean(connection))
        .bind(clean(place))
        .bind(clean(holder))
        .execute(db)
        .await
        .map(drop)
        .map_err(failed)
}

async fn keep_token(db: &mut PgConnection, row: &TokenRow, holder: &str) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into tokens (connection, place, sealed, renew_at, revision, key_id) values ($1, $2, $3, $4, $5::bigint + 1, $7) \
         on conflict (connection, place) do update set sealed = excluded.sealed, key_id = excluded.key_id, renew_at = excluded.renew_at, \
         revision = excluded.revision, holder = case when tokens.holder = $6 then null else tokens.holder end, \
         holder_until = case when tokens.holder = $6 then null else tokens.holder_until end where tokens.revision = $5",
    )
    .bind(clean(&row.connection))
    .bind(clean(&row.place))
    .bind(row.sealed.as_slice())
    .bind(row.renew_at.map(Timestamp::micros))
    .bind(row.revision)
    .bind(clean(holder))
    .bind(key_id(&row.sealed))
    .execute(db)
    .await
    .map_err(sealed_failed)?;
    Ok(done.rows_affected() == 1)
}

async fn connection_states(db: &mut PgConnection) -> Result<Vec<ConnectionState>, StoreError> {
    let sql =
        "select connection, needs_sign_in, reason, since, retry_at, last_used_at from connection_states order by connection";
    let rows = sqlx::query(sql).fetch_all(db).await.map_err(failed)?;
    Ok(sound(&rows, state).collect())
}

async fn need_sign_in(db: &mut PgConnection, refused: &SignInRefused<'_>, audit: &AuditRow) -> Result<bool, StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    let done = sqlx::query(
        "insert into connection_states (connection, needs_sign_in, reason, since, retry_at) values ($1, true, $2, $3, $4) \
         on conflict (connection) do update set needs_sign_in = true, reason = excluded.reason, since = excluded.since, \
         retry_at = excluded.retry_at where not connection_states.needs_sign_in and (connection_states.since is null or connection_states.since <= $5)",
    )
    .bind(clean(refused.connection))
    .bind(clean(refused.reason))
    .bind(refused.now.micros())
    .bind(refused.retry_at.micros())
    .bind(refused.began.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    keep_audit(&mut transaction, audit).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

async fn try_sign_in(db: &mut PgConnection, connection: &str, now: Timestamp, next: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update connection_states set retry_at = $1 where connection = $2 and needs_sign_in and coalesce(retry_at, 0) <= $3",
    )
    .bind(next.micros())
    .bind(clean(connection))
    .bind(now.micros())
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

async fn signed_in(db: &mut PgConnection, connection: &str, now: Timestamp, audit: &AuditRow) -> Result<bool, StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    let done = sqlx::query(
        "update connection_states set needs_sign_in = false, reason = '', since = $1, retry_at = null \
         where connection = $2 and needs_sign_in",
    )
    .bind(now.micros())
    .bind(clean(connection))
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    keep_audit(&mut transaction, audit).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

async fn note_use(db: &mut PgConnection, connection: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "insert into connection_states (connection, needs_sign_in, reason, last_used_at) values ($1, false, '', $2) \
         on conflict (connection) do update set last_used_at = greatest(connection_states.last_used_at, excluded.last_used_at)",
    )
    .bind(clean(connection))
    .bind(at.micros())
    .execute(db)
    .await
    .map(drop)
    .map_err(failed)
}

async fn begin_sign_in(db: &mut PgConnection, begun: &BegunSignIn) -> Result<(), StoreError> {
    sqlx::query(
        "insert into begun_sign_ins (hash, connection_id, sealed, key_id, who, expires_at) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(begun.hash.as_slice())
    .bind(begun.connection.0)
    .bind(begun.sealed.as_slice())
    .bind(key_id(&begun.sealed))
    .bind(clean(&begun.who))
    .bind(begun.expires_at.micros())
    .execute(db)
    .await
    .map(drop)
    .map_err(sealed_failed)
}

async fn spend_sign_in(db: &mut PgConnection, hash: &[u8; 32], now: Timestamp) -> Result<Option<BegunSignIn>, StoreError> {
    let row = sqlx::query(
        "delete from begun_sign_ins where hash = $1 and expires_at > $2 returning connection_id, sealed, who, expires_at",
    )
    .bind(hash.as_slice())
    .bind(now.micros())
    .fetch_optional(db)
    .await
    .map_err(failed)?;
    row.map(|row| {
        Ok(BegunSignIn {
            hash: *hash,
            connection: ConnectionId(get(&row, "begun_sign_ins.connection_id")?),
            sealed: get(&row, "begun_sign_ins.sealed")?,
            who: get(&row, "begun_sign_ins.who")?,
            expires_at: Timestamp::from_micros(get(&row, "begun_sign_ins.expires_at")?),
        })
    })
    .transpose()
}

/// Why it is not the asker's turn.
async fn others_turn(connection: &mut PgConnection, ask: &TurnAsk<'_>) -> Result<Turn, StoreError> {
    let row = sqlx::query(TOKEN)
        .bind(clean(ask.connection))
        .bind(clean(ask.place))
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    // The connection may have been removed just now.
    let Some(row) = row else { return Ok(Turn::Taken(ask.now)) };
    let row = token(&row)?;
    if row.revision > ask.seen {
        return Ok(Turn::Moved(row));
    }
    let until: Option<i64> = sqlx::query_scalar("select holder_until from tokens where connection = $1 and place = $2")
        .bind(clean(ask.connection))
        .bind(clean(ask.place))
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .flatten();
    Ok(Turn::Taken(until.map_or(ask.now, Timestamp::from_micros)))
}

fn token(row: &PgRow) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        connection: get(row, "tokens.connection")?,
        place: get(row, "tokens.place")?,
        sealed: get(row, "tokens.sealed")?,
        renew_at: instant(row, "tokens.renew_at")?,
        revision: get(row, "tokens.revision")?,
    })
}

fn state(row: &PgRow) -> Result<ConnectionState, StoreError> {
    let reason: String = get(row, "connection_states.reason")?;
    Ok(ConnectionState {
        connection: get(row, "connection_states.connection")?,
        needs_sign_in: get::<bool>(row, "connection_states.needs_sign_in")?.then_some(reason),
        since: instant(row, "connection_states.since")?,
        retry_at: instant(row, "connection_states.retry_at")?,
        last_used_at: instant(row, "connection_states.last_used_at")?,
    })
}
