//! `/v2`: event destinations and thin events. JSON both ways, pages by address.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value as Json, json};
use url::form_urlencoded;

use super::{
    Stripe,
    books::{Books, Row, number, set, some, text},
    door::{Answer, Asked},
    error::{Refused, Result},
    form,
};

/// Rows in a page when nothing else is asked for, and most.
const LIMIT: usize = 20;
const LIMIT_MAX: usize = 100;

/// Answers a request.
pub(super) async fn handled(stripe: &Arc<Stripe>, asked: Asked) -> Result<Answer> {
    let path = asked.parts.uri.path().to_owned();
    let steps: Vec<&str> = path.trim_matches('/').split('/').collect();
    let query = form::parsed(asked.parts.uri.query().unwrap_or_default().as_bytes()).map_err(|why| Refused::invalid(why.0))?;
    let body = if asked.body.is_empty() || asked.parts.method != Method::POST {
        Map::new()
    } else {
        match serde_json::from_slice(&asked.body) {
            Ok(Json::Object(body)) => body,
            _ => return Err(Refused::invalid("Invalid request body: it is not a JSON object.").code("invalid_request_body")),
        }
    };
    let again = asked.key.clone().filter(|_| matches!(asked.parts.method, Method::POST | Method::DELETE));
    let scope = format!("v2 {} {}", asked.caller.account, asked.caller.key.live);
    let print = {
        use sha2::{Digest, Sha256};
        Sha256::digest(format!("{} {path} {}", asked.parts.method, Json::Object(body.clone()))).into()
    };
    let claim = match again {
        Some(key) => match stripe.repeats.begin(&scope, &key, print, stripe.now())? {
            super::repeat::Use::Again(answered) => {
                return Ok(Answer { status: answered.status, body: answered.body, headers: Vec::new() });
            }
            super::repeat::Use::First(claim) => Some(claim),
        },
        None => None,
    };
    let done = stripe.with_books(&asked, |books| answered(books, asked.parts.method.as_str(), &steps[1..], &query, &body))?;
    let answer = Answer::good(&done);
    if let Some(claim) = claim {
        claim.answer(super::repeat::Answered { status: 200, body: answer.body.clone(), request: asked.id.clone() });
    }
    Ok(answer)
}

fn answered(books: &mut Books, verb: &str, steps: &[&str], query: &Row, body: &Row) -> Result {
    match (verb, steps) {
        ("GET", ["core", "events"]) => events(books, query),
        ("GET", ["core", "events", id]) => one_event(books, id),
        ("GET", ["core", "event_destinations"]) => listed(books, query),
        ("POST", ["core", "event_destinations"]) => create(books, body),
        ("GET", ["core", "event_destinations", id]) => shown(books, id, &wanted(query, body)),
        ("POST", ["core", "event_destinations", id]) => update(books, id, body),
        ("DELETE", ["core", "event_destinations", id]) => {
            books.remove("EventDestination", id).ok_or_else(|| missing(id))?;
            Ok(json!({"id": id, "object": "v2.core.event_destination"}))
        }
        ("POST", ["core", "event_destinations", id, step @ ("enable" | "disable")]) => {
            let state = if *step == "enable" { "enabled" } else { "disabled" };
            let row = books.row_mut("EventDestination", id).ok_or_else(|| missing(id))?;
            row.insert("status".into(), json!(state));
            shown(books, id, &[])
        }
        ("POST", ["core", "event_destinations", id, "ping"]) => {
            books.get("EventDestination", id).ok_or_else(|| missing(id))?;
            let object = json!({"id": id, "object": "v2.core.event_destination"});
            let mut row = books.blank("Event");
            set(&mut row, [("type", json!("v2.core.event_destination.ping")), ("data", json!({"object": object}))]);
            let id = text(&row, "id").to_owned();
            books.insert("Event", row)?;
            books.told.push(id.clone());
            one_event(books, &id)
        }
        _ => {
            let message = format!("Unrecognized request URL ({verb}: /v2/{}).", steps.join("/"));
            Err(Refused::new(404, "invalid_request_error", message).code("not_found"))
        }
    }
}

fn missing(id: &str) -> Refused {
    Refused::new(404, "invalid_request_error", format!("Object not found: {id}")).code("not_found")
}

/// The `include` of a request.
fn wanted(query: &Row, body: &Row) -> Vec<String> {
    let list = |value: &Json| -> Vec<String> {
        match value {
            Json::Array(list) => list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            Json::Object(map) => map.values().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        }
    };
    [query, body].iter().filter_map(|map| map.get("include")).flat_map(list).collect()
}

