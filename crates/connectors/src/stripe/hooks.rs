//! Events that Stripe sends, and the same events asked for.

use std::{collections::HashMap, time::Duration};

use connector::{
    Connection, Cx, Inbound, Occurrence, Poll, Polled, Position, Reading, Refused, StepError, Trigger, Verified, Webhook,
};
use serde_json::{Map, Value as Json, json};

use super::{
    client::{Client, without_secrets},
    objects, settings,
};

/// Names of events Stripe takes in one question (from memory, not documented in our sources).
const TYPES_MAX: usize = 20;
/// How long to wait between two questions.
const EVERY: Duration = Duration::from_secs(60);

/// What changes of a kind are called.
const RECORDS: &[(&str, &str, &str)] = &[
    ("customer", "customer", "customer"),
    ("subscription", "customer.subscription", "subscription"),
    ("invoice", "invoice", "invoice"),
    ("payment", "payment_intent", "payment_intent"),
    ("charge", "charge", "charge"),
    ("refund", "refund", "refund"),
    ("dispute", "charge.dispute", "dispute"),
    ("payout", "payout", "payout"),
    ("product", "product", "product"),
    ("price", "price", "price"),
    ("checkout_session", "checkout.session", "checkout.session"),
    ("quote", "quote", "quote"),
];

