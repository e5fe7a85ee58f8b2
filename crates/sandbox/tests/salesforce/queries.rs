//! SOQL over the wire: what it finds, how it pages, what it refuses.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Org, code};

fn column(records: &[Json], name: &str) -> Vec<Json> {
    records.iter().map(|record| record[name].clone()).collect()
}

#[tokio::test]
async fn a_query_comes_in_pages_and_a_cursor_stays_as_it_was() {
    let org = Org::start().await;
    org.happen("burst", json!({"object": "Lead", "count": 5000, "fields": {"LastName": "Import", "Company": "Bulk"}}));
    let (_, mut page) = org.asked("SELECT Id FROM Lead WHERE LastName = 'Import' ORDER BY Id").await;
    org.happen("burst", json!({"object": "Lead", "count": 10, "fields": {"LastName": "Import", "Company": "Late"}}));
    let mut ids = Vec::new();
    loop {
        assert_eq!(page["totalSize"], 5000);
        ids.extend(column(page["records"].as_array().unwrap(), "Id"));
        let Some(next) = page["nextRecordsUrl"].as_str() else { break };
        assert_eq!(page["done"], false);
        page = org.get(next).await;
    }
    assert_eq!((ids.len(), &page["done"]), (5000, &json!(true)));
    let sorted = ids.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str());
    assert!(sorted, "each once, in order");
    let sized = org.request(Method::GET, "/query?q=SELECT+Id+FROM+Lead").header("sforce-query-options", "batchSize=250");
    assert_eq!(crate::read(sized.send().await.unwrap()).await.1["records"].as_array().unwrap().len(), 250);
    let (status, body) = org.call(Method::GET, "/query/01gxx0zzzzzzzzzAAA-2000", None).await;
    assert_eq!((status, code(&body)), (400, "INVALID_QUERY_LOCATOR"));
}

