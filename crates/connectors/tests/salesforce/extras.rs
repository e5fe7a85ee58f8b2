//! Files, approvals, reports, flows, events, limits, shapes, calls of one's own.

use std::sync::{Arc, Mutex};

use connector::{
    ErrorClass,
    hint::{Hint, Listener, Window},
};
use serde_json::json;

use crate::{
    salesforce,
    shelf::{Door, Shelf},
};

#[derive(Default)]
struct Ear(Mutex<Vec<Hint>>);

impl Listener for Ear {
    fn hear(&self, _: &str, hint: Hint) {
        self.0.lock().unwrap().push(hint);
    }
}

#[tokio::test]
async fn what_is_left_of_the_day_is_heard_with_every_answer() {
    let sf = salesforce().await;
    let ear = Arc::new(Ear::default());
    sf.http.tell_limits_to(ear.clone());
    sf.configure(json!({"daily_requests": 10}));
    let limits = sf.call("limits", json!({})).await.unwrap();
    assert_eq!(limits["limits"]["DailyApiRequests"], json!({"Max": 10, "Remaining": 9}));
    assert_eq!(*ear.0.lock().unwrap(), [Hint { window: Window::Day, limit: 10, left: 9, resets_in: None }]);
}

#[tokio::test]
async fn a_file_goes_up_by_pieces_and_comes_down() {
    let sf = salesforce().await;
    let shelf = Arc::new(Shelf::default());
    sf.http.keep_files_with(Arc::new(Door(Arc::clone(&shelf))));
    let account = sf.create("Account", json!({"Name": "Acme"})).await;
    let content: Vec<u8> = (0..=255).collect();
    let file = shelf.put("offer.bin", "application/octet-stream", &content);
    let up = sf.call("upload_file", json!({"record_id": account, "file": file.json()})).await.unwrap();
    let down = sf.call("download_file", json!({"id": up["id"], "name": "back.bin"})).await.unwrap();
    assert_eq!((&down["file"]["name"], &down["file"]["size"]), (&json!("back.bin"), &json!(256)));
    assert_eq!(shelf.contents().last().unwrap(), &content);
    let error = sf.call("download_file", json!({"id": account})).await.unwrap_err();
    assert_eq!(error.code, "INPUT_INVALID");
    let version = sf.call("get", json!({"object": "ContentVersion", "id": up["id"]})).await.unwrap();
    assert_eq!(version["record"]["Title"], "offer.bin");
}

#[tokio::test]
async fn approvals_flows_reports_notes_and_campaigns_work() {
    let sf = salesforce().await;
    let account = sf.create("Account", json!({"Name": "Acme"})).await;
    let asked = sf.call("submit_for_approval", json!({"id": account, "comments": "please"})).await.unwrap();
    assert_eq!(asked["status"], "Pending");
    let twice = sf.call("submit_for_approval", json!({"id": account})).await.unwrap_err();
    assert_eq!((twice.class, twice.code.as_str()), (ErrorClass::Invalid, "ALREADY_IN_PROCESS"));
    assert_eq!(sf.call("approve", json!({"id": asked["work_items"][0]})).await.unwrap()["status"], "Approved");
    assert_eq!(sf.call("reject", json!({"id": account})).await.unwrap_err().code, "INVALID_CROSS_REFERENCE_KEY");
    let flow = sf.call("run_flow", json!({"flow": "Welcome_Customer", "inputs": {"accountId": account}})).await.unwrap();
    assert_eq!(flow["outputs"]["message"], "Welcome, Acme");
    assert_eq!(
        sf.call("run_flow", json!({"flow": "Welcome_Customer", "inputs": {"accountId": "001xx0zzzzzzzzz"}}))
            .await
            .unwrap_err()
            .code,
        "NOT_FOUND"
    );
    let report = sf.call("query", json!({"soql": "SELECT Id FROM Report WHERE DeveloperName = 'Open_Invoices'"})).await.unwrap();
    let run = sf.call("run_report", json!({"report_id": report["records"][0]["Id"]})).await.unwrap();
    assert!(run["name"] == "Open Invoices" && run["rows"][0]["Invoice_Number__c"].as_str().unwrap().starts_with("INV-"));
    sf.call("add_note", json!({"record_id": account, "title": "Called"})).await.unwrap();
    assert_eq!(sf.count("SELECT Id FROM Note WHERE Title = 'Called'").await, 1);
    let found = sf.call("query", json!({"soql": "SELECT Id FROM Campaign"})).await.unwrap();
    let lead = sf.create("Lead", json!({"LastName": "A", "Company": "B"})).await;
    let add = json!({"campaign_id": found["records"][0]["Id"], "person_id": lead, "status": "Sent"});
    let first = sf.call("add_campaign_member", add.clone()).await.unwrap();
    let again = sf.call("add_campaign_member", add).await.unwrap();
    assert_eq!((&first["created"], &again["created"], &first["id"]), (&json!(true), &json!(false), &again["id"]));
}

#[tokio::test]
async fn an_event_is_published_and_calls_of_ones_own_stay_in_the_org() {
    let sf = salesforce().await;
    let done = sf.call("publish_event", json!({"event": "Order_Event__e", "fields": {"Number__c": "7"}})).await.unwrap();
    assert_eq!(done["uuid"].as_str().unwrap().len(), 36);
    let echo = sf
        .call("call_apex_rest", json!({"path": "Echo/a b", "method": "POST", "query": {"x": 1}, "body": {"y": 2}}))
        .await
        .unwrap();
    assert_eq!(echo["body"], json!({"method": "POST", "path": ["a b"], "query": {"x": "1"}, "body": {"y": 2}}));
    let own = sf.call("custom_request", json!({"path": "sobjects/Account/describe"})).await.unwrap();
    assert_eq!((&own["status"], &own["body"]["name"]), (&json!(200), &json!("Account")));
    let own = sf.call("custom_request", json!({"path": "/services/data/v60.0/limits"})).await.unwrap();
    assert!(own["body"]["DailyApiRequests"].is_object());
    for path in ["../../oauth2/token", "http://elsewhere.example/", "a/../../b"] {
        assert_eq!(sf.call("custom_request", json!({"path": path})).await.unwrap_err().code, "INPUT_INVALID", "{path}");
    }
}

#[tokio::test]
async fn shapes_follow_the_org() {
    let sf = salesforce().await;
    let shapes = sf.connector.shapes.clone().unwrap();
    let objects = (shapes.objects)(sf.cx("a")).await.unwrap();
    assert!(objects.iter().any(|object| object.name == "Invoice__c" && object.title == "Invoice"));
    sf.happen("add_field", json!({"object": "Account", "field": "Region__c picklist restricted \"Region\" = EMEA | APAC"}));
    let account = (shapes.object)(sf.cx("a"), "Account".to_owned()).await.unwrap();
    assert_eq!(account["properties"]["Region__c"]["enum"], json!(["EMEA", "APAC", null]));
    assert_eq!((&account["properties"]["CreatedDate"]["readOnly"], &account["required"]), (&json!(true), &json!(["Name"])));
    assert_eq!(account["properties"]["Parent"]["type"], json!(["object", "null"]), "records are named by keys of their own");
    assert_eq!(
        (&account["properties"]["CreatedBy"]["readOnly"], &account["additionalProperties"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(account["properties"]["NumberOfEmployees"]["type"], json!(["integer", "null"]));
    let described = sf.call("describe_object", json!({"object": "Account"})).await.unwrap();
    assert_eq!(described["schema"], account);
}
