//! Data keys, and what is sealed under them.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgRow};
use store::{
    DataKeyId, DataKeyRow, DataKeys, KEY_CHECK_SETTING, Rewrap, SHARED_KEY_SETTING, Sealed, SealedAt, StoreError, Timestamp,
    sound,
};

use crate::{
    PostgresStore, TRIES_MAX,
    error::{failed, in_the_way, sealed_failed},
    rows::{clean, get, instant},
};

/// Everything sealed, in the order of [`SealedAt::key`].
const SEALED: &str = "\
    select 0 as kind, name as first, '' as second, sealed, key_id from secrets \
    union all select 1, replace(id::text, '-', '') collate \"C\", '', sealed, key_id from connections \
    union all select 2, connection, place, sealed, key_id from tokens \
    union all select 3, encode(hash, 'hex') collate \"C\", '', sealed, key_id from begun_sign_ins";
/// Keys are added and changed by one process at a time; whoever writes what is sealed is not in the way.
const ALONE: &str = "lock table data_keys in share row exclusive mode";

#[async_trait]
impl DataKeys for PostgresStore {
    async fn data_keys(&self) -> Result<Vec<DataKeyRow>, StoreError> {
        ask!(self, connection => data_keys(connection))
    }

    async fn add_data_key(&self, row: &DataKeyRow) -> Result<bool, StoreError> {
        ask!(self, connection => add(connection, row))
    }

    async fn remove_data_keys(&self) -> Result<Vec<DataKeyId>, StoreError> {
        ask!(self, connection => remove(connection))
    }

    async fn rewrap(&self, wish: &Rewrap) -> Result<bool, StoreError> {
        ask!(self, connection => rewrap(connection, wish))
    }

    async fn secret(&self, name: &str, initial: &[u8]) -> Result<Vec<u8>, StoreError> {
        ask!(self, connection => secret(connection, name, initial))
    }

    async fn sealed(&self, after: Option<&SealedAt>, limit: u32) -> Result<Vec<Sealed>, StoreError> {
        ask!(self, connection => list(connection, after, limit))
    }

    async fn sealed_at(&self, at: &SealedAt) -> Result<Option<Vec<u8>>, StoreError> {
        ask!(self, connection => one(connection, at))
    }

    async fn reseal(&self, known: &Sealed, anew: &[u8]) -> Result<bool, StoreError> {
        ask!(self, connection => reseal(connection, known, anew))
    }
}

async fn data_keys(db: &mut PgConnection) -> Result<Vec<DataKeyRow>, StoreError> {
    let rows = sqlx::query("select id, wrapped, master_key, created_at, retired_at from data_keys order by id")
        .fetch_all(db)
        .await
        .map_err(failed)?;
    rows.iter().map(data_key).collect()
}

