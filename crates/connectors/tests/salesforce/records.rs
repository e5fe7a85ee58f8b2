//! Records one by one, in batches, in composites, and found again.

use connector::{Cx, Doubt, Effect, ErrorClass};
use serde_json::json;

use crate::salesforce;

#[tokio::test]
async fn a_record_lives_from_create_to_delete() {
    let sf = salesforce().await;
    let id = sf.create("Account", json!({"Name": "Acme", "AnnualRevenue": 5})).await;
    sf.call("update", json!({"object": "Account", "id": id, "fields": {"Site": "North"}})).await.unwrap();
    let got = sf.call("get", json!({"object": "Account", "id": id, "fields": ["Name", "Site"]})).await.unwrap();
    assert_eq!(got["record"], json!({"Name": "Acme", "Site": "North"}));
    let old = json!({"object": "Account", "id": id, "fields": {"Site": "S"}, "only_if_unmodified_since": "2026-01-01T00:00:00Z"});
    let error = sf.call("update", old).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Conflict, "PRECONDITION_FAILED"));
    assert_eq!(sf.call("delete", json!({"object": "Account", "id": id})).await.unwrap()["deleted"], true);
    for ignore_missing in [false, true] {
        let again = json!({"object": "Account", "id": id, "ignore_missing": ignore_missing});
        let later = Cx { in_doubt: true, ..sf.cx("later") };
        let done = sf.call_with(later, "delete", again.clone()).await.unwrap();
        assert_eq!(done["deleted"], true, "a try whose answer was lost has done it");
        match sf.call("delete", again).await {
            Ok(told) => assert!(ignore_missing && told["deleted"] == false, "somebody else deleted it: {told}"),
            Err(error) => assert!(!ignore_missing && error.code == "ENTITY_IS_DELETED", "{error:?}"),
        }
    }
    let ids = json!({"ids": [id]});
    let again = sf.call_with(Cx { in_doubt: true, ..sf.cx("later") }, "batch_delete", ids.clone()).await.unwrap();
    assert_eq!((&again["succeeded"], &again["rows"][0]["id"]), (&json!(1), &json!(id)));
    let first = sf.call("batch_delete", ids).await.unwrap();
    assert_eq!((&first["failed"], &first["rows"][0]["errors"][0]["code"]), (&json!(1), &json!("ENTITY_IS_DELETED")));
    let none = json!({"object": "Account", "id": "001xx0zzzzzzzzz"});
    assert_eq!(sf.call("delete", none.clone()).await.unwrap_err().class, ErrorClass::NotFound);
    let mut fine = none;
    fine["ignore_missing"] = json!(true);
    assert_eq!(sf.call("delete", fine).await.unwrap()["deleted"], false);
    assert_eq!(sf.call("get", json!({"object": "Account", "id": id})).await.unwrap()["record"], json!(null));
}

#[tokio::test]
async fn a_create_with_a_key_is_done_once_however_often_it_is_tried() {
    let sf = salesforce().await;
    let input = json!({"object": "Lead", "fields": {"LastName": "A", "Company": "B"}, "dedupe_key": "External_Id__c"});
    let action = sf.connector.action("create").unwrap();
    assert_eq!((action.effect)(&input), Effect::Idempotent);
    assert_eq!((action.effect)(&json!({"object": "Lead", "fields": {}})), Effect::Once);
    let first = sf.call("create", input.clone()).await.unwrap();
    let again = sf.call("create", input).await.unwrap();
    assert_eq!((&first["created"], &again["created"]), (&json!(true), &json!(false)));
    assert_eq!(first["id"], again["id"]);
    let lead = sf.call("get", json!({"object": "Lead", "external_id": {"External_Id__c": "run_1/step"}})).await.unwrap();
    assert_eq!(lead["record"]["Id"], first["id"]);
}

