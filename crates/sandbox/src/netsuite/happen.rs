//! What people do in the account, and the scripts that tell of it.

use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;

use super::{
    NetSuite, State,
    books::{self, Manner},
    record_api::Event,
    schema::{self, Type},
    settings::Script,
};
use crate::{Hook, Problem};

/// Records made at once.
const MANY_MAX: u64 = 200_000;

pub(super) fn list() -> Vec<(&'static str, &'static str, Json)> {
    vec![
        ("invoice_paid", "a customer pays an invoice, whole or in part", json!({ "invoice": "INV-1180", "amount": 100.0 })),
        (
            "record_created",
            "somebody enters a record",
            json!({ "type": "customer", "values": { "companyName": "Fern Labs", "subsidiary": "1" } }),
        ),
        (
            "record_changed",
            "somebody changes a record",
            json!({ "type": "customer", "id": "eid:C-0001", "values": { "phone": "+14155550100" } }),
        ),
        ("record_deleted", "somebody deletes a record", json!({ "type": "contact", "id": "107" })),
        ("many_created", "an import brings that many customers", json!({ "count": 1000 })),
        ("token_revoked", "an administrator revokes the access token; `false` gives it back", json!({ "revoked": true })),
        ("tokens_expired", "every OAuth 2.0 access token ends", json!({})),
        ("sandbox_refreshed", "the account is refreshed: every token and certificate mapping is gone", json!({})),
    ]
}

fn problem(words: impl Into<String>) -> Problem {
    Problem(words.into())
}

impl NetSuite {
    pub(super) fn make_happen(&self, name: &str, with: &Json) -> Result<Json, Problem> {
        match name {
            "tokens_expired" => {
                self.tokens.expire_all();
                return Ok(json!({}));
            }
            "token_revoked" => {
                self.state.lock().token_revoked = with.get("revoked").and_then(Json::as_bool).unwrap_or(true);
                return Ok(json!({}));
            }
            "sandbox_refreshed" => {
                self.tokens.revoke_all();
                let mut state = self.state.lock();
                (state.token_revoked, state.certificates_revoked) = (true, true);
                return Ok(json!({}));
            }
            _ => {}
        }
        let mut state = self.state.lock();
        let (done, events) = match name {
            "invoice_paid" => self.pay(&mut state, with)?,
            "record_created" => self.create(&mut state, with)?,
            "record_changed" => self.change(&mut state, with)?,
            "record_deleted" => self.delete(&mut state, with)?,
            "many_created" => self.import(&mut state, with)?,
            _ => return Err(problem(format!("nothing called \"{name}\" can happen in NetSuite"))),
        };
        self.tell(&state, &events);
        Ok(done)
    }

    fn pay(&self, state: &mut State, with: &Json) -> Result<(Json, Vec<Event>), Problem> {
        let wanted =
            with.get("invoice").and_then(Json::as_str).ok_or_else(|| problem("with.invoice names an invoice: INV-1180"))?;
        let kind = schema::find("invoice").ok_or_else(|| problem("there are no invoices"))?;
        let paying = schema::find("customerPayment").ok_or_else(|| problem("there are no payments"))?;
        let id = key(state, kind, &format!("eid:{wanted}")).or_else(|_| key(state, kind, wanted))?;
        let invoice = state.store.get(kind, id).ok_or_else(|| problem("the invoice is gone"))?;
        let mut row = json!({ "doc": id.to_string(), "apply": true });
        if let Some(amount) = with.get("amount") {
            row["amount"] = amount.clone();
        }
        let body =
            json!({ "entity": invoice.text("entity"), "memo": format!("Payment of {wanted}"), "apply": { "items": [row] } });
        let now = state.now(&self.world);
        let body = body.as_object().cloned().unwrap_or_default();
        let (payment, _) = books::create(&mut state.store, paying, &body, &Manner::default(), &now)
            .map_err(|refusal| problem(refusal.detail))?;
        let left = state.store.get(kind, id).map(|invoice| invoice.number("amountRemaining"));
        let events = vec![Event { kind: paying, id: payment, event: "create" }, Event { kind, id, event: "edit" }];
        Ok((json!({ "payment": payment.to_string(), "invoice": id.to_string(), "amountRemaining": left }), events))
    }

    fn create(&self, state: &mut State, with: &Json) -> Result<(Json, Vec<Event>), Problem> {
        let (kind, now) = (kind(with)?, state.now(&self.world));
        let (id, _) = books::create(&mut state.store, kind, &values(with), &Manner::default(), &now)
            .map_err(|refusal| problem(refusal.detail))?;
        Ok((json!({ "id": id.to_string() }), vec![Event { kind, id, event: "create" }]))
    }

