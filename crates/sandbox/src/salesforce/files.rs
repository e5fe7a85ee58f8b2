//! Bodies that are packed, and bodies of several parts.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value as Json, json};

use super::{
    errors::{Outcome, Trouble},
    schema::{Kind, Object},
    write::Fields,
};

/// Parts of a body.
const PARTS_MAX: usize = 10;

/// A part of a multipart body.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub name: String,
    pub file: Option<String>,
    pub bytes: Bytes,
}

/// A body as it was before it was packed.
pub(super) fn unpacked(headers: &HeaderMap, body: Bytes, most: usize) -> Outcome<Bytes> {
    let packing = headers.get(header::CONTENT_ENCODING).and_then(|packing| packing.to_str().ok()).unwrap_or_default();
    let limit = most as u64 + 1;
    let mut out = Vec::new();
    let read = match packing {
        "" | "identity" => return Ok(body),
        "gzip" => flate2::read::GzDecoder::new(&body[..]).take(limit).read_to_end(&mut out),
        "deflate" => flate2::read::ZlibDecoder::new(&body[..]).take(limit).read_to_end(&mut out),
        _ => return Err(Trouble::new(415, "UNSUPPORTED_MEDIA_TYPE", format!("Content-Encoding {packing} is not supported"))),
    };
    match read {
        Ok(_) if out.len() > most => Err(Trouble::new(413, "REQUEST_ENTITY_TOO_LARGE", "The request is too large")),
        Ok(_) => Ok(out.into()),
        Err(_) => Err(Trouble::json("The body is not packed as its Content-Encoding says")),
    }
}

/// The parts of a multipart body; none when it is another kind of body.
pub(super) async fn parts(headers: &HeaderMap, body: &Bytes) -> Outcome<Vec<Part>> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("multipart/") {
        return Ok(Vec::new());
    }
    let wrong = || Trouble::bad("INVALID_MULTIPART_REQUEST", "The multipart body cannot be read");
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary=")).ok_or_else(wrong)?.trim_matches('"');
    let whole = body.clone();
    let stream = futures_util::stream::once(async move { Ok::<_, std::io::Error>(whole) });
    let mut reader = multer::Multipart::new(stream, boundary);
    let mut out = Vec::new();
    while let Some(field) = reader.next_field().await.map_err(|_| wrong())? {
        if out.len() >= PARTS_MAX {
            return Err(wrong());
        }
        let (name, file) = (field.name().unwrap_or_default().to_owned(), field.file_name().map(str::to_owned));
        out.push(Part { name, file, bytes: field.bytes().await.map_err(|_| wrong())? });
    }
    Ok(out)
}

/// The fields of a record with a binary part.
pub(super) fn fields(parts: &[Part], object: &Object) -> Outcome<Fields> {
    let wrong = |words: &str| Trouble::bad("INVALID_MULTIPART_REQUEST", words.to_owned());
    let plain =
        parts.iter().find(|part| part.file.is_none()).ok_or_else(|| wrong("The part with the record's fields is missing"))?;
    let mut fields = match serde_json::from_slice(&plain.bytes) {
        Ok(Json::Object(fields)) => fields,
        _ => return Err(wrong("The part with the record's fields is no JSON object")),
    };
    for part in parts.iter().filter(|part| part.file.is_some()) {
        let known = object.field(&part.name).filter(|field| field.kind == Kind::Base64);
        let field = known.ok_or_else(|| wrong("A part with a file must be named like a binary field"))?;
        fields.insert(field.name.clone(), json!(STANDARD.encode(&part.bytes)));
    }
    Ok(fields)
}
