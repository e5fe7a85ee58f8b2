//! Reading: lists, queries and reports.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use crate::{Caller, configure, credentials, happen, http, sandbox};

#[tokio::test]
async fn a_list_is_read_in_pages_and_a_worker_by_any_id() {
    let sandbox = sandbox().await;
    let caller = Caller::new(&sandbox).await;
    let mut seen = HashSet::new();
    let total = loop {
        let page = caller.get(&format!("/ccx/api/v1/acme/workers?limit=100&offset={}", seen.len())).await;
        let rows = page["data"].as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        if rows.len() < 100 {
            break page["total"].as_u64().unwrap();
        }
    };
    assert_eq!(seen.len() as u64, total);
    assert_eq!(caller.get("/ccx/api/v1/acme/workers").await["data"].as_array().unwrap().len(), 20);
    let by_number = caller.get("/ccx/api/v1/acme/workers/Employee_ID=21001").await;
    let wid = by_number["id"].as_str().unwrap();
    assert!(wid.len() == 32 && by_number["isManager"] == true && by_number["dateOfBirth"].is_string());
    assert_eq!(caller.get(&format!("/ccx/api/v1/acme/workers/{wid}")).await, by_number);
    let name = by_number["descriptor"].as_str().unwrap();
    let found = caller.get(&format!("/ccx/api/v1/acme/workers?search={name}")).await;
    assert!(found["data"].as_array().unwrap().iter().any(|row| row["id"] == wid));
    let reports = caller.get(&format!("/ccx/api/v1/acme/workers/{wid}/directReports")).await;
    assert!(reports["total"].as_u64().unwrap() >= 7, "{reports}");
    for list in ["organizations", "history", "timeOffPlans", "inboxTasks", "supervisoryOrganizationsManaged"] {
        caller.get(&format!("/ccx/api/v1/acme/workers/{wid}/{list}")).await;
    }
    for path in
        ["expense/v1/acme/reports", "coreAccounting/v1/acme/journals", "customerAccounts/v1/acme/invoices?paymentStatus=Unpaid"]
    {
        assert!(caller.get(&format!("/ccx/api/{path}")).await["total"].as_u64().unwrap() > 0, "{path}");
    }
    let limited = credentials(&sandbox)["limited"]["refresh_token"].as_str().unwrap().to_owned();
    let limited = Caller::with(&sandbox, &limited).await;
    assert!(limited.get(&format!("/ccx/api/v1/acme/workers/{wid}")).await["dateOfBirth"].is_null(), "absent without a word");
}

#[tokio::test]
async fn queries_filter_group_nest_and_page() {
    let sandbox = sandbox().await;
    let caller = Caller::new(&sandbox).await;
    let (_, one) = caller
        .wql("SELECT worker, employeeID AS id, supervisoryOrganization{name, manager} FROM allWorkers WHERE employeeID in ('21002')")
        .await;
    let row = &one["data"][0];
    assert!(row["id"] == "21002" && row["worker"]["id"].as_str().unwrap().len() == 32, "{one}");
    assert!(row["supervisoryOrganization"]["name"].is_string() && one["total"] == 1);
    let (_, groups) =
        caller.wql("SELECT location, COUNT(worker) AS heads FROM allActiveWorkers GROUP BY location ORDER BY heads DESC").await;
    let heads: Vec<u64> = groups["data"].as_array().unwrap().iter().map(|row| row["heads"].as_u64().unwrap()).collect();
    let (_, all) = caller.wql("SELECT worker FROM allActiveWorkers LIMIT 5").await;
    assert!(heads.len() == 4 && heads.is_sorted_by(|a, b| a >= b) && all["total"] == 5, "{groups}");
    let (_, gone) =
        caller.wql("SELECT terminationDate FROM allWorkers WHERE currentlyActive = false AND terminationDate is not empty").await;
    assert!(
        gone["data"].as_array().unwrap().iter().all(|row| row["terminationDate"].is_string())
            && gone["total"].as_u64() > Some(10)
    );
    let page = caller
        .post(
            "/ccx/api/wql/v1/acme/data?limit=10&offset=1995",
            json!({ "query": "SELECT lineID, debitAmount FROM journalLines" }),
        )
        .await;
    assert_eq!((page.1["total"].as_u64(), page.1["data"].as_array().unwrap().len()), (Some(2000), 5));
    assert!(page.1["data"][0]["debitAmount"].is_null(), "fields without a value are left out");
    let fields = caller.get("/ccx/api/wql/v1/acme/dataSources?alias=allW").await;
    let id = fields["data"][0]["id"].as_str().unwrap();
    let fields = caller.get(&format!("/ccx/api/wql/v1/acme/dataSources/{id}/fields?limit=100")).await;
    assert!(
        fields["data"].as_array().unwrap().iter().any(|field| field["alias"] == "manager" && field["type"] == "Single instance")
    );
}

