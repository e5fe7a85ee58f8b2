//! Blobs: rows in the database, contents as files in the data folder.
//!
//! A content is written under the name of its upload, made durable, and renamed. Rows and names change
//! only under the writer's lock, and a row never goes before its file: whatever a crash leaves behind is
//! either an upload without a row or a row nobody refers to, and both are removed in time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteRow};
use store::{BLOB_PART_BYTES, BlobId, BlobRow, BlobTotals, Blobs, RunId, StoreError, Timestamp, UploadId};

use crate::{SqliteStore, failed, rows::get};

const FOLDER: &str = "blobs";
/// Uploads under way, in [`FOLDER`].
const UPLOADS: &str = "incoming";

#[async_trait]
impl Blobs for SqliteStore {
    async fn write_part(&self, upload: UploadId, seq: i32, bytes: &[u8]) -> Result<(), StoreError> {
        let (file, bytes) = (self.upload_file(upload), bytes.to_vec());
        on_disk(move || {
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(file)?;
            file.seek(SeekFrom::Start(offset(seq)))?;
            file.write_all(&bytes)
        })
        .await
    }

    async fn keep_blob(&self, upload: UploadId, blob: &BlobRow) -> Result<(), StoreError> {
        let (from, to) = (self.upload_file(upload), self.blob_file(blob.id));
        let synced = from.clone();
        on_disk(move || File::open(&synced)?.sync_all()).await?;
        let mut writer = self.writer().await;
        sqlx::query(
            "insert into blobs (hash, upload, size, packed, kept_at, touched_at) values (?, ?, ?, ?, ?, ?) on conflict (hash) do \
             update set upload = excluded.upload, packed = excluded.packed, touched_at = max(touched_at, excluded.touched_at)",
        )
        .bind(blob.id.0.as_slice())
        .bind(upload.0)
        .bind(number(blob.size))
        .bind(number(blob.packed))
        .bind(blob.kept_at.micros())
        .bind(blob.touched_at.micros())
        .execute(&mut *writer)
        .await
        .map_err(failed)?;
        on_disk(move || rename(&from, &to)).await
    }

    async fn drop_upload(&self, upload: UploadId) -> Result<(), StoreError> {
        let file = self.upload_file(upload);
        on_disk(move || remove(&file)).await
    }

    async fn touch_blob(&self, id: BlobId, now: Timestamp) -> Result<bool, StoreError> {
        let file = self.blob_file(id);
        let mut writer = self.writer().await;
        if !on_disk(move || file.try_exists()).await? {
            return Ok(false);
        }
        let touched = sqlx::query("update blobs set touched_at = max(touched_at, ?) where hash = ?")
            .bind(now.micros())
            .bind(id.0.as_slice())
            .execute(&mut *writer)
            .await
            .map_err(failed)?;
        Ok(touched.rows_affected() == 1)
    }

    async fn blob(&self, id: BlobId) -> Result<Option<BlobRow>, StoreError> {
        sqlx::query("select hash, size, packed, kept_at, touched_at from blobs where hash = ?")
            .bind(id.0.as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?
            .as_ref()
            .map(blob)
            .transpose()
    }

    async fn read_part(&self, id: BlobId, seq: i32) -> Result<Option<Vec<u8>>, StoreError> {
        let file = self.blob_file(id);
        on_disk(move || {
            let mut file = match File::open(&file) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                opened => opened?,
            };
            file.seek(SeekFrom::Start(offset(seq)))?;
            let mut part = Vec::new();
            file.take(BLOB_PART_BYTES as u64).read_to_end(&mut part)?;
            Ok(Some(part).filter(|part| !part.is_empty()))
        })
        .await
    }

    async fn refer_blobs(&self, run: RunId, blobs: &[BlobId]) -> Result<(), StoreError> {
        refer(&mut *self.writer().await, run, blobs.iter().copied()).await
    }

