//! From a step's input to the request that is sent.

use std::{fmt::Write as _, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header::ACCEPT};
use connector::{Connection, Cx, ErrorClass, Secret, StepError, files::File, http::Request};
use serde_json::{Map, Value as Json, json};
use url::{Position, Url};

use super::{
    body, pages,
    parse::{self, As},
    settings::{self, Auth},
    sign,
};
use crate::declared::duration;
use connector::strict;

const KEYS: [&str; 17] = [
    "method",
    "url",
    "path",
    "query",
    "headers",
    "json",
    "form",
    "multipart",
    "xml",
    "text",
    "bytes",
    "accept",
    "idempotent",
    "key_life",
    "parse",
    "paginate",
    "download",
];
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// Most of a request body shown with an error.
const BODY_SHOWN_BYTES_MAX: usize = 64 * 1024;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub(super) fn input_schema() -> Json {
    let scalar = json!(["string", "number", "boolean", "null"]);
    let values = json!({"type": "object", "additionalProperties": {"anyOf": [{"type": scalar}, {"type": "array", "items": {"type": scalar}}]}});
    let mut query = values.clone();
    query["title"] = "Query".into();
    query["description"] = "Added to the address after the question mark; a list repeats its name.".into();
    let mut headers = values;
    headers["title"] = "Headers".into();
    json!({
        "type": "object",
        "properties": {
            "method": {"type": "string", "title": "Method", "enum": METHODS, "default": "GET"},
            "url": {"type": "string", "title": "Address", "description": "The whole address. Without a connection."},
            "path": {"type": "string", "title": "Path", "description": "Added to the connection's base address. Through a connection."},
            "query": query,
            "headers": headers,
            "json": {"title": "JSON body", "description": "Any value, sent as application/json."},
            "form": {"type": "object", "title": "Form body", "description": "Sent as application/x-www-form-urlencoded; a list repeats its name, a record inside becomes name[inner]."},
            "multipart": {"type": "object", "title": "Multipart body", "description": "Sent as multipart/form-data: names with texts, or with files as records of filename, content_type and one of text, base64, json and file; a list repeats its name. A file by reference can also stand there by itself."},
            "xml": {"title": "XML body", "description": "A record with one field, the root element (attributes as @name, text beside them as #text), or the XML as text.", "type": ["object", "string"]},
            "text": {"type": "string", "title": "Text body", "description": "Sent as text/plain unless a content-type header says otherwise."},
            "bytes": {"title": "Binary body", "anyOf": [{"type": "string", "contentEncoding": "base64"}, File::schema()], "description": "Base64 text, sent as the bytes it stands for, or a file by reference, streamed."},
            "accept": {
                "type": "array", "title": "Accepted statuses", "default": ["200-299"],
                "description": "Statuses that count as success: numbers, or ranges such as 200-299.",
                "items": {"anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"}]}
            },
            "parse": {"type": "string", "enum": parse::WORDS, "default": "auto", "title": "Read the answer as", "description": "auto goes by the answer's content type; with any other word, an answer that is not that fails."},
            "paginate": pages::schema(),
            "download": {"type": "boolean", "title": "Keep the answer as a file", "default": false, "description": "The answer's body becomes a file of any size; body is a reference to it, for bytes, multipart and attachments of later steps."},
            "idempotent": {"type": "boolean", "title": "Can be repeated", "description": "True when the other side does the thing only once however often it is asked."},
            "key_life": {"type": "string", "title": "Key is known for", "pattern": "^[0-9]+(ms|s|m|h|d)$", "description": "How long the other side knows the Idempotency-Key, such as 23h: once a call whose outcome is unknown is older, it waits for a person instead of being repeated. It changes nothing of calls that only read, or that happen once and wait for a person anyway: a POST needs idempotent beside it. Left out where repeating does no harm without the key, too."}
        },
        "additionalProperties": false
    })
}

/// The statuses that count as success.
pub(super) struct Accept(Vec<(u16, u16)>);

impl Accept {
    pub(super) fn takes(&self, status: u16) -> bool {
        if self.0.is_empty() {
            (200..300).contains(&status)
        } else {
            self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
        }
    }

    fn takes_redirects(&self) -> bool {
        self.0.iter().any(|(from, to)| *from < 400 && *to >= 300)
    }

