//! `ANY /hooks/{recipe}[/rest]`: limit, verify on the raw bytes, parse, accept, answer.

mod body;
mod judge;
mod mask;

use std::sync::{Arc, OnceLock};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use connector::Occurrence;
use engine::{Event, Intake, LiveRecipe};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use metrics::Counter;
use serde_json::{Map, Value, json};
use store::{RunId, Verdict, Via};
use tokio::time::Instant;

use self::judge::{Judged, Unfit, judge};
pub(crate) use self::{body::parse, mask::Mask};
use crate::{error::ApiError, inbound::Turn, state::Shared};

/// Headers about the connection, not about the event.
const DROPPED: [&str; 6] = ["connection", "content-length", "transfer-encoding", "accept-encoding", "keep-alive", "te"];

/// What the address of a request says.
pub(crate) struct Place<'a> {
    /// Which recipe: its unguessable part, its path or its slug.
    pub(crate) name: &'a str,
    /// What follows, with its slash.
    pub(crate) rest: &'a str,
}

impl<'a> Place<'a> {
    fn of(uri: &'a Uri) -> Self {
        let place = uri.path().strip_prefix("/hooks/").unwrap_or_default();
        let (name, rest) = place.split_at(place.find('/').unwrap_or(place.len()));
        Self { name, rest }
    }
}

/// A request that starts no run: what the sender is told, and what is kept of it.
struct Turned {
    error: ApiError,
    keep: Option<(Verdict, String, Bytes)>,
}

impl From<ApiError> for Turned {
    fn from(error: ApiError) -> Self {
        Self { error, keep: None }
    }
}

/// Takes one request for a webhook.
pub(crate) async fn receive(State(app): State<Shared>, request: Request) -> Response {
    // Taken apart here: an extractor of the parts would copy them.
    let (parts, body) = request.into_parts();
    let place = Place::of(&parts.uri);
    match take(&app, &place, &parts, body).await {
        Ok(response) => response,
        Err(Turned { error, keep }) => {
            metrics::counter!("liaison_hooks_refused_total", "code" => error.code).increment(1);
            match keep {
                Some((verdict, bucket, body)) => {
                    count(verdict.as_str());
                    app.inbound
                        .keep(
                            &app,
                            Turn {
                                place: &place,
                                parts: &parts,
                                body,
                                verdict,
                                bucket,
                                code: error.code,
                                reason: &error.message,
                            },
                        )
                        .await;
                }
                None => count("refused"),
            }
            error.into_response()
        }
    }
}

/// Every request has one outcome.
fn count(outcome: &'static str) {
    static ACCEPTED: OnceLock<Counter> = OnceLock::new();
    let meter = || metrics::counter!("liaison_hooks_total", "outcome" => outcome);
    // Looked up once where it matters.
    if outcome == "accepted" { ACCEPTED.get_or_init(meter).increment(1) } else { meter().increment(1) }
}

async fn take(app: &Shared, place: &Place<'_>, parts: &Parts, body: Body) -> Result<Response, Turned> {
    if app.engine.is_stopping() {
        return Err(ApiError::from(engine::IntakeError::Stopping).into());
    }
    let catalogue = app.engine.catalogue();
    let name = place.name;
    let found = catalogue
        .by_token
        .get(name)
        .or_else(|| catalogue.by_path.get(name))
        .or_else(|| catalogue.recipes.get(name).filter(|_| app.settings.hooks_by_slug));
    let Some(recipe) = found else {
        return Err(nobody_there(app, name, parts, body).await);
    };
    let slug = &recipe.program.slug;
    let turned = |verdict, bytes| move |error| Turned { error, keep: Some((verdict, slug.to_string(), bytes)) };
    let bytes = read(app, &parts.headers, body).await.map_err(turned(Verdict::Unparsable, Bytes::new()))?;
    let headers = plain_headers(&parts.headers);
    let judged = judge(app, &catalogue, recipe, parts, &headers, &bytes).map_err(|unfit| match unfit {
        Unfit::Unverified(error) if error.status == StatusCode::NOT_FOUND => turned(Verdict::Unknown, bytes.clone())(error),
        // Also where the connection is missing: what came may be given to the recipe once that is mended.
        Unfit::Unverified(error) => turned(Verdict::Unverified, bytes.clone())(error),
        Unfit::Unreadable(error) => turned(Verdict::Unparsable, bytes.clone())(error),
    })?;
    let (events, answer) = match judged {
        Judged::Events(reading) => (reading.events.into_iter().map(sent).collect(), reading.answer),
        Judged::Request(key) => {
            let body = parse(Some(&app.engine), &headers, &bytes).await.map_err(|error| match error.status {
                StatusCode::SERVICE_UNAVAILABLE => error.into(),
                _ => turned(Verdict::Unparsable, bytes.clone())(error),
            })?;
            let mask = Mask::of(&app.engine, &catalogue, recipe);
            let event = event(parts.method.as_str(), place.rest, parts.uri.query().unwrap_or_default(), &mask, &headers, body);
            (vec![Event { key: key.map(Into::into), ..event }], None)
        }
    };
    let taken = accept(app, recipe, events, trace(&parts.headers)).await?;
    count(taken.outcome());
    if taken.runs.is_empty() && taken.refused && app.settings.inbound.keep_filtered {
        let (verdict, code, reason) = (Verdict::Filtered, "FILTERED", "The condition of the recipe's trigger was false.");
        app.inbound.keep(app, Turn { place, parts, body: bytes, verdict, bucket: slug.to_string(), code, reason }).await;
    }
    // A sender with a form of its own understands no other answer.
    if let Some(answer) = answer {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
        return Ok((status, [(header::CONTENT_TYPE, answer.content_type)], answer.body).into_response());
    }
    Ok(match said(app, recipe, &taken.runs).await? {
        Some((said, run)) => crate::answer::of(&said, run),
        None => taken.told(),
    })
}

