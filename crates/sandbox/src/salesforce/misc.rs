//! Resources, limits, actions, Apex REST.

use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    org::Org,
    rest::Call,
    system::System,
};

/// Flows of the org: their API name, label, inputs and outputs.
const FLOWS: &[(&str, &str, &[&str], &[&str])] = &[
    ("Welcome_Customer", "Welcome Customer", &["accountId", "greeting"], &["message"]),
    ("Close_Case", "Close Case", &["caseId"], &["status"]),
];

impl System {
    pub(super) fn resources(&self, call: &Call) -> Answer {
        let names = [
            "tooling",
            "folders",
            "eclair",
            "chatter",
            "tabs",
            "recent",
            "limits",
            "sobjects",
            "query",
            "queryAll",
            "search",
            "parameterizedSearch",
            "composite",
            "jobs",
            "actions",
            "process",
            "analytics",
            "quickActions",
            "theme",
            "licensing",
        ];
        let mut map: Map<String, Json> = names.iter().map(|name| ((*name).to_owned(), json!(call.address(name)))).collect();
        let identity = format!("{}/id/{}/{}", self.url(), self.identity.read().username, call.user);
        map.insert("identity".to_owned(), json!(identity));
        Answer::ok(Json::Object(map))
    }

    pub(super) fn limits(&self) -> Answer {
        let (used, most) = self.usage();
        let whole = |most: u64| json!({ "Max": most, "Remaining": most });
        Answer::ok(json!({
            "ActiveScratchOrgs": whole(40), "AnalyticsExternalDataSizeMB": whole(40_960), "ConcurrentAsyncGetReportInstances": whole(200),
            "ConcurrentSyncReportRuns": whole(20), "DailyApiRequests": { "Max": most, "Remaining": most.saturating_sub(used) },
            "DailyAsyncApexExecutions": whole(250_000), "DailyBulkApiBatches": whole(15_000), "DailyBulkV2QueryFileStorageMB": whole(976_562),
            "DailyBulkV2QueryJobs": whole(10_000), "DailyDeliveredPlatformEvents": whole(50_000), "DailyWorkflowEmails": whole(1_000),
            "DataStorageMB": whole(1_073), "FileStorageMB": whole(1_073), "HourlyAsyncReportRuns": whole(1_200),
            "HourlyPublishedPlatformEvents": whole(250_000), "HourlySyncReportRuns": whole(500), "MassEmail": whole(5_000),
            "MonthlyPlatformEventsUsageEntitlement": whole(0), "SingleEmail": whole(5_000), "StreamingApiConcurrentClients": whole(1_000),
        }))
    }

    /// When the schema last changed; describes are as new as this.
    pub(super) fn schema_ms(&self) -> i64 {
        self.schema_changed_ms.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(super) fn actions(&self, org: &mut Org, call: &Call, path: &[&str]) -> Outcome<Answer> {
        match (&call.method, path) {
            (&Method::GET, []) => {
                Ok(Answer::ok(json!({ "standard": call.address("actions/standard"), "custom": call.address("actions/custom") })))
            }
            (&Method::GET, ["standard"]) => Ok(Answer::ok(json!({ "actions": [] }))),
            (&Method::GET, ["custom"]) => Ok(Answer::ok(json!({ "flow": call.address("actions/custom/flow") }))),
            (&Method::GET, ["custom", "flow"]) => {
                let list: Vec<Json> = FLOWS
                    .iter()
                    .map(|(name, label, ..)| json!({ "label": label, "name": name, "type": "FLOW", "url": call.address(&format!("actions/custom/flow/{name}")) }))
                    .collect();
                Ok(Answer::ok(json!({ "actions": list })))
            }
            (method, ["custom", "flow", name]) => {
                let flow = FLOWS.iter().find(|(known, ..)| known == name).ok_or_else(Trouble::not_found)?;
                match *method {
                    Method::GET => Ok(Answer::ok(described(flow))),
                    Method::POST => self.flow(org, call, flow),
                    _ => Err(Trouble::method()),
                }
            }
            _ => Err(Trouble::not_found()),
        }
    }

    fn flow(&self, org: &mut Org, call: &Call, flow: &(&str, &str, &[&str], &[&str])) -> Outcome<Answer> {
        let body = call.object()?;
        let inputs = body.get("inputs").and_then(Json::as_array).cloned().unwrap_or_else(|| vec![json!({})]);
        let mut out = Vec::new();
        let mut failed = false;
        for input in &inputs {
            let unknown =
                input.as_object().into_iter().flatten().map(|(name, _)| name).find(|name| !flow.2.contains(&name.as_str()));
            let done = match unknown {
                Some(name) => Err(Trouble::bad("INVALID_API_INPUT", format!("The flow {} has no input {name}", flow.0))),
                None => self.flow_run(org, call, flow.0, input),
            };
            failed |= done.is_err();
            out.push(match done {
                Ok(values) => json!({ "actionName": flow.0, "errors": null, "isSuccess": true, "outputValues": values }),
                Err(trouble) => {
                    json!({ "actionName": flow.0, "errors": [trouble.row()], "isSuccess": false, "outputValues": null })
                }
            });
        }
        Ok(Answer::json(if failed { 400 } else { 200 }, json!(out)))
    }

    fn flow_run(&self, org: &mut Org, call: &Call, name: &str, input: &Json) -> Outcome<Json> {
        let finished = |key: &str, value: Json| json!({ key: value, "Flow__InterviewStatus": "Finished" });
        if name == "Close_Case" {
            let object = org.schema.find("Case").ok_or_else(Trouble::not_found)?;
            let fields = json!({ "Status": "Closed" });
            org.update(
                &call.writer(self),
                object,
                input["caseId"].as_str().unwrap_or_default(),
                fields.as_object().unwrap_or(&Map::new()),
            )?;
            return Ok(finished("status", json!("Closed")));
        }
        let object = org.schema.find("Account").ok_or_else(Trouble::not_found)?;
        let row = org.existing(object, input["accountId"].as_str().unwrap_or_default())?;
        let customer = org.schema.objects[object].name_place().and_then(|place| row.get(place).text().map(str::to_owned));
        let greeting = input["greeting"].as_str().unwrap_or("Welcome");
        Ok(finished("message", json!(format!("{greeting}, {}", customer.unwrap_or_default()))))
    }

    /// Apex REST: `Echo` gives back what it got, for tests of custom services.
    pub(super) fn apex(&self, call: &Call) -> Outcome<Answer> {
        if !self.count(1) {
            return Err(Trouble::new(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."));
        }
        match call.path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["Echo" | "echo", ref rest @ ..] => {
                let body = if call.body.is_empty() { Json::Null } else { call.json()? };
                let query: Map<String, Json> = call.query.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                Ok(Answer::ok(json!({ "method": call.method.as_str(), "path": rest, "query": query, "body": body })))
            }
            _ => Err(Trouble::new(404, "NOT_FOUND", "Could not find a match for URL")),
        }
    }
}

fn described(flow: &(&str, &str, &[&str], &[&str])) -> Json {
    let (name, label, inputs, outputs) = flow;
    let values = |names: &[&str], input: bool| -> Vec<Json> {
        names
            .iter()
            .map(|name| {
                json!({ "description": null, "label": name, "maxOccurs": 1, "name": name, "required": input && name.ends_with("Id"),
                "sobjectType": null, "type": "STRING" })
            })
            .collect()
    };
    json!({ "description": label, "inputs": values(inputs, true), "label": label, "name": name, "outputs": values(outputs, false),
        "standard": false, "targetEntityName": null, "type": "FLOW" })
}
