//! Chunks: the bytes in which the entries of one commit are kept.

use std::{borrow::Cow, cell::RefCell};

use super::Entry;
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
    if plain.len() < COMPRESS_BYTES_MIN {
        return Ok(plain);
    }
    let packed = PACKER.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        slot.as_mut().and_then(|packer| packer.compress(&plain).ok())
    });
    Ok(packed.filter(|packed| packed.len() < plain.len()).unwrap_or(plain))
}

/// Unpacks a chunk.
///
/// # Errors
/// [`StoreError::Corrupt`] when the bytes are not a chunk.
pub fn read_chunk(bytes: &[u8]) -> Result<Vec<Entry>, StoreError> {
    // A JSON list begins with `[`; anything else is a zstd frame.
    let plain: Cow<'_, [u8]> = if bytes.first() == Some(&b'[') {
        Cow::Borrowed(bytes)
    } else {
        let size = zstd::bulk::Decompressor::upper_bound(bytes).unwrap_or(CHUNK_BYTES_MAX).min(CHUNK_BYTES_MAX);
        Cow::Owned(
            zstd::bulk::decompress(bytes, size)
                .map_err(|error| StoreError::Corrupt(format!("a journal chunk cannot be unpacked: {error}")))?,
        )
    };
    serde_json::from_slice(&plain).map_err(|error| StoreError::Corrupt(format!("a journal chunk cannot be read: {error}")))
}