/// What became of the events in a request.
#[derive(Default)]
struct Taken {
    /// Their runs, in the order of the events.
    runs: Vec<RunId>,
    /// One of the runs did not exist before.
    new: bool,
    /// The trigger's condition refused one of the events.
    refused: bool,
}

impl Taken {
    fn outcome(&self) -> &'static str {
        match self.runs[..] {
            [] => Verdict::Filtered.as_str(),
            _ if self.new => "accepted",
            _ => "duplicate",
        }
    }

    /// The answer where the recipe gives none.
    fn told(&self) -> Response {
        match self.runs[..] {
            [] => (StatusCode::OK, Json(json!({ "filtered": true }))).into_response(),
            [run] if self.new => (StatusCode::ACCEPTED, Json(json!({ "run_id": run }))).into_response(),
            [run] => (StatusCode::OK, Json(json!({ "run_id": run, "duplicate": true }))).into_response(),
            _ => {
                let status = if self.new { StatusCode::ACCEPTED } else { StatusCode::OK };
                (status, Json(json!({ "run_ids": self.runs }))).into_response()
            }
        }
    }
}

/// Takes the events of a request. The sender is answered when all of them are durable; when one could not be kept it
/// sends the request again, and those that were are known then.
async fn accept(app: &Shared, recipe: &Arc<LiveRecipe>, events: Vec<Event>, trace: Option<Arc<str>>) -> Result<Taken, ApiError> {
    let mut taken = Taken::default();
    for event in events {
        match app.engine.accept_traced(recipe, event, trace.clone()).await? {
            Intake::Accepted { run, .. } => {
                taken.new = true;
                taken.runs.push(run);
            }
            Intake::Duplicate { run, .. } => taken.runs.push(run),
            Intake::Filtered => taken.refused = true,
        }
    }
    Ok(taken)
}

/// What the first of the runs that answers says, and which that is. A repeated event gets the answer its run gave.
async fn said(app: &Shared, recipe: &LiveRecipe, runs: &[RunId]) -> Result<Option<(Arc<Value>, RunId)>, ApiError> {
    let until = Instant::now() + app.settings.respond_max;
    for run in runs {
        let patience = until.saturating_duration_since(Instant::now());
        if let Some(said) = app.engine.response(&recipe.program, *run, patience).await? {
            return Ok(Some((said, *run)));
        }
    }
    Ok(None)
}

/// An event that a connector read out of a request.
fn sent(event: Occurrence) -> Event {
    Event {
        data: Arc::new(event.data),
        via: Via::Webhook,
        key: Some(event.key.into()),
        key_wins: false,
        fingerprint: None,
        replay_of: None,
    }
}

/// The trace the caller wants its run to be part of.
pub(crate) fn trace(headers: &HeaderMap) -> Option<Arc<str>> {
    headers.get("traceparent")?.to_str().ok().and_then(engine::trace::accepted)
}

/// What recipes get of a request, without a key.
pub(crate) fn event(method: &str, rest: &str, sent_query: &str, mask: &Mask, headers: &[(String, String)], body: Value) -> Event {
    // Put together by hand: the macro would copy the body and all the rest, value by value.
    let fields = [
        ("method", method.into()),
        ("path", rest.into()),
        ("query", query(sent_query)),
        ("headers", shown(mask, headers)),
        ("body", body),
    ];
    let data = Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    Event { data: Arc::new(data), via: Via::Webhook, key: None, key_wins: false, fingerprint: None, replay_of: None }
}

/// A request for an address where no recipe is switched on. Its body is read only while there is room to keep it.
async fn nobody_there(app: &Shared, name: &str, parts: &Parts, body: Body) -> Turned {
    let error = ApiError::not_found("webhook at this address: no recipe of that name is switched on");
    let off = app.inbound.switched_off(app, name).await;
    let verdict = if off.is_some() { Verdict::SwitchedOff } else { Verdict::Unknown };
    let bucket = off.unwrap_or_default();
    let bytes =
        if app.inbound.has_room(app, &bucket) { read(app, &parts.headers, body).await.unwrap_or_default() } else { Bytes::new() };
    Turned { error, keep: Some((verdict, bucket, bytes)) }
}

/// The whole body, within its limits of size and time.
pub(crate) async fn read(app: &Shared, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
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

pub(crate) fn plain_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// What recipes and run history see of the headers.
pub(crate) fn shown(mask: &Mask, headers: &[(String, String)]) -> Value {
    let mut record = Map::with_capacity(headers.len());
    for (name, value) in headers {
        if DROPPED.contains(&name.as_str()) {
            continue;
        }
        let value = mask.value(name, value);
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
        add(&mut record, name.into_owned(), value.into_owned().into());
    }
    Value::Object(record)
}

fn add(record: &mut Map<String, Value>, name: String, value: Value) {
    match record.get_mut(&name) {
        None => drop(record.insert(name, value)),
        Some(Value::Array(values)) => values.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_and_secrets_are_masked() {
        let seen = shown(
            &Mask::default(),
            &[
                ("stripe-signature".into(), "t=1,v1=abc".into()),
                ("authorization".into(), "Bearer x".into()),
                ("x-gitlab-token".into(), "y".into()),
                ("accept".into(), "a".into()),
                ("accept".into(), "b".into()),
                ("content-length".into(), "3".into()),
            ],
        );
        assert_eq!(seen, json!({"stripe-signature": "•••", "authorization": "•••", "x-gitlab-token": "•••", "accept": "a, b"}));
    }
}
