//! `ANY /hooks/{recipe}[/rest]`: limit, verify on the raw bytes, parse, accept, answer.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use connector::{Inbound, TriggerKind};
use engine::{Event, Intake, LiveRecipe};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use recipe::ast::TriggerSource;
use serde_json::{Map, Value, json};
use store::Via;

use crate::{error::ApiError, state::Shared};

/// Headers that carry secrets or proofs; recipes and run history see a mask.
const MASKED: [&str; 6] = ["signature", "authorization", "cookie", "token", "secret", "api-key"];
/// Headers about the connection, not about the event.
const DROPPED: [&str; 6] = ["connection", "content-length", "transfer-encoding", "accept-encoding", "keep-alive", "te"];

/// Takes one request for a webhook.
pub(crate) async fn receive(State(app): State<Shared>, parts: Parts, body: Body) -> Response {
    match take(&app, &parts, body).await {
        Ok(response) => response,
        Err(error) => {
            metrics::counter!("liaison_hooks_refused_total", "code" => error.code).increment(1);
            error.into_response()
        }
    }
}

async fn take(app: &Shared, parts: &Parts, body: Body) -> Result<Response, ApiError> {
    let Parts { method, uri, headers, .. } = parts;
    if app.engine.is_stopping() {
        return Err(engine::IntakeError::Stopping.into());
    }
    let place = uri.path().strip_prefix("/hooks/").unwrap_or_default();
    let (name, rest) = place.split_once('/').map_or((place, String::new()), |(name, rest)| (name, format!("/{rest}")));
    let catalogue = app.engine.catalogue();
    let recipe = catalogue
        .by_token
        .get(name)
        .or_else(|| catalogue.by_path.get(name))
        .or_else(|| catalogue.recipes.get(name).filter(|_| app.settings.hooks_by_slug))
        .ok_or_else(|| ApiError::not_found("webhook at this address: no recipe of that name is switched on"))?;
    let bytes = read(app, headers, body).await?;
    let headers = plain_headers(headers);
    let key = verify(app, &catalogue, recipe, parts, &headers, &bytes)?;
    let data = json!({
        "method": method.as_str(),
        "path": rest,
        "query": query(uri.query().unwrap_or_default()),
        "headers": shown(&headers),
        "body": parse(&headers, &bytes)?,
    });
    let event = Event {
        data: Arc::new(data),
        via: Via::Webhook,
        key: key.map(Into::into),
        key_wins: false,
        fingerprint: None,
        replay_of: None,
    };
    let (run, answer) = match app.engine.accept(recipe, event).await? {
        Intake::Accepted { run, .. } => (run, (StatusCode::ACCEPTED, Json(json!({ "run_id": run })))),
        Intake::Duplicate { run, .. } => (run, (StatusCode::OK, Json(json!({ "run_id": run, "duplicate": true })))),
        Intake::Filtered => return Ok((StatusCode::OK, Json(json!({ "filtered": true }))).into_response()),
    };
    // A repeated event gets the answer its run gave.
    Ok(match app.engine.response(&recipe.program, run, app.settings.respond_max).await? {
        Some(said) => crate::answer::of(&said, run),
        None => answer.into_response(),
    })
}

/// The whole body, within its limits of size and time.
pub(crate) async fn read(app: &Shared, headers: &HeaderMap, body: Body) -> Result<bytes::Bytes, ApiError> {
    let max = app.settings.hook_bytes_max;
    let too_large = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "BODY_TOO_LARGE",
            format!("The body is larger than {max} bytes. Send less, or raise the setting hook_bytes_max."),
        )
    };
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large());
    }
    let whole = tokio::time::timeout(app.settings.body_timeout, Limited::new(body, max).collect()).await.map_err(|_| {
        ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "BODY_TOO_SLOW",
            format!("The body did not arrive within {} s. Send it again.", app.settings.body_timeout.as_secs()),
        )
    })?;
    whole.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            too_large()
        } else {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "BODY_INCOMPLETE",
                "The body ended before it was complete, so the event was not taken. Send it again.",
            )
        }
    })
}

/// Checks the request against the recipe's connection; gives the sender's own event id.
fn verify(
    app: &Shared,
    catalogue: &engine::Catalogue,
    recipe: &LiveRecipe,
    parts: &Parts,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Option<String>, ApiError> {
    let (logical, wanted) = match &recipe.program.source {
        TriggerSource::Webhook => return Ok(None),
        TriggerSource::Connection { connection, trigger } => (connection, trigger),
        _ => {
            return Err(ApiError::not_found(format!(
                "webhook at this address: recipe {} is not started by one",
                recipe.program.slug
            )));
        }
    };
    let missing = |why: String| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "CONNECTION_MISSING",
            format!(
                "Recipe {} cannot check this request: {why}. Send it again once an admin has mended that.",
                recipe.program.slug
            ),
        )
        .retry_after(60)
    };
    let connection = catalogue.connections.get(logical).ok_or_else(|| match catalogue.sealed.get(logical) {
        Some(_) => missing(format!("the secrets of connection \"{logical}\" cannot be opened")),
        None => missing(format!("there is no connection \"{logical}\"")),
    })?;
    let trigger = app
        .engine
        .connectors
        .iter()
        .find(|connector| connector.id == connection.connector)
        .and_then(|connector| connector.trigger(wanted))
        .ok_or_else(|| {
            missing(format!("connection \"{logical}\" is of connector {}, which has no trigger {wanted}", connection.connector))
        })?;
    let TriggerKind::Webhook { verify } = &trigger.kind;
    let inbound = Inbound {
        method: parts.method.as_str(),
        base: app.settings.public_url.trim_end_matches('/'),
        target: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers,
        body,
        now_s: app.now().micros() / 1_000_000,
    };
    let verified =
        verify(connection, &inbound).map_err(|refused| ApiError::new(StatusCode::UNAUTHORIZED, refused.code, refused.message))?;
    Ok(verified.event_key)
}