#[tokio::test]
async fn an_upsert_finds_by_a_key_of_any_letters_and_refuses_several() {
    let sf = salesforce().await;
    let upsert = |key: &str| json!({"object": "Account", "external_id": {"Ext__c": key}, "fields": {"Name": "K", "Ext__c": key}});
    let only =
        |key: &str| json!({"object": "Account", "external_id": {"Ext__c": key}, "fields": {"Name": "X"}, "update_only": true});
    let get = |key: &str| json!({"object": "Account", "external_id": {"Ext__c": key}, "fields": ["Name"]});
    // Salesforce reads the ending of an address as a format.
    for (key, code) in
        [("k/1 ?#%ä", "MULTIPLE_CHOICES"), ("a.xml", "DUPLICATE_EXTERNAL_ID"), ("B-1.JSON", "DUPLICATE_EXTERNAL_ID")]
    {
        assert_eq!(sf.call("upsert", only(key)).await.unwrap_err().class, ErrorClass::NotFound, "{key}");
        assert_eq!(sf.call("get", get(key)).await.unwrap(), json!({"record": null}), "{key}");
        let made = sf.call("upsert", upsert(key)).await.unwrap();
        assert_eq!(made["created"], true, "{key}");
        assert_eq!(sf.call("upsert", upsert(key)).await.unwrap(), json!({"id": made["id"], "created": false}));
        assert_eq!(sf.call("upsert", only(key)).await.unwrap(), json!({"id": made["id"], "created": false}));
        assert_eq!(sf.call("get", get(key)).await.unwrap()["record"]["Name"], "X", "{key}");
        sf.create("Account", json!({"Name": "Twin", "Ext__c": key})).await;
        let error = sf.call("upsert", upsert(key)).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Conflict, code));
        assert!(error.message.contains("001"), "{}", error.message);
        assert_eq!(sf.call("get", get(key)).await.unwrap_err().code, code);
    }
    // A step of a path never leads to another resource.
    let above = sf.call("upsert", upsert("..")).await.unwrap();
    assert_eq!(sf.call("get", get("..")).await.unwrap()["record"]["Name"], "K", "{above}");
    let mut wrong = upsert("c.json");
    wrong["fields"] = json!({"Phone": "1"});
    assert_eq!(sf.call("upsert", wrong).await.unwrap_err().code, "REQUIRED_FIELD_MISSING");
    assert_eq!(sf.call("upsert", upsert("")).await.unwrap_err().code, "KEY_EMPTY");
}

#[tokio::test]
async fn refusals_are_told_in_words_with_what_to_do() {
    let sf = salesforce().await;
    let error = sf.call("create", json!({"object": "Account", "fields": {"Phone": "1"}})).await.unwrap_err();
    assert_eq!((error.class, error.doubt, error.code.as_str()), (ErrorClass::Invalid, Doubt::Settled, "REQUIRED_FIELD_MISSING"));
    assert_eq!(error.message, "a required field is missing: Required fields are missing: [Name]");
    assert_eq!(error.next.as_deref(), Some("Give the field a value."));
    let request = error.request.unwrap();
    let secret = sf.connection.credentials["client_secret"].expose();
    assert!(!request.to_string().contains("00D") && !request.to_string().contains(secret), "{request}");
    sf.configure(json!({"duplicate_rules": true}));
    let twin = sf.create("Account", json!({"Name": "Twins"})).await;
    let error = sf.call("create", json!({"object": "Account", "fields": {"Name": "Twins"}})).await.unwrap_err();
    assert!(error.code == "DUPLICATES_DETECTED" && error.message.contains(&twin), "{}", error.message);
    sf.call("create", json!({"object": "Account", "fields": {"Name": "Twins"}, "allow_duplicates": true})).await.unwrap();
}

