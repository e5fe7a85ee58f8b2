//! Blobs: rows and parts in the database, so that every process has them.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, postgres::PgRow};
use store::{BlobId, BlobRow, BlobTotals, Blobs, RunId, StoreError, Timestamp, UploadId};
use uuid::Uuid;

use crate::{
    PostgresStore, TRIES_MAX,
    error::{failed, in_the_way},
    rows::get,
};

#[async_trait]
impl Blobs for PostgresStore {
    async fn write_part(&self, upload: UploadId, seq: i32, bytes: &[u8]) -> Result<(), StoreError> {
        ask!(self, connection => write_part(connection, upload, seq, bytes))
    }

    async fn keep_blob(&self, upload: UploadId, blob: &BlobRow) -> Result<(), StoreError> {
        ask!(self, connection => keep(connection, upload, blob))
    }

    async fn drop_upload(&self, upload: UploadId) -> Result<(), StoreError> {
        ask!(self, connection => drop_parts(connection, upload.0))
    }

    async fn touch_blob(&self, id: BlobId, now: Timestamp) -> Result<bool, StoreError> {
        ask!(self, connection => touch(connection, id, now))
    }

    async fn blob(&self, id: BlobId) -> Result<Option<BlobRow>, StoreError> {
        ask!(self, connection => one(connection, id))
    }

    async fn read_part(&self, id: BlobId, seq: i32) -> Result<Option<Vec<u8>>, StoreError> {
        ask!(self, connection => read_part(connection, id, seq))
    }

    async fn refer_blobs(&self, run: RunId, blobs: &[BlobId]) -> Result<(), StoreError> {
        ask!(self, connection => refer(connection, run, blobs.iter().copied()))
    }

    async fn refers(&self, run: RunId, blob: BlobId) -> Result<bool, StoreError> {
        ask!(self, connection => refers(connection, run, blob))
    }

    async fn blob_totals(&self) -> Result<BlobTotals, StoreError> {
        ask!(self, connection => totals(connection))
    }

    async fn drop_unreferenced_blobs(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        ask!(self, connection => drop_unreferenced(connection, before, limit))
    }
}

async fn write_part(connection: &mut PgConnection, upload: UploadId, seq: i32, bytes: &[u8]) -> Result<(), StoreError> {
    // The same part again after a lost answer.
    sqlx::query("insert into blob_parts (upload, seq, data) values ($1, $2, $3) on conflict (upload, seq) do nothing")
        .bind(upload.0)
        .bind(seq)
        .bind(bytes)
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed)
}

async fn keep(connection: &mut PgConnection, upload: UploadId, blob: &BlobRow) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let before: Option<(Uuid,)> = sqlx::query_as("select upload from blobs where hash = $1 for update")
        .bind(blob.id.0.as_slice())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
    sqlx::query(
        "insert into blobs (hash, upload, size, packed, kept_at, touched_at) values ($1, $2, $3, $4, $5, $6) on conflict (hash) \
         do update set upload = excluded.upload, packed = excluded.packed, \
         touched_at = greatest(blobs.touched_at, excluded.touched_at)",
    )
    .bind(blob.id.0.as_slice())
    .bind(upload.0)
    .bind(number(blob.size))
    .bind(number(blob.packed))
    .bind(blob.kept_at.micros())
    .bind(blob.touched_at.micros())
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    if let Some((before,)) = before.filter(|(before,)| *before != upload.0) {
        drop_parts(&mut transaction, before).await?;
    }
    transaction.commit().await.map_err(failed)
}

async fn drop_parts(connection: &mut PgConnection, upload: Uuid) -> Result<(), StoreError> {
    sqlx::query("delete from blob_parts where upload = $1").bind(upload).execute(connection).await.map(drop).map_err(failed)
}

async fn touch(connection: &mut PgConnection, id: BlobId, now: Timestamp) -> Result<bool, StoreError> {
    let touched = sqlx::query("update blobs set touched_at = greatest(touched_at, $1) where hash = $2")
        .bind(now.micros())
        .bind(id.0.as_slice())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(touched.rows_affected() == 1)
}

