//! Changes: two clocks, approvals, corrections.

use serde_json::{Value as Json, json};

use crate::{Caller, configure, doors::soap, happen, sandbox};

const V1: &str = "/ccx/api/v1/acme";
const BP: &str = "/ccx/api/businessProcess/v1/acme";

async fn title(caller: &Caller, number: &str) -> String {
    caller.get(&format!("{V1}/workers/Employee_ID={number}")).await["businessTitle"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_change_waits_for_its_approval() {
    let sandbox = sandbox().await;
    let caller = Caller::new(&sandbox).await;
    let before = title(&caller, "21002").await;
    let change = |title: &str| {
        caller.post("/ccx/api/v1/acme/workers/Employee_ID=21002/businessTitleChanges", json!({ "proposedBusinessTitle": title }))
    };
    let (status, made) = change("Chief Counter").await;
    assert_eq!((status, title(&caller, "21002").await), (201, before.clone()));
    let (status, refused) = change("Chief Another").await;
    assert!(
        status == 400 && refused["errors"][0]["error"].as_str().unwrap().contains("Another event is in progress"),
        "{refused}"
    );
    let wid = caller.get(&format!("{V1}/workers/Employee_ID=21002")).await["id"].clone();
    let steps = caller.get(&format!("{BP}/eventSteps?worker={}", wid.as_str().unwrap())).await;
    let step = steps["data"][0]["id"].as_str().unwrap();
    assert_eq!(steps["data"][0]["event"]["id"], made["id"]);
    let (status, told) = caller.post(&format!("{BP}/eventSteps/{step}/approve"), json!({ "comment": "Well earned." })).await;
    assert_eq!((status, told["eventStatus"]["descriptor"].as_str()), (201, Some("Successfully Completed")));
    assert_eq!(title(&caller, "21002").await, "Chief Counter");
    let event = caller.get(&format!("{BP}/events/{}", made["id"].as_str().unwrap())).await;
    assert!(event["completedDate"].is_string());
    let (status, _) = caller.post(&format!("{BP}/eventSteps/{step}/approve"), json!({})).await;
    assert_eq!(status, 400, "a step is decided once");
    let (_, made) = change("Chief Nothing").await;
    let steps = caller.get(&format!("{BP}/eventSteps?worker={}", wid.as_str().unwrap())).await;
    let step = steps["data"][0]["id"].as_str().unwrap();
    assert_eq!(caller.post(&format!("{BP}/eventSteps/{step}/deny"), json!({})).await.0, 400, "a denial says why");
    assert_eq!(caller.post(&format!("{BP}/eventSteps/{step}/deny"), json!({ "comment": "No." })).await.0, 201);
    assert_eq!(title(&caller, "21002").await, "Chief Counter");
    let list = format!("{BP}/events?worker={}&status=DENIED&initiatedOnOrAfter=2020-01-01", wid.as_str().unwrap());
    assert_eq!(caller.get(&list).await["data"][0]["id"], made["id"]);
}

#[tokio::test]
async fn a_draft_counts_only_when_it_is_submitted() {
    let sandbox = sandbox().await;
    configure(&sandbox, &json!({ "approvals": false }));
    let caller = Caller::new(&sandbox).await;
    let staffing = "/ccx/api/staffing/v6/acme";
    let (status, draft) = caller.post(&format!("{staffing}/workers/Employee_ID=21003/jobChanges"), json!({})).await;
    assert_eq!(status, 201, "{draft}");
    let id = draft["id"].as_str().unwrap();
    let part = format!("{staffing}/jobChanges/{id}/businessTitle/{id}");
    assert_eq!(caller.ask(reqwest::Method::PATCH, &part, Some(json!({ "businessTitle": "Drafted" }))).await.0, 200);
    assert_ne!(title(&caller, "21003").await, "Drafted");
    assert_eq!(caller.post(&format!("{staffing}/jobChanges/{id}/submit"), json!({})).await.0, 201);
    assert_eq!(title(&caller, "21003").await, "Drafted");
    assert_eq!(caller.ask(reqwest::Method::PATCH, &part, Some(json!({ "businessTitle": "Late" }))).await.0, 400);

    let (_, draft) =
        caller.post(&format!("{staffing}/workers/Employee_ID=21003/jobChanges"), json!({ "businessTitle": "Never" })).await;
    let id = draft["id"].as_str().unwrap();
    let later = json!({ "businessProcessParameters": { "action": { "id": "d9e41a8c446c11de98360015c5e6daf6" } } });
    assert_eq!(caller.post(&format!("{staffing}/jobChanges/{id}/submit"), later).await.0, 201);
    assert_eq!(
        caller.post(&format!("{staffing}/jobChanges/{id}/submit"), json!({})).await.0,
        400,
        "saved for later, for people alone"
    );
}

#[tokio::test]
async fn time_off_is_asked_for_once_a_day_and_leaves_its_balance() {
    let sandbox = sandbox().await;
    configure(&sandbox, &json!({ "approvals": false }));
    let caller = Caller::new(&sandbox).await;
    let absence = "/ccx/api/absenceManagement/v1/acme";
    let types = caller.get(&format!("{absence}/workers/Employee_ID=21001/eligibleAbsenceTypes")).await;
    let vacation = types["data"].as_array().unwrap().iter().find(|kind| kind["descriptor"] == "Vacation").unwrap()["id"].clone();
    let ask = json!({ "days": [{ "date": "2027-03-01", "dailyQuantity": "1", "timeOffType": { "id": vacation } }], "businessProcessParameters": { "action": { "id": "x" } } });
    let path = format!("{absence}/workers/Employee_ID=21001/requestTimeOff");
    let balance = async || {
        caller.get(&format!("{absence}/balances?worker=Employee_ID=21001&effective=2027-01-01")).await["data"][0]["quantity"]
            .as_f64()
            .unwrap()
    };
    let before = balance().await;
    let (status, made) = caller.post(&path, ask.clone()).await;
    assert!(status == 201 && made["days"][0]["id"].is_string(), "{made}");
    assert_eq!(before - balance().await, 1.0);
    let (status, refused) = caller.post(&path, ask).await;
    assert!(status == 400 && refused["errors"][0]["error"].as_str().unwrap().contains("already"), "{refused}");
    let details =
        caller.get(&format!("{absence}/workers/Employee_ID=21001/timeOffDetails?fromDate=2027-03-01&toDate=2027-03-01")).await;
    assert_eq!(details["data"][0]["status"]["descriptor"], "Approved");
}

fn get(filter: &str, criteria: &str) -> String {
    format!(
        r#"<wd:Get_Workers_Request xmlns:wd="urn:com.workday/bsvc">{criteria}<wd:Response_Filter>{filter}</wd:Response_Filter>
        <wd:Response_Group><wd:Include_Reference>1</wd:Include_Reference><wd:Include_Employment_Information>1</wd:Include_Employment_Information>
        <wd:Include_Transaction_Log_Data>1</wd:Include_Transaction_Log_Data></wd:Response_Group></wd:Get_Workers_Request>"#
    )
}

async fn total(sandbox: &sandbox::Sandbox, filter: &str, criteria: &str) -> usize {
    let (_, text) = soap(sandbox, "Human_Resources/v44.2", &get(filter, criteria)).await;
    let root = sandbox::xml::soap::read(text.as_bytes()).unwrap().body;
    root.at(&["Response_Results", "Total_Results"]).unwrap_or_else(|| panic!("{text}")).text.parse().unwrap()
}

fn one(number: &Json) -> String {
    let number = number.as_str().unwrap();
    format!(
        r#"<wd:Request_References><wd:Worker_Reference><wd:ID wd:type="Employee_ID">{number}</wd:ID></wd:Worker_Reference></wd:Request_References>"#
    )
}

#[tokio::test]
async fn a_hire_to_come_is_seen_from_its_day_and_a_rescinded_one_never() {
    let sandbox = sandbox().await;
    let before = sandbox.world().clock().now().to_string();
    sandbox.world().clock().advance(std::time::Duration::from_secs(1));
    let hired = happen(&sandbox, "hire_worker", &json!({ "days": 30 }));
    let reference = one(&hired["worker"]["number"]);
    let day = format!("<wd:As_Of_Effective_Date>{}-08:00</wd:As_Of_Effective_Date>", hired["effective"].as_str().unwrap());
    assert_eq!((total(&sandbox, "", &reference).await, total(&sandbox, &day, &reference).await), (0, 1));
    let known = format!("{day}<wd:As_Of_Entry_DateTime>{before}</wd:As_Of_Entry_DateTime>");
    assert_eq!(total(&sandbox, &known, &reference).await, 0, "nobody knew it then");
    happen(&sandbox, "correct_event", &json!({ "event": hired["event"], "days": 60 }));
    assert_eq!(total(&sandbox, &day, &reference).await, 0, "it was moved");
    let later = "<wd:As_Of_Effective_Date>2199-01-01</wd:As_Of_Effective_Date>";
    assert_eq!(total(&sandbox, later, &reference).await, 1);
    happen(&sandbox, "rescind_event", &json!({ "event": hired["event"] }));
    assert_eq!(total(&sandbox, later, &reference).await, 0);
}

#[tokio::test]
async fn a_page_stays_as_it_was_when_the_moment_of_entry_is_fixed() {
    let sandbox = sandbox().await;
    let everybody = "<wd:Request_Criteria><wd:Exclude_Inactive_Workers>true</wd:Exclude_Inactive_Workers></wd:Request_Criteria>";
    let fixed =
        format!("<wd:As_Of_Entry_DateTime>{}</wd:As_Of_Entry_DateTime><wd:Page>2</wd:Page>", sandbox.world().clock().now());
    let page = async |filter: &str| {
        let (_, text) = soap(&sandbox, "Human_Resources/v44.2", &get(filter, everybody)).await;
        let root = sandbox::xml::soap::read(text.as_bytes()).unwrap().body;
        let worker = root.at(&["Response_Data", "Worker", "Worker_Data", "Worker_ID"]).unwrap();
        worker.text.clone()
    };
    let (was, open) = (page(&fixed).await, page("<wd:Page>2</wd:Page>").await);
    assert_eq!(was, open);
    sandbox.world().clock().advance(std::time::Duration::from_secs(60));
    happen(&sandbox, "terminate_worker", &json!({ "employee": "21001", "days": -1 }));
    assert_eq!(page(&fixed).await, was, "frozen knowledge");
    assert_ne!(page("<wd:Page>2</wd:Page>").await, was, "the rows have moved up");
}