    pub(super) fn read(value: Option<&Json>) -> Result<Self, StepError> {
        let items = match value {
            None | Some(Json::Null) => return Ok(Self(Vec::new())),
            Some(Json::Array(items)) => items.as_slice(),
            Some(single) => std::slice::from_ref(single),
        };
        let mut ranges = Vec::with_capacity(items.len());
        for item in items {
            let range = match item {
                Json::Number(number) => {
                    number.as_u64().and_then(|status| u16::try_from(status).ok()).map(|status| (status, status))
                }
                Json::String(text) => {
                    let (from, to) = text.split_once('-').unwrap_or((text, text));
                    from.trim().parse().ok().zip(to.trim().parse().ok())
                }
                _ => None,
            };
            match range {
                Some((from, to)) if (100..=599).contains(&from) && (100..=599).contains(&to) && from <= to => {
                    ranges.push((from, to))
                }
                _ => {
                    return Err(invalid(
                        "ACCEPT_INVALID",
                        format!("accept holds {item}, which is neither a status such as 404 nor a range such as \"200-299\""),
                    ));
                }
            }
        }
        if ranges.is_empty() {
            return Err(invalid("ACCEPT_INVALID", "accept is an empty list, so that no answer could count as success"));
        }
        Ok(Self(ranges))
    }
}

pub(super) fn invalid(code: &'static str, message: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Invalid, code, message)
}

/// How long the step says that its key is known.
pub(super) fn key_life(input: &Json) -> Option<Duration> {
    input.get("key_life")?.as_str().and_then(duration)
}

/// A request ready to be sent, and what the step says about its answer.
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) accept: Accept,
    pub(super) parse: As,
}

/// What a call takes along that its input does not say.
#[derive(Clone, Copy, Default)]
pub(super) struct With<'a> {
    /// The token of the connection.
    pub(super) token: Option<&'a Secret>,
    /// The address of a later page, in place of the input's.
    pub(super) place: Option<&'a Url>,
}

/// Builds the request. Gives the same one every time for the same input.
pub(super) fn build(cx: &Cx, input: &Json, with: With<'_>) -> Result<Call, StepError> {
    static NOTHING: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
    let fields = match input {
        Json::Object(fields) => fields,
        Json::Null => &NOTHING,
        other => return Err(invalid("INPUT_INVALID", format!("a request needs a record, not {}", strict::kind(other)))),
    };
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(invalid("INPUT_INVALID", strict::unknown(key, &KEYS)));
    }
    let connection = cx.connection.as_deref();
    let auth = match connection {
        Some(connection) => {
            settings::auth(&connection.config).map_err(|(_, sentence)| broken_connection(connection, &sentence))?
        }
        None => Auth::None,
    };
    if !matches!(fields.get("key_life"), None | Some(Json::Null)) && key_life(input).is_none() {
        return Err(invalid("KEY_LIFE_INVALID", "key_life must be a time such as 23h or 7d"));
    }
    let method = method(fields.get("method"))?;
    let accept = Accept::read(fields.get("accept"))?;
    let mut url = match (with.place, connection) {
        (Some(place), _) => place.clone(),
        (None, Some(connection)) => url_through(connection, fields)?,
        (None, None) => url_alone(fields)?,
    };
    if with.place.is_none() {
        add_query(&mut url, fields.get("query"))?;
    }
    let mut headers = HeaderMap::with_capacity(8);
    if let Some(Json::Object(common)) = connection.and_then(|connection| connection.config.get("headers")) {
        add_headers(&mut headers, common)?;
    }
    match fields.get("headers") {
        None | Some(Json::Null) => {}
        Some(Json::Object(own)) => add_headers(&mut headers, own)?,
        Some(other) => return Err(invalid("HEADER_INVALID", format!("headers must be a record, not {}", strict::kind(other)))),
    }
    let (body, pieces) = body::build(fields, &mut headers, &cx.idempotency_key, cx.http.files())?;
    if !headers.contains_key(ACCEPT) {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
    }
    if !headers.contains_key(&IDEMPOTENCY_KEY) {
        let key = HeaderValue::from_str(&cx.idempotency_key)
            .map_err(|_| StepError::new(ErrorClass::Internal, "KEY_INVALID", "the idempotency key cannot be sent"))?;
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    if let Some(trace) = cx.traceparent.as_deref().filter(|_| !headers.contains_key(TRACEPARENT)) {
        headers.extend(HeaderValue::from_str(trace).map(|value| (TRACEPARENT, value)));
    }
    if let Some(connection) = connection {
        sign::sign_in(connection, auth, with.token, &mut url, &mut headers)?;
    }
    let follow_redirects = !accept.takes_redirects();
    Ok(Call {
        request: Request { method, url, headers, body, pieces, timeout: cx.timeout, follow_redirects, route: None },
        accept,
        parse: wanted(fields.get("parse"))?,
    })
}

