//! Reads an answer's body: whole, bounded, decompressed.

use std::io::Read;

use ::http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
    response::Parts,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use url::Url;

use super::problem;
use crate::error::StepError;

/// Compressed bodies from this size on are opened on a thread where they disturb nobody.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Codings laid over each other in one answer; more is an attack, not a habit.
const CODINGS_MAX: usize = 3;
/// Largest zstd window, as a power of two: 8 MB (RFC 9659, 3).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

pub(super) async fn read(url: &Url, head: &mut Parts, incoming: Incoming, bytes_max: usize) -> Result<Bytes, StepError> {
    let raw = collect(url, head, incoming, bytes_max).await?;
    if raw.is_empty() {
        return Ok(raw);
    }
    let Some(codings) = codings(&head.headers) else {
        return Ok(raw);
    };
    let names = codings.iter().map(|coding| coding.name()).collect::<Vec<_>>().join(", ");
    let opened = if raw.len() <= INLINE_BYTES_MAX {
        open_all(&codings, &raw, bytes_max)
    } else {
        tokio::task::spawn_blocking(move || open_all(&codings, &raw, bytes_max)).await.map_err(std::io::Error::other).flatten()
    };
    match opened {
        Ok(body) if body.len() > bytes_max => Err(problem::too_large(url, head.status, bytes_max)),
        Ok(body) => {
            head.headers.remove(CONTENT_ENCODING);
            head.headers.remove(CONTENT_LENGTH);
            Ok(body.into())
        }
        Err(_) => Err(problem::undecodable(url, head.status, &names)),
    }
}

/// What the body is packed in, the outermost last; `None` when it is not packed, or in a way not known here.
fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    let mut all = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|byte| *byte == b',').filter(|name| !name.trim_ascii().is_empty()) {
            if name.trim_ascii().eq_ignore_ascii_case(b"identity") {
                continue;
            }
            all.push(coding(name)?);
        }
    }
    (1..=CODINGS_MAX).contains(&all.len()).then_some(all)
}

fn open_all(codings: &[Coding], raw: &[u8], bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    for (turn, coding) in codings.iter().rev().enumerate() {
        body = decode(*coding, if turn == 0 { raw } else { &body }, bytes_max)?;
        if body.len() > bytes_max {
            break;
        }
    }
    Ok(body)
}

/// The common small body arrives as one piece and is not copied.
async fn collect(url: &Url, head: &Parts, mut incoming: Incoming, bytes_max: usize) -> Result<Bytes, StepError> {
    let hint = incoming.size_hint();
    if hint.lower() > bytes_max as u64 {
        return Err(problem::too_large(url, head.status, bytes_max));
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| problem::truncated(url, head.status, &error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > bytes_max {
            return Err(problem::too_large(url, head.status, bytes_max));
        }
        if all.is_empty() && first.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                let known = usize::try_from(hint.lower()).unwrap_or(0);
                all.reserve(known.max(first.len() + data.len()));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "brotli",
            Self::Zstd => "zstd",
        }
    }
}

fn coding(name: &[u8]) -> Option<Coding> {
    let name = name.trim_ascii();
    if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
        Some(Coding::Gzip)
    } else if name.eq_ignore_ascii_case(b"br") {
        Some(Coding::Brotli)
    } else if name.eq_ignore_ascii_case(b"deflate") {
        Some(Coding::Deflate)
    } else if name.eq_ignore_ascii_case(b"zstd") {
        Some(Coding::Zstd)
    } else {
        None
    }
}

/// Opens the body up to one byte beyond the limit: a small body may unfold into a huge one.
fn decode(coding: Coding, raw: &[u8], bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let limit = bytes_max as u64 + 1;
    let mut body = Vec::with_capacity(raw.len().saturating_mul(4).min(bytes_max));
    match coding {
        Coding::Gzip => flate2::read::MultiGzDecoder::new(raw).take(limit).read_to_end(&mut body)?,
        // Zlib by the letter (RFC 9110, 8.4.1.2); some servers send the bare stream.
        Coding::Deflate if is_zlib(raw) => flate2::read::ZlibDecoder::new(raw).take(limit).read_to_end(&mut body)?,
        Coding::Deflate => flate2::read::DeflateDecoder::new(raw).take(limit).read_to_end(&mut body)?,
        Coding::Brotli => brotli_decompressor::Decompressor::new(raw, 4096).take(limit).read_to_end(&mut body)?,
        Coding::Zstd => {
            let mut reader = zstd::stream::read::Decoder::new(raw)?;
            reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            reader.take(limit).read_to_end(&mut body)?
        }
    };
    Ok(body)
}

/// RFC 1950, 2.2: method 8, and a check over the first two bytes.
fn is_zlib(raw: &[u8]) -> bool {
    matches!(raw, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31))
}
