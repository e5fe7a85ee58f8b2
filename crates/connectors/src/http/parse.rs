//! From an answer's bytes to a value, by what the answer says it is.

use std::collections::HashMap;

use ::http::{HeaderMap, header::CONTENT_TYPE};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value as Json};

/// The words of `parse`.
pub(super) const WORDS: [&str; 6] = ["auto", "json", "xml", "form", "text", "bytes"];
/// Where the declaration of an XML text must end, in bytes.
const DECLARATION_BYTES_MAX: usize = 256;

/// What a body is read as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum As {
    /// By content type; what does not hold what it says is text.
    Auto,
    Json,
    Xml,
    Form,
    Text,
    Bytes,
}

impl As {
    pub(super) fn word(word: &str) -> Option<Self> {
        let all = [Self::Auto, Self::Json, Self::Xml, Self::Form, Self::Text, Self::Bytes];
        WORDS.iter().position(|known| *known == word).map(|place| all[place])
    }
}

/// The media type without parameters in lower case, and its charset.
pub(super) fn media_type(headers: &HeaderMap) -> (String, Option<String>) {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = text.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    (kind, charset)
}

/// The body by its content type. Whatever it holds, there is a value: the call has been made.
pub(super) fn auto(headers: &HeaderMap, body: &[u8]) -> Json {
    if body.is_empty() {
        return Json::Null;
    }
    let (kind, charset) = media_type(headers);
    let charset = charset.as_deref();
    let read = match wanted(&kind, body) {
        As::Json => json(charset, body).ok(),
        As::Xml => xml(charset, body).ok(),
        As::Form => form(charset, body).ok(),
        _ => None,
    };
    if let Some(value) = read {
        return value;
    }
    if !is_binary(&kind)
        && let Some(text) = decoded(charset, body)
    {
        return Json::String(text);
    }
    Json::String(BASE64.encode(body))
}

/// The body as the step wants it, or why it is not that.
pub(super) fn as_wanted(wanted: As, headers: &HeaderMap, body: &[u8]) -> Result<Json, String> {
    if body.is_empty() && wanted != As::Auto {
        return Ok(Json::Null);
    }
    let (_, charset) = media_type(headers);
    let charset = charset.as_deref();
    match wanted {
        As::Auto => Ok(auto(headers, body)),
        As::Json => json(charset, body),
        As::Xml => xml(charset, body),
        As::Form => form(charset, body),
        As::Text => decoded(charset, body).map(Json::String).ok_or_else(|| "it is not text in the charset it names".to_owned()),
        As::Bytes => Ok(Json::String(BASE64.encode(body))),
    }
}

fn wanted(kind: &str, body: &[u8]) -> As {
    let start = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start().first();
    match kind {
        "application/json" | "text/json" => As::Json,
        "" if matches!(start, Some(b'{' | b'[')) => As::Json,
        "application/xml" | "text/xml" => As::Xml,
        "application/x-www-form-urlencoded" => As::Form,
        // Pages and pictures are kept as they are written, not taken apart.
        "application/xhtml+xml" | "image/svg+xml" => As::Text,
        _ if kind.ends_with("+json") => As::Json,
        _ if kind.ends_with("+xml") => As::Xml,
        _ => As::Text,
    }
}

/// JSON is UTF-8 (RFC 8259, 8.1); other charsets are read when named or marked all the same.
fn json(charset: Option<&str>, body: &[u8]) -> Result<Json, String> {
    let plain = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(plain).or_else(|error| match decoded(charset, body) {
        Some(text) if text.as_bytes() != plain => serde_json::from_str(&text).map_err(|error| error.to_string()),
        _ => Err(error.to_string()),
    })
}

/// The charset of the header, else of a byte order mark, else of the declaration, else UTF-8 (RFC 7303, 3).
fn xml(charset: Option<&str>, body: &[u8]) -> Result<Json, String> {
    let declared = charset.map(str::to_owned).or_else(|| declared_encoding(body));
    let text = decoded(declared.as_deref(), body).ok_or_else(|| "it is not text in the charset it names".to_owned())?;
    connector::xml::read(&text).map_err(|problem| problem.to_string())
}

fn declared_encoding(body: &[u8]) -> Option<String> {
    let start = &body[..body.len().min(DECLARATION_BYTES_MAX)];
    let text = start.strip_prefix(b"<?xml")?;
    let end = text.windows(2).position(|pair| pair == b"?>")?;
    let (_, after) = std::str::from_utf8(&text[..end]).ok()?.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after[1..].split(quote).next().map(str::to_owned)
}

/// Names and texts; a repeated name is a list.
fn form(charset: Option<&str>, body: &[u8]) -> Result<Json, String> {
    let text = decoded(charset, body).ok_or_else(|| "it is not text in the charset it names".to_owned())?;
    let mut fields = Map::new();
    let mut lists: HashMap<String, Vec<Json>> = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(text.trim().as_bytes()) {
        let value = Json::String(value.into_owned());
        if let Some(list) = lists.get_mut(&*name) {
            list.push(value);
        } else if let Some(first) = fields.get_mut(&*name) {
            lists.insert(name.into_owned(), vec![first.take(), value]);
        } else {
            fields.insert(name.into_owned(), value);
        }
    }
    for (name, list) in lists {
        fields.insert(name, Json::Array(list));
    }
    Ok(Json::Object(fields))
}

pub(super) fn is_binary(kind: &str) -> bool {
    if kind.ends_with("+xml") {
        return false;
    }
    ["image/", "audio/", "video/", "font/"].iter().any(|family| kind.starts_with(family))
        || matches!(
            kind,
            "application/octet-stream" | "application/pdf" | "application/zip" | "application/gzip" | "application/x-protobuf"
        )
}

/// The text, if these bytes are one in the charset they claim (UTF-8 when they claim none).
pub(super) fn decoded(charset: Option<&str>, body: &[u8]) -> Option<String> {
    let encoding = match charset {
        None => encoding_rs::UTF_8,
        Some(label) => encoding_rs::Encoding::for_label(label.as_bytes()).unwrap_or(encoding_rs::UTF_8),
    };
    let (text, _, wrong) = encoding.decode(body);
    (!wrong && !text.contains('\0')).then(|| text.into_owned())
}