fn create(books: &mut Books, body: &Row) -> Result {
    for name in ["name", "type", "event_payload", "enabled_events"] {
        if !body.contains_key(name) {
            return Err(Refused::needed(name));
        }
    }
    let known = [
        "name",
        "type",
        "event_payload",
        "enabled_events",
        "events_from",
        "snapshot_api_version",
        "metadata",
        "description",
        "include",
        "webhook_endpoint",
        "amazon_eventbridge",
        "azure_event_grid",
    ];
    if let Some(name) = body.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(Refused::invalid(format!("Received unknown parameter: {name}")).code("parameter_unknown").param(name));
    }
    if !matches!(some(body, "event_payload"), Some("thin" | "snapshot")) {
        return Err(Refused::invalid("Invalid event_payload: must be one of snapshot or thin").param("event_payload"));
    }
    if body.get("enabled_events").and_then(Json::as_array).is_none_or(Vec::is_empty) {
        return Err(Refused::needed("enabled_events"));
    }
    let url = body.get("webhook_endpoint").and_then(|endpoint| endpoint.get("url")).and_then(Json::as_str);
    let url = url.ok_or_else(|| Refused::needed("webhook_endpoint[url]"))?;
    let id = format!("ed_test_{}", books.text(48));
    let secret = format!("whsec_{}", books.text(32));
    let now = stamp(books.now);
    let mut row = Row::new();
    set(
        &mut row,
        [
            ("id", json!(id)),
            ("object", json!("v2.core.event_destination")),
            ("created", json!(now)),
            ("description", body.get("description").cloned().unwrap_or_else(|| json!(""))),
            ("enabled_events", body.get("enabled_events").cloned().unwrap_or_default()),
            ("event_payload", body.get("event_payload").cloned().unwrap_or_default()),
            ("events_from", body.get("events_from").cloned().unwrap_or_else(|| json!(["self"]))),
            ("livemode", json!(books.live)),
            ("metadata", body.get("metadata").cloned().unwrap_or_else(|| json!({}))),
            ("name", body.get("name").cloned().unwrap_or_default()),
            ("snapshot_api_version", body.get("snapshot_api_version").cloned().unwrap_or(Json::Null)),
            ("status", json!("enabled")),
            ("status_details", Json::Null),
            ("type", body.get("type").cloned().unwrap_or_default()),
            ("updated", json!(now)),
            ("webhook_endpoint", json!({"signing_secret": null, "url": url})),
        ],
    );
    books.insert("EventDestination", row)?;
    let mut side = Row::new();
    set(&mut side, [("id", json!(id)), ("secret", json!(secret)), ("connect", json!(false))]);
    books.insert("EndpointSecrets", side)?;
    let include = wanted(&Row::new(), body);
    let mut made = shown(books, &id, &include)?;
    // Only the one who creates it may see the secret.
    if include.iter().any(|name| name == "webhook_endpoint.signing_secret") {
        made["webhook_endpoint"]["signing_secret"] = json!(secret);
    }
    Ok(made)
}

fn shown(books: &Books, id: &str, include: &[String]) -> Result {
    let mut row = books.get("EventDestination", id).cloned().ok_or_else(|| missing(id))?;
    if !include.iter().any(|name| name.starts_with("webhook_endpoint")) {
        row.insert("webhook_endpoint".into(), Json::Null);
    }
    Ok(Json::Object(row))
}

fn update(books: &mut Books, id: &str, body: &Row) -> Result {
    let now = stamp(books.now);
    let row = books.row_mut("EventDestination", id).ok_or_else(|| missing(id))?;
    for name in ["name", "description", "enabled_events", "metadata"] {
        if let Some(value) = body.get(name) {
            row.insert(name.into(), value.clone());
        }
    }
    row.insert("updated".into(), json!(now));
    shown(books, id, &wanted(&Row::new(), body))
}

