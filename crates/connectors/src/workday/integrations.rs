//! The service `Integrations`: reference ids of everything, and integrations that are launched and waited for.

use std::time::Duration;

use connector::{Action, Cx, Page, StepError, whole};
use serde_json::{Map, Value as Json, json};

use super::{
    api::{ROWS_MAX, text},
    schema,
    soap::{self, unreadable},
};

/// Reference ids of a page; the service takes 999.
const COUNT: u64 = 500;
/// Pause between two looks at an integration that is waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Longest wait in one step.
const WAIT_S_MAX: u64 = 600;

async fn references(cx: Cx, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let number = cursor.as_ref().and_then(Json::as_u64).unwrap_or(1);
    let body = json!({
        "Request_Criteria": { "Reference_ID_Type": input["type"] },
        "Response_Filter": { "Page": number, "Count": COUNT },
    });
    let answer = soap::operation(&cx, "Integrations", "Get_References_Request", &body).await?;
    let (found, pages) = soap::page(&answer, "Reference_ID", number)?;
    let row = |one: &Json| {
        json!({
            "id": one["Reference_ID_Data"]["ID"],
            "wid": soap::id_of(&one["Reference_ID_Reference"], "WID"),
            "type": one["Reference_ID_Data"]["Reference_ID_Type"],
            "name": one["Reference_ID_Data"]["Referenced_Object_Descriptor"],
        })
    };
    Ok(Page { items: found.iter().map(row).collect(), next: (number < pages).then(|| json!(number + 1)) })
}

/// An integration's run as recipes see it.
fn told(event: &Json) -> Result<Json, StepError> {
    let data = &event["Integration_Event_Data"];
    let id = soap::id_of(&event["Integration_Event_Reference"], "WID")
        .ok_or_else(|| unreadable("it does not say which run of the integration it tells of"))?;
    let status = &event["Background_Process_Instance_Data"]["Background_Process_Instance_Status_Reference"];
    let done = data["Completed_DateTime"].as_str().filter(|at| !at.is_empty());
    Ok(json!({
        "event": id,
        "completed": done.is_some(),
        "status": status["@Descriptor"].as_str().map(str::to_owned).or_else(|| soap::id_of(status, "")),
        "message": data["Integration_Response_Message"],
        "started_at": data["Initiated_DateTime"],
        "completed_at": done,
        "documents": soap::list(&event["Background_Process_Instance_Data"]["Output_Document_Data"]),
    }))
}

/// How the run stands; with `wait_s` it is looked at again until it is over or the time is.
async fn look(cx: &Cx, input: &Json, event: &str) -> Result<Json, StepError> {
    let wait = Duration::from_secs(input["wait_s"].as_u64().unwrap_or_default().min(WAIT_S_MAX))
        .min(cx.left().saturating_sub(LOOK_AGAIN));
    let begun = tokio::time::Instant::now();
    loop {
        let body = json!({ "Request_References": { "Integration_Event_Reference": soap::reference("WID", event) } });
        let answer = soap::operation(cx, "Integrations", "Get_Integration_Events_Request", &body).await?;
        let (found, _) = soap::page(&answer, "Integration_Event", 1)?;
        let told = told(found.first().unwrap_or(&Json::Null))?;
        let left = wait.saturating_sub(begun.elapsed());
        if told["completed"] == true || left.is_zero() {
            return Ok(told);
        }
        tokio::time::sleep(LOOK_AGAIN.min(left)).await;
    }
}

async fn get_event(cx: Cx, input: Json) -> Result<Json, StepError> {
    look(&cx, &input, text(&input, "event")).await
}

async fn launch(cx: Cx, input: Json) -> Result<Json, StepError> {
    let system = text(&input, "integration").trim();
    let is_wid = system.len() == 32 && system.bytes().all(|letter| letter.is_ascii_hexdigit());
    let kind = if is_wid { "WID" } else { "Integration_System_ID" };
    let mut body = Map::from_iter([("Integration_System_Reference".to_owned(), soap::reference(kind, system))]);
    body.extend(input["parameters"].as_object().cloned().unwrap_or_default());
    let answer = soap::operation(&cx, "Integrations", "Launch_EIB_Request", &Json::Object(body)).await?;
    told(&answer["Integration_Event"]).map_err(|mut error| {
        // It runs, and nobody knows under which number.
        error.doubt = connector::Doubt::MayHaveHappened;
        error
    })
}

fn wait() -> Json {
    json!({ "type": "integer", "minimum": 0, "maximum": WAIT_S_MAX, "default": 0, "title": "Wait for its end", "description": "Seconds; 0 looks once." })
}

pub(super) fn actions() -> Vec<Action> {
    let event = schema::output(&[
        ("event", json!({ "type": "string", "title": "Run", "description": "The WID of the integration event." })),
        (
            "completed",
            json!({ "type": "boolean", "title": "Completed", "description": "Also when it failed: see the status and the message." }),
        ),
        ("status", schema::told("Status")),
        ("message", schema::told("Message")),
        ("started_at", schema::told("Started at")),
        ("completed_at", schema::told("Completed at")),
        (
            "documents",
            json!({ "type": "array", "items": { "type": "object" }, "title": "Documents", "description": "As the web service gives them, without prefixes; attributes begin with @." }),
        ),
    ]);
    let sample = json!({ "event": "3aa5550b7fe348b98d7b5741afc65534", "completed": true, "status": "Completed", "message": "Integration Completed.", "started_at": "2026-11-20T08:00:00.000Z", "completed_at": "2026-11-20T08:01:00.000Z", "documents": [] });
    vec![
        Action::new("list_references", "List reference ids", "Reads everything that has a reference id of a type: locations, job profiles, reasons and other values to choose from.", |cx, input| async move {
            let rows = whole(ROWS_MAX, |cursor| references(cx.clone(), input.clone(), cursor)).await?;
            Ok(json!({ "rows": rows }))
        })
        .reads()
        .input(schema::input(&[("type", schema::text("Reference id type", "Such as Location_ID, Job_Profile_ID or Termination_Subcategory_ID."))], &["type"]))
        .output(schema::rows("rows", schema::output(&[("id", schema::told("Reference id")), ("wid", schema::told("Workday id")), ("type", schema::told("Type")), ("name", schema::told("Name"))])))
        .sample(json!({ "rows": [{ "id": "BER", "wid": "3aa5550b7fe348b98d7b5741afc65534", "type": "Location_ID", "name": "Berlin" }] }))
        .pages(references),
        Action::new("launch_integration", "Launch an integration", "Launches an integration of the tenant (EIB). Each launch is a run of its own; get_integration_event waits for its end.", launch)
            .input(schema::input(
                &[
                    ("integration", schema::text("Integration", "Its Integration_System_ID or WID.")),
                    ("parameters", json!({ "type": "object", "title": "Parameters", "description": "What follows the integration in the request, for instance Service_Component_Data with its fields, without prefixes; the integration's own defaults when left out." })),
                ],
                &["integration"],
            ))
            .output(event.clone())
            .sample(sample.clone()),
        Action::new("get_integration_event", "Get an integration's run", "Tells how a run of an integration stands, and waits for its end if wanted.", get_event)
            .reads()
            .input(schema::input(&[("event", schema::text("Run", "What launch_integration gave as event.")), ("wait_s", wait())], &["event"]))
            .output(event)
            .sample(sample),
    ]
}