pub(crate) fn plain_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// What recipes and run history see of the headers.
pub(crate) fn shown(headers: &[(String, String)]) -> Value {
    let mut record = Map::with_capacity(headers.len());
    for (name, value) in headers {
        if DROPPED.contains(&name.as_str()) {
            continue;
        }
        let value = if MASKED.iter().any(|secret| name.contains(secret)) { "•••" } else { value };
        match record.get_mut(name) {
            // A repeated header is one value, as RFC 9110 section 5.3 joins them.
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(value);
            }
            _ => drop(record.insert(name.clone(), value.into())),
        }
    }
    Value::Object(record)
}

/// Query fields; a repeated one becomes a list.
pub(crate) fn query(text: &str) -> Value {
    let mut record = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        add(&mut record, name.into_owned(), value.into_owned());
    }
    Value::Object(record)
}

fn add(record: &mut Map<String, Value>, name: String, value: String) {
    match record.get_mut(&name) {
        None => drop(record.insert(name, value.into())),
        Some(Value::Array(values)) => values.push(value.into()),
        Some(one) => *one = Value::Array(vec![one.take(), value.into()]),
    }
}

/// The body by its content type.
pub(crate) fn parse(headers: &[(String, String)], bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let declared = headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value.as_str());
    let kind = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = || {
        std::str::from_utf8(bytes).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "BODY_NOT_UTF8",
                format!("The body is not UTF-8 text: byte {} fits no character. Send it as UTF-8.", error.valid_up_to()),
            )
        })
    };
    let json = || {
        serde_json::from_str::<Value>(text()?.trim_start_matches('\u{feff}')).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "BODY_NOT_JSON",
                format!("The body is declared as JSON but is not: {error}. Correct it and send it again."),
            )
        })
    };
    match kind.as_str() {
        "application/json" => json(),
        kind if kind.ends_with("+json") => json(),
        "application/x-www-form-urlencoded" => {
            let mut record = Map::new();
            for (name, value) in form_urlencoded::parse(text()?.as_bytes()) {
                add(&mut record, name.into_owned(), value.into_owned());
            }
            Ok(Value::Object(record))
        }
        "" => {
            let text = text()?;
            Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into()))
        }
        kind if kind.starts_with("text/") || kind == "application/xml" || kind.ends_with("+xml") => Ok(text()?.into()),
        other => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "CONTENT_TYPE_UNKNOWN",
            format!("A body of type {other:?} is not understood. Send application/json, a form or text."),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(kind: &str) -> Vec<(String, String)> {
        vec![("content-type".to_owned(), kind.to_owned())]
    }

    #[test]
    fn bodies_are_read_by_their_type() {
        for (kind, bytes, expected) in [
            ("application/json", &b"{\"a\": 1}"[..], json!({"a": 1})),
            ("application/cloudevents+json; charset=utf-8", b"\xef\xbb\xbf[1]", json!([1])),
            ("application/x-www-form-urlencoded", b"a=1&b=x+y&a=2", json!({"a": ["1", "2"], "b": "x y"})),
            ("text/plain", b"hi", json!("hi")),
            ("", b"{\"a\":1}", json!({"a": 1})),
            ("", b"hello", json!("hello")),
            ("application/json", b"", Value::Null),
        ] {
            assert_eq!(parse(&headers(kind), bytes).unwrap(), expected, "{kind}");
        }
    }

    #[test]
    fn bodies_that_are_not_what_they_say_are_refused_with_a_reason() {
        for (kind, bytes, code) in [
            ("application/json", &b"{\"a\": "[..], "BODY_NOT_JSON"),
            ("application/json", b"{\"a\": \"\xff\"}", "BODY_NOT_UTF8"),
            ("text/plain", b"\xc3\x28", "BODY_NOT_UTF8"),
            ("application/zip", b"PK", "CONTENT_TYPE_UNKNOWN"),
        ] {
            assert_eq!(parse(&headers(kind), bytes).unwrap_err().code, code, "{kind}");
        }
    }

    #[test]
    fn proofs_and_secrets_are_masked() {
        let seen = shown(&[
            ("stripe-signature".into(), "t=1,v1=abc".into()),
            ("authorization".into(), "Bearer x".into()),
            ("x-gitlab-token".into(), "y".into()),
            ("accept".into(), "a".into()),
            ("accept".into(), "b".into()),
            ("content-length".into(), "3".into()),
        ]);
        assert_eq!(seen, json!({"stripe-signature": "•••", "authorization": "•••", "x-gitlab-token": "•••", "accept": "a, b"}));
    }
}