/// Checks Stripe's signature. Each recipe has an address and so an endpoint and a secret of its own: any of them fits.
fn verify(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let tolerance = connection.config.get("tolerance_s").cloned().unwrap_or_else(|| json!(300));
    let mut outcome = Err(refused(
        "SECRET_MISSING",
        "this connection has no signing secret of a webhook endpoint, so nothing can be checked; set webhook_secret",
    ));
    for secret in settings::webhook_secrets(&connection.credentials) {
        let checked = Connection {
            name: connection.name.clone(),
            connector: connection.connector.clone(),
            config: json!({"verify": "stripe", "tolerance_s": tolerance}),
            credentials: HashMap::from([("secret".to_owned(), secret)]),
        };
        outcome = crate::webhook::verify::verify(&checked, inbound);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn proofs(_: &Connection) -> Vec<String> {
    vec!["stripe-signature".to_owned()]
}

fn refused(code: &'static str, message: &str) -> Refused {
    Refused { code, message: message.to_owned() }
}

fn body(inbound: &Inbound<'_>) -> Result<Json, Refused> {
    let body: Json = serde_json::from_slice(inbound.body)
        .map_err(|_| refused("BODY_INVALID", "the body is no JSON, so it is no event of Stripe"))?;
    if body.get("id").is_some_and(Json::is_string) && body.get("type").is_some_and(Json::is_string) {
        return Ok(body);
    }
    Err(refused("BODY_INVALID", "the body is no event of Stripe: it has no id or no type"))
}

/// True when an event's name is wanted; `invoice.*` stands for all that begin so, and nothing for any.
fn wants(types: &Json, name: &str) -> bool {
    let mut wanted = types.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Json::as_str).peekable();
    wanted.peek().is_none()
        || wanted.any(|wanted| wanted == name || wanted.strip_suffix('*').is_some_and(|start| name.starts_with(start)))
}

/// Platforms hear of connected accounts at the same address.
fn is_ours(connection: &Connection, with: &Json, event: &Json) -> bool {
    let wanted = settings::named(with, &connection.config, "connected_account");
    match event.get("account").or_else(|| event.get("context")).and_then(Json::as_str) {
        Some(account) => wanted == Some(account) || with.get("connected_accounts") == Some(&json!(true)),
        None => wanted.is_none(),
    }
}

/// The event as every way gives it.
fn event_of(event: &Json) -> Occurrence {
    let mut event = event.clone();
    without_secrets(&mut event);
    if let Some(event) = event.as_object_mut() {
        // How many endpoints still wait is different each time one looks.
        event.shift_remove("pending_webhooks");
    }
    Occurrence { key: event.get("id").and_then(Json::as_str).unwrap_or_default().to_owned(), data: event }
}

fn snapshot(inbound: &Inbound<'_>) -> Result<Json, Refused> {
    let event = body(inbound)?;
    if event.get("object").and_then(Json::as_str) == Some("event") {
        return Ok(event);
    }
    Err(refused(
        "EVENT_THIN",
        "this is a thin event; let the destination send snapshots here, or use the trigger for thin events",
    ))
}

fn event_trigger() -> Trigger {
    let config = json!({
        "type": "object",
        "properties": {
            "types": {"type": ["array", "null"], "items": {"type": "string", "minLength": 1}, "maxItems": TYPES_MAX, "title": "Events", "description": "Names of Stripe's events, such as invoice.paid; invoice.* stands for all of an invoice. Any when left out."},
            "connected_account": {"type": ["string", "null"], "pattern": "^acct_[A-Za-z0-9]+$", "title": "Connected account", "description": "Only events of this account."},
            "connected_accounts": {"type": ["boolean", "null"], "title": "All connected accounts", "description": "Takes events of any connected account, as far as Stripe sends them."}
        },
        "additionalProperties": false
    });
    let webhook = Webhook::new(verify, proofs).read(|connection, with, inbound| {
        let event = snapshot(inbound)?;
        let name = event.get("type").and_then(Json::as_str).unwrap_or_default();
        let wanted = wants(with.get("types").unwrap_or(&Json::Null), name) && is_ours(connection, with, &event);
        Ok(Reading { events: if wanted { vec![event_of(&event)] } else { Vec::new() }, answer: None })
    });
    Trigger::new(
        "event",
        "New event",
        "Fires for events of Stripe: at once when Stripe sends them, and by asking for what was missed in the last 30 days. \
         Events may come out of order; the record is as it was then.",
    )
    .config(config)
    .output(objects::schema("event"))
    .sample(event_sample("customer.created", "customer"))
    .webhook(webhook)
    .poll(Poll::new(EVERY, |cx, with, from| async move {
        let types = with.get("types").cloned().unwrap_or(Json::Null);
        asked(cx, with, from, types, event_of).await
    }))
}

fn event_sample(name: &str, object: &str) -> Json {
    let mut event = objects::sample("event");
    if let Some(event) = event.as_object_mut() {
        event.shift_remove("pending_webhooks");
        event.insert("type".into(), json!(name));
        event.insert("data".into(), json!({"object": objects::sample(object)}));
    }
    event
}

/// The names of a record's events.
fn names(with: &Json) -> Json {
    let kind = with.get("record").and_then(Json::as_str).unwrap_or_default();
    let Some((_, prefix, _)) = RECORDS.iter().find(|(name, ..)| *name == kind) else { return json!([]) };
    let changes: Vec<&str> =
        with.get("changes").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    if changes.is_empty() {
        return json!([format!("{prefix}.*")]);
    }
    changes.iter().map(|change| json!(format!("{prefix}.{change}"))).collect()
}

/// A change as a record, with what was different before.
fn change_of(event: &Json) -> Occurrence {
    let mut data = event.get("data").cloned().unwrap_or_default();
    without_secrets(&mut data);
    let mut record = data.get("object").cloned().unwrap_or_else(|| json!({}));
    if let Some(record) = record.as_object_mut() {
        super::money::explain(record);
    }
    let changed: Vec<String> = data
        .get("previous_attributes")
        .and_then(Json::as_object)
        .map(|before| before.keys().cloned().collect())
        .unwrap_or_default();
    let name = event.get("type").and_then(Json::as_str).unwrap_or_default();
    let id = event.get("id").and_then(Json::as_str).unwrap_or_default();
    Occurrence {
        key: id.to_owned(),
        data: json!({
            "record": record, "change": name.rsplit('.').next().unwrap_or_default(), "changed_fields": changed,
            "previous": data.get("previous_attributes").cloned().unwrap_or_else(|| json!({})),
            "event_id": id, "event_type": name, "created": event.get("created"), "account": event.get("account"),
        }),
    }
}

/// True for an event of the record itself, not of one below it: `customer.subscription.created` is none of a customer.
fn is_of(event: &Json, with: &Json) -> bool {
    let kind = with.get("record").and_then(Json::as_str).unwrap_or_default();
    let object = event.get("data").and_then(|data| data.get("object")?.get("object")?.as_str());
    RECORDS.iter().any(|(name, _, wanted)| *name == kind && object == Some(*wanted))
}

fn record_trigger() -> Trigger {
    let kinds: Vec<&str> = RECORDS.iter().map(|(name, ..)| *name).collect();
    let config = json!({
        "type": "object",
        "properties": {
            "record": {"enum": kinds, "title": "Record"},
            "changes": {"type": ["array", "null"], "items": {"type": "string", "pattern": "^[a-z_]+$"}, "maxItems": TYPES_MAX, "title": "Changes", "description": "Such as created, updated, deleted, paid, payment_failed, succeeded, canceled, closed. Any when left out."},
            "connected_account": {"type": ["string", "null"], "pattern": "^acct_[A-Za-z0-9]+$", "title": "Connected account", "description": "Only records of this account."}
        },
        "required": ["record"],
        "additionalProperties": false
    });
    let output = json!({
        "type": "object",
        "properties": {
            "record": {"type": "object", "title": "Record", "description": "As it was when the event was made. Read it again where its present state counts."},
            "change": {"type": "string", "title": "Change"},
            "changed_fields": {"type": "array", "items": {"type": "string"}, "title": "Changed fields"},
            "previous": {"type": "object", "title": "Values before"},
            "event_id": {"type": "string", "title": "Event"},
            "event_type": {"type": "string", "title": "Name of the event"},
            "created": {"type": ["integer", "null"], "title": "When"},
            "account": {"type": ["string", "null"], "title": "Connected account"}
        },
        "required": ["record", "change", "event_id", "event_type"]
    });
    let webhook = Webhook::new(verify, proofs).read(|connection, with, inbound| {
        let event = snapshot(inbound)?;
        let name = event.get("type").and_then(Json::as_str).unwrap_or_default();
        let wanted = wants(&names(with), name) && is_of(&event, with) && is_ours(connection, with, &event);
        Ok(Reading { events: if wanted { vec![change_of(&event)] } else { Vec::new() }, answer: None })
    });
    let sample = change_of(&event_sample("customer.created", "customer")).data;
    Trigger::new(
        "record_changed",
        "New or changed record",
        "Fires when a record is added, changed, deleted, or reaches a state such as a failed payment.",
    )
    .config(config)
    .output(output)
    .sample(sample)
    .webhook(webhook)
    .poll(Poll::new(EVERY, |cx, with, from| async move {
        let types = names(&with);
        let kept = with.clone();
        let mut polled = asked(cx, with, from, types, event_of).await?;
        polled.events.retain(|event| is_of(&event.data, &kept));
        for event in &mut polled.events {
            *event = change_of(&event.data);
        }
        Ok(polled)
    }))
}

fn thin_trigger() -> Trigger {
    let config = json!({
        "type": "object",
        "properties": {
            "types": {"type": ["array", "null"], "items": {"type": "string", "minLength": 1}, "maxItems": 100, "title": "Events", "description": "Names such as v1.customer.created; v1.invoice.* stands for all of an invoice. Any when left out."}
        },
        "additionalProperties": false
    });
    let output = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "title": "Event"}, "type": {"type": "string", "title": "Name of the event"}, "created": {"type": "string", "title": "When"},
            "livemode": {"type": "boolean", "title": "Real"}, "context": {"type": ["string", "null"], "title": "Account"}, "reason": {"type": ["object", "null"], "title": "Reason"},
            "related_object": {"type": ["object", "null"], "title": "About", "properties": {"id": {"type": "string"}, "type": {"type": "string"}, "url": {"type": "string"}}}
        },
        "required": ["id", "type"]
    });
    let webhook = Webhook::new(verify, proofs).read(|_, with, inbound| {
        let mut event = body(inbound)?;
        without_secrets(&mut event);
        if event.get("object").and_then(Json::as_str) != Some("v2.core.event") {
            return Err(refused(
                "EVENT_SNAPSHOT",
                "this event holds its record; use the trigger for events, or let the destination send thin ones",
            ));
        }
        let wanted = wants(with.get("types").unwrap_or(&Json::Null), named(&event));
        Ok(Reading { events: if wanted { vec![thin_of(&event)] } else { Vec::new() }, answer: None })
    });
    Trigger::new("thin_event", "New thin event", "Fires for events that only name what changed, sent by an event destination, and asked for besides. Read the record with a call of its related_object.url.")
        .config(config)
        .output(output)
        .sample(json!({
            "id": "evt_1ExampleOfStripe00000001", "object": "v2.core.event", "type": "v1.customer.created", "created": "2026-11-20T00:00:00.000Z", "livemode": false,
            "context": null, "reason": null, "related_object": {"id": "cus_ExampleOfStrip", "type": "customer", "url": "/v1/customers/cus_ExampleOfStrip"},
        }))
        .webhook(webhook)
        .poll(Poll::new(EVERY, |cx, with, from| async move {
            let types = with.get("types").cloned().unwrap_or_default();
            super::thin::newer(&cx, &with, from, |event| wants(&types, named(event)), thin_of).await
        }))
}