    fn change(&self, state: &mut State, with: &Json) -> Result<(Json, Vec<Event>), Problem> {
        let (kind, now) = (kind(with)?, state.now(&self.world));
        let id = key(state, kind, with.get("id").and_then(Json::as_str).unwrap_or_default())?;
        books::update(&mut state.store, kind, id, &values(with), &Manner::default(), &now)
            .map_err(|refusal| problem(refusal.detail))?;
        Ok((json!({ "id": id.to_string() }), vec![Event { kind, id, event: "edit" }]))
    }

    fn delete(&self, state: &mut State, with: &Json) -> Result<(Json, Vec<Event>), Problem> {
        let (kind, now) = (kind(with)?, state.now(&self.world));
        let id = key(state, kind, with.get("id").and_then(Json::as_str).unwrap_or_default())?;
        books::delete(&mut state.store, kind, id, &now).map_err(|refusal| problem(refusal.detail))?;
        Ok((json!({ "id": id.to_string() }), vec![Event { kind, id, event: "delete" }]))
    }

    /// Scripts stand still during an import, as administrators set it.
    fn import(&self, state: &mut State, with: &Json) -> Result<(Json, Vec<Event>), Problem> {
        let count = with.get("count").and_then(Json::as_u64).filter(|count| *count <= MANY_MAX);
        let count = count.ok_or_else(|| problem(format!("with.count is a number up to {MANY_MAX}")))?;
        let kind = schema::find("customer").ok_or_else(|| problem("there are no customers"))?;
        let stamp = super::values::stamp(self.world.clock().now());
        for _ in 0..count {
            let number = state.store.next_number(kind, 1);
            let mut record = super::store::Record::new(kind);
            let name = format!("Imported {number}");
            for (field, value) in [("entityId", &name), ("companyName", &name), ("altName", &name)] {
                record.set(field, value.clone());
            }
            for (field, value) in
                [("subsidiary", json!("1")), ("currency", json!("1")), ("isPerson", json!(false)), ("isInactive", json!(false))]
            {
                record.set(field, value);
            }
            record.set("dateCreated", stamp.clone());
            record.set("lastModifiedDate", stamp.clone());
            state.store.keep(record);
        }
        Ok((json!({ "count": count }), Vec::new()))
    }

    /// Lets the account's user-event scripts tell their webhooks.
    pub(super) fn tell(&self, state: &State, events: &[Event]) {
        for script in &state.settings.user_event_scripts {
            let wanted =
                |kind: &Type| script.types.is_empty() || script.types.iter().any(|name| name.eq_ignore_ascii_case(kind.name));
            for event in events.iter().filter(|event| wanted(event.kind)) {
                self.world.outbox().send(hook(script, event, self.world.clock().now_ms()));
            }
        }
    }
}

fn kind(with: &Json) -> Result<&'static Type, Problem> {
    let name = with.get("type").and_then(Json::as_str).unwrap_or_default();
    schema::find(name).ok_or_else(|| problem(format!("there is no record type \"{name}\"")))
}

fn values(with: &Json) -> Map<String, Json> {
    with.get("values").and_then(Json::as_object).cloned().unwrap_or_default()
}

fn key(state: &State, kind: &Type, key: &str) -> Result<u64, Problem> {
    let id = match key.strip_prefix("eid:") {
        Some(external) => state.store.by_external(kind, external),
        None => key.parse().ok(),
    };
    id.filter(|id| state.store.get(kind, *id).is_some()).ok_or_else(|| problem(format!("there is no {} \"{key}\"", kind.name)))
}

fn hook(script: &Script, event: &Event, at_ms: i64) -> Hook {
    let body = json!({ "type": event.kind.name, "id": event.id.to_string(), "event": event.event, "at": at_ms });
    let (secret, header) = (script.secret.clone(), script.header.clone());
    Hook {
        vendor: "netsuite",
        label: format!("{} {} {}", event.kind.name, event.id, event.event),
        url: script.url.clone(),
        headers: Arc::new(move |_, body| {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let (Ok(mut mac), Ok(name)) =
                (<Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()), HeaderName::try_from(&header))
            {
                mac.update(body);
                if let Ok(value) = HeaderValue::from_str(&hex::encode(mac.finalize().into_bytes())) {
                    headers.insert(name, value);
                }
            }
            headers
        }),
        body: Bytes::from(body.to_string()),
        // A script calls once; nobody tries again for it.
        pauses: Arc::from([]),
        accepts: |status, _| (200..300).contains(&status),
    }
}
