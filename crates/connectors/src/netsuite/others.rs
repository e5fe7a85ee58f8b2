//! RESTlets, the catalog, batches, asynchronous calls, and any other call.

use std::time::Duration;

use ::http::{HeaderName, Method, header};
use connector::{
    Action, Cx, Effect, ErrorClass, Object, Shaped, StepError,
    api::{Answer, Call},
};
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    api::{self, DIALECT, PREFER, UNEXPECTED, invalid, needed, text, without_links},
    settings, suiteql,
};

/// Records of a batch.
const BATCH_MAX: usize = 100;
/// Rows of one step.
const ROWS_MAX: usize = 2_000;
/// Pauses while a batch is worked on.
const ASK_FIRST: Duration = Duration::from_millis(200);
const ASK_LAST: Duration = Duration::from_secs(10);
const COLLECTION: &str = "application/vnd.oracle.resource+json; type=collection";

fn method(input: &Json, default: Method) -> Result<Method, StepError> {
    text(input, "method").map_or(Ok(default), |word| word.parse().map_err(|_| invalid("the method is not known")))
}

fn pairs(input: &Json, name: &str) -> Vec<(String, String)> {
    let plain = |value: &Json| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    input.get(name).and_then(Json::as_object).into_iter().flatten().map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// What a RESTlet or a free call answered.
fn plain(answer: &Answer) -> Result<Json, StepError> {
    if answer.body.is_empty() {
        return Ok(Json::Null);
    }
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")) {
        return Ok(json!(String::from_utf8_lossy(&answer.body)));
    }
    answer.json()
}

async fn restlet(cx: Cx, input: Json) -> Result<Json, StepError> {
    let method = method(&input, Method::GET)?;
    let mut url = settings::base(&cx, "restlets")?;
    url.set_path("/app/site/hosting/restlet.nl");
    let deploy = text(&input, "deploy").unwrap_or("1").to_owned();
    let mut query = vec![("script".to_owned(), needed(&input, "script")?.to_owned()), ("deploy".to_owned(), deploy)];
    query.extend(pairs(&input, "params"));
    let with_body = matches!(method, Method::POST | Method::PUT);
    let sign = settings::sign(&cx)?;
    let mut call = Call::new(&cx, &DIALECT, &*sign, method, url).query(query);
    call = if with_body {
        call.json(input.get("body").unwrap_or(&Json::Null))
    } else {
        call.header(header::CONTENT_TYPE, "application/json")
    };
    let answer = call.send().await?;
    let body = plain(&answer)?;
    if let Some(field) = text(&input, "success_field") {
        let found = field.split('.').try_fold(&body, |value, part| value.get(part));
        if found != Some(&json!(true)) {
            let words = format!("the script answered, but \"{field}\" in its answer is not true");
            return Err(answer.describe(
                StepError::new(ErrorClass::Invalid, "SCRIPT_REFUSED", words)
                    .with_next("See the answer for what the script says, and correct the data."),
            ));
        }
    }
    Ok(json!({ "status": answer.status.as_u16(), "body": body }))
}

async fn custom(cx: Cx, input: Json) -> Result<Json, StepError> {
    let method = method(&input, Method::GET)?;
    let path = needed(&input, "path")?;
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if parts.iter().any(|part| *part == "." || *part == ".." || part.contains(['?', '#'])) {
        return Err(invalid("\"path\" is what follows /services/rest/, without dots, ? and #; use query for parameters"));
    }
    let mut url = settings::base(&cx, "suitetalk")?;
    // The path is taken as written, so that eid:… and !transform stay.
    url.set_path(&format!("/services/rest/{}", parts.join("/")));
    let sign = settings::sign(&cx)?;
    let mut call = Call::new(&cx, &DIALECT, &*sign, method, url).query(pairs(&input, "query"));
    if let Some(body) = input.get("body") {
        call = call.json(body);
    }
    for (name, value) in pairs(&input, "headers") {
        let name: HeaderName = name.parse().map_err(|_| invalid(format!("\"{name}\" is no name of a header")))?;
        if name == header::AUTHORIZATION || name == header::HOST {
            return Err(invalid("the connection signs in; leave the headers authorization and host out"));
        }
        call = call.header(name, &value);
    }
    let answer = call.send().await?;
    let headers: Map<String, Json> =
        answer.headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), json!(value.to_str().ok()?)))).collect();
    Ok(json!({ "status": answer.status.as_u16(), "headers": headers, "body": plain(&answer)? }))
}

