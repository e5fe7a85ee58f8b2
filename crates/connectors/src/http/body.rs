//! The body of a request, in each of the ways a step can give one.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use connector::{
    StepError,
    files::{File, Files},
    http::{Piece, Pieces},
};
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use super::request::{collect_pairs, invalid};
use connector::strict;

/// The ways to give a body; a request has one.
pub(super) const KINDS: [&str; 6] = ["json", "form", "multipart", "xml", "text", "bytes"];
/// What a file inside a multipart body may say.
const FILE_KEYS: [&str; 6] = ["filename", "content_type", "text", "base64", "json", "file"];
/// Tries for a boundary that occurs nowhere in the parts; one is enough unless somebody aims at it.
const BOUNDARIES_MAX: u32 = 16;

/// The body and, unless a header says otherwise, its content type. `seed` makes the boundary of a multipart
/// body the same in every attempt.
pub(super) fn build(
    fields: &Map<String, Json>,
    headers: &mut HeaderMap,
    seed: &str,
    files: Option<&Arc<dyn Files>>,
) -> Result<(Bytes, Option<Pieces>), StepError> {
    let mut given =
        KINDS.into_iter().filter_map(|name| fields.get(name).filter(|value| !value.is_null()).map(|value| (name, value)));
    let Some((name, value)) = given.next() else {
        return Ok((Bytes::new(), None));
    };
    if let Some((other, _)) = given.next() {
        return Err(problem(format!("a request has one body, but both {name} and {other} are given")));
    }
    let plain = |content_type| HeaderValue::from_static(content_type);
    if name == "bytes"
        && let Some(file) = File::read(value, files)?
    {
        headers.entry(CONTENT_TYPE).or_insert(header_of(&file.kind));
        return Ok((Bytes::new(), Some(Pieces::new(vec![piece(&file)]))));
    }
    let (content_type, body) = match (name, value) {
        ("json", value) => (plain("application/json"), value.to_string().into()),
        ("form", Json::Object(form)) => (plain("application/x-www-form-urlencoded"), urlencoded(form)?),
        ("multipart", Json::Object(parts)) => {
            if headers.contains_key(CONTENT_TYPE) {
                return Err(problem("a multipart body sets its content-type by itself, because it holds the boundary")
                    .with_next("Leave the header out."));
            }
            let (content_type, pieces) = multipart(parts, seed, files)?;
            headers.insert(CONTENT_TYPE, content_type);
            return Ok(match whole(&pieces) {
                Some(body) => (body, None),
                None => (Bytes::new(), Some(Pieces::new(pieces))),
            });
        }
        ("xml", Json::String(text)) => (plain("application/xml; charset=utf-8"), text.clone().into()),
        ("xml", record @ Json::Object(_)) => {
            let text = connector::xml::write(record).map_err(|error| problem(format!("xml cannot be written: {error}")))?;
            (plain("application/xml; charset=utf-8"), text.into())
        }
        ("text", Json::String(text)) => (plain("text/plain; charset=utf-8"), text.clone().into()),
        ("bytes", Json::String(text)) => (plain("application/octet-stream"), unpacked("bytes", text)?),
        (_, other) => return Err(unfitting(name, other)),
    };
    headers.entry(CONTENT_TYPE).or_insert(content_type);
    Ok((body, None))
}

fn header_of(kind: &str) -> HeaderValue {
    HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn piece(file: &File) -> Piece {
    Piece::File { token: file.token.clone(), size: file.size }
}

/// The body as bytes, when it holds no file by reference.
fn whole(pieces: &[Piece]) -> Option<Bytes> {
    let mut body = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => body.extend_from_slice(bytes),
            Piece::File { .. } => return None,
        }
    }
    Some(body.into())
}

fn problem(sentence: impl Into<String>) -> StepError {
    invalid("BODY_INVALID", sentence)
}

fn unfitting(name: &str, value: &Json) -> StepError {
    let wanted = match name {
        "form" | "multipart" => "a record",
        "xml" => "a record with one field, the root element, or text",
        "bytes" => "base64 text or a file",
        _ => "text",
    };
    problem(format!("{name} must be {wanted}, not {}", strict::kind(value))).with_next("Use json to send any other value.")
}

fn urlencoded(form: &Map<String, Json>) -> Result<Bytes, StepError> {
    let mut pairs = Vec::with_capacity(form.len());
    for (name, value) in form {
        collect_pairs(name, value, true, &mut pairs).map_err(problem)?;
    }
    Ok(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into())
}

fn unpacked(name: &str, text: &str) -> Result<Bytes, StepError> {
    // Encoders break lines; the breaks mean nothing.
    let joined: String = text.split_ascii_whitespace().collect();
    BASE64.decode(joined).map(Bytes::from).map_err(|error| {
        problem(format!("{name} is not base64 text: {error}"))
            .with_next("Use text for what is text already, or to_base64 to pack it.")
    })
}

/// One part: its own header lines and its bytes.
struct Part {
    head: String,
    body: Piece,
}

impl Part {
    fn new(head: String, body: impl Into<Bytes>) -> Self {
        Self { head, body: Piece::Bytes(body.into()) }
    }
}

