//! Data keys, and what is sealed under them.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteRow};
use store::{
    DataKeyId, DataKeyRow, DataKeys, KEY_CHECK_SETTING, Rewrap, SHARED_KEY_SETTING, Sealed, SealedAt, StoreError, Timestamp,
    sound,
};

use crate::{
    SqliteStore,
    error::sealed_failed,
    failed,
    rows::{get, instant},
};

/// Everything sealed, in the order of [`SealedAt::key`].
const SEALED: &str = "\
    select 0 as kind, name as first, '' as second, sealed, key_id from secrets \
    union all select 1, lower(hex(id)), '', sealed, key_id from connections \
    union all select 2, connection, place, sealed, key_id from tokens \
    union all select 3, lower(hex(hash)), '', sealed, key_id from begun_sign_ins";

#[async_trait]
impl DataKeys for SqliteStore {
    async fn data_keys(&self) -> Result<Vec<DataKeyRow>, StoreError> {
        let rows = sqlx::query("select id, wrapped, master_key, created_at, retired_at from data_keys order by id")
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        rows.iter().map(data_key).collect()
    }

    async fn add_data_key(&self, row: &DataKeyRow) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let done = sqlx::query(
            "insert into data_keys (id, wrapped, master_key, created_at) select ?1, ?2, ?3, ?4 \
             where ?1 = (select coalesce(max(id), 0) + 1 from data_keys) \
             and not exists (select 1 from data_keys where retired_at is null and master_key <> ?3)",
        )
        .bind(row.id.0)
        .bind(row.wrapped.as_slice())
        .bind(&row.master_key)
        .bind(row.created_at.micros())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("update data_keys set retired_at = ? where retired_at is null and id < ?")
            .bind(row.created_at.micros())
            .bind(row.id.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    async fn remove_data_keys(&self) -> Result<Vec<DataKeyId>, StoreError> {
        let sql = format!(
            "delete from data_keys where retired_at is not null and id not in (select key_id from ({SEALED}) where key_id is not null) returning id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *self.writer().await).await.map_err(failed)?;
        let mut gone = rows.iter().map(|row| Ok(DataKeyId(get(row, "id")?))).collect::<Result<Vec<_>, StoreError>>()?;
        gone.sort_unstable();
        Ok(gone)
    }

    async fn rewrap(&self, rewrap: &Rewrap) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        let legacy = format!("select 1 from ({SEALED}) where key_id is null and length(sealed) > 0 limit 1");
        if sqlx::query(AssertSqlSafe(legacy)).fetch_optional(&mut *transaction).await.map_err(failed)?.is_some() {
            return Ok(false);
        }
        for (id, wrapped) in &rewrap.wrapped {
            let done = sqlx::query("update data_keys set wrapped = ?, master_key = ? where id = ? and master_key = ?")
                .bind(wrapped.as_slice())
                .bind(&rewrap.to)
                .bind(id.0)
                .bind(&rewrap.from)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
        }
        let left = sqlx::query("select 1 from data_keys where master_key <> ? limit 1").bind(&rewrap.to);
        if left.fetch_optional(&mut *transaction).await.map_err(failed)?.is_some() {
            return Ok(false);
        }
        keep_check(&mut transaction, &rewrap.check).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    async fn secret(&self, name: &str, initial: &[u8]) -> Result<Vec<u8>, StoreError> {
        let row = sqlx::query(
            "insert into secrets (name, sealed, key_id) values (?, ?, ?) \
             on conflict (name) do update set sealed = secrets.sealed returning sealed",
        )
        .bind(name)
        .bind(initial)
        .bind(key_id(initial))
        .fetch_one(&mut *self.writer().await)
        .await
        .map_err(sealed_failed)?;
        get(&row, "sealed")
    }

    async fn sealed(&self, after: Option<&SealedAt>, limit: u32) -> Result<Vec<Sealed>, StoreError> {
        let (kind, first, second) = after.map_or((-1, String::new(), String::new()), SealedAt::key);
        let sql = format!(
            "select kind, first, second, sealed from ({SEALED}) where length(sealed) > 0 and (kind, first, second) > (?, ?, ?) \
             order by kind, first, second limit ?"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(kind)
            .bind(first)
            .bind(second)
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        Ok(sound(&rows, sealed).collect())
    }

    async fn sealed_at(&self, at: &SealedAt) -> Result<Option<Vec<u8>>, StoreError> {
        let (_, first, second) = at.key();
        let query = match at {
            SealedAt::Secret(_) => sqlx::query("select sealed from secrets where name = ?1"),
            SealedAt::Connection(_) => sqlx::query("select sealed from connections where id = unhex(?1)"),
            SealedAt::Token { .. } => sqlx::query("select sealed from tokens where connection = ?1 and place = ?2"),
            SealedAt::SignIn(_) => sqlx::query("select sealed from begun_sign_ins where hash = unhex(?1)"),
        };
        let query = query.bind(first);
        let query = if let SealedAt::Token { .. } = at { query.bind(second) } else { query };
        let row = query.fetch_optional(&self.readers).await.map_err(failed)?;
        row.map(|row| get(&row, "sealed")).transpose()
    }

    async fn reseal(&self, known: &Sealed, anew: &[u8]) -> Result<bool, StoreError> {
        let (_, first, second) = known.at.key();
        let query = match &known.at {
            SealedAt::Secret(_) => sqlx::query("update secrets set sealed = ?1, key_id = ?2 where sealed = ?3 and name = ?4"),
            SealedAt::Connection(_) => {
                sqlx::query("update connections set sealed = ?1, key_id = ?2 where sealed = ?3 and id = unhex(?4)")
            }
            SealedAt::Token { .. } => {
                sqlx::query("update tokens set sealed = ?1, key_id = ?2 where sealed = ?3 and connection = ?4 and place = ?5")
            }
            SealedAt::SignIn(_) => {
                sqlx::query("update begun_sign_ins set sealed = ?1, key_id = ?2 where sealed = ?3 and hash = unhex(?4)")
            }
        };
        let query = query.bind(anew).bind(key_id(anew)).bind(known.sealed.as_slice()).bind(first);
        let query = if let SealedAt::Token { .. } = known.at { query.bind(second) } else { query };
        let done = query.execute(&mut *self.writer().await).await.map_err(sealed_failed)?;
        Ok(done.rows_affected() == 1)
    }
}

/// The key that a sealed text names, for its column.
pub(crate) fn key_id(sealed: &[u8]) -> Option<i64> {
    DataKeyId::of(sealed).map(|id| id.0)
}

/// The new check value; a master key that was kept in the database is good for nothing any more.
async fn keep_check(connection: &mut SqliteConnection, check: &str) -> Result<(), StoreError> {
    sqlx::query("insert into settings (name, value) values (?, ?) on conflict (name) do update set value = excluded.value")
        .bind(KEY_CHECK_SETTING)
        .bind(check)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let query = sqlx::query("delete from settings where name = ?").bind(SHARED_KEY_SETTING);
    query.execute(connection).await.map(drop).map_err(failed)
}

fn data_key(row: &SqliteRow) -> Result<DataKeyRow, StoreError> {
    Ok(DataKeyRow {
        id: DataKeyId(get(row, "id")?),
        wrapped: get(row, "wrapped")?,
        master_key: get(row, "master_key")?,
        created_at: Timestamp::from_micros(get(row, "created_at")?),
        retired_at: instant(row, "retired_at")?,
    })
}

fn sealed(row: &SqliteRow) -> Result<Sealed, StoreError> {
    Ok(Sealed {
        at: SealedAt::from_key(get(row, "kind")?, get(row, "first")?, get(row, "second")?)?,
        sealed: get(row, "sealed")?,
    })
}
