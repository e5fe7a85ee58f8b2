//! Blobs: large content, kept once under the SHA-256 of what it says.
//!
//! A store keeps parts; [`BlobWriter`] and [`BlobReader`] stand before it, compress, hash and verify, and
//! never hold more than one part in memory. Content stays while some run refers to it ([`Beside::Refers`]
//! goes with the commit that first speaks of it) or while it was wanted a short time ago: whoever writes a
//! blob refers to it only later, and a crash in between leaves nothing but content nobody refers to, which
//! [`Blobs::drop_unreferenced_blobs`] removes.
//!
//! [`Beside::Refers`]: crate::Beside::Refers

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zstd::stream::raw::{Decoder, Operation};

use crate::{RunId, Store, StoreError, Timestamp};

/// Bytes of every part of a blob but the last, compressed.
pub const BLOB_PART_BYTES: usize = 256 * 1024;
/// Most of a blob's content given at once.
const PIECE_BYTES: usize = 128 * 1024;
/// The content is hashed and compressed in slices of so many bytes.
const SLICE_BYTES: usize = 64 * 1024;
const ZSTD_LEVEL: i32 = 1;

/// Which content: the SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub [u8; 32]);

impl BlobId {
    /// The id of this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the hash of a content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a content is named by its SHA-256, 64 hexadecimal digits")]
pub struct BadBlobId;

impl FromStr for BlobId {
    type Err = BadBlobId;

    fn from_str(text: &str) -> Result<Self, BadBlobId> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| BadBlobId)?;
        Ok(Self(hash))
    }
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One writing of a content. Sorts by when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub Uuid);

impl UploadId {
    /// An upload that begins at `now`; `random` makes it unique.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        Self(RunId::new(now, random).0)
    }

    /// No upload that began at or after `at` sorts before it.
    #[must_use]
    pub fn earliest(at: Timestamp) -> Self {
        Self::new(at, [0; 10])
    }
}

/// What a store knows of a blob besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRow {
    /// Its hash.
    pub id: BlobId,
    /// Bytes of the content.
    pub size: u64,
    /// Bytes it takes, compressed.
    pub packed: u64,
    /// When it was first kept.
    pub kept_at: Timestamp,
    /// When it was last written or asked for by somebody who is about to refer to it.
    pub touched_at: Timestamp,
}

/// All blobs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobTotals {
    /// How many.
    pub count: u64,
    /// Bytes of their contents.
    pub size: u64,
    /// Bytes they take, compressed.
    pub packed: u64,
}

/// A blob that a run speaks of from a commit on.
#[derive(Debug, Clone)]
pub struct BlobRef {
    /// Which.
    pub id: BlobId,
    /// Its content, when it may not be kept yet: it must be before the commit is written.
    pub content: Option<Bytes>,
}

