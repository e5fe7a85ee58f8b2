//! Events a business rule of the instance sends, and the script that sends them.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use connector::{Action, Connection, Cx, Inbound, Occurrence, Reading, Refused, Secret, StepError, Verified, Webhook};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::{
    action,
    api::{checked_table, invalid, word, words},
    dictionary::Dictionary,
    records::{input, table_schema},
};

/// The header the signature is in, in lower case.
const HEADER: &str = "x-liaison-signature";
/// The property of the instance that holds the key.
const PROPERTY: &str = "liaison.webhook.key";
/// Longest body that is read; the script sends some hundred bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
const OPERATIONS: [&str; 3] = ["insert", "update", "delete"];

/// The bytes of the key; nothing when it is empty or no base64.
pub(super) fn decoded(key: &Secret) -> Option<Vec<u8>> {
    STANDARD.decode(key.expose().trim()).ok().filter(|key| !key.is_empty())
}

pub(super) fn actions(dictionary: &Arc<Dictionary>) -> Vec<Action> {
    vec![
        action(dictionary, "business_rule_script", "Make the webhook's business rule", "Writes the script of the business rule that sends a table's events to an address of Liaison. An administrator pastes it; nothing is changed in ServiceNow.", script)
            .reads()
            .input(input(
                json!({
                    "table": table_schema(),
                    "address": {"type": "string", "format": "uri", "title": "Address", "description": "The address of the recipe with the trigger record_event."},
                    "operations": {"type": "array", "items": {"type": "string", "enum": OPERATIONS}, "title": "Operations", "description": "All when left out."},
                    "property": {"type": "string", "default": PROPERTY, "title": "Property", "description": "The system property, of the type password2, whose value is the webhook key of the connection."}
                }),
                &["table", "address"],
            ))
            .output(json!({"type": "object", "required": ["table", "when", "operations", "property", "script"], "properties": {
                "table": {"type": "string"}, "when": {"type": "string"}, "operations": {"type": "array", "items": {"type": "string"}}, "property": {"type": "string"}, "script": {"type": "string"}
            }}))
            .sample(json!({"table": "incident", "when": "async", "operations": ["insert"], "property": PROPERTY, "script": "(function executeRule(current, previous) { … })(current, previous);"})),
    ]
}

async fn script(_: Arc<Dictionary>, _cx: Cx, input: Json) -> Result<Json, StepError> {
    let table = checked_table(word(&input, "table"))?;
    let address =
        url::Url::parse(word(&input, "address")).map_err(|_| invalid("ADDRESS_INVALID", "the address cannot be read"))?;
    let property = Some(word(&input, "property")).filter(|name| !name.is_empty()).unwrap_or(PROPERTY);
    if !property.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err(invalid("PROPERTY_INVALID", format!("\"{property}\" cannot be the name of a property")));
    }
    let wanted = words(&input, "operations");
    let operations = if wanted.is_empty() { OPERATIONS.map(str::to_owned).to_vec() } else { wanted };
    // A parsed address holds no quote that would end the text.
    let address = address.as_str().replace('\'', "%27");
    let script = format!(
        "(function executeRule(current, previous) {{\n  \
           var body = JSON.stringify({{table: current.getTableName(), sys_id: current.getUniqueValue(), op: current.operation(), mod_count: '' + current.sys_mod_count, at: '' + current.sys_updated_on}});\n  \
           var mac = new GlideCertificateEncryption().generateMac(gs.getProperty('{property}'), 'HmacSHA256', body);\n  \
           var call = new sn_ws.RESTMessageV2();\n  \
           call.setEndpoint('{address}');\n  \
           call.setHttpMethod('POST');\n  \
           call.setRequestHeader('Content-Type', 'application/json');\n  \
           call.setRequestHeader('X-Liaison-Signature', mac);\n  \
           call.setRequestBody(body);\n  \
           call.executeAsync();\n\
         }})(current, previous);"
    );
    Ok(json!({"table": table, "when": "async", "operations": operations, "property": property, "script": script}))
}

pub(super) fn webhook() -> Webhook {
    Webhook::new(verify, |_: &Connection| vec![HEADER.to_owned()]).read(read)
}

fn refused(code: &'static str, message: &str) -> Refused {
    Refused { code, message: message.to_owned() }
}

fn verify(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let key = connection.credentials.get("webhook_key").and_then(decoded);
    let key =
        key.ok_or_else(|| refused("KEY_MISSING", "the connection has no webhook key; add the one the business rule signs with"))?;
    let mut signatures = inbound.headers.iter().filter(|(name, _)| name == HEADER).map(|(_, value)| value.trim());
    let (signature, other) = (signatures.next(), signatures.next());
    let signature = match (signature, other) {
        (Some(signature), None) => signature,
        (None, _) => {
            return Err(refused(
                "SIGNATURE_MISSING",
                "the request has no X-Liaison-Signature header; use the script as it was made",
            ));
        }
        _ => {
            return Err(refused("HEADER_DOUBLED", "the request has the X-Liaison-Signature header more than once; send it once"));
        }
    };
    let mismatch = || {
        refused(
            "SIGNATURE_MISMATCH",
            "the signature does not fit the body; check that the property of the instance holds the connection's webhook key",
        )
    };
    let signature = STANDARD.decode(signature).map_err(|_| mismatch())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| mismatch())?;
    mac.update(inbound.body);
    mac.verify_slice(&signature).map_err(|_| mismatch())?;
    Ok(Verified { event_key: event(inbound.body).ok().map(|event| event.key) })
}

/// The event of a body: `{table, sys_id, op, mod_count, at}`.
fn event(body: &[u8]) -> Result<Occurrence, Refused> {
    let unreadable =
        || refused("BODY_UNREADABLE", "the body is no event of the business rule's script; use the script as it was made");
    if body.len() > BODY_BYTES_MAX {
        return Err(unreadable());
    }
    let body: Json = serde_json::from_slice(body).map_err(|_| unreadable())?;
    let (table, id, operation) = (word(&body, "table"), word(&body, "sys_id"), word(&body, "op"));
    if table.is_empty() || id.is_empty() || !OPERATIONS.contains(&operation) {
        return Err(unreadable());
    }
    let count = word(&body, "mod_count").parse().unwrap_or_default();
    Ok(occurrence(table, id, operation, count, word(&body, "at")))
}

/// An event, the same whether it was sent or asked for.
pub(super) fn occurrence(table: &str, id: &str, operation: &str, count: u64, at: &str) -> Occurrence {
    let key = if operation == "delete" { format!("{id}:delete") } else { format!("{id}:{count}") };
    let at = if at.len() == 19 { format!("{}T{}Z", &at[..10], &at[11..]) } else { at.to_owned() };
    Occurrence { key, data: json!({"table": table, "sys_id": id, "operation": operation, "updates": count, "at": at}) }
}

fn read(_: &Connection, with: &Json, inbound: &Inbound<'_>) -> Result<Reading, Refused> {
    let event = event(inbound.body)?;
    Ok(Reading { events: if wanted(with, &event.data) { vec![event] } else { Vec::new() }, answer: None })
}

/// True when the trigger's settings want an event.
pub(super) fn wanted(with: &Json, event: &Json) -> bool {
    let operations = words(with, "operations");
    let table = word(with, "table");
    event["table"] == table && (operations.is_empty() || operations.iter().any(|operation| event["operation"] == *operation))
}