#[tokio::test]
async fn queries_are_refused_in_the_vendors_words() {
    let sandbox = sandbox().await;
    let caller = Caller::new(&sandbox).await;
    for (query, words) in [
        ("SELECT (worker) FROM allWorkers", "Invalid WQL syntax. | Field: at or near '('"),
        ("SELECT x FROM allWorkers", "Enter a valid report field. This field is invalid: x"),
        ("SELECT worker FROM workersForHCMReporting", "Invalid WQL query: Specify a data source filter"),
    ] {
        let (status, body) = caller.wql(query).await;
        assert_eq!((status, body["error"].as_str().unwrap()), (400, words));
    }
    let (status, body) =
        caller.ask(reqwest::Method::GET, "/ccx/api/wql/v1/acme/dataSources/allWorkers/fields?limit=101", None).await;
    assert_eq!((status, body["error"].as_str().unwrap()), (400, "limit parameter invalid: must be between 1 and 100"));
    let limited = credentials(&sandbox)["limited"]["refresh_token"].as_str().unwrap().to_owned();
    let (status, body) = Caller::with(&sandbox, &limited).await.wql("SELECT worker, totalBasePay FROM allWorkers").await;
    assert!(status == 500 && body["error"].as_str().unwrap().contains("does not allow access to fields: totalBasePay"), "{body}");
}

async fn report(sandbox: &sandbox::Sandbox, name: &str, query: &str) -> (u16, String) {
    let c = credentials(sandbox);
    let address = c["report"].as_str().unwrap().replace("All_Workers", name);
    let (user, password) = (c["username"].as_str().unwrap(), c["password"].as_str());
    let answer = http().get(format!("{address}{query}")).basic_auth(user, password).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn reports_come_whole_in_each_format_and_with_prompts() {
    let sandbox = sandbox().await;
    let (status, text) = report(&sandbox, "All_Workers", "?format=json").await;
    let all: Json = serde_json::from_str(&text).unwrap();
    let rows = all["Report_Entry"].as_array().unwrap();
    assert_eq!((status, rows.len()), (200, 1248));
    assert!(
        rows[0]["Active"] == "1" && rows[0]["Supervisory_Organization"].is_string() && rows[0]["Organizations_group"].is_array()
    );
    let some: Json =
        serde_json::from_str(&report(&sandbox, "All_Workers", "?format=json&Location!WID=Location_ID%3DBER").await.1).unwrap();
    let some = some["Report_Entry"].as_array().unwrap();
    assert!(!some.is_empty() && some.len() < rows.len() && some.iter().all(|row| row["Location"] == "Berlin"));
    let none: Json = serde_json::from_str(&report(&sandbox, "All_Workers", "?format=json&Location!WID=unknown").await.1).unwrap();
    assert_eq!(none, json!({ "Report_Entry": [] }), "an unknown value picks nothing");
    configure(&sandbox, &json!({ "empty_report_without_key": true, "renamed_columns": { "Email": "E_Mail" } }));
    assert_eq!(report(&sandbox, "Nobody", "?format=json").await.1, "{}");
    let csv = report(&sandbox, "All_Workers", "?format=csv").await.1;
    assert!(csv.starts_with("Employee_ID,Worker,First_Name,Last_Name,E_Mail,") && csv.lines().count() == 1249);
    let xml = report(&sandbox, "All_Workers", "").await.1;
    let root = sandbox::xml::read(xml.as_bytes()).unwrap();
    assert!(root.is("urn:com.workday.report/All_Workers", "Report_Data") && root.children.len() == 1248);
    assert_eq!(root.children[0].child("Worker").unwrap().child("ID").unwrap().attribute("type"), Some("WID"));
    for format in ["simplexml", "gdata", "rss"] {
        let text = report(&sandbox, "Customer_Invoices", &format!("?format={format}")).await.1;
        sandbox::xml::read(text.as_bytes()).unwrap();
    }
    for (asked, single) in [("?xsds", "xsd:string"), ("?xsd", "wd:InstanceType")] {
        let schema = sandbox::xml::read(report(&sandbox, "All_Workers", asked).await.1.as_bytes()).unwrap();
        let entry = schema.all("complexType").find(|kind| kind.attribute("name") == Some("Report_EntryType")).unwrap();
        let fields = entry.child("sequence").unwrap();
        let of =
            |name: &str| fields.all("element").find(|field| field.attribute("name") == Some(name)).unwrap().attribute("type");
        assert_eq!(
            (of("Supervisory_Organization"), of("Organizations_group")),
            (Some(single), Some("wd:InstanceType")),
            "{asked}"
        );
    }
    assert_eq!(report(&sandbox, "All_Workers", "?format=xml").await.0, 400, "full XML has no name");
}

#[tokio::test]
async fn reports_are_refused_and_long_ones_are_streamed() {
    let sandbox = sandbox().await;
    assert_eq!(report(&sandbox, "Unknown", "").await.0, 404);
    assert_eq!(report(&sandbox, "All_Workers", "?format=json&Nonsense=1").await.0, 500);
    assert_eq!(report(&sandbox, "All_Workers", "?format=pdf").await.0, 400);
    configure(&sandbox, &json!({ "report_owner": "somebody_else" }));
    assert_eq!(report(&sandbox, "All_Workers", "").await.0, 404, "the address breaks when the owner changes");
    configure(&sandbox, &json!({ "report_owner": "isu", "journal_lines": 60_000 }));
    let (_, text) = report(&sandbox, "Journal_Lines", "?format=json").await;
    let all: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(all["Report_Entry"].as_array().unwrap().len(), 60_000);
    let c = credentials(&sandbox);
    let stranger = http().get(c["report"].as_str().unwrap()).basic_auth("isu", c["password"].as_str()).send().await.unwrap();
    assert_eq!(stranger.status(), 401, "the name lacks its tenant");
    happen(&sandbox, "expire_tokens", &json!({}));
}