/// What is asked of a store about blobs. Each verb is one transaction; the parts come and go through
/// [`BlobWriter`] and [`BlobReader`].
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Takes part number `seq` of an upload, counted from 0. Every part but the last has [`BLOB_PART_BYTES`].
    async fn write_part(&self, upload: UploadId, seq: i32, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes what an upload brought the content of `blob`; durable when this returns. A blob that is there
    /// gets the new parts, which mends it if it was damaged, and counts as wanted at `blob.touched_at`.
    async fn keep_blob(&self, upload: UploadId, blob: &BlobRow) -> Result<(), StoreError>;

    /// Forgets what an upload brought.
    async fn drop_upload(&self, upload: UploadId) -> Result<(), StoreError>;

    /// Says that a blob is wanted at `now`, so that it is not removed before somebody refers to it. False
    /// when it is not there.
    async fn touch_blob(&self, id: BlobId, now: Timestamp) -> Result<bool, StoreError>;

    /// One blob.
    async fn blob(&self, id: BlobId) -> Result<Option<BlobRow>, StoreError>;

    /// Part number `seq` of a blob; `None` after the last.
    async fn read_part(&self, id: BlobId, seq: i32) -> Result<Option<Vec<u8>>, StoreError>;

    /// Says that a run speaks of blobs, outside of a commit.
    async fn refer_blobs(&self, run: RunId, blobs: &[BlobId]) -> Result<(), StoreError>;

    /// Whether a run speaks of a blob.
    async fn refers(&self, run: RunId, blob: BlobId) -> Result<bool, StoreError>;

    /// How much there is.
    async fn blob_totals(&self) -> Result<BlobTotals, StoreError>;

    /// Removes blobs that no run there is refers to and nobody wanted since `before`, at most `limit`, and
    /// what uploads left behind that began before it. References of runs that are gone go with them, so
    /// whoever removes runs has nothing to do here. Returns how many blobs were removed.
    async fn drop_unreferenced_blobs(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Writes one content into a store, piece by piece.
pub struct BlobWriter {
    store: Arc<dyn Store>,
    upload: UploadId,
    seq: i32,
    packer: zstd::stream::write::Encoder<'static, Vec<u8>>,
    hash: Sha256,
    size: u64,
    packed: u64,
}

impl BlobWriter {
    /// Begins.
    ///
    /// # Errors
    /// [`StoreError::Internal`] when there is no memory to compress in.
    pub fn begin(store: Arc<dyn Store>, upload: UploadId) -> Result<Self, StoreError> {
        let packer = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(not_packed)?;
        Ok(Self { store, upload, seq: 0, packer, hash: Sha256::new(), size: 0, packed: 0 })
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes of the content.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        for slice in bytes.chunks(SLICE_BYTES) {
            self.hash.update(slice);
            std::io::Write::write_all(&mut self.packer, slice).map_err(not_packed)?;
            self.size += slice.len() as u64;
            while self.packer.get_ref().len() >= BLOB_PART_BYTES {
                let rest = self.packer.get_mut().split_off(BLOB_PART_BYTES);
                let part = std::mem::replace(self.packer.get_mut(), rest);
                self.send(&part).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, part: &[u8]) -> Result<(), StoreError> {
        self.store.write_part(self.upload, self.seq, part).await?;
        self.seq += 1;
        self.packed += part.len() as u64;
        Ok(())
    }

    /// Makes the content durable under its hash.
    ///
    /// # Errors
    /// When the store does not answer; nothing is kept then.
    pub async fn finish(mut self, now: Timestamp) -> Result<BlobRow, StoreError> {
        self.packer.do_finish().map_err(not_packed)?;
        let rest = std::mem::take(self.packer.get_mut());
        for part in rest.chunks(BLOB_PART_BYTES) {
            self.send(part).await?;
        }
        let id = BlobId(self.hash.finalize().into());
        let row = BlobRow { id, size: self.size, packed: self.packed, kept_at: now, touched_at: now };
        self.store.keep_blob(self.upload, &row).await?;
        Ok(row)
    }

    /// Forgets what was written. A writer that is only dropped leaves that to the next removal of what
    /// nobody refers to.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn give_up(self) -> Result<(), StoreError> {
        self.store.drop_upload(self.upload).await
    }
}

fn not_packed(error: std::io::Error) -> StoreError {
    StoreError::Internal(format!("content could not be compressed: {error}"))
}

/// Reads one content from a store, piece by piece, and verifies it: the last piece comes before the
/// hash is known to fit, so whoever takes pieces must be able to take them back until the end came.
pub struct BlobReader {
    store: Arc<dyn Store>,
    row: BlobRow,
    seq: i32,
    part: Vec<u8>,
    taken: usize,
    unpacker: Decoder<'static>,
    // The unpacker may hold more than fitted into the last piece.
    holds_more: bool,
    ended: bool,
    hash: Sha256,
    size: u64,
}

impl BlobReader {
    /// Opens a blob; `None` when it is not there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn open(store: Arc<dyn Store>, id: BlobId) -> Result<Option<Self>, StoreError> {
        let Some(row) = store.blob(id).await? else { return Ok(None) };
        let unpacker = Decoder::new().map_err(|error| StoreError::Internal(format!("content could not be unpacked: {error}")))?;
        let (part, hash) = (Vec::new(), Sha256::new());
        Ok(Some(Self { store, row, seq: 0, part, taken: 0, unpacker, holds_more: false, ended: false, hash, size: 0 }))
    }

    /// What is known of it.
    #[must_use]
    pub const fn row(&self) -> &BlobRow {
        &self.row
    }

    /// The next bytes; `None` at the end, once everything was verified.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the content is not what it was.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            if self.taken == self.part.len() && !self.holds_more && !self.ended {
                match self.store.read_part(self.row.id, self.seq).await? {
                    Some(part) => (self.part, self.taken, self.seq) = (part, 0, self.seq + 1),
                    None if self.seq == 0 => return Err(missing_blob(self.row.id)),
                    None => return Err(self.damaged("its end is missing")),
                }
            }
            if self.ended {
                return self.verified();
            }
            let mut piece = vec![0; PIECE_BYTES];
            let status = self.unpacker.run_on_buffers(&self.part[self.taken..], &mut piece);
            let status = status.map_err(|_| self.damaged("it cannot be unpacked"))?;
            self.taken += status.bytes_read;
            self.ended = status.remaining == 0;
            self.holds_more = status.bytes_written == PIECE_BYTES;
            piece.truncate(status.bytes_written);
            self.size += piece.len() as u64;
            if self.size > self.row.size {
                return Err(self.damaged("it is longer than it was"));
            }
            if !piece.is_empty() {
                self.hash.update(&piece);
                return Ok(Some(piece.into()));
            }
            if !self.ended && status.bytes_read == 0 && self.taken < self.part.len() {
                return Err(self.damaged("it cannot be unpacked"));
            }
        }
    }

    fn verified(&self) -> Result<Option<Bytes>, StoreError> {
        if self.size != self.row.size {
            return Err(self.damaged("it is shorter than it was"));
        }
        let found: [u8; 32] = self.hash.clone().finalize().into();
        if found == self.row.id.0 { Ok(None) } else { Err(self.damaged("it is not what it was")) }
    }

    fn damaged(&self, why: &str) -> StoreError {
        damaged(self.row.id, why)
    }
}

/// What a person reads when a kept content is not what it was.
fn damaged(id: BlobId, why: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "the content {id} is damaged: {why}. Restore it from a backup; until then whatever needs it cannot go on"
    ))
}

/// What a person reads when a content that is spoken of is not there.
#[must_use]
pub fn missing_blob(id: BlobId) -> StoreError {
    damaged(id, "it is not there")
}

/// Keeps a content that is in memory, unless it is there already.
///
/// # Errors
/// When the store does not answer.
pub async fn put_blob(store: &Arc<dyn Store>, content: &[u8], now: Timestamp, random: [u8; 10]) -> Result<BlobId, StoreError> {
    let id = BlobId::of(content);
    if !store.touch_blob(id, now).await? {
        let mut writer = BlobWriter::begin(Arc::clone(store), UploadId::new(now, random))?;
        writer.write(content).await?;
        writer.finish(now).await?;
    }
    Ok(id)
}

/// A whole content in memory, verified.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is not there or not what it was.
pub async fn read_blob(store: &Arc<dyn Store>, id: BlobId) -> Result<Vec<u8>, StoreError> {
    let mut reader = BlobReader::open(Arc::clone(store), id).await?.ok_or_else(|| missing_blob(id))?;
    let mut content = Vec::new();
    while let Some(piece) = reader.next().await? {
        content.extend_from_slice(&piece);
    }
    Ok(content)
}
