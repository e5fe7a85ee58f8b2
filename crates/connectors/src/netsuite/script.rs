//! The text of the account's script that tells of records at once, which an administrator pastes in.

use connector::{Action, Cx, StepError};
use serde_json::{Value as Json, json};

use super::api::{invalid, needed, text};

/// The account's secret that holds the connection's `webhook_secret`.
const SECRET: &str = "custsecret_liaison_webhook";
const EVENTS: [&str; 3] = ["create", "edit", "delete"];

async fn script(_cx: Cx, input: Json) -> Result<Json, StepError> {
    let address = url::Url::parse(needed(&input, "address")?).map_err(|_| invalid("\"address\" cannot be read"))?;
    if address.scheme() != "https" {
        return Err(invalid("\"address\" must begin with https://: scripts of NetSuite call nothing else"));
    }
    let secret = text(&input, "secret").unwrap_or(SECRET);
    if !secret.starts_with("custsecret")
        || !secret.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    {
        return Err(invalid("\"secret\" is the id of an API secret, such as custsecret_liaison_webhook"));
    }
    let wanted: Vec<&str> = input["events"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let events: Vec<&str> = EVENTS.into_iter().filter(|event| wanted.is_empty() || wanted.contains(event)).collect();
    let types: Vec<&str> = input["types"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    // A parsed address holds no line end; what else would end the text, or change it, is written otherwise.
    let address = address.as_str().replace('\'', "%27").replace('\\', "%5C");
    let listed: Vec<String> = events.iter().map(|event| format!("'{event}'")).collect();
    let listed = listed.join(", ");
    let script = format!(
        "/**\n * @NApiVersion 2.1\n * @NScriptType UserEventScript\n */\n\
         define(['N/crypto', 'N/encode', 'N/https', 'N/log'], (crypto, encode, https, log) => {{\n  \
           const events = [{listed}];\n  \
           const afterSubmit = (context) => {{\n    \
             const event = {{ create: 'create', copy: 'create', edit: 'edit', xedit: 'edit', delete: 'delete' }}[context.type];\n    \
             if (!events.includes(event)) return;\n    \
             const record = event === 'delete' ? context.oldRecord : context.newRecord;\n    \
             const body = JSON.stringify({{ type: record.type, id: String(record.id), event, at: Date.now() }});\n    \
             // A message that is lost must not undo what was saved.\n    \
             try {{\n      \
               const key = crypto.createSecretKey({{ secret: '{secret}', encoding: encode.Encoding.UTF_8 }});\n      \
               const hmac = crypto.createHmac({{ algorithm: crypto.HashAlg.SHA256, key }});\n      \
               hmac.update({{ input: body, inputEncoding: encode.Encoding.UTF_8 }});\n      \
               const signature = hmac.digest({{ outputEncoding: encode.Encoding.HEX }});\n      \
               https.post({{ url: '{address}', headers: {{ 'Content-Type': 'application/json', 'X-Signature': signature }}, body }});\n    \
             }} catch (error) {{\n      \
               log.error({{ title: 'Liaison was not told', details: error }});\n    \
             }}\n  \
           }};\n  \
           return {{ afterSubmit }};\n\
         }});\n"
    );
    let named = if types.is_empty() { "each record type whose records are wanted".to_owned() } else { types.join(", ") };
    let steps = json!([
        format!("Setup > Company > API Secrets: make a secret with the id {secret} whose value is the connection's webhook_secret, and allow it for the script."),
        "Customization > Scripting > Scripts > New: upload the text as a file that ends with .js and make a User Event script of it.".to_owned(),
        format!("Deploy it to {named}, with the status Released and for all roles; execute it as a role that may use the secret."),
        "Save a record of such a type, and see that a run starts. What the script could not tell is in its execution log.".to_owned(),
        "A message that is lost is not sent again: switch on a recipe with the trigger changed_record beside it where none may be missed.".to_owned(),
    ]);
    Ok(json!({ "script": script, "secret": secret, "events": events, "steps": steps }))
}

pub(super) fn actions() -> Vec<Action> {
    vec![
        Action::new("user_event_script", "Make the script that tells of records", "Writes the user event script that tells the trigger record_script of saved records, and how to deploy it. An administrator pastes it; nothing is changed in NetSuite.", script)
            .reads()
            .input(json!({"type": "object", "properties": {
                "address": {"type": "string", "format": "uri", "title": "Address", "description": "The address of the recipe with the trigger record_script."},
                "types": {"type": "array", "title": "Record types", "items": {"type": "string"}, "description": "What it shall be deployed to."},
                "events": {"type": "array", "title": "Events", "items": {"type": "string", "enum": EVENTS}, "description": "All when left out."},
                "secret": {"type": "string", "title": "API secret", "default": SECRET, "description": "The id of the account's secret with the connection's webhook_secret."}
            }, "required": ["address"], "additionalProperties": false}))
            .output(json!({"type": "object", "required": ["script", "secret", "events", "steps"], "properties": {
                "script": {"type": "string", "title": "Script"}, "secret": {"type": "string", "title": "API secret"},
                "events": {"type": "array", "items": {"type": "string"}, "title": "Events"}, "steps": {"type": "array", "items": {"type": "string"}, "title": "What to do with it"}
            }}))
            .sample(json!({ "script": "/** @NApiVersion 2.1 … */", "secret": SECRET, "events": EVENTS, "steps": ["Setup > Company > API Secrets: …"] })),
    ]
}
