//! Tokens of connections, whether they can sign in, and sign-ins that people began.

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteRow};
use store::{
    AuditRow, BegunSignIn, ConnectionId, ConnectionState, SignInRefused, SignIns, StoreError, Timestamp, TokenRow, Turn, TurnAsk,
    sound,
};

use crate::{
    SqliteStore,
    data_keys::key_id,
    error::sealed_failed,
    failed,
    gate::keep_audit,
    rows::{get, instant},
};

const TOKEN: &str = "select connection, place, sealed, renew_at, revision from tokens where connection = ? and place = ?";

#[async_trait]
impl SignIns for SqliteStore {
    async fn token(&self, connection: &str, place: &str) -> Result<Option<TokenRow>, StoreError> {
        let row = sqlx::query(TOKEN).bind(connection).bind(place).fetch_optional(&self.readers).await.map_err(failed)?;
        row.as_ref().map(token).transpose()
    }

    async fn take_turn(&self, ask: &TurnAsk<'_>) -> Result<Turn, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let taken = sqlx::query(
            "insert into tokens (connection, place, sealed, renew_at, revision, holder, holder_until) values (?1, ?2, x'', null, 0, ?3, ?4) \
             on conflict (connection, place) do update set holder = excluded.holder, holder_until = excluded.holder_until \
             where revision <= ?5 and (holder is null or holder = ?3 or holder_until <= ?6)",
        )
        .bind(ask.connection)
        .bind(ask.place)
        .bind(ask.holder)
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

    async fn end_turn(&self, connection: &str, place: &str, holder: &str) -> Result<(), StoreError> {
        sqlx::query("update tokens set holder = null, holder_until = null where connection = ? and place = ? and holder = ?")
            .bind(connection)
            .bind(place)
            .bind(holder)
            .execute(&mut *self.writer().await)
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn keep_token(&self, row: &TokenRow, holder: &str) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into tokens (connection, place, sealed, renew_at, revision, key_id) values (?1, ?2, ?3, ?4, ?5 + 1, ?7) \
             on conflict (connection, place) do update set sealed = excluded.sealed, key_id = excluded.key_id, renew_at = excluded.renew_at, \
             revision = excluded.revision, holder = case when holder = ?6 then null else holder end, \
             holder_until = case when holder = ?6 then null else holder_until end where revision = ?5",
        )
        .bind(&row.connection)
        .bind(&row.place)
        .bind(row.sealed.as_slice())
        .bind(row.renew_at.map(Timestamp::micros))
        .bind(row.revision)
        .bind(holder)
        .bind(key_id(&row.sealed))
        .execute(&mut *self.writer().await)
        .await
        .map_err(sealed_failed)?;
        Ok(done.rows_affected() == 1)
    }

    async fn connection_states(&self) -> Result<Vec<ConnectionState>, StoreError> {
        let sql =
            "select connection, needs_sign_in, reason, since, retry_at, last_used_at from connection_states order by connection";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await.map_err(failed)?;
        Ok(sound(&rows, state).collect())
    }

    async fn need_sign_in(&self, refused: &SignInRefused<'_>, audit: &AuditRow) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let done = sqlx::query(
            "insert into connection_states (connection, needs_sign_in, reason, since, retry_at) values (?1, 1, ?2, ?3, ?4) \
             on conflict (connection) do update set needs_sign_in = 1, reason = excluded.reason, since = excluded.since, \
             retry_at = excluded.retry_at where needs_sign_in = 0 and (since is null or since <= ?5)",
        )
        .bind(refused.connection)
        .bind(refused.reason)
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

    async fn try_sign_in(&self, connection: &str, now: Timestamp, next: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update connection_states set retry_at = ? where connection = ? and needs_sign_in = 1 and coalesce(retry_at, 0) <= ?",
        )
        .bind(next.micros())
        .bind(connection)
        .bind(now.micros())
        .execute(&mut *self.writer().await)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    async fn signed_in(&self, connection: &str, now: Timestamp, audit: &AuditRow) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let done = sqlx::query(
            "update connection_states set needs_sign_in = 0, reason = '', since = ?, retry_at = null \
             where connection = ? and needs_sign_in = 1",
        )
        .bind(now.micros())
        .bind(connection)
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

    async fn note_use(&self, connection: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "insert into connection_states (connection, needs_sign_in, reason, last_used_at) values (?, 0, '', ?) \
             on conflict (connection) do update set last_used_at = max(coalesce(last_used_at, 0), excluded.last_used_at)",
        )
        .bind(connection)
        .bind(at.micros())
        .execute(&mut *self.writer().await)
        .await
        .map(drop)
        .map_err(failed)
    }

    async fn begin_sign_in(&self, begun: &BegunSignIn) -> Result<(), StoreError> {
        sqlx::query("insert into begun_sign_ins (hash, connection_id, sealed, key_id, who, expires_at) values (?, ?, ?, ?, ?, ?)")
            .bind(begun.hash.as_slice())
            .bind(begun.connection.0)
            .bind(begun.sealed.as_slice())
            .bind(key_id(&begun.sealed))
            .bind(&begun.who)
            .bind(begun.expires_at.micros())
            .execute(&mut *self.writer().await)
            .await
            .map(drop)
            .map_err(sealed_failed)
    }

    async fn spend_sign_in(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<BegunSignIn>, StoreError> {
        let row = sqlx::query(
            "delete from begun_sign_ins where hash = ? and expires_at > ? returning connection_id, sealed, who, expires_at",
        )
        .bind(hash.as_slice())
        .bind(now.micros())
        .fetch_optional(&mut *self.writer().await)
        .await
        .map_err(failed)?;
        row.map(|row| {
            Ok(BegunSignIn {
                hash: *hash,
                connection: ConnectionId(get(&row, "connection_id")?),
                sealed: get(&row, "sealed")?,
                who: get(&row, "who")?,
                expires_at: Timestamp::from_micros(get(&row, "expires_at")?),
            })
        })
        .transpose()
    }
}

/// Why it is not the asker's turn.
async fn others_turn(connection: &mut SqliteConnection, ask: &TurnAsk<'_>) -> Result<Turn, StoreError> {
    let row = sqlx::query(TOKEN).bind(ask.connection).bind(ask.place).fetch_optional(&mut *connection).await.map_err(failed)?;
    // The connection may have been removed just now.
    let Some(row) = row else { return Ok(Turn::Taken(ask.now)) };
    let row = token(&row)?;
    if row.revision > ask.seen {
        return Ok(Turn::Moved(row));
    }
    let until: Option<i64> = sqlx::query_scalar("select holder_until from tokens where connection = ? and place = ?")
        .bind(ask.connection)
        .bind(ask.place)
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .flatten();
    Ok(Turn::Taken(until.map_or(ask.now, Timestamp::from_micros)))
}

fn token(row: &SqliteRow) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        connection: get(row, "connection")?,
        place: get(row, "place")?,
        sealed: get(row, "sealed")?,
        renew_at: instant(row, "renew_at")?,
        revision: get(row, "revision")?,
    })
}

fn state(row: &SqliteRow) -> Result<ConnectionState, StoreError> {
    let reason: String = get(row, "reason")?;
    Ok(ConnectionState {
        connection: get(row, "connection")?,
        needs_sign_in: get::<bool>(row, "needs_sign_in")?.then_some(reason),
        since: instant(row, "since")?,
        retry_at: instant(row, "retry_at")?,
        last_used_at: instant(row, "last_used_at")?,
    })
}
