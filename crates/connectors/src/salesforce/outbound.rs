//! Outbound messages: SOAP that a workflow rule or flow of the org sends, acknowledged once it is kept.

use connector::{Answer, Connection, Inbound, Occurrence, Reading, Refused, Trigger, Verified, Webhook, xml};
use serde_json::{Map, Value as Json, json};

/// What Salesforce takes as received.
const ACK: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body><notificationsResponse xmlns=\"http://soap.sforce.com/2005/09/outbound\"><Ack>true</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>";
/// Notifications of a message.
const NOTIFICATIONS_MAX: usize = 100;

pub(super) fn trigger() -> Trigger {
    Trigger::new(
        "outbound_message",
        "Outbound message received",
        "Fires for every record of an outbound message that a workflow rule or flow of your org sends.",
    )
    .config(json!({"type": "object", "additionalProperties": false, "properties": {
        "object": {"type": "string", "title": "Object", "description": "Only records of this object; all when left out."},
        "path": {"type": "string", "title": "Path", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "description": "A name of your own for the address. Messages are not signed: better keep the unguessable one."}}}))
    .output(json!({"type": "object", "additionalProperties": false, "required": ["notification_id", "organization_id", "object", "record"], "properties": {
        "notification_id": {"type": "string"}, "organization_id": {"type": "string"}, "action_id": {"type": ["string", "null"]}, "object": {"type": "string"},
        "record": {"type": "object", "description": "The fields the message carries, as texts; the record's newest values, not those of the moment."}}}))
    .sample(json!({"notification_id": "04lxx000000AbCdAAK", "organization_id": "00Dxx0000001gPLEAY", "action_id": "04kxx0000000001AAA", "object": "Account", "record": {"Id": "001xx000003DGb1AAG", "Name": "Acme"}}))
    .webhook(Webhook::new(verify, |_| Vec::new()).read(read))
}

fn refused(code: &'static str, message: &str) -> Refused {
    Refused { code, message: message.to_owned() }
}

/// Nothing is signed: the address is the secret, and the message must be of the connection's own org.
fn verify(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let message = message(inbound)?;
    let told = text(&message, "OrganizationId");
    let known = connection.config.get("organization_id").and_then(Json::as_str);
    let known = known.ok_or_else(|| refused("ORGANIZATION_UNKNOWN", "the connection does not say which org it belongs to: set its organization_id, which stands in Setup under Company Information"))?;
    // Ids are the same with and without their three check letters.
    let same = told.get(..15).is_some() && told.get(..15) == known.get(..15);
    if same { Ok(Verified::default()) } else { Err(refused("ORGANIZATION_MISMATCH", "the message is of another org")) }
}

fn read(_: &Connection, settings: &Json, inbound: &Inbound<'_>) -> Result<Reading, Refused> {
    let message = message(inbound)?;
    let wanted = settings.get("object").and_then(Json::as_str);
    let notifications = match child(&message, "Notification") {
        Some(Json::Array(list)) => list.clone(),
        Some(single) => vec![single.clone()],
        None => Vec::new(),
    };
    if notifications.len() > NOTIFICATIONS_MAX {
        return Err(refused("MESSAGE_UNREADABLE", "the message holds more notifications than Salesforce sends"));
    }
    let mut events = Vec::new();
    for notification in &notifications {
        let id = text(notification, "Id");
        let record = child(notification, "sObject").filter(|_| !id.is_empty());
        let record = record.ok_or_else(|| refused("MESSAGE_UNREADABLE", "a notification has no id or no record"))?;
        let kind = attribute(record, "type");
        let object = local(&kind).to_owned();
        if wanted.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&object)) {
            continue;
        }
        let data = json!({ "notification_id": id, "organization_id": text(&message, "OrganizationId"), "action_id": child(&message, "ActionId"), "object": object, "record": fields(record) });
        events.push(Occurrence { key: id, data });
    }
    Ok(Reading { events, answer: Some(Answer { status: 200, content_type: "text/xml; charset=utf-8", body: ACK.to_owned() }) })
}

