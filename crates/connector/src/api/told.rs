//! Failed calls in words, with what was sent and what came back.

use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value as Json, json};

use super::{Answer, Dialect, Refusal, Sent};
use crate::{
    Mask,
    error::{Doubt, ErrorClass, StepError},
};

/// Most of a body that is shown.
const BODY_SHOWN_BYTES_MAX: usize = 16 * 1024;
/// Most of the system's own words in a sentence.
const WORDS_CHARS_MAX: usize = 500;
/// Longest pause a system can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn refused(dialect: &Dialect, answer: &Answer, refusal: Refusal) -> StepError {
    let status = answer.status;
    let row = dialect.error(&refusal.code);
    let class = refusal.class.or(row.map(|row| row.class)).unwrap_or_else(|| class(status));
    let code = if refusal.code.is_empty() { format!("HTTP_{}", status.as_u16()) } else { refusal.code };
    let mut message = match row {
        Some(row) => row.sentence.to_owned(),
        None if status.is_success() => format!("{} refused this although it answered {}", dialect.system, status.as_u16()),
        None => format!("{} answered {} {}", dialect.system, status.as_u16(), status.canonical_reason().unwrap_or_default()),
    };
    let words = if refusal.words.is_empty() { page_words(answer) } else { own_words(&refusal.words) };
    if let Some(words) = words {
        message = format!("{}: {words}", message.trim_end());
    }
    let mut error = StepError::new(class, code, message.trim_end()).with_next(row.map_or_else(|| next(class), |row| row.next));
    if class.is_transient() {
        error.retry_after = refusal.retry_after.or_else(|| retry_after(&answer.headers)).map(|wait| wait.min(RETRY_AFTER_MAX));
    }
    // A code that only says that the system failed says no more than its 500 does.
    let failed = row.is_none_or(|row| row.class == ErrorClass::Server);
    let late = dialect.fails_late && status == 500 && failed;
    if answer.sent.method != Method::GET && (refusal.in_doubt || late || (row.is_none() && unanswered(status))) {
        error.doubt = Doubt::MayHaveHappened;
    }
    answer.sent.describe(error, Some(answer))
}

/// True for the answers of a gateway that had none of the system itself: what the system did is not known
/// (RFC 9110, 15.6.3 and 15.6.5).
#[must_use]
pub fn unanswered(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
}

pub(super) fn unreadable(answer: &Answer, why: &str) -> StepError {
    let system = answer.sent.system;
    let html = answer.without_mark().trim_ascii_start().first() == Some(&b'<');
    let what = if html {
        format!("{system} answered with a web page instead of data, as gateways do when it is away or under maintenance")
    } else if answer.body.is_empty() {
        format!("{system} answered without the data that belongs here")
    } else {
        format!("the answer of {system} cannot be read: {why}")
    };
    let mut error = StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", what)
        .with_next("Nothing to do where it is tried again. If it stays, check the host in the connection's settings.");
    error.doubt = Doubt::MayHaveHappened;
    answer.sent.describe(error, Some(answer))
}

impl Sent {
    /// Adds the request, and the answer where there is one.
    pub(super) fn describe(&self, mut error: StepError, answer: Option<&Answer>) -> StepError {
        let mut mask = Mask::new(self.connection.iter().flat_map(|connection| connection.credentials.values()));
        if let Some(token) = &self.token {
            mask.add(token.expose());
        }
        error.message = mask.text(&error.message);
        let mut request = json!({
            "method": self.method.as_str(),
            "url": mask.url(&self.url),
            "headers": mask.headers(&self.headers),
        });
        if !self.body.is_empty() {
            request["body"] = shown(&mask, &self.headers, &self.body);
        }
        error.request = Some(request);
        if let Some(answer) = answer {
            error.response = Some(json!({
                "status": answer.status.as_u16(),
                "headers": mask.headers(&answer.headers),
                "body": shown(&mask, &answer.headers, &answer.body),
            }));
        }
        error
    }
}

fn shown(mask: &Mask, headers: &HeaderMap, body: &[u8]) -> Json {
    if body.len() <= BODY_SHOWN_BYTES_MAX
        && let Ok(value) = serde_json::from_slice::<Json>(body)
    {
        return mask.json(&value);
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return Json::String(format!("{} bytes, not shown", body.len()));
    };
    if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded")) {
        let pairs: serde_json::Map<String, Json> = url::form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), Json::String(value.into_owned())))
            .collect();
        return mask.json(&Json::Object(pairs));
    }
    // Masked before it is cut: a secret across the cut would otherwise show its first half.
    let masked = mask.text(text);
    match masked.len() {
        0..=BODY_SHOWN_BYTES_MAX => Json::String(masked),
        _ => Json::String(format!(
            "{}… ({} bytes in all)",
            &masked[..masked.floor_char_boundary(BODY_SHOWN_BYTES_MAX)],
            body.len()
        )),
    }
}

/// A text on one line, cut to what fits a sentence; `None` when nothing is left, or when it is a page of HTML.
#[must_use]
pub fn own_words(text: &str) -> Option<String> {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.is_empty() || flat.starts_with('<') {
        return None;
    }
    match flat.char_indices().nth(WORDS_CHARS_MAX) {
        Some((cut, _)) => Some(format!("{}…", &flat[..cut])),
        None => Some(flat.trim_end_matches('.').to_owned()),
    }
}

/// A short plain text is the system's words; anything longer or structured is left to the recorded answer.
fn page_words(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.body).ok().filter(|text| text.len() <= WORDS_CHARS_MAX)?;
    if text.trim_start().starts_with(['{', '[']) { None } else { own_words(text) }
}

fn class(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        408 => ErrorClass::Timeout,
        425 | 429 => ErrorClass::RateLimited,
        401 => ErrorClass::Auth,
        403 => ErrorClass::Denied,
        404 | 410 => ErrorClass::NotFound,
        409 | 412 | 423 => ErrorClass::Conflict,
        420 | 500..=599 => ErrorClass::Server,
        _ => ErrorClass::Invalid,
    }
}

fn next(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Timeout | ErrorClass::Network | ErrorClass::RateLimited | ErrorClass::Server => {
            "Nothing to do: it is tried again later. If it stays, see whether the system is well."
        }
        ErrorClass::Auth => "Check the credentials of the connection; they may have expired or been revoked.",
        ErrorClass::Denied => "Ask for the right to do this in the other system, or use a connection that has it.",
        ErrorClass::NotFound => "Check the id; the record may have been deleted.",
        ErrorClass::Conflict => "Read the record again and decide what should win; if it exists already, that may be fine.",
        ErrorClass::Partial => "See the rows that were refused, correct them, and send only those again.",
        _ => "Correct what is sent; the answer says what was wrong.",
    }
}

/// `Retry-After`: seconds, or a date told apart from the answer's own `Date` so that clocks need not agree
/// (RFC 9110, 10.2.3). A week at most is believed.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default().min(RETRY_AFTER_MAX))
}
