//! Actions that are more than one call, and the call of anything.

use connector::{
    Action, Cx, ErrorClass, StepError,
    files::{File, read_whole},
};
use http::Method;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    client::{self, Body, Client, KEY_LIFE, invalid, object},
    fields::{self, choice, metadata, record, text},
    form, objects,
};

/// Largest file Stripe takes, in bytes (16 MB).
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn all() -> Vec<Action> {
    vec![find_or_create(), upload(), call()]
}

fn find_or_create() -> Action {
    let given = [
        fields::id("email", "E-mail", ""),
        text("name", "Name when new", ""),
        text("phone", "Phone when new", ""),
        text("description", "Description when new", ""),
        fields::address(),
        metadata(),
    ];
    let mut output = objects::schema("customer");
    output["properties"]["created_now"] = json!({"type": "boolean", "title": "Was just added"});
    output["properties"]["found"] = json!({"type": "integer", "title": "Customers with this address"});
    let mut sample = objects::sample("customer");
    (sample["created_now"], sample["found"]) = (json!(false), json!(1));
    Action::new(
        "find_or_create_customer",
        "Find or create customer",
        "Finds the customer of an e-mail address, the oldest when there are several, or adds one.",
        found_or_made,
    )
    .idempotent()
    .input(fields::schema(&given, true))
    .output(output)
    .sample(sample)
}

async fn found_or_made(cx: Cx, input: Json) -> Result<Json, StepError> {
    let client = Client::new(&cx, &input)?.key(input.get("idempotency_key").and_then(Json::as_str))?;
    let email = input.get("email").and_then(Json::as_str).unwrap_or_default().trim().to_owned();
    // The list sees what was written a moment ago, but its letters must be the same; the search is the other way round.
    let mut found = rows(&client.get("/v1/customers", &asked(json!({"email": email, "limit": 100}))).await?);
    if found.is_empty() {
        let query = format!("email:'{}'", email.replace('\\', "\\\\").replace('\'', "\\'"));
        found = match client.get("/v1/customers/search", &asked(json!({"query": query, "limit": 100}))).await {
            Ok(page) => rows(&page),
            // Not every account and key can search; the list is what counts then.
            Err(error) if matches!(error.class, ErrorClass::Invalid | ErrorClass::Denied | ErrorClass::NotFound) => Vec::new(),
            Err(error) => return Err(error),
        };
    }
    let count = found.len();
    let oldest = found.into_iter().min_by_key(|row| row.get("created").and_then(Json::as_i64).unwrap_or(i64::MAX));
    let (mut customer, made) = match oldest {
        Some(customer) => (customer, false),
        None => {
            let mut fields = input.as_object().cloned().unwrap_or_default();
            for name in ["connected_account", "context", "clear", "idempotency_key", "expand"] {
                fields.shift_remove(name);
            }
            if let Some(Json::Object(more)) = fields.shift_remove("more") {
                fields.extend(more);
            }
            fields.insert("email".into(), json!(email));
            (client.post("/v1/customers", &fields, &[]).await?, true)
        }
    };
    customer["created_now"] = json!(made);
    customer["found"] = json!(count);
    Ok(customer)
}

fn asked(fields: Json) -> Map<String, Json> {
    fields.as_object().cloned().unwrap_or_default()
}

fn rows(page: &Json) -> Vec<Json> {
    page.get("data").and_then(Json::as_array).cloned().unwrap_or_default()
}

fn upload() -> Action {
    let mut input = fields::schema(
        &[choice(
            "purpose",
            "Purpose",
            "",
            &[
                "dispute_evidence",
                "identity_document",
                "business_logo",
                "business_icon",
                "customer_signature",
                "additional_verification",
                "account_requirement",
                "tax_document_user_upload",
            ],
        )],
        true,
    );
    input["properties"]["file"] = File::schema();
    input["required"] = json!(["file", "purpose"]);
    Action::new("upload_file", "Upload file", "Sends a file to Stripe, such as evidence for a dispute.", |cx, input| {
        sent(cx, input)
    })
    .idempotent()
    .key_first(KEY_LIFE)
    .input(input)
    .output(objects::schema("file"))
    .sample(objects::sample("file"))
}

