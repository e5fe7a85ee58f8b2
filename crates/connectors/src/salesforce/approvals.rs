//! Approvals: hand in, approve, reject.

use ::http::Method;
use connector::{Action, Cx, StepError};
use serde_json::{Value as Json, json};

use super::{
    api::{Api, text},
    errors::of_error,
    id_input, input,
};

pub(super) fn actions() -> Vec<Action> {
    let output = json!({"type": "object", "additionalProperties": false, "required": ["status", "instance_id", "work_items"], "properties": {"status": {"type": "string", "description": "Pending, Approved, Rejected or Removed."}, "instance_id": {"type": ["string", "null"]},
        "work_items": {"type": "array", "items": {"type": "string"}, "description": "What has to be approved next."}}});
    let comments = json!({"type": "string", "maxLength": 4000, "title": "Comments"});
    let next = json!({"type": "array", "items": {"type": "string"}, "title": "Next approvers", "description": "User ids, where the process asks for them."});
    let decide = json!({"id": id_input(), "comments": comments, "next_approvers": next});
    let sample = |status: &str| json!({"status": status, "instance_id": "04gxx0000004CyAAAU", "work_items": []});
    vec![
        Action::new("submit_for_approval", "Submit for approval", "Hands a record in for approval.", |cx, given| act(cx, given, "Submit"))
            .input(input(json!({"id": id_input(), "comments": comments, "next_approvers": next, "process": {"type": "string", "title": "Approval process", "description": "Its API name; Salesforce chooses when left out."},
                "submitter_id": {"type": "string", "title": "Submitted by", "description": "A user id; the connection's user when left out."}, "skip_entry_criteria": {"type": "boolean", "default": false, "title": "Skip the entry criteria"}}), &["id"]))
            .output(output.clone())
            .sample(sample("Pending")),
        Action::new("approve", "Approve", "Approves a request, by the id of its work item or of its record.", |cx, given| act(cx, given, "Approve"))
            .input(input(decide.clone(), &["id"]))
            .output(output.clone())
            .sample(sample("Approved")),
        Action::new("reject", "Reject", "Rejects a request, by the id of its work item or of its record.", |cx, given| act(cx, given, "Reject"))
            .input(input(decide, &["id"]))
            .output(output)
            .sample(sample("Rejected")),
    ]
}

async fn act(cx: Cx, given: Json, what: &'static str) -> Result<Json, StepError> {
    let api = Api::of(&cx)?;
    let mut request = json!({ "actionType": what, "contextId": given["id"], "comments": text(&given, "comments") });
    for (ours, theirs) in [
        ("next_approvers", "nextApproverIds"),
        ("process", "processDefinitionNameOrId"),
        ("submitter_id", "contextActorId"),
        ("skip_entry_criteria", "skipEntryCriteria"),
    ] {
        if let Some(value) = given.get(ours).filter(|value| !value.is_null()) {
            request[theirs] = value.clone();
        }
    }
    let call = api.call(Method::POST, api.url(&["process", "approvals"])).json(&json!({ "requests": [request] }));
    let answer = api.send(call.accepts(&[400])).await?;
    let body = answer.json()?;
    let result = &body[0];
    if result["success"] == true {
        return Ok(
            json!({ "status": result["instanceStatus"], "instance_id": result["instanceId"], "work_items": result["newWorkitemIds"].as_array().cloned().unwrap_or_default() }),
        );
    }
    let error = result["errors"].as_array().and_then(|errors| errors.first()).unwrap_or(result);
    let next = "See whether the record is in an approval already, and whether the connection's user may approve it.";
    let words = |words: &str| format!("Salesforce did not take this for approval: {words}");
    Err(answer.describe(of_error(error, "APPROVAL_REFUSED", next, words)))
}