/// The types of the account.
pub(super) async fn objects(cx: Cx) -> Result<Vec<Object>, StepError> {
    let answer = api::call(&cx, Method::GET, api::record_url(&cx, &["metadata-catalog"])?, &[], None).await?;
    let body = answer.json()?;
    let Some(items) = body.get("items").and_then(Json::as_array) else { return Err(answer.unreadable("it has no items")) };
    let object = |item: &Json| item["name"].as_str().map(|name| Object { name: name.to_owned(), title: title(name) });
    Ok(items.iter().filter_map(object).collect())
}

/// `Sales order` of `salesOrder`.
fn title(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            out.push(' ');
            out.extend(letter.to_lowercase());
        } else if out.is_empty() {
            out.extend(letter.to_uppercase());
        } else {
            out.push(if letter == '_' { ' ' } else { letter });
        }
    }
    out
}

/// One type as JSON Schema. The catalog never says what is required; hints are in the titles of forms, not here.
pub(super) async fn object(cx: Cx, name: String) -> Result<Json, StepError> {
    let url = api::record_url(&cx, &["metadata-catalog", &name])?;
    let answer = api::call_with(&cx, Method::GET, url, &[], None, &[(header::ACCEPT, "application/schema+json")]).await?;
    let mut schema = answer.json()?;
    if !schema.get("properties").is_some_and(Json::is_object) {
        return Err(answer.unreadable("it describes no record"));
    }
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        if let Some(properties) = members.get_mut("properties").and_then(Json::as_object_mut) {
            properties.remove("links");
        }
    }
    Ok(without_links(without_refs(schema)))
}

/// Some of the catalog's references lead nowhere: what they stand for is anything.
fn without_refs(value: Json) -> Json {
    match value {
        Json::Object(members) if members.contains_key("$ref") => json!({}),
        Json::Object(members) => Json::Object(members.into_iter().map(|(name, value)| (name, without_refs(value))).collect()),
        Json::Array(items) => Json::Array(items.into_iter().map(without_refs).collect()),
        other => other,
    }
}

/// One row by SuiteQL; a role that may not use it is shown the catalog instead.
async fn check_connection(cx: Cx) -> Result<Json, StepError> {
    match suiteql::page(&cx, "SELECT 1 AS ok FROM dual", 1, 0).await {
        Ok(_) => Ok(json!({ "suiteql": true })),
        Err(error) if error.class == ErrorClass::Denied => {
            objects(cx).await?;
            Ok(json!({ "suiteql": false }))
        }
        Err(error) => Err(error),
    }
}

async fn metadata(cx: Cx, input: Json) -> Result<Json, StepError> {
    object(cx, needed(&input, "type")?.to_owned()).await
}

/// Sends an asynchronous call; the address of its job, also of the one that an earlier attempt began.
async fn submit(
    cx: &Cx,
    method: Method,
    url: url::Url,
    query: &[(&str, String)],
    body: Option<&Json>,
    media: &str,
    key: &str,
) -> Result<String, StepError> {
    let first = Mutex::new(None);
    let find = |answer: &Answer| {
        let refusal = (DIALECT.refusal)(answer);
        if refusal.as_ref().is_some_and(|refusal| refusal.code == "IDEMPOTENCY_ERROR") {
            *first.lock() = answer.header("location").map(ToOwned::to_owned);
        }
        refusal
    };
    let sign = settings::sign(cx)?;
    let mut call =
        Call::new(cx, &DIALECT, &*sign, method, url).query(query.iter().map(|(name, value)| (*name, value))).refusals(&find);
    if let Some(body) = body {
        call = call.body(media, body.to_string().into());
    }
    call = call.header(PREFER, "respond-async").header(HeaderName::from_static("x-netsuite-idempotency-key"), key);
    let sent = call.send().await;
    if let Some(location) = first.lock().take() {
        return Ok(location);
    }
    let answer = sent?;
    answer.header("location").map(ToOwned::to_owned).ok_or_else(|| answer.unreadable("the address of the call is missing"))
}

fn job_id(location: &str) -> &str {
    location.rsplit('/').next().unwrap_or_default()
}

/// A key of our own, in the form of a UUID.
fn uuid(cx: &Cx, part: usize) -> String {
    let hash = hex::encode(Sha256::digest(format!("{}\n{part}", cx.idempotency_key)));
    format!("{}-{}-{}-{}-{}", &hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..32])
}