/// A page: rows from a place on, and the address of the next.
fn paged(rows: &[Json], query: &Row, path: &str) -> Result {
    let number_of = |name: &str| some(query, name).map(str::parse::<usize>);
    let limit = match number_of("limit") {
        Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
        None => LIMIT,
        _ => return Err(Refused::invalid(format!("Invalid limit: must be from 1 to {LIMIT_MAX}")).param("limit")),
    };
    let from = match number_of("page") {
        Some(Ok(from)) => from,
        None => 0,
        _ => return Err(Refused::invalid("Invalid page token.").param("page")),
    };
    let data: Vec<&Json> = rows.iter().skip(from).take(limit).collect();
    let address = |from: usize| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.iter().filter(|(name, _)| !matches!(name.as_str(), "limit" | "page")) {
            match value {
                Json::Object(inner) => inner.iter().for_each(|(key, value)| {
                    pairs.append_pair(&format!("{name}[{key}]"), value.as_str().unwrap_or_default());
                }),
                value => {
                    pairs.append_pair(name, value.as_str().unwrap_or_default());
                }
            }
        }
        format!("{path}?{}", pairs.append_pair("limit", &limit.to_string()).append_pair("page", &from.to_string()).finish())
    };
    let next = (from + data.len() < rows.len()).then(|| address(from + data.len()));
    let previous = (from > 0).then(|| address(from.saturating_sub(limit)));
    Ok(json!({"data": data, "next_page_url": next, "previous_page_url": previous}))
}

fn listed(books: &Books, query: &Row) -> Result {
    let rows = books.newest("EventDestination").map(|row| {
        let mut row = row.clone();
        row.insert("webhook_endpoint".into(), Json::Null);
        Json::Object(row)
    });
    paged(&rows.collect::<Vec<_>>(), query, "/v2/core/event_destinations")
}

fn events(books: &Books, query: &Row) -> Result {
    let of = some(query, "object_id");
    let about =
        |row: &&Row| of.is_none_or(|of| row.get("data").and_then(|data| data.get("object")?.get("id")?.as_str()) == Some(of));
    let borders = created(query)?;
    let within = |row: &&Row| {
        let at = jiff::Timestamp::from_second(number(row, "created")).unwrap_or_default();
        borders.iter().all(|(name, border)| match *name {
            "gt" => at > *border,
            "gte" => at >= *border,
            "lt" => at < *border,
            _ => at <= *border,
        })
    };
    let rows: Vec<Json> = books.newest("Event").filter(about).filter(within).map(thin).collect();
    paged(&rows, query, "/v2/core/events")
}

/// The borders of `created`.
fn created(query: &Row) -> Result<Vec<(&str, jiff::Timestamp)>> {
    let invalid = || Refused::invalid("Invalid created: must be an RFC 3339 timestamp").param("created");
    let given = query.get("created").and_then(Json::as_object).into_iter().flatten();
    let mut borders = Vec::new();
    for (name, value) in given {
        if !matches!(name.as_str(), "gt" | "gte" | "lt" | "lte") {
            return Err(Refused::invalid(format!("Received unknown parameter: created[{name}]")).code("parameter_unknown"));
        }
        let at = value.as_str().and_then(|text| text.parse().ok()).ok_or_else(invalid)?;
        borders.push((name.as_str(), at));
    }
    Ok(borders)
}

fn one_event(books: &Books, id: &str) -> Result {
    books.get("Event", id).map(thin).ok_or_else(|| missing(id))
}

fn stamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// An event as only its type and what it is about.
pub(super) fn thin(row: &Row) -> Json {
    let object = row.get("data").and_then(|data| data.get("object")).and_then(Json::as_object).cloned().unwrap_or_default();
    let (kind, id) = (text(&object, "object"), text(&object, "id"));
    let name = text(row, "type");
    let event = if name.starts_with("v2.") { name.to_owned() } else { format!("v1.{name}") };
    let request = row.get("request").and_then(Json::as_object).cloned().unwrap_or_default();
    let reason = some(&request, "id").map(|_| json!({"type": "request", "request": request}));
    json!({
        "id": text(row, "id"), "object": "v2.core.event", "type": event, "created": stamp(number(row, "created")),
        "livemode": row.get("livemode"), "context": row.get("account"), "reason": reason,
        "related_object": {"id": id, "type": kind, "url": address(kind, id)},
    })
}

/// Where an object is.
fn address(kind: &str, id: &str) -> String {
    match kind {
        "v2.core.event_destination" => format!("/v2/core/event_destinations/{id}"),
        "checkout.session" => format!("/v1/checkout/sessions/{id}"),
        "invoiceitem" => format!("/v1/invoiceitems/{id}"),
        "test_helpers.test_clock" => format!("/v1/test_helpers/test_clocks/{id}"),
        "radar.early_fraud_warning" => format!("/v1/radar/early_fraud_warnings/{id}"),
        kind => format!("/v1/{}s/{id}", kind.replace('.', "/")),
    }
}