#[tokio::test]
async fn a_keyset_over_ties_loses_and_repeats_nothing() {
    let org = Org::start().await;
    org.happen("burst", json!({"object": "Lead", "count": 3000, "fields": {"LastName": "Tie", "Company": "Bulk"}}));
    let (mut at, mut last, mut seen) = ("2020-01-01T00:00:00Z".to_owned(), String::new(), Vec::new());
    loop {
        let soql = format!(
            "SELECT Id, SystemModstamp FROM Lead WHERE LastName = 'Tie' AND (SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > '{last}')) ORDER BY SystemModstamp ASC, Id ASC LIMIT 700"
        );
        let page = org.records(&soql).await;
        let Some(end) = page.last() else { break };
        at = end["SystemModstamp"].as_str().unwrap().replace("+0000", "Z");
        last = end["Id"].as_str().unwrap().to_owned();
        seen.extend(column(&page, "Id").into_iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    let distinct: std::collections::HashSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (3000, 3000));
}

#[tokio::test]
async fn conditions_find_what_they_say() {
    let org = Org::start().await;
    for (name, revenue, regions, founded) in [
        ("Zeta Works", json!(10), "EMEA;APAC", json!("a")),
        ("zeta labs", json!(20), "AMER", json!("B")),
        ("Zeta_x", json!(null), "EMEA", json!(null)),
    ] {
        org.create(
            "Account",
            json!({"Name": name, "AnnualRevenue": revenue, "Regions__c": regions, "Site": founded, "Rating": "Hot"}),
        )
        .await;
    }
    for (condition, names) in [
        ("Name LIKE 'zeta%'", vec!["Zeta Works", "zeta labs", "Zeta_x"]),
        (r"Name LIKE 'Zeta\_%'", vec!["Zeta_x"]),
        ("Rating = 'hot' AND AnnualRevenue > 10", vec!["zeta labs"]),
        ("Rating = 'Hot' AND AnnualRevenue = null", vec!["Zeta_x"]),
        ("Rating = 'Hot' AND (NOT AnnualRevenue = null)", vec!["Zeta Works", "zeta labs"]),
        ("Rating = 'Hot' AND Site != 'a'", vec!["zeta labs", "Zeta_x"]),
        ("Regions__c INCLUDES ('EMEA;APAC','AMER')", vec!["Zeta Works", "zeta labs"]),
        ("Rating = 'Hot' AND Regions__c EXCLUDES ('EMEA')", vec!["zeta labs"]),
        ("Name IN ('ZETA WORKS', 'nobody')", vec!["Zeta Works"]),
        ("Rating = 'Hot' AND Name NOT IN ('zeta works')", vec!["zeta labs", "Zeta_x"]),
        (
            "Rating = 'Hot' AND CreatedDate = TODAY AND (AnnualRevenue = 10 OR AnnualRevenue = 20)",
            vec!["Zeta Works", "zeta labs"],
        ),
        ("Rating = 'Hot' AND CreatedDate < LAST_N_DAYS:3", vec![]),
        ("Rating = 'Hot' AND Id NOT IN (SELECT AccountId FROM Contact)", vec!["Zeta Works", "zeta labs", "Zeta_x"]),
        ("External_Id__c = 'c-0001'", vec![""]),
    ] {
        let found = org.records(&format!("SELECT Name FROM Account WHERE {condition} ORDER BY CreatedDate, Id")).await;
        if names == [""] {
            assert_eq!(found.len(), 1, "{condition}");
        } else {
            assert_eq!(column(&found, "Name"), names, "{condition}");
        }
    }
    let with_contacts = org.records("SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact)").await;
    assert_eq!(with_contacts.len(), org.sandbox.world().company().customers.len());
    let found = org
        .records("SELECT Name FROM Account WHERE Rating = 'Hot' ORDER BY AnnualRevenue DESC NULLS LAST LIMIT 2 OFFSET 1")
        .await;
    assert_eq!(column(&found, "Name"), ["Zeta Works", "Zeta_x"]);
}

#[tokio::test]
async fn parents_children_and_groups_have_their_shapes() {
    let org = Org::start().await;
    let account = org.get("/sobjects/Account/External_Id__c/C-0001").await;
    let id = account["Id"].as_str().unwrap();
    let rows = org.records(&format!("SELECT Id, Owner.Name, (SELECT LastName FROM Contacts), (SELECT Id FROM Cases WHERE Subject = 'no') FROM Account WHERE Id = '{id}'")).await;
    assert_eq!(rows[0]["Owner"]["attributes"]["type"], "User");
    assert_eq!(rows[0]["Owner"]["Name"], "Integration User");
    assert_eq!((&rows[0]["Contacts"]["done"], &rows[0]["Cases"]), (&json!(true), &json!(null)));
    assert_eq!(
        rows[0]["Contacts"]["totalSize"].as_u64().unwrap() as usize,
        rows[0]["Contacts"]["records"].as_array().unwrap().len()
    );
    let orphan = org.create("Contact", json!({"LastName": "Alone"})).await;
    assert_eq!(org.records(&format!("SELECT Account.Name FROM Contact WHERE Id = '{orphan}'")).await[0]["Account"], json!(null));
    let task = org.create("Task", json!({"Subject": "Call", "WhatId": id, "WhoId": orphan})).await;
    let task = org.records(&format!("SELECT What.Name, What.Type, Who.Name FROM Task WHERE Id = '{task}'")).await;
    assert_eq!(
        (&task[0]["What"]["Name"], &task[0]["What"]["Type"], &task[0]["Who"]["Name"]),
        (&account["Name"], &json!("Account"), &json!("Alone"))
    );
    let groups = org.records("SELECT Status__c, COUNT(Id), SUM(Amount__c) total FROM Invoice__c GROUP BY Status__c HAVING COUNT(Id) > 1 ORDER BY Status__c").await;
    assert_eq!(groups[0]["attributes"], json!({"type": "AggregateResult"}));
    assert_eq!(column(&groups, "Status__c"), ["Open", "Paid"]);
    let company = org.sandbox.world().company();
    let open: i64 = company.invoices.iter().filter(|invoice| invoice.paid.is_none()).map(sandbox::Invoice::cents).sum();
    assert!((groups[0]["total"].as_f64().unwrap() * 100.0 - open as f64).abs() < 0.5);
    let all = org.records("SELECT FIELDS(ALL) FROM Account LIMIT 200").await;
    assert_eq!(all[0]["attributes"]["type"], "Account");
    let count = org.records("SELECT COUNT(Id) FROM Account").await;
    assert_eq!(count[0]["expr0"].as_u64().unwrap() as usize, company.customers.len());
}

#[tokio::test]
async fn bad_queries_are_refused_with_the_place() {
    let org = Org::start().await;
    for (soql, wanted, words) in [
        ("SELECT Id FORM Account", "MALFORMED_QUERY", "unexpected token: 'Account'"),
        ("SELECT Nope FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "unexpected token: 'OR'"),
        ("SELECT Id FROM Account WHERE AnnualRevenue = '5'", "INVALID_FIELD", "should not be enclosed in quotes"),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        ("SELECT Id FROM Account WHERE CreatedDate > 2026-01-01T00:00:00 00:00", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT Id FROM Account WHERE Name = 'open", "MALFORMED_QUERY", "string literal"),
        ("SELECT Id, (SELECT Id FROM Nones) FROM Account", "INVALID_TYPE", "Didn't understand relationship 'Nones'"),
        ("", "MALFORMED_QUERY", "unexpected end of query"),
        ("SELECT Id FROM Account WHERE Name = 'ä' AND €", "MALFORMED_QUERY", "'€'"),
    ] {
        let (status, body) = org.asked(soql).await;
        assert_eq!((status, code(&body)), (400, wanted), "{soql}: {body}");
        assert!(body[0]["message"].as_str().unwrap().contains(words), "{soql}: {body}");
    }
    let deep = format!("SELECT Id FROM Account WHERE {}Name = 'a'{}", "(".repeat(500), ")".repeat(500));
    assert_eq!(code(&org.asked(&deep).await.1), "MALFORMED_QUERY");
}

#[tokio::test]
async fn deleted_rows_are_seen_by_query_all_and_late_rows_come_late() {
    let org = Org::start().await;
    let id = org.create("Lead", json!({"LastName": "Gone", "Company": "B"})).await;
    org.call(Method::DELETE, &format!("/sobjects/Lead/{id}"), None).await;
    assert!(org.records("SELECT Id FROM Lead WHERE LastName = 'Gone'").await.is_empty());
    let all = org.get("/queryAll/?q=SELECT+Id,IsDeleted+FROM+Lead+WHERE+LastName='Gone'").await;
    assert_eq!(all["records"][0]["IsDeleted"], true);
    org.configure(json!({"late_rows_seconds": 60}));
    org.create("Lead", json!({"LastName": "Late", "Company": "B"})).await;
    assert!(org.records("SELECT Id FROM Lead WHERE LastName = 'Late'").await.is_empty());
    org.sandbox.world().clock().advance(std::time::Duration::from_secs(61));
    assert_eq!(org.records("SELECT Id FROM Lead WHERE LastName = 'Late'").await.len(), 1);
}

#[tokio::test]
async fn a_search_finds_words_in_fields() {
    let org = Org::start().await;
    org.create("Account", json!({"Name": "Quartz & Sons"})).await;
    org.create("Lead", json!({"LastName": "Quartz", "Company": "X"})).await;
    let found = org.get("/search?q=FIND+{quartz}+IN+ALL+FIELDS+RETURNING+Account(Id,Name),Lead(LastName)").await;
    assert_eq!(column(found["searchRecords"].as_array().unwrap(), "Name")[0], "Quartz & Sons");
    assert_eq!(found["searchRecords"][1]["LastName"], "Quartz");
    let found = org.get("/parameterizedSearch?q=quar*&sobject=Lead").await;
    assert_eq!(found["searchRecords"].as_array().unwrap().len(), 1);
    assert_eq!(code(&org.call(Method::GET, "/search?q=nonsense", None).await.1), "MALFORMED_SEARCH");
}