async fn job(cx: &Cx, id: &str, rest: &[&str]) -> Result<Answer, StepError> {
    job_page(cx, id, rest, &[]).await
}

async fn job_page(cx: &Cx, id: &str, rest: &[&str], query: &[(&str, String)]) -> Result<Answer, StepError> {
    let mut path = vec!["services", "rest", "async", "v1", "job", id];
    path.extend(rest);
    api::call_with(cx, Method::GET, api::url(cx, &path)?, query, None, &[(PREFER, "transient")]).await
}

/// Limit and offset of the next page, as an answer's link says them: the size of these pages is NetSuite's own.
fn next_page(body: &Json) -> Option<Vec<(&'static str, String)>> {
    let link = body["links"].as_array()?.iter().find(|link| link["rel"] == "next")?;
    let url = url::Url::parse(link["href"].as_str()?).ok()?;
    let value = |name: &'static str| Some((name, url.query_pairs().find(|(known, _)| known == name)?.1.into_owned()));
    Some(vec![value("limit")?, value("offset")?])
}

/// The numbers of an asynchronous call's parts, over all pages of their list, and the last page.
async fn tasks(cx: &Cx, id: &str) -> Result<(Vec<String>, Answer), StepError> {
    let mut all: Vec<String> = Vec::new();
    let mut query = Vec::new();
    loop {
        let listed = job_page(cx, id, &["task"], &query).await?;
        let body = listed.json()?;
        let Some(items) = body["items"].as_array() else { return Err(listed.unreadable("it has no list of parts")) };
        for task in items {
            match task["id"].as_str() {
                Some(task) if !all.iter().any(|known| known == task) => all.push(task.to_owned()),
                Some(_) => return Err(listed.unreadable("its list of parts gives a part twice")),
                None => return Err(listed.unreadable("a part has no number")),
            }
        }
        if body["hasMore"] != true {
            return Ok((all, listed));
        }
        query = next_page(&body)
            .filter(|_| !items.is_empty())
            .ok_or_else(|| listed.unreadable("its list of parts goes on, and it does not say where"))?;
    }
}

/// What became of each part of an asynchronous call; of all `expected` ones, where their number is known.
async fn results(cx: &Cx, id: &str, expected: Option<usize>) -> Result<Vec<Json>, StepError> {
    let (tasks, listed) = tasks(cx, id).await?;
    if let Some(expected) = expected.filter(|expected| *expected != tasks.len()) {
        return Err(listed.unreadable(&format!("it lists {} parts of {expected} records", tasks.len())));
    }
    let mut out = Vec::with_capacity(tasks.len());
    for task in &tasks {
        // A part that failed answers as the call itself would have.
        out.push(match job(cx, id, &["task", task, "result"]).await {
            Ok(answer) => {
                let made = answer.header("location").map(job_id);
                let body = if answer.body.is_empty() { Json::Null } else { without_links(answer.json()?) };
                json!({ "ok": true, "id": made, "body": body })
            }
            Err(error) if matches!(error.class, ErrorClass::Invalid | ErrorClass::NotFound | ErrorClass::Conflict) => {
                json!({ "ok": false, "code": error.code, "message": error.message })
            }
            // The answer of a part that failed is kept, and would be the same for ever. These may also mean that a part that was
            // done cannot be looked at.
            Err(error)
                if (error.code == UNEXPECTED || error.class == ErrorClass::Denied)
                    && job(cx, id, &["task", task]).await?.json()?["progress"] == "failed" =>
            {
                json!({ "ok": false, "code": error.code, "message": error.message })
            }
            Err(error) => return Err(error),
        });
    }
    Ok(out)
}