/// RFC 7578; names and file names are written as browsers do (WHATWG, multipart/form-data encoding).
fn multipart(
    fields: &Map<String, Json>,
    seed: &str,
    files: Option<&Arc<dyn Files>>,
) -> Result<(HeaderValue, Vec<Piece>), StepError> {
    let mut parts = Vec::new();
    for (name, value) in fields {
        match value {
            Json::Array(items) => items.iter().try_for_each(|item| add_part(&mut parts, name, item, files))?,
            single => add_part(&mut parts, name, single, files)?,
        }
    }
    if parts.is_empty() {
        return Err(problem("multipart holds no part"));
    }
    // What a file by reference holds is not looked through. Its token, which nobody outside knows, goes into
    // the boundary, so that nobody can have put that into the file.
    let tokens = parts.iter().filter_map(|part| match &part.body {
        Piece::File { token, .. } => Some(token.as_str()),
        Piece::Bytes(_) => None,
    });
    let seed = std::iter::once(seed).chain(tokens).collect::<Vec<_>>().join(":");
    let boundary = boundary(&parts, &seed)?;
    let text = |text: String| Piece::Bytes(text.into());
    let mut pieces = Vec::with_capacity(parts.len() * 3 + 1);
    for Part { head, body } in parts {
        pieces.extend([text(format!("--{boundary}\r\n{head}\r\n\r\n")), body, text("\r\n".to_owned())]);
    }
    pieces.push(text(format!("--{boundary}--\r\n")));
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"))
        .map_err(|_| problem("the boundary cannot be sent"))?;
    Ok((content_type, pieces))
}

fn add_part(parts: &mut Vec<Part>, name: &str, value: &Json, files: Option<&Arc<dyn Files>>) -> Result<(), StepError> {
    let head = format!("content-disposition: form-data; name=\"{}\"", quoted(name));
    match value {
        Json::Null => {}
        Json::String(text) => parts.push(Part::new(head, text.clone())),
        Json::Bool(_) | Json::Number(_) => parts.push(Part::new(head, value.to_string())),
        Json::Array(_) => return Err(problem(format!("\"{name}\" holds a list inside a list, which cannot be written there"))),
        Json::Object(file) => parts.push(file_part(head, name, value, file, files)?),
    }
    Ok(())
}

fn file_part(
    mut head: String,
    name: &str,
    value: &Json,
    file: &Map<String, Json>,
    files: Option<&Arc<dyn Files>>,
) -> Result<Part, StepError> {
    // A file by itself, or one with another name and type.
    let (kept, named) = match file.get("file") {
        Some(Json::String(_)) => (File::read(value, files)?, false),
        Some(inner @ Json::Object(_)) => (File::read(inner, files)?, true),
        _ => (None, false),
    };
    if let Some(file) = kept.as_ref().filter(|_| !named) {
        head.push_str(&format!("; filename=\"{}\"\r\ncontent-type: {}", quoted(&file.name), file.kind));
        return Ok(Part { head, body: piece(file) });
    }
    if let Some(key) = file.keys().find(|key| !FILE_KEYS.contains(&key.as_str())) {
        return Err(problem(format!("in the part \"{name}\", {}", strict::unknown(key, &FILE_KEYS))));
    }
    let text = |key: &str| match file.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(problem(format!("the {key} of the part \"{name}\" must be text, not {}", strict::kind(other)))),
    };
    let json = file.get("json").filter(|value| !value.is_null());
    let (default_type, body) = match (text("text")?, text("base64")?, json, &kept) {
        (Some(text), None, None, None) => ("text/plain; charset=utf-8", Piece::Bytes(text.to_owned().into())),
        (None, Some(packed), None, None) => {
            ("application/octet-stream", Piece::Bytes(unpacked(&format!("base64 of the part \"{name}\""), packed)?))
        }
        (None, None, Some(value), None) => ("application/json", Piece::Bytes(value.to_string().into())),
        (None, None, None, Some(file)) => (file.kind.as_str(), piece(file)),
        _ => return Err(problem(format!("the part \"{name}\" needs one of text, base64, json and file"))),
    };
    if let Some(filename) = text("filename")?.or(kept.as_ref().map(|file| file.name.as_str())) {
        head.push_str(&format!("; filename=\"{}\"", quoted(filename)));
    }
    let content_type = text("content_type")?.unwrap_or(default_type);
    if content_type.is_empty() || content_type.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(problem(format!(
            "the content_type of the part \"{name}\" holds a line break or another character a header cannot carry"
        )));
    }
    head.push_str("\r\ncontent-type: ");
    head.push_str(content_type);
    Ok(Part { head, body })
}

fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn boundary(parts: &[Part], seed: &str) -> Result<String, StepError> {
    for turn in 0..BOUNDARIES_MAX {
        let digest = Sha256::digest(format!("{turn}:{seed}"));
        let boundary = format!("liaison-{}", hex::encode(&digest[..16]));
        let occurs = |bytes: &[u8]| bytes.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        let in_body = |body: &Piece| matches!(body, Piece::Bytes(bytes) if occurs(bytes));
        if !parts.iter().any(|part| in_body(&part.body) || occurs(part.head.as_bytes())) {
            return Ok(boundary);
        }
    }
    Err(problem("no boundary could be found that does not occur in the parts"))
}