    async fn refers(&self, run: RunId, blob: BlobId) -> Result<bool, StoreError> {
        let found = sqlx::query("select 1 from blob_refs where run_id = ? and hash = ?")
            .bind(run.0)
            .bind(blob.0.as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
        Ok(found.is_some())
    }

    async fn blob_totals(&self) -> Result<BlobTotals, StoreError> {
        let (count, size, packed): (i64, i64, i64) =
            sqlx::query_as("select count(*), coalesce(sum(size), 0), coalesce(sum(packed), 0) from blobs")
                .fetch_one(&self.readers)
                .await
                .map_err(failed)?;
        Ok(BlobTotals { count: count.unsigned_abs(), size: size.unsigned_abs(), packed: packed.unsigned_abs() })
    }

    async fn drop_unreferenced_blobs(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let uploads = self.folder.join(FOLDER).join(UPLOADS);
        on_disk(move || drop_uploads(&uploads, UploadId::earliest(before))).await?;
        // Looked for on a reader, which keeps nobody waiting.
        let gone: Vec<(uuid::Uuid,)> = sqlx::query_as(
            "select distinct run_id from blob_refs f where not exists (select 1 from runs where id = f.run_id) limit ?",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        let mut writer = self.writer().await;
        let mut transaction = writer.begin_with("begin immediate").await.map_err(failed)?;
        for (run,) in gone {
            sqlx::query("delete from blob_refs where run_id = ?").bind(run).execute(&mut *transaction).await.map_err(failed)?;
        }
        let unwanted = sqlx::query(
            "select hash, size, packed, kept_at, touched_at from blobs b where touched_at < ? and not exists \
             (select 1 from blob_refs where hash = b.hash) order by touched_at limit ?",
        )
        .bind(before.micros())
        .bind(limit)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        for row in &unwanted {
            let id = blob(row)?.id;
            let file = self.blob_file(id);
            on_disk(move || remove(&file)).await?;
            sqlx::query("delete from blobs where hash = ?")
                .bind(id.0.as_slice())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(unwanted.len() as u64)
    }
}

impl SqliteStore {
    fn upload_file(&self, upload: UploadId) -> PathBuf {
        self.folder.join(FOLDER).join(UPLOADS).join(upload.0.to_string())
    }

    fn blob_file(&self, id: BlobId) -> PathBuf {
        let name = id.to_string();
        self.folder.join(FOLDER).join(&name[..2]).join(format!("{name}.zst"))
    }
}

/// The run speaks of these blobs.
pub(crate) async fn refer(
    connection: &mut SqliteConnection,
    run: RunId,
    blobs: impl Iterator<Item = BlobId>,
) -> Result<(), StoreError> {
    for blob in blobs {
        sqlx::query("insert into blob_refs (run_id, hash) values (?, ?) on conflict do nothing")
            .bind(run.0)
            .bind(blob.0.as_slice())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

fn blob(row: &SqliteRow) -> Result<BlobRow, StoreError> {
    let hash = get::<Vec<u8>>(row, "hash")?.try_into();
    let id = BlobId(hash.map_err(|_| StoreError::Corrupt("blobs.hash is no SHA-256".to_owned()))?);
    let count = |column: &'static str| {
        u64::try_from(get::<i64>(row, column)?).map_err(|_| StoreError::Corrupt(format!("blobs.{column} of {id} makes no sense")))
    };
    Ok(BlobRow {
        id,
        size: count("size")?,
        packed: count("packed")?,
        kept_at: Timestamp::from_micros(get(row, "kept_at")?),
        touched_at: Timestamp::from_micros(get(row, "touched_at")?),
    })
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn offset(seq: i32) -> u64 {
    u64::try_from(seq).unwrap_or(0) * BLOB_PART_BYTES as u64
}

/// Work on files, where it holds nobody up.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|error| StoreError::Unavailable(format!("the folder {FOLDER} in the data folder cannot be used: {error}")))
}

/// A name is durable once its folder is.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    if !folder.try_exists()? {
        fs::create_dir_all(folder)?;
        if let Some(above) = folder.parent() {
            File::open(above)?.sync_all()?;
        }
    }
    fs::rename(from, to)?;
    File::open(folder)?.sync_all()
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes uploads that began before another one would have.
fn drop_uploads(folder: &Path, earliest: UploadId) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let upload = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(UploadId);
        if upload.is_some_and(|upload| upload < earliest) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}