/// Waits until a call is completed, as long as the attempt may take.
async fn wait(cx: &Cx, id: &str) -> Result<(), StepError> {
    let mut pause = ASK_FIRST;
    loop {
        let answer = job(cx, id, &[]).await?;
        if answer.json()?["completed"] == true {
            return Ok(());
        }
        if cx.left() <= pause {
            let words = format!("NetSuite still works on the call {id}");
            return Err(StepError::new(ErrorClass::Timeout, "STILL_WORKING", words)
                .with_next("Nothing to do: the next attempt waits for the same call."));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(ASK_LAST);
    }
}

async fn batch(cx: Cx, input: Json) -> Result<Json, StepError> {
    let (operation, kind) = (needed(&input, "operation")?, needed(&input, "type")?);
    let rows = input["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.len() > ROWS_MAX {
        return Err(invalid(format!("there are more than {ROWS_MAX} rows; send them in chunks")));
    }
    let url = api::record_url(&cx, &[kind])?;
    let mut all = Vec::with_capacity(rows.len());
    for (part, chunk) in rows.chunks(BATCH_MAX).enumerate() {
        let (method, query, body) = match operation {
            "delete" => (Method::DELETE, vec![("ids", keys(chunk)?.join(","))], None),
            "create" => (Method::POST, Vec::new(), Some(json!({ "items": chunk }))),
            "update" => (Method::PATCH, Vec::new(), Some(json!({ "items": chunk }))),
            _ => (Method::PUT, Vec::new(), Some(json!({ "items": chunk }))),
        };
        let location = submit(&cx, method, url.clone(), &query, body.as_ref(), COLLECTION, &uuid(&cx, part)).await?;
        wait(&cx, job_id(&location)).await?;
        all.extend(results(&cx, job_id(&location), Some(chunk.len())).await?);
    }
    for (index, result) in all.iter_mut().enumerate() {
        result["index"] = json!(index);
    }
    let failed = all.iter().filter(|result| result["ok"] == false).count();
    Ok(json!({ "count": all.len(), "failed": failed, "results": all }))
}

fn keys(rows: &[Json]) -> Result<Vec<String>, StepError> {
    let key = |row: &Json| match (row.get("id").and_then(Json::as_str), row.get("externalId").and_then(Json::as_str)) {
        (Some(id), _) => Ok(id.to_owned()),
        (None, Some(external)) => Ok(format!("eid:{external}")),
        _ => Err(invalid("each row to delete has an id or an externalId")),
    };
    rows.iter().map(key).collect()
}

async fn submit_async(cx: Cx, input: Json) -> Result<Json, StepError> {
    let method = method(&input, Method::POST)?;
    let mut url = settings::base(&cx, "suitetalk")?;
    let path = needed(&input, "path")?.trim_start_matches('/');
    if path.split('/').any(|part| part == "." || part == ".." || part.contains(['?', '#'])) {
        return Err(invalid("\"path\" is what follows /services/rest/record/v1/"));
    }
    url.set_path(&format!("/services/rest/record/v1/{path}"));
    let location = submit(&cx, method, url, &[], input.get("body"), "application/json", &uuid(&cx, 0)).await?;
    Ok(json!({ "job": job_id(&location), "location": location }))
}

/// How a call stands; its results when it is completed.
pub(super) async fn standing(cx: &Cx, id: &str) -> Result<Json, StepError> {
    let state = job(cx, id, &[]).await?.json()?;
    let completed = state["completed"] == true;
    let results = if completed { results(cx, id, None).await? } else { Vec::new() };
    Ok(json!({ "job": id, "completed": completed, "progress": state["progress"], "results": results }))
}

async fn check_async(cx: Cx, input: Json) -> Result<Json, StepError> {
    standing(&cx, needed(&input, "job")?).await
}

pub(super) fn actions() -> Vec<Action> {
    let by_method = |input: &Json| match input.get("method").and_then(Json::as_str) {
        None | Some("GET") => Effect::None,
        Some("PUT" | "DELETE") => Effect::Idempotent,
        _ => Effect::Once,
    };
    let script_effect = |input: &Json| {
        if matches!(input.get("method").and_then(Json::as_str), None | Some("GET")) { Effect::None } else { Effect::Once }
    };
    let methods = json!({"type": "string", "enum": ["GET", "POST", "PUT", "PATCH", "DELETE"], "title": "Method"});
    let kind = json!({"type": "string", "title": "Record type"});
    let result = json!({"type": "object", "properties": {"ok": {"type": "boolean"}, "code": {"type": "string"}, "message": {"type": "string"}, "index": {"type": "integer"}}, "required": ["ok"]});
    vec![
        Action::new("check_connection", "Check the connection", "Signs in and asks for one row; a role without SuiteQL asks for the catalog of records.", |cx, _| check_connection(cx))
            .reads()
            .output(json!({"type": "object", "properties": {"suiteql": {"type": "boolean", "title": "SuiteQL may be used"}}, "required": ["suiteql"]}))
            .sample(json!({ "suiteql": true })),
        Action::new("call_restlet", "Call RESTlet", "Calls a script of the account.", restlet).effect(script_effect)
            .input(json!({"type": "object", "properties": {
                "script": {"type": "string", "title": "Script", "description": "Its number or id, such as customscript_orders."},
                "deploy": {"type": "string", "default": "1", "title": "Deployment"},
                "method": {"type": "string", "enum": ["GET", "POST", "PUT", "DELETE"], "default": "GET", "title": "Method"},
                "params": {"type": "object", "title": "Parameters"},
                "body": {"title": "Body", "description": "For POST and PUT."},
                "success_field": {"type": "string", "title": "Success field", "description": "A field of the answer that must be true, such as success or result.ok."}
            }, "required": ["script"], "additionalProperties": false}))
            .output(json!({"type": "object", "properties": {"status": {"type": "integer", "title": "Status"}, "body": {"title": "Answer"}}, "required": ["status", "body"]}))
            .sample(json!({ "status": 200, "body": { "success": true } })),
        Action::new("batch_records", "Batch of records", "Creates, updates, upserts or deletes many records of a type and tells of each. NetSuite works on 100 at a time.", batch)
            .idempotent()
            .input(json!({"type": "object", "properties": {
                "operation": {"type": "string", "enum": ["create", "update", "upsert", "delete"], "title": "What to do"},
                "type": kind,
                "rows": {"type": "array", "title": "Records", "description": "Fields by name; id or externalId names the record.", "items": {"type": "object"}, "maxItems": ROWS_MAX}
            }, "required": ["operation", "type", "rows"], "additionalProperties": false}))
            .output(json!({"type": "object", "properties": {"count": {"type": "integer", "title": "Records"}, "failed": {"type": "integer", "title": "Refused"}, "results": {"type": "array", "items": result}}, "required": ["count", "failed", "results"]}))
            .sample(json!({ "count": 1, "failed": 0, "results": [{ "ok": true, "id": "647", "index": 0 }] }))
            .shaped(Shaped::by("type").writes("rows[]").keys(&["id", "externalId"])),
        Action::new("submit_async", "Submit asynchronous call", "Begins a record call that NetSuite does later.", submit_async).idempotent().key_life(Duration::MAX)
            .input(json!({"type": "object", "properties": {"path": {"type": "string", "title": "Path", "description": "What follows /services/rest/record/v1/."}, "method": methods, "body": {"title": "Body"}}, "required": ["path"], "additionalProperties": false}))
            .output(json!({"type": "object", "properties": {"job": {"type": "string", "title": "Number"}, "location": {"type": "string", "title": "Address"}}, "required": ["job"]}))
            .sample(json!({ "job": "1", "location": "https://1234567.suitetalk.api.netsuite.com/services/rest/async/v1/job/1" })),
        Action::new("check_async", "Check asynchronous call", "Tells how an asynchronous call stands and what came of its parts.", check_async).reads()
            .input(json!({"type": "object", "properties": {"job": {"type": "string", "title": "Number"}}, "required": ["job"], "additionalProperties": false}))
            .output(json!({"type": "object", "properties": {"job": {"type": "string"}, "completed": {"type": "boolean", "title": "Completed"}, "progress": {"type": "string", "title": "Progress"}, "results": {"type": "array", "items": {"type": "object"}}}, "required": ["job", "completed"]}))
            .sample(json!({ "job": "1", "completed": true, "progress": "succeeded", "results": [] })),
        Action::new("record_metadata", "Get record metadata", "Describes the fields of a record type.", metadata).reads()
            .input(json!({"type": "object", "properties": {"type": {"type": "string", "title": "Record type"}}, "required": ["type"], "additionalProperties": false}))
            .output(json!({"type": "object", "properties": {"properties": {"type": "object"}}, "required": ["properties"]}))
            .sample(json!({ "type": "object", "properties": { "companyName": { "title": "Company name", "type": "string" } } })),
        Action::new("custom_call", "Custom API call", "Makes any call below /services/rest/.", custom).effect(by_method)
            .input(json!({"type": "object", "properties": {
                "path": {"type": "string", "title": "Path", "description": "Such as record/v1/customer/107."},
                "method": methods, "query": {"type": "object", "title": "Parameters"}, "headers": {"type": "object", "title": "Headers"}, "body": {"title": "Body"}
            }, "required": ["path"], "additionalProperties": false}))
            .output(json!({"type": "object", "properties": {"status": {"type": "integer", "title": "Status"}, "headers": {"type": "object"}, "body": {"title": "Answer"}}, "required": ["status", "headers", "body"]}))
            .sample(json!({ "status": 200, "headers": {}, "body": { "id": "107" } })),
    ]
}