async fn one(connection: &mut PgConnection, id: BlobId) -> Result<Option<BlobRow>, StoreError> {
    sqlx::query("select hash, size, packed, kept_at, touched_at from blobs where hash = $1")
        .bind(id.0.as_slice())
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .as_ref()
        .map(blob)
        .transpose()
}

async fn read_part(connection: &mut PgConnection, id: BlobId, seq: i32) -> Result<Option<Vec<u8>>, StoreError> {
    let part: Option<(Vec<u8>,)> =
        sqlx::query_as("select data from blob_parts where upload = (select upload from blobs where hash = $1) and seq = $2")
            .bind(id.0.as_slice())
            .bind(seq)
            .fetch_optional(connection)
            .await
            .map_err(failed)?;
    Ok(part.map(|(part,)| part))
}

/// The run speaks of these blobs.
pub(crate) async fn refer(
    connection: &mut PgConnection,
    run: RunId,
    blobs: impl Iterator<Item = BlobId>,
) -> Result<(), StoreError> {
    let hashes: Vec<Vec<u8>> = blobs.map(|blob| blob.0.to_vec()).collect();
    sqlx::query(
        "insert into blob_refs (run_id, hash) select $1, hash from unnest($2::bytea[]) as v (hash) on conflict do nothing",
    )
    .bind(run.0)
    .bind(hashes)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

async fn refers(connection: &mut PgConnection, run: RunId, blob: BlobId) -> Result<bool, StoreError> {
    let found = sqlx::query("select from blob_refs where run_id = $1 and hash = $2")
        .bind(run.0)
        .bind(blob.0.as_slice())
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    Ok(found.is_some())
}

async fn totals(connection: &mut PgConnection) -> Result<BlobTotals, StoreError> {
    let (count, size, packed): (i64, i64, i64) =
        sqlx::query_as("select count(*), coalesce(sum(size), 0)::bigint, coalesce(sum(packed), 0)::bigint from blobs")
            .fetch_one(connection)
            .await
            .map_err(failed)?;
    Ok(BlobTotals { count: count.unsigned_abs(), size: size.unsigned_abs(), packed: packed.unsigned_abs() })
}

async fn drop_unreferenced(connection: &mut PgConnection, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    sqlx::query(
        "delete from blob_refs where run_id in (select distinct run_id from blob_refs f where not exists \
         (select from runs where id = f.run_id) limit $1)",
    )
    .bind(i64::from(limit))
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    // Whoever wants one of them this moment holds its row, and it is passed over.
    let gone = sqlx::query_as::<_, (Uuid,)>(
        "delete from blobs where hash in (select hash from blobs b where touched_at < $1 and not exists \
         (select from blob_refs where hash = b.hash) order by touched_at limit $2 for update skip locked) returning upload",
    )
    .bind(before.micros())
    .bind(i64::from(limit))
    .fetch_all(&mut *transaction)
    .await
    .map_err(failed)?;
    let uploads: Vec<Uuid> = gone.iter().map(|(upload,)| *upload).collect();
    sqlx::query("delete from blob_parts where upload = any($1)")
        .bind(&uploads)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    sqlx::query(
        "delete from blob_parts where upload in (select upload from blob_parts p where upload < $1 and seq = 0 and not exists \
         (select from blobs where upload = p.upload) limit $2)",
    )
    .bind(UploadId::earliest(before).0)
    .bind(i64::from(limit))
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(gone.len() as u64)
}

fn blob(row: &PgRow) -> Result<BlobRow, StoreError> {
    let hash = get::<Vec<u8>>(row, "blobs.hash")?.try_into();
    let id = BlobId(hash.map_err(|_| StoreError::Corrupt("blobs.hash is no SHA-256".to_owned()))?);
    let count = |column: &'static str| {
        u64::try_from(get::<i64>(row, column)?).map_err(|_| StoreError::Corrupt(format!("{column} of {id} makes no sense")))
    };
    Ok(BlobRow {
        id,
        size: count("blobs.size")?,
        packed: count("blobs.packed")?,
        kept_at: Timestamp::from_micros(get(row, "blobs.kept_at")?),
        touched_at: Timestamp::from_micros(get(row, "blobs.touched_at")?),
    })
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
