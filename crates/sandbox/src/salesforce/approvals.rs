//! Approvals: a record is handed in, then approved or rejected.

use std::{collections::HashMap, sync::Arc};

use http::Method;
use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    ids,
    org::Org,
    rest::Call,
    system::System,
};

/// Approvals under way at the same time.
const OPEN_MAX: usize = 10_000;

/// The approvals under way: the record by its work item, and the instance.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    count: u64,
    items: HashMap<Arc<str>, (Arc<str>, String)>,
}

impl System {
    pub(super) fn approve(&self, org: &mut Org, call: &Call) -> Outcome<Answer> {
        if call.method == Method::GET {
            let definitions = json!({ "Opportunity": [{ "description": "Discounts", "id": "04a000000000001AAA", "name": "Discount_Approval", "object": "Opportunity", "sortOrder": 1 }] });
            return Ok(Answer::ok(json!({ "approvals": definitions })));
        }
        let body = call.object()?;
        let requests = body.get("requests").and_then(Json::as_array).ok_or_else(|| Trouble::json("requests is required"))?;
        if requests.is_empty() || requests.len() > 200 {
            return Err(Trouble::bad("INVALID_INPUT", "A call handles 1 to 200 approval requests"));
        }
        let mut failed = false;
        let results: Vec<Json> = requests
            .iter()
            .map(|request| match self.decide(org, request) {
                Ok(done) => done,
                Err(trouble) => {
                    failed = true;
                    json!({ "actorIds": null, "entityId": request["contextId"], "errors": [trouble.row()], "instanceId": null, "instanceStatus": null, "newWorkitemIds": null, "success": false })
                }
            })
            .collect();
        Ok(Answer::json(if failed { 400 } else { 200 }, json!(results)))
    }

    fn decide(&self, org: &Org, request: &Json) -> Outcome<Json> {
        let id = request["contextId"].as_str().unwrap_or_default();
        let mut approvals = self.approvals.lock();
        let done = |entity: &str, instance: &str, status: &str, items: &[&str]| {
            json!({ "actorIds": [&*self.identity.read().user], "entityId": entity, "errors": null, "instanceId": instance,
                "instanceStatus": status, "newWorkitemIds": items, "success": true })
        };
        match request["actionType"].as_str() {
            Some("Submit") => {
                let (_, row) = org
                    .find(id)
                    .filter(|(_, row)| !row.deleted())
                    .ok_or_else(|| Trouble::bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"))?;
                if approvals.items.values().any(|(known, _)| **known == *row.id()) {
                    return Err(Trouble::bad("ALREADY_IN_PROCESS", "Cannot submit object already in process."));
                }
                if approvals.items.len() >= OPEN_MAX {
                    return Err(Trouble::bad("LIMIT_EXCEEDED", "too many approvals under way"));
                }
                approvals.count += 1;
                let (instance, item) = (ids::make("04g", approvals.count), ids::make("04i", approvals.count));
                approvals.items.insert(item.clone(), (row.id().into(), instance.to_string()));
                Ok(done(row.id(), &instance, "Pending", &[&item]))
            }
            Some(action @ ("Approve" | "Reject")) => {
                let item = ids::read(id).map(|(prefix, serial)| ids::make(&prefix, serial)).unwrap_or_else(|| id.into());
                let by_record = approvals.items.iter().find(|(_, (record, _))| **record == *item).map(|(known, _)| known.clone());
                let (record, instance) = approvals
                    .items
                    .remove(&by_record.unwrap_or(item))
                    .ok_or_else(|| Trouble::bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"))?;
                Ok(done(&record, &instance, if action == "Approve" { "Approved" } else { "Rejected" }, &[]))
            }
            _ => Err(Trouble::bad("INVALID_INPUT", "actionType is Submit, Approve or Reject")),
        }
    }
}