/// The `notifications` of the message. The session id it may hold is never passed on.
fn message(inbound: &Inbound<'_>) -> Result<Json, Refused> {
    let unreadable = || refused("MESSAGE_UNREADABLE", "the request is no outbound message of Salesforce");
    let document = std::str::from_utf8(inbound.body).ok().and_then(|body| xml::read(body).ok()).ok_or_else(unreadable)?;
    let found =
        child(&document, "Envelope").and_then(|envelope| child(envelope, "Body")).and_then(|body| child(body, "notifications"));
    found.cloned().ok_or_else(unreadable)
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// A child by its name without prefix.
fn child<'a>(element: &'a Json, name: &str) -> Option<&'a Json> {
    element.as_object()?.iter().find(|(known, _)| !known.starts_with('@') && local(known) == name).map(|(_, value)| value)
}

fn attribute(element: &Json, name: &str) -> String {
    let found = element.as_object().into_iter().flatten().find(|(known, _)| known.starts_with('@') && local(&known[1..]) == name);
    found.and_then(|(_, value)| value.as_str()).unwrap_or_default().to_owned()
}

/// The text of a child.
fn text(element: &Json, name: &str) -> String {
    let found = child(element, name).map(|child| child.get("#text").unwrap_or(child));
    found.and_then(Json::as_str).unwrap_or_default().trim().to_owned()
}

/// The fields of a record; an element that is nil is null.
fn fields(record: &Json) -> Map<String, Json> {
    record
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.starts_with('@') && *name != "#text")
        .map(|(name, value)| {
            let nil = attribute(value, "nil") == "true";
            let plain = value.get("#text").unwrap_or(value);
            (local(name).to_owned(), if nil { Json::Null } else { plain.clone() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use connector::{Connection, Inbound};
    use serde_json::{Value as Json, json};

    use super::{read, verify};

    fn connection() -> Connection {
        Connection {
            name: "sf".to_owned(),
            connector: "salesforce".to_owned(),
            config: json!({"organization_id": "00Dxx0000001gPL"}),
            credentials: HashMap::new(),
        }
    }

    fn inbound(body: &str) -> Inbound<'_> {
        Inbound { method: "POST", base: "https://x", target: "/hooks/a", headers: &[], body: body.as_bytes(), now_s: 0 }
    }

    fn message(org: &str) -> String {
        let one = |id: &str, name: &str| {
            format!(
                "<Notification><Id>{id}</Id><sObject xsi:type=\"sf:Account\" xmlns:sf=\"urn:x\"><sf:Id>001</sf:Id><sf:Name>{name}</sf:Name><sf:Site xsi:nil=\"true\"/></sObject></Notification>"
            )
        };
        format!(
            "<soapenv:Envelope xmlns:soapenv=\"s\" xmlns:xsi=\"i\"><soapenv:Body><notifications xmlns=\"o\"><OrganizationId>{org}</OrganizationId><ActionId>04k</ActionId><SessionId>secret</SessionId>{}{}</notifications></soapenv:Body></soapenv:Envelope>",
            one("04l1", "Tom &amp; Co"),
            one("04l2", "B")
        )
    }

    #[test]
    fn each_notification_is_an_event_and_the_session_id_goes_nowhere() {
        let body = message("00Dxx0000001gPLEAY");
        verify(&connection(), &inbound(&body)).unwrap();
        let reading = read(&connection(), &json!({}), &inbound(&body)).unwrap();
        let keys: Vec<&str> = reading.events.iter().map(|event| event.key.as_str()).collect();
        assert_eq!(keys, ["04l1", "04l2"]);
        assert_eq!(reading.events[0].data["record"], json!({"Id": "001", "Name": "Tom & Co", "Site": Json::Null}));
        assert!(!format!("{reading:?}").contains("secret"));
        assert!(reading.answer.unwrap().body.contains("<Ack>true</Ack>"));
        assert!(read(&connection(), &json!({"object": "Lead"}), &inbound(&body)).unwrap().events.is_empty());
    }

    #[test]
    fn another_org_a_bomb_and_a_page_are_refused() {
        assert_eq!(verify(&connection(), &inbound(&message("00Dxx0000009999EAY"))).unwrap_err().code, "ORGANIZATION_MISMATCH");
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bb\">]><soapenv:Envelope/>";
        for body in [bomb, "<html><body>hello</body></html>", "", "{}"] {
            assert_eq!(verify(&connection(), &inbound(body)).unwrap_err().code, "MESSAGE_UNREADABLE", "{body}");
        }
        let unset = Connection { config: json!({}), ..connection() };
        assert_eq!(verify(&unset, &inbound(&message("00Dxx0000001gPLEAY"))).unwrap_err().code, "ORGANIZATION_UNKNOWN");
    }
}
