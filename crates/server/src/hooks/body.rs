//! The body of a request as a value, by its content type.

use std::borrow::Cow;

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::ErrorClass;
use encoding_rs::Encoding;
use engine::Engine;
use serde_json::{Value, json};

use super::add;
use crate::error::ApiError;

/// Parts of one multipart body.
const PARTS_MAX: usize = 1000;
/// Files of one multipart body in all, before they become base64.
const FILES_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Where the declaration of an XML text must end, in bytes.
const DECLARATION_BYTES_MAX: usize = 256;
/// Texts whose type does not begin with `text/`.
const TEXTS: [&str; 9] = [
    "application/csv",
    "application/edi-x12",
    "application/edifact",
    "application/graphql",
    "application/javascript",
    "application/jsonl",
    "application/x-ndjson",
    "application/yaml",
    "image/svg+xml",
];

/// JSON as its value, forms and multipart as records, XML as a record, texts as text, anything else as base64.
/// With an engine, what is large and no text becomes a file by reference; that must not be done for
/// somebody who has not proved anything yet.
pub(crate) async fn parse(keeper: Option<&Engine>, headers: &[(String, String)], bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let declared = headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value.as_str());
    let (kind, charset) = media_type(declared);
    match kind.as_str() {
        "application/json" | "text/json" => read_json(charset, bytes),
        "application/xhtml+xml" => decode(charset, bytes).map(Value::from),
        "application/xml" | "text/xml" => read_xml(charset, bytes),
        "application/x-www-form-urlencoded" => read_form(charset, bytes),
        // Boxed, so that a plain body does not carry the room for it.
        "multipart/form-data" => Box::pin(read_parts(keeper, declared, bytes)).await,
        kind if TEXTS.contains(&kind) || kind.starts_with("text/") => decode(charset, bytes).map(Value::from),
        kind if kind.ends_with("+json") => read_json(charset, bytes),
        kind if kind.ends_with("+xml") => read_xml(charset, bytes),
        // Nobody said what it is: whatever it can be read as.
        "" => Ok(serde_json::from_slice(bytes).unwrap_or_else(|_| match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => BASE64.encode(bytes).into(),
        })),
        kind => match keeper.filter(|keeper| is_large(keeper, bytes)) {
            Some(keeper) => Box::pin(keep(keeper, "body", kind, bytes)).await,
            None => Ok(BASE64.encode(bytes).into()),
        },
    }
}

fn is_large(keeper: &Engine, bytes: &[u8]) -> bool {
    bytes.len() > keeper.settings().payload_inline_bytes_max
}

/// Keeps a file; what stands for it in the event is the record later steps take.
async fn keep(keeper: &Engine, name: &str, kind: &str, bytes: &[u8]) -> Result<Value, ApiError> {
    match keeper.keep_file(name, kind, bytes).await {
        Ok(file) => Ok(file.json()),
        Err(error) if error.class == ErrorClass::Invalid => {
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "FILE_TOO_LARGE", error.message))
        }
        Err(error) => {
            tracing::error!(error = error.message, "hooks.keep_file");
            let message = "The file that came with the event could not be kept, so the event was not taken. Send it again later.";
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "FILE_NOT_KEPT", message).retry_after(60))
        }
    }
}

/// The media type without parameters in lower case, and its charset.
fn media_type(declared: &str) -> (String, Option<&str>) {
    let mut parts = declared.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    (kind, charset)
}

fn refused(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, message)
}

/// The text in its charset: a byte order mark's, the one named, else UTF-8.
fn decode<'a>(charset: Option<&str>, bytes: &'a [u8]) -> Result<Cow<'a, str>, ApiError> {
    let encoding = match (Encoding::for_bom(bytes), charset) {
        (Some((marked, _)), _) => marked,
        (None, Some(name)) => Encoding::for_label(name.as_bytes()).ok_or_else(|| {
            refused("CHARSET_UNKNOWN", format!("The charset {name:?} of the body is not known. Send the body as UTF-8."))
        })?,
        (None, None) => encoding_rs::UTF_8,
    };
    let plain = Encoding::for_bom(bytes).map_or(bytes, |(_, length)| &bytes[length..]);
    if encoding == encoding_rs::UTF_8 {
        return std::str::from_utf8(plain).map(Cow::Borrowed).map_err(|error| {
            refused(
                "BODY_NOT_UTF8",
                format!("The body is not UTF-8 text: byte {} fits no character. Send it as UTF-8.", error.valid_up_to()),
            )
        });
    }
    encoding.decode_without_bom_handling_and_without_replacement(plain).ok_or_else(|| {
        refused("BODY_NOT_TEXT", format!("The body is declared as text in {} but is not. Send it as UTF-8.", encoding.name()))
    })
}

