//! Bulk API 2.0: loads with mixed success, failures half-way, queries in pages.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Org, code};

impl Org {
    async fn load(&self, job: Json, csv: String) -> Json {
        let (status, opened) = self.post("/jobs/ingest", job).await;
        assert_eq!((status, &opened["state"]), (200, &json!("Open")), "{opened}");
        let id = opened["id"].as_str().unwrap();
        let put =
            self.request(Method::PUT, &format!("/{}", opened["contentUrl"].as_str().unwrap())).header("content-type", "text/csv");
        assert_eq!(put.body(csv).send().await.unwrap().status(), 201);
        let (status, closed) = self.patch(&format!("/jobs/ingest/{id}"), json!({"state": "UploadComplete"})).await;
        assert_eq!((status, &closed["state"]), (200, &json!("UploadComplete")));
        self.over("ingest", id).await
    }

    async fn over(&self, kind: &str, id: &str) -> Json {
        loop {
            let job = self.get(&format!("/jobs/{kind}/{id}")).await;
            if matches!(job["state"].as_str(), Some("JobComplete" | "Failed" | "Aborted")) {
                return job;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_rows_with_bad_ones_end_in_two_lists() {
    let org = Org::start().await;
    let mut csv = "LastName,Company,External_Id__c,NumberOfEmployees\n".to_owned();
    for row in 0..100_000 {
        let employees = if row % 100 == 7 { "many" } else { "5" };
        writeln!(csv, "\"Load, {row}\",Bulk,L-{row},{employees}").unwrap();
    }
    let job = org.load(json!({"object": "Lead", "operation": "upsert", "externalIdFieldName": "External_Id__c", "contentType": "CSV", "lineEnding": "LF"}), csv).await;
    assert_eq!(
        (&job["state"], &job["numberRecordsProcessed"], &job["numberRecordsFailed"]),
        (&json!("JobComplete"), &json!(100_000), &json!(1_000))
    );
    let id = job["id"].as_str().unwrap();
    let good = org.text(&format!("/jobs/ingest/{id}/successfulResults")).await;
    let bad = org.text(&format!("/jobs/ingest/{id}/failedResults")).await;
    assert_eq!((good.lines().count(), bad.lines().count()), (99_001, 1_001));
    assert!(good.starts_with("\"sf__Id\",\"sf__Created\",\"LastName\",\"Company\",\"External_Id__c\",\"NumberOfEmployees\"\n"));
    assert!(
        bad.lines().nth(1).unwrap().contains("JSON_PARSER_ERROR:Cannot deserialize instance of int from VALUE_STRING value many")
    );
    assert_eq!(org.text(&format!("/jobs/ingest/{id}/unprocessedrecords")).await.lines().count(), 1);
    let (_, count) = org.asked("SELECT COUNT() FROM Lead WHERE Company = 'Bulk'").await;
    assert_eq!(count["totalSize"], 99_000);

    let (status, query) = org
        .post("/jobs/query", json!({"operation": "query", "query": "SELECT Id, LastName FROM Lead WHERE Company = 'Bulk'"}))
        .await;
    assert_eq!((status, &query["state"]), (200, &json!("UploadComplete")));
    let id = query["id"].as_str().unwrap();
    assert_eq!(org.over("query", id).await["numberRecordsProcessed"], 99_000);
    let (mut locator, mut rows, mut pages) = (String::new(), 0, 0);
    while locator != "null" {
        let answer = org
            .request(Method::GET, &format!("/jobs/query/{id}/results?maxRecords=40000&locator={locator}"))
            .send()
            .await
            .unwrap();
        locator = answer.headers()["sforce-locator"].to_str().unwrap().to_owned();
        let told: usize = answer.headers()["sforce-numberofrecords"].to_str().unwrap().parse().unwrap();
        let text = answer.text().await.unwrap();
        assert_eq!(text.lines().count(), told + 1);
        (rows, pages) = (rows + told, pages + 1);
    }
    assert_eq!((rows, pages), (99_000, 3));
    let other = org.call(Method::GET, &format!("/services/data/v61.0/jobs/query/{id}/results"), None).await;
    assert_eq!(other.0, 409, "read with the version it was made with");
}

#[tokio::test]
async fn cells_leave_clear_and_point_as_documented() {
    let org = Org::start().await;
    let job = json!({"object": "Contact", "operation": "upsert", "externalIdFieldName": "External_Id__c", "columnDelimiter": "SEMICOLON", "lineEnding": "CRLF"});
    let first =
        "External_Id__c;LastName;Title;Account.External_Id__c\r\nP-1;\"Ray \"\"R\"\"\";Boss;C-0001\r\nP-2;Roe;Boss;C-9999\r\n"
            .to_owned();
    let done = org.load(job.clone(), first).await;
    assert_eq!((&done["numberRecordsProcessed"], &done["numberRecordsFailed"]), (&json!(2), &json!(1)));
    let bad = org.text(&format!("/jobs/ingest/{}/failedResults", done["id"].as_str().unwrap())).await;
    assert!(
        bad.contains("INVALID_FIELD:Foreign key external ID: C-9999 not found for field External_Id__c in entity Account"),
        "{bad}"
    );
    assert!(bad.contains(";\"Roe\";") && bad.ends_with("\r\n"), "{bad}");
    org.load(job, "External_Id__c;LastName;Title\r\nP-1;;#N/A\r\n".to_owned()).await;
    let contact = org.get("/sobjects/Contact/External_Id__c/P-1").await;
    assert_eq!((&contact["LastName"], &contact["Title"]), (&json!("Ray \"R\""), &json!(null)));
    assert!(contact["AccountId"].is_string());
    let wrong = org.load(json!({"object": "Contact", "operation": "insert"}), "LastName,Foo\nA,B\n".to_owned()).await;
    assert_eq!(
        (&wrong["state"], &wrong["errorMessage"]),
        (&json!("Failed"), &json!("InvalidBatch : Field name not found : Foo"))
    );
}

#[tokio::test]
async fn a_load_that_fails_half_way_tells_what_was_not_looked_at() {
    let org = Org::start().await;
    org.configure(json!({"bulk_fail_after_rows": 3, "bulk_batch_rows": 2}));
    let csv = "LastName,Company\nA,1\nB,2\nC,3\nD,4\nE,5\n".to_owned();
    let job = org.load(json!({"object": "Lead", "operation": "insert"}), csv).await;
    assert_eq!((&job["state"], &job["numberRecordsProcessed"]), (&json!("Failed"), &json!(3)));
    assert!(job["errorMessage"].is_string());
    let id = job["id"].as_str().unwrap();
    assert_eq!(org.text(&format!("/jobs/ingest/{id}/successfulResults")).await.lines().count(), 4);
    assert_eq!(org.text(&format!("/jobs/ingest/{id}/unprocessedrecords")).await, "\"LastName\",\"Company\"\nD,4\nE,5\n");
}

#[tokio::test]
async fn what_bulk_does_not_do_is_refused() {
    let org = Org::start().await;
    for (job, wanted) in [
        (json!({"object": "Nope", "operation": "insert"}), "INVALIDENTITY"),
        (json!({"object": "Attachment", "operation": "insert"}), "INVALIDENTITY"),
        (json!({"object": "Account", "operation": "merge"}), "INVALIDJOB"),
        (json!({"object": "Account", "operation": "upsert"}), "INVALIDJOB"),
    ] {
        let (status, body) = org.post("/jobs/ingest", job).await;
        assert_eq!((status, code(&body)), (400, wanted));
    }
    for (soql, wanted) in [
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR"),
        ("SELECT COUNT(Id) FROM Account", "API_ERROR"),
        ("SELECT BillingAddress FROM Account", "INVALIDFIELD"),
        ("SELECT Id FROM Attachment", "INVALIDENTITY"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
    ] {
        let (status, body) = org.post("/jobs/query", json!({"operation": "query", "query": soql})).await;
        assert_eq!((status, code(&body)), (400, wanted), "{soql}");
    }
    org.configure(json!({"bulk_held": true}));
    let (_, job) = org.post("/jobs/ingest", json!({"object": "Lead", "operation": "insert"})).await;
    let path = format!("/jobs/ingest/{}", job["id"].as_str().unwrap());
    assert_eq!(code(&org.call(Method::GET, &format!("{path}/failedResults"), None).await.1), "INVALIDJOBSTATE");
    assert_eq!(org.patch(&path, json!({"state": "Aborted"})).await.1["state"], "Aborted");
    assert_eq!(code(&org.patch(&path, json!({"state": "UploadComplete"})).await.1), "INVALIDJOBSTATE");
    assert_eq!(org.call(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(org.call(Method::GET, &path, None).await.0, 404);
}
