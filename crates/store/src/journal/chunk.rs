//! Chunks: the bytes in which the entries of one commit are kept.

use std::{borrow::Cow, cell::RefCell};

use super::{Entry, open_chunk};
use crate::StoreError;

/// Chunks longer than this are compressed; below it packing costs more time than the disk is worth.
const COMPRESS_BYTES_MIN: usize = 1000;
/// A chunk that unpacks to more than this is treated as corrupt.
const CHUNK_BYTES_MAX: usize = 64 * 1024 * 1024;
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    // A compressor's tables cost far more to set up than a small chunk costs to pack.
    static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// Packs entries for the store: JSON, compressed when that is worth it.
///
/// # Errors
/// [`StoreError::Corrupt`] when an entry cannot be written as JSON, which no value of ours causes.
pub fn write_chunk(entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
    let mut plain = Vec::with_capacity(COMPRESS_BYTES_MIN);
    serde_json::to_writer(&mut plain, entries).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(compressed(plain))
}

/// The text of a chunk, or its frame when that is shorter.
pub(super) fn compressed(plain: Vec<u8>) -> Vec<u8> {
    if plain.len() < COMPRESS_BYTES_MIN {
        return plain;
    }
    let packed = PACKER.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        slot.as_mut().and_then(|packer| packer.compress(&plain).ok())
    });
    packed.filter(|packed| packed.len() < plain.len()).unwrap_or(plain)
}

/// Unpacks a chunk that has all its values.
///
/// # Errors
/// [`StoreError::Corrupt`] when the bytes are not a chunk, or values of it are kept apart:
/// [`open_chunk`] tells which.
pub fn read_chunk(bytes: &[u8]) -> Result<Vec<Entry>, StoreError> {
    let chunk = open_chunk(bytes)?;
    match chunk.apart.first() {
        None => Ok(chunk.entries),
        Some(apart) => Err(StoreError::Corrupt(format!("the value {} of a journal chunk was not fetched", apart.sha256))),
    }
}

/// The text of a chunk.
pub(super) fn plain_of(bytes: &[u8]) -> Result<Cow<'_, [u8]>, StoreError> {
    // A JSON text begins with one of these; anything else is a zstd frame.
    if matches!(bytes.first(), Some(b'[' | b'{')) {
        return Ok(Cow::Borrowed(bytes));
    }
    let size = zstd::bulk::Decompressor::upper_bound(bytes).unwrap_or(CHUNK_BYTES_MAX).min(CHUNK_BYTES_MAX);
    zstd::bulk::decompress(bytes, size)
        .map(Cow::Owned)
        .map_err(|error| StoreError::Corrupt(format!("a journal chunk cannot be unpacked: {error}")))
}
