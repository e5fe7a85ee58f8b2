//! What the org tells others: outbound messages over SOAP, and platform events.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    ids,
    org::{Change, Happened, Org},
    pubsub,
    rest::Call,
    schema::{Field, Kind},
    settings::Outbound,
    system::System,
    value::Value,
    write::{Fields, typed},
};
use crate::{
    Hook,
    xml::{self, soap},
};

/// Notifications of one message.
const NOTIFICATIONS_MAX: usize = 100;
/// Gaps between tries: growing up to two hours, for a day.
const PAUSES_S: [u64; 16] = [15, 30, 60, 120, 240, 480, 960, 1_920, 3_600, 7_200, 7_200, 7_200, 7_200, 14_400, 14_400, 14_400];
const NAMESPACE: &str = "http://soap.sforce.com/2005/09/outbound";

/// Tells those who listen what was done.
pub(super) fn tell(system: &System, org: &Org, changes: &[Change]) {
    let messages = system.settings.read().outbound_messages.clone();
    for message in &messages {
        let Some(object) = org.schema.find(&message.object) else { continue };
        let told: Vec<&Change> =
            changes.iter().filter(|change| change.object == object && wanted(org, message, change)).collect();
        for several in told.chunks(NOTIFICATIONS_MAX) {
            send(system, org, message, several);
        }
    }
}

fn wanted(org: &Org, message: &Outbound, change: &Change) -> bool {
    if !matches!(change.happened, Happened::Created | Happened::Updated) {
        return false;
    }
    let Some(field) = &message.when_changed else { return true };
    let Some(at) = org.schema.objects[change.object].place(field) else { return false };
    change.before.as_ref().is_none_or(|before| before.get(at) != change.after.get(at))
}

fn send(system: &System, org: &Org, message: &Outbound, changes: &[&Change]) {
    let object = &org.schema.objects[changes[0].object];
    let plain = |field: &Field| !matches!(field.kind, Kind::Address | Kind::Base64 | Kind::Id);
    let fields: Vec<(usize, &Field)> = object
        .live_fields()
        .filter(|(_, field)| {
            if message.fields.is_empty() {
                plain(field)
            } else {
                message.fields.iter().any(|name| name.eq_ignore_ascii_case(&field.name))
            }
        })
        .collect();
    let url = system.url();
    let random = system.random.lock();
    let number = |prefix: &str| ids::make(prefix, random.below(1 << 40));
    let text = soap::envelope(
        &[("xmlns:xsd", xml::XSD), ("xmlns:xsi", xml::XSI)],
        |_| {},
        |out| {
            out.element("notifications", &[("xmlns", NAMESPACE)], |out| {
                out.text("OrganizationId", &[], &org.id);
                out.text("ActionId", &[], &ids::make("04k", 1));
                out.element("SessionId", &[("xsi:nil", "true")], |_| {});
                out.text("EnterpriseUrl", &[], &format!("{url}/services/Soap/c/62.0/{}", &org.id[..15]));
                out.text("PartnerUrl", &[], &format!("{url}/services/Soap/u/62.0/{}", &org.id[..15]));
                for change in changes {
                    out.element("Notification", &[], |out| {
                        out.text("Id", &[], &number("04l"));
                        let kind = format!("sf:{}", object.name);
                        out.element(
                            "sObject",
                            &[("xsi:type", &kind), ("xmlns:sf", "urn:sobject.enterprise.soap.sforce.com")],
                            |out| {
                                out.text("sf:Id", &[], change.after.id());
                                for (at, field) in &fields {
                                    let value = change.after.get(*at);
                                    if !value.is_null() && field.kind != Kind::Id {
                                        out.text(&format!("sf:{}", field.name), &[], &soap_text(value, field.kind));
                                    }
                                }
                            },
                        );
                    });
                }
            });
        },
    );
    drop(random);
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    headers.insert("soapaction", HeaderValue::from_static("\"\""));
    system.world.outbox().send(Hook {
        vendor: "salesforce",
        label: format!("outbound message {} ({})", object.name, changes.len()),
        url: message.url.clone(),
        headers: Arc::new(move |_, _| headers.clone()),
        body: text.into(),
        pauses: PAUSES_S.iter().map(|seconds| Duration::from_secs(*seconds)).collect(),
        accepts: acknowledged,
    });
}

/// SOAP writes moments with `Z`.
pub(super) fn soap_text(value: &Value, kind: Kind) -> String {
    value.cell(kind)
}

/// True when the receiver wrote `<Ack>true</Ack>`.
fn acknowledged(status: u16, body: &[u8]) -> bool {
    status == 200
        && soap::read(body).is_ok_and(|message| {
            message.body.name == "notificationsResponse"
                && message.body.text_of("Ack").is_some_and(|ack| matches!(ack.trim(), "true" | "1"))
        })
}

impl System {
    /// A platform event by REST: the answer carries its UUID among its errors.
    pub(super) fn publish(&self, org: &mut Org, call: &Call, object: usize, fields: &Fields) -> Outcome<Answer> {
        let published = self.publish_row(org, call, object, fields)?;
        Ok(Answer::json(201, published))
    }

    pub(super) fn publish_row(&self, org: &mut Org, call: &Call, object: usize, fields: &Fields) -> Outcome<Json> {
        let described = &org.schema.objects[object];
        let mut payload = Fields::new();
        for (name, value) in fields.iter().filter(|(name, _)| *name != "attributes") {
            let field = described.field(name).filter(|field| field.custom()).ok_or_else(|| {
                Trouble::bad("INVALID_FIELD", format!("No such column '{name}' on sobject of type {}", described.name))
            })?;
            payload.insert(field.name.clone(), typed(field, value)?.json(field.kind));
        }
        let missing: Vec<String> = described
            .live_fields()
            .filter(|(_, field)| {
                field.custom()
                    && field.required
                    && field.kind != Kind::Boolean
                    && payload.get(&field.name).is_none_or(Json::is_null)
            })
            .map(|(_, field)| field.name.clone())
            .collect();
        if !missing.is_empty() {
            let message = format!("Required fields are missing: [{}]", missing.join(", "));
            return Err(Trouble { fields: missing, ..Trouble::bad("REQUIRED_FIELD_MISSING", message) });
        }
        let (place, uuid) = pubsub::publish(self, described, payload, &call.user, None);
        let id = ids::make(&described.prefix, place);
        Ok(
            json!({ "id": &*id, "success": true, "errors": [{ "statusCode": "OPERATION_ENQUEUED", "message": uuid, "fields": [] }] }),
        )
    }
}
