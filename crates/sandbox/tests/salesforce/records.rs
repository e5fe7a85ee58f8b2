//! Records one by one: create, read, change, delete, upsert, describe, changed ids.

use reqwest::Method;
use serde_json::json;

use crate::{Org, code};

#[tokio::test]
async fn a_record_is_created_read_changed_and_deleted() {
    let org = Org::start().await;
    let answer =
        org.request(Method::POST, "/sobjects/Account").json(&json!({"Name": "Acme", "Phone": null})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let body: serde_json::Value = answer.json().await.unwrap();
    let id = body["id"].as_str().unwrap();
    assert_eq!(body, json!({"id": id, "success": true, "errors": []}));
    assert_eq!((id.len(), &id[..3], location), (18, "001", format!("/services/data/v62.0/sobjects/Account/{id}")));
    let read = org.get(&format!("/sobjects/Account/{}?fields=Id,Name,Phone", &id[..15])).await;
    let attributes = json!({"type": "Account", "url": format!("/services/data/v62.0/sobjects/Account/{id}")});
    assert_eq!(read, json!({"attributes": attributes, "Id": id, "Name": "Acme", "Phone": null}));
    assert_eq!(org.patch(&format!("/sobjects/Account/{id}"), json!({"BillingCity": "Jena"})).await.0, 204);
    assert_eq!(org.get(&format!("/sobjects/Account/{id}")).await["BillingAddress"]["city"], "Jena");
    let over_post = org.post(&format!("/sobjects/Account/{id}?_HTTP_METHOD=PATCH"), json!({"Site": "North"})).await;
    assert_eq!(over_post.0, 204);
    assert_eq!(org.call(Method::DELETE, &format!("/sobjects/Account/{id}"), None).await.0, 204);
    for method in [Method::DELETE, Method::GET] {
        let (status, body) = org.call(method, &format!("/sobjects/Account/{id}"), None).await;
        assert_eq!((status, code(&body)), (404, "ENTITY_IS_DELETED"));
    }
}

#[tokio::test]
async fn what_a_record_must_not_hold_is_refused_in_the_vendors_words() {
    let org = Org::start().await;
    let long = "x".repeat(256);
    for (object, fields, wanted, names) in [
        ("Account", json!({"Phone": "1"}), "REQUIRED_FIELD_MISSING", json!(["Name"])),
        ("Account", json!({"Name": "A", "Foo__c": 1}), "INVALID_FIELD", json!(null)),
        (
            "Account",
            json!({"Name": "A", "CreatedDate": "2026-01-01T00:00:00Z"}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            json!(["CreatedDate"]),
        ),
        ("Account", json!({"Name": long}), "STRING_TOO_LONG", json!(["Name"])),
        ("Account", json!({"Name": "A", "External_Id__c": "C-0001"}), "DUPLICATE_VALUE", json!([])),
        ("Account", json!({"Name": "A", "Active__c": "Maybe"}), "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", json!(["Active__c"])),
        ("Account", json!({"Name": "A", "NumberOfEmployees": "many"}), "JSON_PARSER_ERROR", json!(null)),
        ("Account", json!({"Name": "A", "NumberOfEmployees": 1e12}), "NUMBER_OUTSIDE_VALID_RANGE", json!(["NumberOfEmployees"])),
        ("Contact", json!({"LastName": "A", "Email": "nobody"}), "INVALID_EMAIL_ADDRESS", json!(["Email"])),
        (
            "Contact",
            json!({"LastName": "A", "AccountId": "001xx0zzzzzzzzz"}),
            "INVALID_CROSS_REFERENCE_KEY",
            json!(["AccountId"]),
        ),
        ("Contact", json!({"LastName": "A", "AccountId": "nonsense"}), "MALFORMED_ID", json!(["AccountId"])),
        ("Contact", json!({"LastName": "A", "Birthdate": "yesterday"}), "JSON_PARSER_ERROR", json!(null)),
        (
            "Opportunity",
            json!({"Name": "A", "StageName": "X", "CloseDate": "2026-01-01", "Amount": -1}),
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            json!(["Amount"]),
        ),
    ] {
        let (status, body) = org.post(&format!("/sobjects/{object}"), fields.clone()).await;
        assert_eq!((status, code(&body)), (400, wanted), "{fields}: {body}");
        assert_eq!(body[0].get("fields").cloned().unwrap_or_default(), names, "{fields}: {body}");
    }
    let (status, body) = org.post("/sobjects/Nothing__c", json!({})).await;
    assert_eq!((status, code(&body)), (404, "NOT_FOUND"));
    let broken = org.request(Method::POST, "/sobjects/Account").header("content-type", "application/json").body("{\"Name\"");
    let (status, body) = crate::read(broken.send().await.unwrap()).await;
    assert_eq!((status, code(&body)), (400, "JSON_PARSER_ERROR"));
    let strange = org.request(Method::POST, "/sobjects/Account").header("content-type", "text/plain").body("{}");
    assert_eq!(strange.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn an_upsert_creates_changes_or_tells_of_several() {
    let org = Org::start().await;
    let path = "/sobjects/Account/Ext__c/k%2F1";
    let (status, body) = org.patch(path, json!({"Name": "One"})).await;
    assert_eq!((status, &body["created"]), (201, &json!(true)));
    let id = body["id"].clone();
    assert_eq!(
        org.patch(path, json!({"Name": "Two"})).await,
        (200, json!({"id": id, "success": true, "errors": [], "created": false}))
    );
    assert_eq!(org.get(path).await["Name"], "Two");
    let (status, body) = org.patch("/services/data/v45.0/sobjects/Account/Ext__c/k%2F1", json!({"Name": "Three"})).await;
    assert_eq!((status, body), (204, json!(null)));
    let second = org.create("Account", json!({"Name": "Twin", "Ext__c": "k/1"})).await;
    let (status, body) = org.patch(path, json!({"Name": "Four"})).await;
    let urls = json!([
        format!("/services/data/v62.0/sobjects/Account/{}", id.as_str().unwrap()),
        format!("/services/data/v62.0/sobjects/Account/{second}")
    ]);
    assert_eq!((status, body), (300, urls));
    assert_eq!(org.get(&format!("/sobjects/Account/{second}")).await["Name"], "Twin", "nothing is written");
    assert_eq!(org.patch("/sobjects/Account/Ext__c/new?updateOnly=true", json!({"Name": "X"})).await.0, 404);
    for format in ["a.xml", "a.JSON", "a@b.inc"] {
        assert_eq!(org.patch(&format!("/sobjects/Account/Ext__c/{format}"), json!({"Name": "X"})).await.0, 404, "{format}");
    }
    assert_eq!(org.patch("/sobjects/Account/Phone/1", json!({"Name": "X"})).await.0, 404);
    assert_eq!(code(&org.patch("/sobjects/Account/Ext__c/a", json!({"Name": "X", "Ext__c": "a"})).await.1), "INVALID_FIELD");
    let contact = org.create("Contact", json!({"LastName": "B", "Account": {"External_Id__c": "C-0002"}})).await;
    let account = org.get("/sobjects/Account/External_Id__c/C-0002?fields=Id").await;
    assert_eq!(org.get(&format!("/sobjects/Contact/{contact}")).await["AccountId"], account["Id"]);
}

#[tokio::test]
async fn dates_of_the_call_guard_reads_and_writes() {
    let org = Org::start().await;
    let id = org.create("Account", json!({"Name": "Acme"})).await;
    let path = format!("/sobjects/Account/{id}");
    let modified = org.request(Method::GET, &path).send().await.unwrap().headers()["last-modified"].to_str().unwrap().to_owned();
    let since = org.request(Method::GET, &path).header("if-modified-since", &modified);
    assert_eq!(since.send().await.unwrap().status(), 304);
    let old = org
        .request(Method::PATCH, &path)
        .header("if-unmodified-since", "Thu, 01 Jan 2026 00:00:00 GMT")
        .json(&json!({"Site": "N"}));
    assert_eq!(old.send().await.unwrap().status(), 412);
    let same = org.request(Method::PATCH, &path).header("if-unmodified-since", &modified).json(&json!({"Site": "N"}));
    assert_eq!(same.send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_describe_tells_fields_and_follows_the_schema() {
    let org = Org::start().await;
    let account = org.get("/sobjects/Account/describe").await;
    let field = |name: &str| account["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone();
    let name = field("Name");
    assert_eq!(
        (&name["type"], &name["nillable"], &name["createable"], &name["length"]),
        (&json!("string"), &json!(false), &json!(true), &json!(255))
    );
    assert_eq!((&field("External_Id__c")["externalId"], &field("External_Id__c")["unique"]), (&json!(true), &json!(true)));
    assert_eq!(field("Industry")["picklistValues"][0]["value"], "Agriculture");
    assert!(account["childRelationships"].as_array().unwrap().iter().any(|list| list["relationshipName"] == "Contacts"));
    org.happen("add_field", json!({"object": "Account", "field": "Region__c string:3 \"Region\""}));
    let id = org.create("Account", json!({"Name": "A", "Region__c": "EMA"})).await;
    assert_eq!(org.records(&format!("SELECT Region__c FROM Account WHERE Id = '{id}'")).await[0]["Region__c"], "EMA");
    assert_eq!(
        org.get("/sobjects/Account/External_Id__c/C-0001").await["Region__c"],
        json!(null),
        "older rows have the new field, empty"
    );
    org.happen("remove_field", json!({"object": "Account", "field": "Region__c"}));
    assert_eq!(code(&org.asked("SELECT Region__c FROM Account").await.1), "INVALID_FIELD");
    let all = org.get("/sobjects").await;
    assert_eq!(all["maxBatchSize"], 200);
    assert!(all["sobjects"].as_array().unwrap().iter().any(|object| object["name"] == "Invoice__c" && object["custom"] == true));
}

#[tokio::test]
async fn changed_and_deleted_ids_are_told() {
    let org = Org::start().await;
    let id = org.create("Lead", json!({"LastName": "A", "Company": "B"})).await;
    let gone = org.create("Lead", json!({"LastName": "C", "Company": "D"})).await;
    org.call(Method::DELETE, &format!("/sobjects/Lead/{gone}"), None).await;
    org.sandbox.world().clock().advance(std::time::Duration::from_secs(120));
    let now = org.sandbox.world().clock().now();
    let at = |seconds: i64| (now + jiff::SignedDuration::from_secs(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (start, end) = (at(-300), at(60));
    let updated = org.get(&format!("/sobjects/Lead/updated/?start={start}&end={end}")).await;
    assert_eq!(updated["ids"], json!([id]));
    let deleted = org.get(&format!("/sobjects/Lead/deleted/?start={start}&end={end}")).await;
    assert_eq!(deleted["deletedRecords"][0]["id"], gone.as_str());
    assert!(deleted["earliestDateAvailable"].is_string() && deleted["latestDateCovered"].is_string());
    let (status, body) =
        org.call(Method::GET, &format!("/sobjects/Lead/updated/?start={}&end={end}", at(-86_400 * 31)), None).await;
    assert_eq!((status, code(&body)), (400, "INVALID_REPLICATION_DATE"));
}

#[tokio::test]
async fn a_file_goes_up_in_parts_and_comes_down_whole() {
    let org = Org::start().await;
    let account = org.get("/sobjects/Account/External_Id__c/C-0001?fields=Id").await["Id"].as_str().unwrap().to_owned();
    let bytes = vec![7_u8; 300_000];
    let entity = json!({"Title": "Offer", "PathOnClient": "offer.pdf", "FirstPublishLocationId": account}).to_string();
    let entity = reqwest::multipart::Part::text(entity).mime_str("application/json").unwrap();
    let data =
        reqwest::multipart::Part::bytes(bytes.clone()).file_name("offer.pdf").mime_str("application/octet-stream").unwrap();
    let form = reqwest::multipart::Form::new().part("entity_content", entity).part("VersionData", data);
    let (status, body) =
        crate::read(org.request(Method::POST, "/sobjects/ContentVersion").multipart(form).send().await.unwrap()).await;
    assert_eq!(status, 201, "{body}");
    let id = body["id"].as_str().unwrap();
    let down = org.request(Method::GET, &format!("/sobjects/ContentVersion/{id}/VersionData")).send().await.unwrap();
    assert_eq!(down.bytes().await.unwrap(), bytes);
    let version = org.get(&format!("/sobjects/ContentVersion/{id}")).await;
    assert_eq!((&version["ContentSize"], &version["FileExtension"]), (&json!(300_000), &json!("pdf")));
    let links = org.records(&format!("SELECT LinkedEntityId FROM ContentDocumentLink WHERE LinkedEntityId = '{account}'")).await;
    assert_eq!(links.len(), 1);
}

#[tokio::test]
async fn records_that_look_alike_are_refused_unless_the_call_insists() {
    let org = Org::start().await;
    org.configure(json!({"duplicate_rules": true}));
    let first = org.create("Account", json!({"Name": "Twins"})).await;
    let (status, body) = org.post("/sobjects/Account", json!({"Name": "twins"})).await;
    assert_eq!((status, code(&body)), (400, "DUPLICATES_DETECTED"));
    let matched = &body[0]["duplicateResult"]["matchResults"][0]["matchRecords"][0]["record"]["Id"];
    assert_eq!(matched, first.as_str());
    let insisted = org.request(Method::POST, "/sobjects/Account").header("sforce-duplicate-rule-header", "allowSave=true");
    assert_eq!(insisted.json(&json!({"Name": "twins"})).send().await.unwrap().status(), 201);
}
