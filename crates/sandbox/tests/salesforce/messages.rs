//! Outbound messages, platform events, reports, actions, approvals, SOAP.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, routing::post};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{Org, code};

const ACK: &str = r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>"#;

#[tokio::test]
async fn an_outbound_message_comes_again_until_it_is_acknowledged() {
    let org = Org::start().await;
    let (seen, mut messages) = mpsc::channel::<String>(10);
    let tries = Arc::new(AtomicUsize::new(0));
    let router = Router::new().route(
        "/hook",
        post(move |body: String| {
            let (seen, tries) = (seen.clone(), tries.clone());
            async move {
                seen.send(body).await.unwrap();
                // A page of a proxy is no acknowledgement, whatever its status.
                if tries.fetch_add(1, Ordering::SeqCst) == 0 { "<html>ok</html>".to_owned() } else { ACK.to_owned() }
            }
        }),
    );
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", socket.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(socket, router).await });
    org.sandbox.world().outbox().set_trouble(sandbox::Trouble { pause_factor: Some(0.0), ..sandbox::Trouble::default() });
    org.configure(json!({"outbound_messages": [{"object": "Account", "url": url, "fields": ["Name", "AnnualRevenue"]}]}));
    let id = org.create("Account", json!({"Name": "Tom & Co", "AnnualRevenue": 5})).await;
    let (first, second) = (messages.recv().await.unwrap(), messages.recv().await.unwrap());
    assert_eq!(first, second, "the same message again");
    let message = sandbox::xml::soap::read(first.as_bytes()).unwrap();
    assert_eq!(message.body.text_of("OrganizationId"), org.credentials()["organization_id"].as_str());
    let record = message.body.at(&["Notification", "sObject"]).unwrap();
    assert_eq!((record.text_of("Id"), record.text_of("Name")), (Some(id.as_str()), Some("Tom & Co")));
    server.abort();
}

#[tokio::test]
async fn an_event_is_enqueued_and_checked() {
    let org = Org::start().await;
    let (status, body) = org.post("/sobjects/Order_Event__e", json!({"Number__c": "7"})).await;
    assert_eq!((status, &body["success"], &body["errors"][0]["statusCode"]), (201, &json!(true), &json!("OPERATION_ENQUEUED")));
    assert!(body["id"].as_str().unwrap().starts_with("e00"));
    assert_eq!(code(&org.post("/sobjects/Order_Event__e", json!({"Nope__c": 1})).await.1), "INVALID_FIELD");
    assert_eq!(code(&org.post("/sobjects/Invoice_Paid__e", json!({})).await.1), "REQUIRED_FIELD_MISSING");
}

#[tokio::test]
async fn a_report_runs_and_a_person_pays_an_invoice() {
    let org = Org::start().await;
    let reports = org.get("/analytics/reports").await;
    let report = reports.as_array().unwrap().iter().find(|report| report["name"] == "Open Invoices").unwrap();
    let run = async || org.get(&format!("{}?includeDetails=true", report["url"].as_str().unwrap())).await;
    let before = run().await;
    let rows = before["factMap"]["T!T"]["rows"].as_array().unwrap();
    let number = rows[0]["dataCells"][0]["value"].as_str().unwrap().to_owned();
    org.happen("invoice_paid", json!({"invoice": number}));
    let after = run().await;
    assert_eq!(after["factMap"]["T!T"]["rows"].as_array().unwrap().len(), rows.len() - 1);
    let invoice = org.get(&format!("/sobjects/Invoice__c/Invoice_Number__c/{number}")).await;
    assert_eq!(invoice["Status__c"], "Paid");
    assert_ne!(invoice["LastModifiedById"], org.credentials()["user_id"], "a person did it, not the app");
}

#[tokio::test]
async fn actions_approvals_and_services_answer() {
    let org = Org::start().await;
    let account = org.create("Account", json!({"Name": "Acme"})).await;
    let (status, body) =
        org.post("/actions/custom/flow/Welcome_Customer", json!({"inputs": [{"accountId": account, "greeting": "Hello"}]})).await;
    assert_eq!((status, &body[0]["isSuccess"], &body[0]["outputValues"]["message"]), (200, &json!(true), &json!("Hello, Acme")));
    let submit = json!({"requests": [{"actionType": "Submit", "contextId": account}]});
    let (_, body) = org.post("/process/approvals", submit.clone()).await;
    let item = body[0]["newWorkitemIds"][0].clone();
    assert_eq!(org.post("/process/approvals", submit).await.1[0]["errors"][0]["statusCode"], "ALREADY_IN_PROCESS");
    let (_, body) = org.post("/process/approvals", json!({"requests": [{"actionType": "Approve", "contextId": item}]})).await;
    assert_eq!(body[0]["instanceStatus"], "Approved");
    let (_, body) = org.post("/services/apexrest/Echo/a/b", json!({"x": 1})).await;
    assert_eq!((&body["path"], &body["body"]), (&json!(["a", "b"]), &json!({"x": 1})));
}

#[tokio::test]
async fn rows_are_locked_as_often_as_told_and_faults_speak_salesforce() {
    let org = Org::start().await;
    org.configure(json!({"locked_writes": 1}));
    assert_eq!(code(&org.post("/sobjects/Account", json!({"Name": "A"})).await.1), "UNABLE_TO_LOCK_ROW");
    assert_eq!(org.post("/sobjects/Account", json!({"Name": "A"})).await.0, 201);
    for (kind, status, wanted) in [
        (sandbox::Kind::RateLimited { retry_after: None }, 403, "REQUEST_LIMIT_EXCEEDED"),
        (sandbox::Kind::ExpiredSession, 401, "INVALID_SESSION_ID"),
        (sandbox::Kind::Unavailable, 503, "SERVER_UNAVAILABLE"),
        (sandbox::Kind::DailyLimit, 403, "REQUEST_LIMIT_EXCEEDED"),
    ] {
        org.sandbox.world().faults().add(sandbox::Fault::new("salesforce", kind).times(1)).unwrap();
        let (got, body) = org.call(reqwest::Method::GET, "/limits", None).await;
        assert_eq!((got, code(&body)), (status, wanted));
    }
}