fn wanted(value: Option<&Json>) -> Result<As, StepError> {
    match value {
        None | Some(Json::Null) => Ok(As::Auto),
        Some(Json::String(word)) => {
            As::word(word).ok_or_else(|| invalid("INPUT_INVALID", format!("parse: {}", strict::unknown(word, &parse::WORDS))))
        }
        Some(other) => Err(invalid("INPUT_INVALID", format!("parse must be a word, not {}", strict::kind(other)))),
    }
}

pub(super) fn method(value: Option<&Json>) -> Result<Method, StepError> {
    let name = match value {
        None | Some(Json::Null) => return Ok(Method::GET),
        Some(Json::String(name)) => name.trim(),
        Some(other) => return Err(invalid("METHOD_INVALID", format!("the method must be text, not {}", strict::kind(other)))),
    };
    for (known, method) in METHODS.into_iter().zip([
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ]) {
        if name.eq_ignore_ascii_case(known) {
            return Ok(method);
        }
    }
    Err(invalid(
        "METHOD_INVALID",
        format!("the method \"{}\" cannot be used; use one of {}", name.escape_debug(), METHODS.join(", ")),
    ))
}

fn text<'a>(fields: &'a Map<String, Json>, name: &str) -> Result<Option<&'a str>, StepError> {
    match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid("URL_INVALID", format!("the {name} must be text, not {}", strict::kind(other)))),
    }
}

fn url_alone(fields: &Map<String, Json>) -> Result<Url, StepError> {
    if text(fields, "path")?.is_some() {
        return Err(invalid("URL_INVALID", "a path needs a connection that knows the base address")
            .with_next("Give the whole address as url, or use a connection of the http connector."));
    }
    let Some(text) = text(fields, "url")? else {
        return Err(invalid("URL_INVALID", "the url is missing")
            .with_next("Give the whole address, for instance https://api.example.com/v1/items."));
    };
    let url = Url::parse(text.trim()).map_err(|error| {
        invalid("URL_INVALID", format!("\"{}\" is not an address: {error}", shown(text)))
            .with_next("Give the whole address, for instance https://api.example.com/v1/items.")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(
            "URL_INVALID",
            format!("an address that starts with \"{}:\" cannot be called; only https and http can", url.scheme()),
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "URL_INVALID",
            "the url holds a user name or password, which everybody who reads the recipe could see",
        )
        .with_next("Make a connection of the http connector with auth basic."));
    }
    Ok(url)
}

/// The base address with the path added. Whatever the path holds, host and base path stay.
fn url_through(connection: &Connection, fields: &Map<String, Json>) -> Result<Url, StepError> {
    if text(fields, "url")?.is_some() {
        return Err(invalid("URL_INVALID", format!("the connection \"{}\" knows its base address", connection.name))
            .with_next("Give the rest of the address as path, or call http.request without a connection."));
    }
    let base = settings::base_url(&connection.config).map_err(|sentence| broken_connection(connection, &sentence))?;
    let path = text(fields, "path")?.unwrap_or_default().trim();
    let refuse = |why: &str| {
        invalid("PATH_REFUSED", format!("the path \"{}\" {why}; it must stay below {base}", shown(path)))
            .with_next("Give a path such as /items/42, without a host.")
    };
    // The parser drops control characters and takes a backslash for a slash.
    let mut start = path.chars().filter(|c| !c.is_ascii_control());
    if matches!((start.next(), start.next()), (Some('/' | '\\'), Some('/' | '\\'))) || has_scheme(path) {
        return Err(refuse("names another host"));
    }
    if path.contains('#') {
        return Err(refuse("holds a #, which is never sent (write %23)"));
    }
    let prefix = &base[..Position::AfterPath];
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let mut full = String::with_capacity(prefix.len() + path.len() + 1);
    full.push_str(prefix);
    if path.is_empty() {
        full.push_str(if base.path().ends_with('/') { "/" } else { "" });
    } else {
        if !path.starts_with(['/', '?']) {
            full.push('/');
        }
        full.push_str(path);
    }
    let url = Url::parse(&full).map_err(|_| refuse("cannot be part of an address"))?;
    // The prefix holds scheme, host and port whole, so that what begins with it has the same.
    let stays = url[..Position::AfterPath].strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if stays { Ok(url) } else { Err(refuse("leads out of the base address")) }
}