#[tokio::test]
async fn a_search_gives_pages_and_a_whole_and_keeps_values_values() {
    let sf = salesforce().await;
    sf.happen("burst", json!({"object": "Lead", "count": 2500, "fields": {"LastName": "O'Neil", "Company": "Bulk"}}));
    let search =
        json!({"object": "Lead", "fields": ["Name"], "filter": [{"field": "LastName", "is": "equal", "value": "O'Neil"}]});
    let pages = sf.pages("search", search.clone()).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
    let ids: std::collections::HashSet<_> =
        pages.iter().flat_map(|page| &page.items).map(|record| record["Id"].to_string()).collect();
    assert_eq!(ids.len(), 2500);
    let whole = sf.call("search", search).await.unwrap();
    assert_eq!(whole["total_size"], 2500);
    let limited = json!({"object": "Lead", "limit": 1200});
    assert_eq!(sf.pages("search", limited).await.unwrap().iter().map(|page| page.items.len()).sum::<usize>(), 1200);
    let own = json!({"soql": "SELECT Id, (SELECT LastName FROM Contacts) FROM Account WHERE External_Id__c = :key", "params": {"key": "C-0001"}});
    let found = sf.call("query", own).await.unwrap();
    let contacts = found["records"][0]["Contacts"].as_array().unwrap();
    let company = sf.sandbox.world().company();
    assert_eq!(contacts.len(), company.customers[0].contacts.len());
    let ordered = json!({"object": "Account", "fields": ["External_Id__c"], "order_by": "External_Id__c desc", "limit": 2});
    let found = sf.call("search", ordered).await.unwrap();
    assert_eq!(found["records"][0]["External_Id__c"], "C-0060");
    let evil = json!({"object": "Account", "order_by": "Id LIMIT 1 FOR UPDATE"});
    assert_eq!(sf.call("search", evil).await.unwrap_err().code, "INPUT_INVALID");
    let words = json!({"text": "calibration", "objects": [{"object": "Case", "fields": ["Subject"]}]});
    assert_eq!(sf.call("search_sosl", words).await.unwrap()["records"][0]["object"], "Case");
    let id = found["records"][0]["Id"].clone();
    let related = sf
        .call("get_related_records", json!({"object": "Account", "id": id, "list": "Contacts", "fields": ["LastName"]}))
        .await
        .unwrap();
    assert!(related["total_size"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_search_by_id_outlives_the_session_it_began_in() {
    let sf = salesforce().await;
    sf.happen("burst", json!({"object": "Lead", "count": 1500, "fields": {"LastName": "A", "Company": "Walk"}}));
    let pages = sf.connector.action("search").unwrap().pages.clone().unwrap();
    let search = json!({"object": "Lead", "filter": [{"field": "Company", "is": "equal", "value": "Walk"}]});
    let first = pages(sf.cx("a"), search.clone(), None).await.unwrap();
    sf.happen("expire_sessions", json!({}));
    let second = pages(sf.cx("a"), search, first.next).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (1000, 500, None));
}

#[tokio::test]
async fn batches_tell_row_by_row() {
    let sf = salesforce().await;
    let rows: Vec<_> = (0..450)
        .map(|row| {
            if row % 100 == 7 {
                json!({"Company": "Batch"})
            } else {
                json!({"LastName": format!("R{row}"), "Company": "Batch", "External_Id__c": format!("B-{row}")})
            }
        })
        .collect();
    let made = sf.call("batch_create", json!({"object": "Lead", "rows": rows})).await.unwrap();
    assert_eq!((&made["succeeded"], &made["failed"], sf.seen("/composite/sobjects")), (&json!(445), &json!(5), 3));
    assert_eq!(made["rows"][7]["errors"][0]["code"], "REQUIRED_FIELD_MISSING");
    assert_eq!(made["rows"][449]["index"], 449);
    sf.configure(json!({"locked_writes": 2}));
    let some: Vec<_> = (0..3).map(|row| json!({"External_Id__c": format!("B-{row}"), "Title": "Boss"})).collect();
    let upserted = sf.call("batch_upsert", json!({"object": "Lead", "key_field": "External_Id__c", "rows": some})).await.unwrap();
    assert_eq!(
        (&upserted["succeeded"], &upserted["rows"][0]["created"]),
        (&json!(3), &json!(false)),
        "locked rows are sent again"
    );
    let id = made["rows"][0]["id"].clone();
    let updated = sf
        .call("batch_update", json!({"object": "Lead", "rows": [{"Id": id, "Title": "Chief"}, {"Id": "00Qxx0zzzzzzzzz"}]}))
        .await
        .unwrap();
    assert_eq!((&updated["succeeded"], &updated["failed"]), (&json!(1), &json!(1)));
    let gone = sf.call("batch_delete", json!({"ids": [id, id]})).await.unwrap();
    assert_eq!((&gone["succeeded"], &gone["rows"][1]["errors"]), (&json!(2), &json!([])), "deleted already is deleted");
    let none = sf
        .call("batch_create", json!({"object": "Lead", "rows": [{"LastName": "A", "Company": "B"}, {}], "all_or_none": true}))
        .await
        .unwrap();
    assert_eq!(none["rows"][0]["errors"][0]["code"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
}

#[tokio::test]
async fn a_create_in_batches_that_breaks_off_says_which_rows_are_uncertain() {
    let sf = salesforce().await;
    let rows: Vec<_> = (0..250).map(|row| json!({"LastName": format!("R{row}"), "Company": "Broken"})).collect();
    sf.sandbox
        .world()
        .faults()
        .add(sandbox::Fault::new("salesforce", sandbox::Kind::ResetAfter).on("/composite/sobjects").after(1).times(1))
        .unwrap();
    let made = sf.call("batch_create", json!({"object": "Lead", "rows": rows})).await.unwrap();
    assert_eq!((&made["succeeded"], &made["failed"]), (&json!(200), &json!(50)));
    assert_eq!((&made["rows"][0]["success"], &made["rows"][200]["uncertain"]), (&json!(true), &json!(true)));
    assert_eq!(sf.count("SELECT Id FROM Lead WHERE Company = 'Broken'").await, 250, "they were written; nobody wrote them twice");
}

#[tokio::test]
async fn composites_and_trees_are_whole() {
    let sf = salesforce().await;
    let calls = json!([{"id": "acc", "method": "POST", "path": "sobjects/Account", "body": {"Name": "A"}}, {"id": "con", "method": "POST", "path": "sobjects/Contact", "body": {"LastName": "B", "AccountId": "@{acc.id}"}}]);
    let done = sf.call("composite", json!({"calls": calls})).await.unwrap();
    assert_eq!((&done["failed"], &done["responses"][1]["status"]), (&json!(0), &json!(201)));
    let tree = |name: &str| json!({"object": "Account", "records": [{"attributes": {"type": "Account", "referenceId": "r1"}, "Name": "T", "Contacts": {"records": [{"attributes": {"type": "Contact", "referenceId": "r2"}, "LastName": name}]}}]});
    assert_eq!(sf.call("create_tree", tree("Leaf")).await.unwrap()["records"][1]["reference"], "r2");
    let error = sf.call("create_tree", tree("")).await.unwrap_err();
    assert!(
        error.code == "REQUIRED_FIELD_MISSING" && error.message.contains("nothing was created; the record \"r2\""),
        "{}",
        error.message
    );
}
