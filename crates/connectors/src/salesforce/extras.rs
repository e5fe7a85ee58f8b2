//! Limits, describes, reports, flows, Apex, campaigns, notes, events, and calls of any kind.

use ::http::{Method, header};
use connector::{Action, Cx, Effect, StepError, api::Call};
use serde_json::{Map, Value as Json, json};

use super::{
    api::{Api, below, flag, invalid, text},
    describe, fields_input, id_input, input, object_input,
};

pub(super) fn actions() -> Vec<Action> {
    let method =
        json!({"type": "string", "enum": ["GET", "POST", "PUT", "PATCH", "DELETE"], "default": "GET", "title": "Method"});
    let query = json!({"type": "object", "title": "Query", "additionalProperties": {"type": ["string", "number", "boolean"]}});
    let idempotent = json!({"type": "boolean", "title": "May be repeated", "description": "Repeating it leaves the same state, so that it may be tried again after a lost answer."});
    let raw = json!({"type": "object", "additionalProperties": false, "required": ["status", "headers", "body"], "properties": {"status": {"type": "integer"}, "headers": {"type": "object"}, "body": {}}});
    vec![
        Action::new("limits", "Get the limits", "Tells what is left of the org's limits, and tests the connection.", limits)
            .reads()
            .output(json!({"type": "object", "additionalProperties": false, "required": ["limits"], "properties": {"limits": {"type": "object", "additionalProperties": {"type": "object"}}}}))
            .sample(json!({"limits": {"DailyApiRequests": {"Max": 15000, "Remaining": 14982}}})),
        Action::new("describe_object", "Describe an object", "Tells an object's fields as a schema.", |cx, given| async move {
                let schema = describe::object(cx, text(&given, "object").to_owned()).await?;
                Ok(json!({ "schema": schema }))
            })
            .reads()
            .input(input(json!({"object": object_input()}), &["object"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["schema"], "properties": {"schema": {"type": "object"}}}))
            .sample(json!({"schema": {"type": "object", "title": "Account", "properties": {"Name": {"type": "string", "title": "Account Name", "maxLength": 255}}, "required": ["Name"]}})),
        Action::new("run_report", "Run a report", "Runs a report and gives its rows, at most 2,000.", report)
            .reads()
            .input(input(json!({"report_id": id_input()}), &["report_id"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["name", "rows", "complete"], "properties": {"name": {"type": "string"}, "rows": {"type": "array", "items": {"type": "object"}},
                "complete": {"type": "boolean", "description": "False when Salesforce left rows out."}}}))
            .sample(json!({"name": "Open Invoices", "rows": [{"Invoice_Number__c": "INV-1001"}], "complete": true})),
        Action::new("run_flow", "Run a flow", "Starts an autolaunched flow and waits for its outputs.", flow)
            .input(input(json!({"flow": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$", "title": "Flow", "description": "Its API name."}, "inputs": {"type": "object", "title": "Inputs", "additionalProperties": true}}), &["flow"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["outputs"], "properties": {"outputs": {"type": "object"}}}))
            .sample(json!({"outputs": {"message": "Welcome"}})),
        Action::new("call_apex_rest", "Call an Apex REST service", "Calls a service that your developers wrote.", |cx, given| any(cx, given, true))
            .effect(repeating)
            .input(input(json!({"path": {"type": "string", "title": "Path", "description": "Below /services/apexrest/."}, "method": method, "query": query, "body": {"title": "Body"}, "idempotent": idempotent}), &["path"]))
            .output(raw.clone())
            .sample(json!({"status": 200, "headers": {}, "body": {"ok": true}})),
        Action::new("add_campaign_member", "Add a campaign member", "Adds a lead or a contact to a campaign; one who is there already stays.", member)
            .idempotent()
            .input(input(json!({"campaign_id": id_input(), "person_id": {"type": "string", "pattern": "^00[Q3][A-Za-z0-9]{12}([A-Za-z0-9]{3})?$", "title": "Lead or contact id"}, "status": {"type": "string", "title": "Status", "description": "Such as Sent or Responded."}}), &["campaign_id", "person_id"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["id", "created"], "properties": {"id": {"type": "string"}, "created": {"type": "boolean"}}}))
            .sample(json!({"id": "00vxx0000001AbCAAU", "created": true})),
        Action::new("add_note", "Add a note", "Adds a note to a record.", note)
            .input(input(json!({"record_id": id_input(), "title": {"type": "string", "minLength": 1, "maxLength": 80, "title": "Title"}, "text": {"type": "string", "maxLength": 32000, "title": "Text"}, "private": {"type": "boolean", "default": false, "title": "Private"}}), &["record_id", "title"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["id"], "properties": {"id": {"type": "string"}}}))
            .sample(json!({"id": "002xx0000001AbCAAU"})),
        Action::new("publish_event", "Publish a platform event", "Publishes a platform event; it is told at least once, so put a key of your own into a field.", publish)
            .input(input(json!({"event": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*__e$", "title": "Event", "description": "Its API name: Order_Event__e."}, "fields": fields_input()}), &["event", "fields"]))
            .output(json!({"type": "object", "additionalProperties": false, "required": ["uuid"], "properties": {"uuid": {"type": ["string", "null"]}}}))
            .sample(json!({"uuid": "e0e4c5a2-6d3b-4a55-a1b2-0123456789ab"})),
        Action::new("custom_request", "Make a call of your own", "Calls any resource of the REST API.", |cx, given| any(cx, given, false))
            .effect(repeating)
            .input(input(json!({"path": {"type": "string", "title": "Path", "description": "Below the version, such as limits or tooling/query, or from /services/ on."}, "method": method, "query": query, "body": {"title": "Body"}, "idempotent": idempotent}), &["path"]))
            .output(raw)
            .sample(json!({"status": 200, "headers": {"sforce-limit-info": "api-usage=18/15000"}, "body": {}})),
    ]
}

/// GET reads; PUT and DELETE leave the same state; PATCH of a record too, but a PATCH of something else may not.
fn repeating(input: &Json) -> Effect {
    match (input.get("method").and_then(Json::as_str).unwrap_or("GET"), input.get("idempotent").and_then(Json::as_bool)) {
        ("GET", _) => Effect::None,
        (_, Some(true)) => Effect::Idempotent,
        ("PUT" | "DELETE", None) => Effect::Idempotent,
        _ => Effect::Once,
    }
}

async fn limits(cx: Cx, _: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let answer = api.send(api.get(&["limits"])).await?;
    let limits = answer.json()?;
    if limits.is_object() { Ok(json!({ "limits": limits })) } else { Err(answer.unreadable("it holds no limits")) }
}

async fn report(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let answer =
        api.send(api.get(&["analytics", "reports", text(&given, "report_id")]).query([("includeDetails", "true")])).await?;
    let body = answer.json()?;
    let columns: Vec<String> = body["reportMetadata"]["detailColumns"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let facts = body["factMap"].as_object().ok_or_else(|| answer.unreadable("it holds no rows"))?;
    let mut rows = Vec::new();
    // The rows of each group; T!T holds those of a report without groups, else the totals.
    for row in facts.values().filter_map(|fact| fact["rows"].as_array()).flatten() {
        let cells = row["dataCells"].as_array().into_iter().flatten().map(|cell| cell["value"].clone());
        rows.push(columns.iter().cloned().zip(cells).collect::<Map<String, Json>>());
    }
    let name = body["reportMetadata"]["name"].as_str().or(body["attributes"]["reportName"].as_str()).unwrap_or_default();
    Ok(json!({ "name": name, "rows": rows, "complete": body["allData"] != false }))
}

async fn flow(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let inputs = given.get("inputs").cloned().unwrap_or_else(|| json!({}));
    let name = text(&given, "flow");
    let call = api.call(Method::POST, api.url(&["actions", "custom", "flow", name])).json(&json!({ "inputs": [inputs] }));
    let answer = api.send(call.accepts(&[400])).await?;
    let body = answer.json()?;
    let result = &body[0];
    if result["isSuccess"] == true {
        return Ok(json!({ "outputs": result["outputValues"].as_object().cloned().unwrap_or_default() }));
    }
    let error = result["errors"].as_array().and_then(|errors| errors.first()).unwrap_or(result);
    let next = "See the flow's error email, or ask your Salesforce admin.";
    let words = |words: &str| format!("the flow {name} failed: {words}");
    Err(answer.describe(super::errors::of_error(error, "FLOW_FAILED", next, words)))
}

async fn any(cx: Cx, given: Json, apex: bool) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let path = text(&given, "path");
    if path.split(['/', '?']).any(|part| part == "..") || path.contains("://") {
        return Err(invalid(
            "INPUT_INVALID",
            format!("the path \"{path}\" leads elsewhere"),
            "Write the path of a resource of the org.",
        ));
    }
    let mut url = match path.strip_prefix("/services/") {
        _ if apex => api.whole_url(&["services", "apexrest"]),
        Some(_) => api.whole_url(&["services"]),
        None => api.url(&[]),
    };
    below(&mut url, path.strip_prefix("/services/").filter(|_| !apex).unwrap_or(path));
    let method: Method = given.get("method").and_then(Json::as_str).unwrap_or("GET").parse().unwrap_or(Method::GET);
    let mut call: Call<'_> = api.call(method, url).header(header::ACCEPT, "application/json, */*;q=0.5");
    let pairs: Vec<(String, String)> = given
        .get("query")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    call = call.query(pairs);
    if let Some(body) = given.get("body").filter(|body| !body.is_null()) {
        call = call.json(body);
    }
    let answer = api.send(call).await?;
    let kind = answer.header("content-type").unwrap_or_default();
    let body = if answer.body.is_empty() {
        Json::Null
    } else if kind.contains("json") {
        answer.json()?
    } else {
        String::from_utf8_lossy(&answer.body).into_owned().into()
    };
    let headers: Map<String, Json> =
        answer.headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), json!(value.to_str().ok()?)))).collect();
    Ok(json!({ "status": answer.status.as_u16(), "headers": headers, "body": body }))
}

async fn member(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let (campaign, person) = (text(&given, "campaign_id"), text(&given, "person_id"));
    let field = if person.starts_with("00Q") { "LeadId" } else { "ContactId" };
    let soql = format!(
        "SELECT Id FROM CampaignMember WHERE CampaignId = {} AND {field} = {} LIMIT 1",
        super::filter::quoted(campaign),
        super::filter::quoted(person)
    );
    let found = super::query::records(&api, &super::query::ask(&api, "query", &soql).await?, None).await?;
    if let Some(id) = found.items.first().and_then(|member| member["Id"].as_str()) {
        return Ok(json!({ "id": id, "created": false }));
    }
    let mut fields = json!({ "CampaignId": campaign, field: person });
    if !text(&given, "status").is_empty() {
        fields["Status"] = given["status"].clone();
    }
    let id = created(&api, "CampaignMember", &fields).await?;
    Ok(json!({ "id": id, "created": true }))
}

async fn note(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let fields = json!({ "ParentId": given["record_id"], "Title": given["title"], "Body": given.get("text"), "IsPrivate": flag(&given, "private") });
    let id = created(&api, "Note", &fields).await?;
    Ok(json!({ "id": id }))
}

async fn created(api: &Api<'_>, object: &str, fields: &Json) -> Result<String, StepError> {
    let answer = api.send(api.call(Method::POST, api.url(&["sobjects", object])).json(fields)).await?;
    let body = answer.json()?;
    body["id"].as_str().map(str::to_owned).ok_or_else(|| answer.unreadable("it holds no id"))
}

async fn publish(cx: Cx, given: Json) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let answer = api.send(api.call(Method::POST, api.url(&["sobjects", text(&given, "event")])).json(&given["fields"])).await?;
    let body = answer.json()?;
    if body["success"] != true {
        return Err(answer.unreadable("it does not say that the event was published"));
    }
    // A filled list of errors belongs to a good answer here: it holds the event's id.
    let uuid = body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|error| error["statusCode"] == "OPERATION_ENQUEUED")
        .map(|error| error["message"].clone());
    Ok(json!({ "uuid": uuid }))
}