fn read_json(charset: Option<&str>, bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_str(&decode(charset, bytes)?).map_err(|error| {
        refused("BODY_NOT_JSON", format!("The body is declared as JSON but is not: {error}. Correct it and send it again."))
    })
}

/// The charset of the header, else of a byte order mark, else of the declaration, else UTF-8 (RFC 7303, 3).
fn read_xml(charset: Option<&str>, bytes: &[u8]) -> Result<Value, ApiError> {
    let text = decode(charset.or_else(|| declared_encoding(bytes)), bytes)?;
    connector::xml::read(&text).map_err(|problem| {
        refused(
            "BODY_NOT_XML",
            format!("The body is declared as XML but cannot be read: {problem}. Correct it and send it again."),
        )
    })
}

fn declared_encoding(bytes: &[u8]) -> Option<&str> {
    let start = bytes[..bytes.len().min(DECLARATION_BYTES_MAX)].strip_prefix(b"<?xml")?;
    let end = start.windows(2).position(|pair| pair == b"?>")?;
    let (_, after) = std::str::from_utf8(&start[..end]).ok()?.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|char| matches!(char, '"' | '\''))?;
    after[1..].split(quote).next()
}

fn read_form(charset: Option<&str>, bytes: &[u8]) -> Result<Value, ApiError> {
    let text = decode(charset, bytes)?;
    let mut record = serde_json::Map::new();
    for (name, value) in form_urlencoded::parse(text.trim().as_bytes()) {
        add(&mut record, name.into_owned(), value.into_owned().into());
    }
    Ok(Value::Object(record))
}

