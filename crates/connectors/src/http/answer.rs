//! From what came back to a step's output, or to an error people can act on.

use ::http::{HeaderMap, StatusCode};
use connector::{
    Cx, Doubt, ErrorClass, Mask, StepError,
    api::{retry_after, unanswered},
    http::Response,
};
use serde_json::{Map, Value as Json, json};
use url::Position;

use super::{
    parse,
    request::{self, With},
    sign,
};

/// Most of an answer's body kept with an error.
const BODY_SHOWN_BYTES_MAX: usize = 64 * 1024;
/// Most of the other side's own words put into a message.
const WORDS_CHARS_MAX: usize = 300;

pub(super) fn output_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "status": {"type": "integer"},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Names in lower case."},
            "body": {"description": "A value if the answer was JSON, a record if it was XML or a form, text if it was other text, base64 text if it was none of these, null if it was empty. With paginate, the list of all items. With download, a file: file, name, type, size and sha256."},
            "pages": {"type": "integer", "description": "With paginate: how many pages were read."},
            "more": {"type": "boolean", "description": "With paginate: whether a declared limit left something out."}
        },
        "required": ["status", "headers", "body"],
        "additionalProperties": false
    })
}

/// Everything of the output but the body.
pub(super) fn shell(response: &Response) -> Map<String, Json> {
    let mut record = Map::with_capacity(3);
    record.insert("status".to_owned(), response.status.as_u16().into());
    record.insert("headers".to_owned(), headers(&response.headers));
    record
}

fn headers(headers: &HeaderMap) -> Json {
    let mut record = Map::with_capacity(headers.keys_len());
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        match record.get_mut(name.as_str()) {
            Some(Json::String(all)) => {
                all.push_str(", ");
                all.push_str(&text);
            }
            _ => {
                record.insert(name.as_str().to_owned(), Json::String(text.into_owned()));
            }
        }
    }
    Json::Object(record)
}

/// The error an answer is whose body is not what the step wants it to be. The call has been made.
pub(super) fn unreadable(response: &Response, why: &str) -> StepError {
    let place = &response.url[..Position::AfterPath];
    let mut error = StepError::new(
        ErrorClass::Invalid,
        "ANSWER_UNREADABLE",
        format!("{place} answered {}, but its body cannot be read as the step asks: {why}", response.status.as_u16()),
    )
    .with_next("Leave parse out to take the body as it comes.");
    error.doubt = Doubt::MayHaveHappened;
    error
}

/// The error an answer with an unaccepted status is. The table is the one for people in `docs/`:
/// RFC 9110, 15 and RFC 6585 for the meaning of the statuses.
pub(super) fn refused(cx: &Cx, input: &Json, with: With<'_>, response: &Response) -> StepError {
    let method = request::method(input.get("method")).unwrap_or_default();
    let mask = sign::mask(cx, input, with.token);
    let status = response.status;
    let class = class(status);
    let place = &response.url[..Position::AfterPath];
    let mut message = format!("{method} {place} answered {}", status.as_u16());
    if let Some(reason) = status.canonical_reason() {
        message.push(' ');
        message.push_str(reason);
    }
    let shown = shown_body(&mask, response);
    if let Some(words) = own_words(&shown) {
        message.push_str(": ");
        message.push_str(&words);
    }
    let mut error = StepError::new(class, format!("HTTP_{}", status.as_u16()), mask.text(&message))
        .with_next(next(status, cx.connection.is_some()));
    if class.is_transient() {
        error.retry_after = retry_after(&response.headers);
    }
    if unanswered(status) {
        error.doubt = Doubt::MayHaveHappened;
    }
    error.response = Some(json!({"status": status.as_u16(), "headers": mask.headers(&response.headers), "body": shown}));
    error
}

fn class(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        408 => ErrorClass::Timeout,
        425 | 429 => ErrorClass::RateLimited,
        401 => ErrorClass::Auth,
        403 => ErrorClass::Denied,
        404 | 410 => ErrorClass::NotFound,
        409 | 412 | 423 => ErrorClass::Conflict,
        500..=599 => ErrorClass::Server,
        _ => ErrorClass::Invalid,
    }
}

fn next(status: StatusCode, through_connection: bool) -> &'static str {
    match status.as_u16() {
        401 if through_connection => "Check the credentials of the connection; they may have expired.",
        401 | 407 => "This address wants a sign-in: make a connection of the http connector and use it in the step.",
        403 => "Ask for the right to do this in the other system, or use a connection that has it.",
        404 | 410 => "Check the address; if a missing record is fine here, add 404 to accept.",
        409 | 412 | 423 => "Read the record again and decide what should win; if it exists already, that may be fine.",
        408 | 425 | 429 => "Nothing to do: it is tried again later. If it happens often, lower the connection's rate.",
        300..=399 => "Call the address it points to, or add the status to accept.",
        413 => "Send less at a time.",
        200..=299 => "If this status means success here, add it to accept.",
        500..=599 => "Nothing to do: it is tried again later. If it stays, tell whoever runs the other system.",
        _ => "Correct what is sent; the answer says what was wrong.",
    }
}

fn shown_body(mask: &Mask, response: &Response) -> Json {
    if response.body.len() <= BODY_SHOWN_BYTES_MAX {
        return mask.json(&parse::auto(&response.headers, &response.body));
    }
    let (kind, charset) = parse::media_type(&response.headers);
    let text = if parse::is_binary(&kind) { None } else { parse::decoded(charset.as_deref(), &response.body) };
    match text {
        // Masked before it is cut: a secret across the cut would otherwise show its first half.
        Some(text) => {
            let masked = mask.text(&text);
            let cut = masked.floor_char_boundary(BODY_SHOWN_BYTES_MAX);
            Json::String(format!("{}… ({} bytes in all)", &masked[..cut], response.body.len()))
        }
        None => Json::String(format!("{} bytes, not shown", response.body.len())),
    }
}

/// The sentence the other side gave, where APIs usually put it (RFC 9457 `detail`, `error.message`, …).
fn own_words(body: &Json) -> Option<String> {
    let words = match body {
        Json::String(text) => text.as_str(),
        Json::Array(items) => return items.first().filter(|item| item.is_object()).and_then(own_words),
        Json::Object(fields) => {
            let found = ["detail", "message", "error_description", "title", "error", "errors", "errorMessage", "reason"]
                .iter()
                .find_map(|name| match fields.get(*name) {
                    Some(Json::String(text)) => Some(text.clone()),
                    Some(inner @ (Json::Object(_) | Json::Array(_))) => own_words(inner),
                    _ => None,
                });
            return found.and_then(|text| shortened(&text));
        }
        _ => return None,
    };
    // A whole page is no sentence.
    if words.trim_start().starts_with('<') || words.len() > 4096 { None } else { shortened(words) }
}

fn shortened(text: &str) -> Option<String> {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.is_empty() {
        return None;
    }
    match flat.char_indices().nth(WORDS_CHARS_MAX) {
        Some((cut, _)) => Some(format!("{}…", &flat[..cut])),
        None => Some(flat),
    }
}