async fn sent(cx: Cx, input: Json) -> Result<Json, StepError> {
    let file = File::read(input.get("file").unwrap_or(&Json::Null), cx.http.files())?;
    let (Some(file), Some(files)) = (file, cx.http.files()) else {
        return Err(
            invalid("FILE_UNKNOWN", "\"file\" is no file").with_next("Take the record as a download or an upload gave it.")
        );
    };
    let content = read_whole(files, &file, FILE_BYTES_MAX).await?;
    let purpose = input.get("purpose").and_then(Json::as_str).unwrap_or_default();
    let boundary = format!("liaison{}", hex::encode(&Sha256::digest([file.token.as_bytes(), &content].concat())[..16]));
    let name: String = file.name.chars().map(|c| if matches!(c, '"' | '\\' | '\r' | '\n') { '_' } else { c }).collect();
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {}\r\n\r\n",
        file.kind
    );
    let body = [head.as_bytes(), &content, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    let kind = format!("multipart/form-data; boundary={boundary}");
    let client = Client::new(&cx, &input)?.key(input.get("idempotency_key").and_then(Json::as_str))?;
    object(&client.call(Method::POST, "/v1/files", &[], Body::Bytes(&kind, body)).await?)
}

fn call() -> Action {
    let mut input = fields::schema(
        &[
            choice("method", "Method", "", &["GET", "POST", "DELETE"]).must(),
            text("path", "Path", "Begins with /v1/ or /v2/.").must(),
            record("params", "Fields", "Named and nested as in Stripe's reference."),
            text("api_version", "API version", "In place of the connection's."),
        ],
        true,
    );
    if let Some(properties) = input["properties"].as_object_mut() {
        properties.shift_remove("more");
        properties.shift_remove("clear");
    }
    let output = json!({"type": "object", "properties": {
        "status": {"type": "integer", "title": "Status"}, "request_id": {"type": ["string", "null"], "title": "Request"}, "replayed": {"type": "boolean", "title": "Was done before"}, "body": {"title": "Answer"},
    }, "required": ["status", "body"], "additionalProperties": false});
    Action::new("call_api", "Call Stripe's API", "Makes any call of the API, for what has no action of its own.", |cx, input| {
        called(cx, input)
    })
    .effect(|input| {
        if input.get("method").and_then(Json::as_str) == Some("GET") {
            connector::Effect::None
        } else {
            connector::Effect::Idempotent
        }
    })
    .key_first(KEY_LIFE)
    .input(input)
    .output(output)
    .sample(json!({"status": 200, "request_id": "req_ExampleOfStrip", "replayed": false, "body": {"object": "balance"}}))
}

async fn called(cx: Cx, input: Json) -> Result<Json, StepError> {
    let path = input.get("path").and_then(Json::as_str).unwrap_or_default();
    let fine = (path.starts_with("/v1/") || path.starts_with("/v2/"))
        && !path.contains(['?', '#', '\\'])
        && !path.split('/').any(|part| matches!(part, "." | ".."));
    if !fine {
        return Err(invalid(
            "PATH_INVALID",
            format!("\"{path}\" is no path of Stripe's API: it begins with /v1/ or /v2/, and fields go into params"),
        ));
    }
    let method = match input.get("method").and_then(Json::as_str) {
        Some("POST") => Method::POST,
        Some("DELETE") => Method::DELETE,
        _ => Method::GET,
    };
    let mut fields = input.get("params").and_then(Json::as_object).cloned().unwrap_or_default();
    if let Some(expand) = input.get("expand").filter(|expand| expand.is_array()) {
        fields.insert("expand".into(), expand.clone());
    }
    let client = Client::new(&cx, &input)?.key(input.get("idempotency_key").and_then(Json::as_str))?;
    let whole = Json::Object(fields.clone());
    let pairs = form::pairs(&fields)?;
    let answer = match (&method, path.starts_with("/v2/")) {
        (&Method::POST, true) => client.call(method, path, &[], Body::Json(&whole)).await?,
        (&Method::POST, false) => client.call(method, path, &[], Body::Form(&pairs)).await?,
        _ => client.call(method, path, &pairs, Body::None).await?,
    };
    Ok(json!({
        "status": answer.status.as_u16(), "request_id": answer.header("request-id"),
        "replayed": answer.header("idempotent-replayed") == Some("true"), "body": client::json(&answer)?,
    }))
}