/// Fields by name; a file is `{name, type, size, content}` with its content in base64, a large one a
/// file by reference.
async fn read_parts(keeper: Option<&Engine>, declared: &str, bytes: &[u8]) -> Result<Value, ApiError> {
    let broken = |error: multer::Error| {
        refused("BODY_NOT_MULTIPART", format!("The body is declared as multipart but cannot be read: {error}. Send it again."))
    };
    let boundary = multer::parse_boundary(declared).map_err(broken)?;
    let whole = bytes::Bytes::copy_from_slice(bytes);
    let stream = futures_util::stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(whole)));
    let mut multipart = multer::Multipart::new(stream, boundary);
    let mut record = serde_json::Map::new();
    let (mut parts, mut file_bytes) = (0, 0);
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        parts += 1;
        if parts > PARTS_MAX {
            return Err(refused("BODY_TOO_MANY_PARTS", format!("The body has more than {PARTS_MAX} parts. Send fewer at once.")));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let kind = field.content_type().map(ToString::to_string);
        let file = field.file_name().map(str::to_owned);
        let content = field.bytes().await.map_err(broken)?;
        let value = match file {
            Some(file) => {
                file_bytes += content.len();
                if file_bytes > FILES_BYTES_MAX {
                    return Err(refused(
                        "BODY_FILES_TOO_LARGE",
                        format!("The files of the body have more than {FILES_BYTES_MAX} bytes in all. Send fewer at once."),
                    ));
                }
                let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
                match keeper.filter(|keeper| is_large(keeper, &content)) {
                    Some(keeper) => keep(keeper, &file, &kind, &content).await?,
                    None => json!({ "name": file, "type": kind, "size": content.len(), "content": BASE64.encode(&content) }),
                }
            }
            None => {
                let (kind, charset) = kind.as_deref().map(media_type).unwrap_or_default();
                match kind.as_str() {
                    "application/json" => read_json(charset, &content)?,
                    _ => decode(charset, &content)?.into(),
                }
            }
        };
        add(&mut record, name, value);
    }
    Ok(Value::Object(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(kind: &str, bytes: &[u8]) -> Result<Value, ApiError> {
        parse(None, &[("content-type".to_owned(), kind.to_owned())], bytes).await
    }

    #[tokio::test]
    async fn bodies_are_read_by_their_type() {
        for (kind, bytes, expected) in [
            ("application/json", &b"{\"a\": 1}"[..], json!({"a": 1})),
            ("application/cloudevents+json; charset=utf-8", b"\xef\xbb\xbf[1]", json!([1])),
            ("application/json; charset=utf-16", b"\xff\xfe[\0]\0", json!([])),
            ("application/x-www-form-urlencoded", b"a=1&b=x+y&a=2&a=3", json!({"a": ["1", "2", "3"], "b": "x y"})),
            ("text/plain", b"hi", json!("hi")),
            ("text/plain; charset=\"ISO-8859-1\"", b"Z\xfcrich", json!("Zürich")),
            ("application/x-ndjson", b"{}\n{}", json!("{}\n{}")),
            ("text/xml", b"<a b='1'><c>x</c><c>y</c></a>", json!({"a": {"@b": "1", "c": ["x", "y"]}})),
            ("application/soap+xml", b"<?xml version='1.0' encoding='latin1'?><a>\xfc</a>", json!({"a": "ü"})),
            ("", b"{\"a\":1}", json!({"a": 1})),
            ("", b"hello", json!("hello")),
            ("", b"\xff\x00", json!("/wA=")),
            ("application/zip", b"PK", json!("UEs=")),
            ("image/png", b"\x89PNG", json!("iVBORw==")),
            ("application/json", b"", Value::Null),
        ] {
            assert_eq!(read(kind, bytes).await.unwrap(), expected, "{kind}");
        }
    }

    #[tokio::test]
    async fn bodies_that_are_not_what_they_say_are_refused_with_a_reason() {
        let bomb = format!("{}x{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        for (kind, bytes, code) in [
            ("application/json", &b"{\"a\": "[..], "BODY_NOT_JSON"),
            ("application/json", "[".repeat(100_000).as_bytes(), "BODY_NOT_JSON"),
            ("application/json", b"{\"a\": \"\xff\"}", "BODY_NOT_UTF8"),
            ("text/plain", b"\xc3\x28", "BODY_NOT_UTF8"),
            ("text/plain; charset=klingon", b"x", "CHARSET_UNKNOWN"),
            ("text/plain; charset=shift_jis", b"\x81", "BODY_NOT_TEXT"),
            ("application/xml", b"<a>", "BODY_NOT_XML"),
            ("application/xml", b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "BODY_NOT_XML"),
            ("application/xml", bomb.as_bytes(), "BODY_NOT_XML"),
            ("multipart/form-data", b"--x--", "BODY_NOT_MULTIPART"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1", "BODY_NOT_MULTIPART"),
        ] {
            let error = read(kind, bytes).await.unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (400, code), "{kind}");
        }
    }

    #[tokio::test]
    async fn files_are_records() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nZ\xc3\xbcrich\r\n\
            --x\r\nContent-Disposition: form-data; name=\"data\"\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n\
            --x\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"a.pdf\"\r\nContent-Type: application/pdf\r\n\r\n\xff\x00\r\n\
            --x\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"b\"\r\n\r\n\r\n--x--\r\n";
        let expected = json!({
            "note": "Zürich",
            "data": {"a": 1},
            "doc": [
                {"name": "a.pdf", "type": "application/pdf", "size": 2, "content": "/wA="},
                {"name": "b", "type": "application/octet-stream", "size": 0, "content": ""}
            ]
        });
        assert_eq!(read("multipart/form-data; boundary=x", body).await.unwrap(), expected);
        let many = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n".repeat(PARTS_MAX + 1) + "--x--\r\n";
        let error = read("multipart/form-data; boundary=x", many.as_bytes()).await.unwrap_err();
        assert_eq!(error.code, "BODY_TOO_MANY_PARTS");
    }
}