/// The name of an event.
fn named(event: &Json) -> &str {
    event.get("type").and_then(Json::as_str).unwrap_or_default()
}

/// A thin event as every way gives it.
fn thin_of(event: &Json) -> Occurrence {
    Occurrence { key: event.get("id").and_then(Json::as_str).unwrap_or_default().to_owned(), data: event.clone() }
}

/// Walks the list of events from the oldest that was not seen. The cursor is the last event's id: many events share a
/// second.
async fn asked(cx: Cx, with: Json, from: Position, types: Json, becomes: fn(&Json) -> Occurrence) -> Result<Polled, StepError> {
    let client = Client::new(&cx, &with)?;
    let mut rows = super::walk::newer(&client, "/v1/events", from, &filter(&types)).await?;
    // A name with a star is not known to the list.
    rows.rows.retain(|event| wants(&types, event.get("type").and_then(Json::as_str).unwrap_or_default()));
    Ok(Polled { events: rows.rows.iter().map(becomes).collect(), cursor: rows.cursor, more: rows.more })
}

/// Names without stars are sorted out by Stripe.
fn filter(types: &Json) -> Map<String, Json> {
    let names = types.as_array().map(Vec::as_slice).unwrap_or_default();
    let plain = !names.is_empty()
        && names.len() <= TYPES_MAX
        && names.iter().all(|name| name.as_str().is_some_and(|name| !name.contains('*')));
    if plain { Map::from_iter([("types".to_owned(), types.clone())]) } else { Map::new() }
}

