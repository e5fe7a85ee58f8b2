//! The Batch API: many calls in one, bodies in base64 both ways. It is no transaction.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    scene::{Answer, Answered, Call, Refusal, Scene},
    serve::route,
};

/// Calls one batch may hold.
const ITEMS_MAX: usize = 1_000;
/// Longest batch, in bytes; real instances take 5 MB and at most 10.
const INPUT_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Longest answer, in bytes of its bodies.
const OUTPUT_BYTES_MAX: usize = 10 * 1024 * 1024;

#[derive(Deserialize)]
struct Batch {
    /// A number comes back as a text.
    batch_request_id: Option<Json>,
    rest_requests: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: Json,
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    exclude_response_headers: bool,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn serve(scene: &mut Scene<'_>, call: &Call) -> Answered {
    if call.method != Method::POST {
        return Err(Refusal::no_method());
    }
    if call.body.len() > INPUT_BYTES_MAX {
        return Err(Refusal::new(400, "Batch request exceeded maximum size", None));
    }
    let wrong = |why: String| Refusal::new(400, "Invalid batch request", Some(&why));
    let batch: Batch = serde_json::from_value(call.json()?).map_err(|error| wrong(error.to_string()))?;
    if batch.rest_requests.len() > ITEMS_MAX {
        return Err(wrong(format!("At most {ITEMS_MAX} requests are allowed")));
    }
    let most = call.header("x-batchrequest-max-output-size").parse().unwrap_or(OUTPUT_BYTES_MAX).min(OUTPUT_BYTES_MAX);
    let run = scene.state.settings.batch_items_run.unwrap_or(usize::MAX);
    let (mut serviced, mut left, mut size) = (Vec::new(), Vec::new(), 0);
    for item in &batch.rest_requests {
        if size > most || serviced.len() >= run {
            left.push(json!(text(&item.id)));
            continue;
        }
        let answer = one(scene, item);
        size += answer["body"].as_str().map_or(0, str::len);
        serviced.push(answer);
    }
    let id = batch.batch_request_id.as_ref().map(text).unwrap_or_default();
    Ok(Answer::json(200, &json!({"batch_request_id": id, "serviced_requests": serviced, "unserviced_requests": left})))
}

fn one(scene: &mut Scene<'_>, item: &Item) -> Json {
    let answer = run(scene, item).unwrap_or_else(Into::into);
    let headers: Vec<Json> = answer
        .headers
        .iter()
        .filter(|_| !item.exclude_response_headers)
        .map(|(name, value)| json!({"name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes())}))
        .collect();
    json!({
        "id": text(&item.id),
        "body": STANDARD.encode(&answer.body),
        "status_code": answer.status.as_u16(),
        "status_text": answer.status.canonical_reason().unwrap_or_default(),
        "headers": headers,
        "execution_time": 1,
        "redirect_url": null,
    })
}

fn run(scene: &mut Scene<'_>, item: &Item) -> Answered {
    let bad = |what: &str| Refusal::new(400, "Invalid batch request", Some(what));
    let method = Method::from_bytes(item.method.as_deref().unwrap_or("GET").as_bytes()).map_err(|_| bad("method"))?;
    if !item.url.starts_with("/api/") || item.url.contains("/batch") {
        return Err(bad("url"));
    }
    let mut headers = HeaderMap::new();
    for header in &item.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(header.name.as_bytes()), HeaderValue::from_str(&header.value)) {
            headers.insert(name, value);
        }
    }
    let body = STANDARD.decode(item.body.as_deref().unwrap_or_default()).map_err(|_| bad("body is not base64"))?;
    route(scene, &Call::new(method, &item.url, headers, Bytes::from(body)))
}