fn has_scheme(path: &str) -> bool {
    path.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.') || b.is_ascii_control())
    })
}

fn shown(text: &str) -> String {
    let cut = text.floor_char_boundary(120);
    // What stands before an @ may be a password.
    let kept = text[..cut].rsplit_once('@').map_or(&text[..cut], |(_, rest)| rest);
    kept.split(['?', '#']).next().unwrap_or_default().escape_debug().to_string()
}

pub(super) fn broken_connection(connection: &Connection, sentence: &str) -> StepError {
    invalid("CONNECTION_INVALID", format!("the connection \"{}\" cannot be used: {sentence}", connection.name))
        .with_next("Correct the connection's settings.")
}

fn add_query(url: &mut Url, query: Option<&Json>) -> Result<(), StepError> {
    let query = match query {
        None | Some(Json::Null) => return Ok(()),
        Some(Json::Object(query)) => query,
        Some(other) => return Err(invalid("QUERY_INVALID", format!("query must be a record, not {}", strict::kind(other)))),
    };
    let mut pairs = Vec::new();
    for (name, value) in query {
        collect_pairs(name, value, false, &mut pairs).map_err(|sentence| invalid("QUERY_INVALID", sentence))?;
    }
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(())
}

/// Names and texts of a record. Null leaves a name out: it never silently becomes text.
pub(super) fn collect_pairs(name: &str, value: &Json, nested: bool, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
    match value {
        Json::Null => Ok(()),
        Json::String(text) => {
            pairs.push((name.to_owned(), text.clone()));
            Ok(())
        }
        Json::Bool(_) | Json::Number(_) => {
            pairs.push((name.to_owned(), value.to_string()));
            Ok(())
        }
        Json::Array(items) => items.iter().try_for_each(|item| match item {
            Json::Array(_) | Json::Object(_) => {
                Err(format!("\"{name}\" holds {} inside a list, which cannot be written there", strict::kind(item)))
            }
            single => collect_pairs(name, single, nested, pairs),
        }),
        Json::Object(fields) if nested => {
            fields.iter().try_for_each(|(inner, value)| collect_pairs(&format!("{name}[{inner}]"), value, nested, pairs))
        }
        Json::Object(_) => Err(format!("\"{name}\" holds a record; give each value its own name")),
    }
}

fn add_headers(headers: &mut HeaderMap, fields: &Map<String, Json>) -> Result<(), StepError> {
    for (name, value) in fields {
        let values = match value {
            Json::Null => continue,
            Json::Array(values) => values.as_slice(),
            single => std::slice::from_ref(single),
        };
        let mut first = true;
        for value in values {
            let (key, value) = settings::header(name, value).map_err(|sentence| invalid("HEADER_INVALID", sentence))?;
            if first {
                headers.insert(key, value);
            } else {
                headers.append(key, value);
            }
            first = false;
        }
    }
    Ok(())
}

/// Adds the request to a failed attempt, secrets masked. Built again from the input, so that the usual
/// attempt, which succeeds, pays nothing for it.
pub(super) fn describe(cx: &Cx, input: &Json, with: With<'_>, mut error: StepError) -> StepError {
    let mask = sign::mask(cx, input, with.token);
    error.message = mask.text(&error.message);
    let Ok(Call { request, .. }) = build(cx, input, with) else {
        return error;
    };
    let mut url = mask.url(&request.url);
    if let Some(Ok(Auth::KeyInQuery(name))) = cx.connection.as_deref().map(|connection| settings::auth(&connection.config)) {
        url = hide_query(&url, name);
    }
    let mut shown = json!({"method": request.method.as_str(), "url": url, "headers": mask.headers(&request.headers)});
    if !request.body.is_empty() {
        let name = body::KINDS.into_iter().find(|name| input.get(*name).is_some_and(|value| !value.is_null())).unwrap_or("text");
        shown[name] = if request.body.len() <= BODY_SHOWN_BYTES_MAX {
            mask.json(&input[name])
        } else {
            let mut note = String::new();
            let _ = write!(note, "{} bytes, not shown", request.body.len());
            Json::String(note)
        };
    }
    error.request = Some(shown);
    error
}

fn hide_query(url: &str, secret: &str) -> String {
    let Some((place, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if name == encoded => format!("{name}={}", connector::mask::MASK),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{place}?{}", pairs.join("&"))
}