fn new_records() -> Trigger {
    let names: Vec<&str> = objects::RESOURCES.iter().map(|resource| resource.name).filter(|name| *name != "events").collect();
    let config = json!({
        "type": "object",
        "properties": {
            "resource": {"enum": names, "title": "Records"},
            "filters": {"type": ["object", "null"], "title": "Filters", "description": "By Stripe's names, such as customer or status."},
            "connected_account": {"type": ["string", "null"], "pattern": "^acct_[A-Za-z0-9]+$", "title": "Connected account"}
        },
        "required": ["resource"],
        "additionalProperties": false
    });
    Trigger::new("new_record", "New record", "Fires for records that were added since the last question. Later changes are only seen through events.")
        .config(config)
        .output(json!({"type": "object", "properties": {"id": {"type": "string", "title": "Id"}, "object": {"type": "string", "title": "Kind"}, "created": {"type": ["integer", "null"], "title": "When"}}, "required": ["id"]}))
        .sample(objects::sample("customer"))
        .poll(Poll::new(EVERY, |cx, with, from| async move {
            let client = Client::new(&cx, &with)?;
            let name = with.get("resource").and_then(Json::as_str).unwrap_or_default();
            let resource = objects::named(name).ok_or_else(|| super::client::invalid("RESOURCE_UNKNOWN", format!("\"{name}\" is no list of Stripe that is known here")))?;
            let filters = with.get("filters").and_then(Json::as_object).cloned().unwrap_or_default();
            let found = super::walk::newer(&client, resource.path, from, &filters).await?;
            let key = |row: &Json| row.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
            Ok(Polled { events: found.rows.into_iter().map(|row| Occurrence { key: key(&row), data: row }).collect(), cursor: found.cursor, more: found.more })
        }))
}

pub(super) fn all() -> Vec<Trigger> {
    vec![event_trigger(), record_trigger(), new_records(), thin_trigger()]
}