async fn add(db: &mut PgConnection, row: &DataKeyRow) -> Result<bool, StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    sqlx::query(ALONE).execute(&mut *transaction).await.map_err(failed)?;
    let done = sqlx::query(
        "insert into data_keys (id, wrapped, master_key, created_at) select $1, $2, $3, $4 \
         where $1 = (select coalesce(max(id), 0) + 1 from data_keys) \
         and not exists (select 1 from data_keys where retired_at is null and master_key <> $3)",
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
    sqlx::query("update data_keys set retired_at = $1 where retired_at is null and id < $2")
        .bind(row.created_at.micros())
        .bind(row.id.0)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

async fn remove(db: &mut PgConnection) -> Result<Vec<DataKeyId>, StoreError> {
    let sql = format!(
        "delete from data_keys where retired_at is not null and id not in (select key_id from ({SEALED}) s where key_id is not null) returning id"
    );
    match sqlx::query(AssertSqlSafe(sql)).fetch_all(db).await.map_err(sealed_failed) {
        Ok(rows) => {
            let mut gone =
                rows.iter().map(|row| Ok(DataKeyId(get(row, "data_keys.id")?))).collect::<Result<Vec<_>, StoreError>>()?;
            gone.sort_unstable();
            Ok(gone)
        }
        // Somebody wrote under one of them just now: it is needed.
        Err(StoreError::KeyGone) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn rewrap(db: &mut PgConnection, wish: &Rewrap) -> Result<bool, StoreError> {
    let mut transaction = db.begin().await.map_err(failed)?;
    sqlx::query(ALONE).execute(&mut *transaction).await.map_err(failed)?;
    let legacy = format!("select 1 from ({SEALED}) s where key_id is null and length(sealed) > 0 limit 1");
    if sqlx::query(AssertSqlSafe(legacy)).fetch_optional(&mut *transaction).await.map_err(failed)?.is_some() {
        return Ok(false);
    }
    for (id, wrapped) in &wish.wrapped {
        let done = sqlx::query("update data_keys set wrapped = $1, master_key = $2 where id = $3 and master_key = $4")
            .bind(wrapped.as_slice())
            .bind(&wish.to)
            .bind(id.0)
            .bind(&wish.from)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
    }
    let left = sqlx::query("select 1 from data_keys where master_key <> $1 limit 1").bind(&wish.to);
    if left.fetch_optional(&mut *transaction).await.map_err(failed)?.is_some() {
        return Ok(false);
    }
    keep_check(&mut transaction, &wish.check).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

async fn secret(db: &mut PgConnection, name: &str, initial: &[u8]) -> Result<Vec<u8>, StoreError> {
    let row = sqlx::query(
        "insert into secrets (name, sealed, key_id) values ($1, $2, $3) \
         on conflict (name) do update set sealed = secrets.sealed returning sealed",
    )
    .bind(clean(name))
    .bind(initial)
    .bind(key_id(initial))
    .fetch_one(db)
    .await
    .map_err(sealed_failed)?;
    get(&row, "secrets.sealed")
}

async fn list(db: &mut PgConnection, after: Option<&SealedAt>, limit: u32) -> Result<Vec<Sealed>, StoreError> {
    let (kind, first, second) = after.map_or((-1, String::new(), String::new()), SealedAt::key);
    let sql = format!(
        "select kind, first, second, sealed from ({SEALED}) s where length(sealed) > 0 \
         and (kind, first collate \"C\", second collate \"C\") > ($1, $2, $3) \
         order by kind, first collate \"C\", second collate \"C\" limit $4"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(kind)
        .bind(clean(&first))
        .bind(clean(&second))
        .bind(i64::from(limit))
        .fetch_all(db)
        .await
        .map_err(failed)?;
    Ok(sound(&rows, sealed).collect())
}

async fn one(db: &mut PgConnection, at: &SealedAt) -> Result<Option<Vec<u8>>, StoreError> {
    let (_, first, second) = at.key();
    let query = match at {
        SealedAt::Secret(_) => sqlx::query("select sealed from secrets where name = $1"),
        SealedAt::Connection(_) => sqlx::query("select sealed from connections where id = $1::text::uuid"),
        SealedAt::Token { .. } => sqlx::query("select sealed from tokens where connection = $1 and place = $2"),
        SealedAt::SignIn(_) => sqlx::query("select sealed from begun_sign_ins where hash = decode($1, 'hex')"),
    };
    let query = query.bind(clean(&first));
    let query = if let SealedAt::Token { .. } = at { query.bind(clean(&second)) } else { query };
    let row = query.fetch_optional(db).await.map_err(failed)?;
    row.map(|row| get(&row, "sealed")).transpose()
}

async fn reseal(db: &mut PgConnection, known: &Sealed, anew: &[u8]) -> Result<bool, StoreError> {
    let (_, first, second) = known.at.key();
    let query = match &known.at {
        SealedAt::Secret(_) => sqlx::query("update secrets set sealed = $1, key_id = $2 where sealed = $3 and name = $4"),
        SealedAt::Connection(_) => {
            sqlx::query("update connections set sealed = $1, key_id = $2 where sealed = $3 and id = $4::text::uuid")
        }
        SealedAt::Token { .. } => {
            sqlx::query("update tokens set sealed = $1, key_id = $2 where sealed = $3 and connection = $4 and place = $5")
        }
        SealedAt::SignIn(_) => {
            sqlx::query("update begun_sign_ins set sealed = $1, key_id = $2 where sealed = $3 and hash = decode($4, 'hex')")
        }
    };
    let query = query.bind(anew).bind(key_id(anew)).bind(known.sealed.as_slice()).bind(clean(&first));
    let query = if let SealedAt::Token { .. } = known.at { query.bind(clean(&second)) } else { query };
    let done = query.execute(db).await.map_err(sealed_failed)?;
    Ok(done.rows_affected() == 1)
}

/// The key that a sealed text names, for its column.
pub(crate) fn key_id(sealed: &[u8]) -> Option<i64> {
    DataKeyId::of(sealed).map(|id| id.0)
}

/// The new check value; a master key that was kept in the database is good for nothing any more.
async fn keep_check(db: &mut PgConnection, check: &str) -> Result<(), StoreError> {
    sqlx::query("insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value")
        .bind(KEY_CHECK_SETTING)
        .bind(check)
        .execute(&mut *db)
        .await
        .map_err(failed)?;
    let query = sqlx::query("delete from settings where name = $1").bind(SHARED_KEY_SETTING);
    query.execute(db).await.map(drop).map_err(failed)
}

fn data_key(row: &PgRow) -> Result<DataKeyRow, StoreError> {
    Ok(DataKeyRow {
        id: DataKeyId(get(row, "data_keys.id")?),
        wrapped: get(row, "data_keys.wrapped")?,
        master_key: get(row, "data_keys.master_key")?,
        created_at: Timestamp::from_micros(get(row, "data_keys.created_at")?),
        retired_at: instant(row, "data_keys.retired_at")?,
    })
}

fn sealed(row: &PgRow) -> Result<Sealed, StoreError> {
    let at = SealedAt::from_key(get(row, "sealed.kind")?, get(row, "sealed.first")?, get(row, "sealed.second")?)?;
    Ok(Sealed { at, sealed: get(row, "sealed.sealed")? })
}
