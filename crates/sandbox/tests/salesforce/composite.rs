//! Several records and several calls in one.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Org, VERSION, code};

#[tokio::test]
async fn a_collection_tells_row_by_row_and_all_or_none_takes_all_back() {
    let org = Org::start().await;
    let records =
        |names: &[Json]| -> Json { names.iter().map(|name| json!({"attributes": {"type": "Account"}, "Name": name})).collect() };
    let rows = records(&[json!("A"), json!(null), json!("C")]);
    let (status, body) = org.post("/composite/sobjects", json!({"allOrNone": false, "records": rows})).await;
    assert_eq!((status, &body[0]["success"], &body[2]["success"]), (200, &json!(true), &json!(true)));
    assert_eq!(
        body[1],
        json!({"success": false, "errors": [{"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [Name]", "fields": ["Name"]}]})
    );
    let before = org.asked("SELECT COUNT() FROM Account").await.1;
    let (_, body) = org.post("/composite/sobjects", json!({"allOrNone": true, "records": rows})).await;
    assert_eq!(body[0]["errors"][0]["statusCode"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(org.asked("SELECT COUNT() FROM Account").await.1, before);
    let many = records(&vec![json!("A"); 201]);
    assert_eq!(code(&org.post("/composite/sobjects", json!({"records": many})).await.1), "EXCEEDED_ID_LIMIT");
    let upserts = json!([
        {"attributes": {"type": "Account"}, "External_Id__c": "C-0001", "Site": "N"},
        {"attributes": {"type": "Account"}, "External_Id__c": "new", "Name": "New"},
        {"attributes": {"type": "Account"}, "External_Id__c": "NEW", "Name": "Twice"},
    ]);
    let (_, body) = org.patch("/composite/sobjects/Account/External_Id__c", json!({"records": upserts})).await;
    assert_eq!((&body[0]["created"], &body[1]["created"]), (&json!(false), &json!(true)));
    assert_eq!(body[2]["errors"][0]["statusCode"], "DUPLICATE_VALUE");
    let id = body[1]["id"].as_str().unwrap();
    let got = org.post("/composite/sobjects/Account", json!({"ids": [id, "001xx0zzzzzzzzz"], "fields": ["Name"]})).await.1;
    assert_eq!((&got[0]["Name"], &got[1]), (&json!("New"), &json!(null)));
    let (_, body) = org.call(Method::DELETE, &format!("/composite/sobjects?ids={id},{id}"), None).await;
    assert_eq!((&body[0]["success"], &body[1]["errors"][0]["statusCode"]), (&json!(true), &json!("ENTITY_IS_DELETED")));
}

#[tokio::test]
async fn parts_of_a_composite_name_each_other() {
    let org = Org::start().await;
    let part = |method: &str, path: &str, id: &str, body: Json| json!({"method": method, "url": format!("{VERSION}{path}"), "referenceId": id, "body": body});
    let parts = json!([
        part("POST", "/sobjects/Account", "acc", json!({"Name": "A"})),
        part("POST", "/sobjects/Contact", "con", json!({"LastName": "B", "AccountId": "@{acc.id}"})),
        part("GET", "/query?q=SELECT+Id+FROM+Contact+WHERE+AccountId='@{acc.id}'", "found", json!(null)),
        part("GET", "/sobjects/Contact/@{found.records[0].Id}", "read", json!(null)),
    ]);
    let (status, body) = org.post("/composite", json!({"allOrNone": true, "compositeRequest": parts})).await;
    let answers = body["compositeResponse"].as_array().unwrap();
    assert_eq!((status, answers.len()), (200, 4));
    assert_eq!((&answers[0]["httpStatusCode"], &answers[3]["body"]["LastName"]), (&json!(201), &json!("B")));
    assert!(answers[0]["httpHeaders"]["Location"].is_string());

    let bad = json!([
        part("POST", "/sobjects/Account", "one", json!({"Name": "Rolled back"})),
        part("POST", "/sobjects/Account", "two", json!({})),
        part("POST", "/sobjects/Contact", "three", json!({"LastName": "X", "AccountId": "@{two.id}"})),
    ]);
    for (all_or_none, codes) in [
        (true, ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]),
        (false, ["", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]),
    ] {
        let (status, body) = org.post("/composite", json!({"allOrNone": all_or_none, "compositeRequest": bad})).await;
        assert_eq!(status, 200);
        let told: Vec<&str> = body["compositeResponse"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["body"][0]["errorCode"].as_str().unwrap_or_default())
            .collect();
        assert_eq!(told, codes);
    }
    assert_eq!(org.records("SELECT Id FROM Account WHERE Name = 'Rolled back'").await.len(), 1, "only the second try left one");
    let many: Vec<Json> = (0..26).map(|place| part("GET", "/limits", &format!("r{place}"), json!(null))).collect();
    assert_eq!(org.post("/composite", json!({"compositeRequest": many})).await.0, 400);
}

#[tokio::test]
async fn a_graph_is_whole_by_itself_and_a_batch_goes_on_or_halts() {
    let org = Org::start().await;
    let graph = |id: &str, name: Json| {
        json!({"graphId": id, "compositeRequest": [
            {"method": "POST", "url": format!("{VERSION}/sobjects/Account"), "referenceId": "a", "body": {"Name": format!("Graph {id}")}},
            {"method": "POST", "url": format!("{VERSION}/sobjects/Account"), "referenceId": "b", "body": {"Name": name}},
        ]})
    };
    let (_, body) = org.post("/composite/graph", json!({"graphs": [graph("good", json!("B")), graph("bad", json!(null))]})).await;
    assert_eq!((&body["graphs"][0]["isSuccessful"], &body["graphs"][1]["isSuccessful"]), (&json!(true), &json!(false)));
    assert_eq!(org.records("SELECT Name FROM Account WHERE Name LIKE 'Graph%'").await.len(), 1);
    let requests = json!([
        {"method": "GET", "url": "v62.0/limits"},
        {"method": "PATCH", "url": "v62.0/sobjects/Account/001", "richInput": {"Name": "X"}},
        {"method": "GET", "url": "v62.0/limits"},
    ]);
    for (halt, last) in [(false, 200), (true, 412)] {
        let (_, body) = org.post("/composite/batch", json!({"haltOnError": halt, "batchRequests": requests})).await;
        assert_eq!(
            (&body["hasErrors"], &body["results"][0]["statusCode"], &body["results"][2]["statusCode"]),
            (&json!(true), &json!(200), &json!(last))
        );
    }
}

#[tokio::test]
async fn a_tree_is_planted_whole_or_not_at_all() {
    let org = Org::start().await;
    let tree = |last: Json| {
        json!({"records": [{"attributes": {"type": "Account", "referenceId": "r1"}, "Name": "Tree", "Contacts": {"records": [
            {"attributes": {"type": "Contact", "referenceId": "r2"}, "LastName": last}]}}]})
    };
    let (status, body) = org.post("/composite/tree/Account", tree(json!("Leaf"))).await;
    assert_eq!((status, &body["hasErrors"], &body["results"][1]["referenceId"]), (201, &json!(false), &json!("r2")));
    let rows = org.records("SELECT (SELECT LastName FROM Contacts) FROM Account WHERE Name = 'Tree'").await;
    assert_eq!(rows[0]["Contacts"]["records"][0]["LastName"], "Leaf");
    let (status, body) = org.post("/composite/tree/Account", tree(json!(null))).await;
    assert_eq!((status, &body["hasErrors"], &body["results"][0]["referenceId"]), (400, &json!(true), &json!("r2")));
    assert_eq!(org.records("SELECT Id FROM Account WHERE Name = 'Tree'").await.len(), 1);
}
