//! Reads an answer's body: whole, bounded, decompressed.

use std::io::Read;

use ::http::{
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

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

pub(super) async fn read(url: &Url, head: &mut Parts, incoming: Incoming, bytes_max: usize) -> Result<Bytes, StepError> {
    let raw = collect(url, head, incoming, bytes_max).await?;
    if raw.is_empty() {
        return Ok(raw);
    }
    let Some(coding) = head.headers.get(CONTENT_ENCODING).and_then(|value| coding(value.as_bytes())) else {
        return Ok(raw);
    };
    let opened = if raw.len() <= INLINE_BYTES_MAX {
        decode(coding, &raw, bytes_max)
    } else {
        tokio::task::spawn_blocking(move || decode(coding, &raw, bytes_max)).await.map_err(std::io::Error::other).flatten()
    };
    match opened {
        Ok(body) if body.len() > bytes_max => Err(problem::too_large(url, head.status, bytes_max)),
        Ok(body) => {
            head.headers.remove(CONTENT_ENCODING);
            head.headers.remove(CONTENT_LENGTH);
            Ok(body.into())
        }
        Err(_) => Err(problem::undecodable(url, head.status, coding.name())),
    }
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
        Coding::Deflate => flate2::read::ZlibDecoder::new(raw).take(limit).read_to_end(&mut body)?,
        Coding::Brotli => brotli_decompressor::Decompressor::new(raw, 4096).take(limit).read_to_end(&mut body)?,
    };
    Ok(body)
}
