//! SuiteQL.

use serde_json::{Value as Json, json};

use crate::{Client, SUITEQL, error};

#[tokio::test]
async fn rows_are_texts_in_small_letters_without_nulls() {
    let client = Client::start().await;
    let rows = client
        .rows("SELECT id AS \"ID\", companyName Name, isinactive, phone, fax FROM Customer c WHERE c.externalid = 'C-0001'")
        .await;
    let row = rows[0].as_object().unwrap();
    assert_eq!(row.keys().collect::<Vec<_>>(), ["links", "id", "name", "isinactive", "phone"]);
    assert_eq!((row["isinactive"].as_str(), row["id"].is_string()), (Some("F"), true));
    assert_eq!(client.rows("SELECT 1 AS ok FROM dual").await, [json!({ "links": [], "ok": "1" })]);
}

#[tokio::test]
async fn pages_follow_links_to_the_end() {
    let client = Client::start().await;
    let q = "SELECT id, tranid FROM transaction WHERE type = 'CustInvc' ORDER BY id";
    let mut seen = std::collections::HashSet::new();
    let mut next = Some(client.url(&format!("{SUITEQL}?limit=50")));
    while let Some(page) = next {
        let answer = client
            .request(reqwest::Method::POST, &page)
            .header("prefer", "transient")
            .json(&json!({ "q": q }))
            .send()
            .await
            .unwrap();
        let body: Json = answer.json().await.unwrap();
        assert_eq!(body["totalResults"], 180);
        seen.extend(body["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        let link = body["links"].as_array().unwrap().iter().find(|link| link["rel"] == "next").cloned();
        assert_eq!(body["hasMore"].as_bool().unwrap(), link.is_some());
        next = link.map(|link| link["href"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.len(), 180);
    assert_eq!(client.ask(q, "?limit=50&offset=30").await.status(), 400);
}

#[tokio::test]
async fn a_walk_by_key_finds_every_row_of_a_large_table() {
    let client = Client::start().await;
    client.happen("many_created", &json!({ "count": 5_001 }));
    let (mut last, mut total) = (0_u64, 0);
    loop {
        let rows =
            client.rows(&format!("SELECT id FROM customer WHERE id > {last} ORDER BY id FETCH FIRST 1000 ROWS ONLY")).await;
        total += rows.len();
        let Some(row) = rows.last() else { break };
        last = row["id"].as_str().unwrap().parse().unwrap();
    }
    assert_eq!(total, 5_061);
}

#[tokio::test]
async fn joins_groups_and_functions_work_as_in_oracle() {
    let client = Client::start().await;
    let company = client.sandbox.world().company();
    let one = async |q: &str| {
        let rows = client.rows(q).await;
        let mut row = rows[0].as_object().unwrap().clone();
        row.shift_remove("links");
        Json::Object(row)
    };
    let cents: i64 = company.invoices.iter().filter(|invoice| invoice.customer == 1).map(sandbox::Invoice::cents).sum();
    let count = company.invoices.iter().filter(|invoice| invoice.customer == 1).count();
    let q = "SELECT c.externalid, COUNT(*) AS n, SUM(t.foreigntotal) AS total FROM transaction t JOIN customer c ON c.id = t.entity WHERE t.type = 'CustInvc' AND c.externalid = 'C-0001' GROUP BY c.externalid HAVING COUNT(*) > 0";
    let row = one(q).await;
    assert_eq!(row["n"], count.to_string());
    assert!(
        (row["total"].as_str().unwrap().parse::<f64>().unwrap() * 100.0 - f64::from(i32::try_from(cents).unwrap())).abs() < 1.0,
        "{row}"
    );
    let implicit = one("SELECT COUNT(*) n FROM transaction t, transactionline l WHERE l.transaction = t.id AND l.mainline = 'T' AND t.type IN ('CustInvc')").await;
    assert_eq!(implicit["n"], "180");
    let lines: usize = company.invoices.iter().map(|invoice| invoice.lines.len()).sum();
    assert_eq!(one("SELECT COUNT(l.item) n FROM transaction t INNER JOIN transactionline l ON l.transaction = t.id WHERE t.type = 'CustInvc'").await["n"], lines.to_string());
    assert_eq!(
        one("SELECT COUNT(*) n FROM customer c LEFT JOIN employee e ON e.id = c.salesrep WHERE e.id IS NULL").await["n"],
        "60"
    );
    assert_eq!(
        one("SELECT BUILTIN.DF(t.status) s, BUILTIN.CF(t.status) c, t.status FROM transaction t WHERE t.tranid = 'INV-1180'")
            .await,
        json!({ "s": "Invoice : Open", "c": "CustInvc:A", "status": "A" })
    );
    for (expression, value) in [
        ("UPPER('ä') || LENGTH('abc')", "Ä3"),
        ("NVL(NULL, 'x')", "x"),
        ("DECODE(2, 1, 'one', 2, 'two', 'more')", "two"),
        ("CASE WHEN 1 < 2 AND NOT 1 = 2 THEN 'y' ELSE 'n' END", "y"),
        ("TO_CHAR(TO_DATE('21/11/2026 20:05', 'DD/MM/YYYY HH24:MI') + 1, 'YYYY-MM-DD HH24:MI:SS')", "2026-11-22 20:05:00"),
        ("TO_DATE('2026-11-21', 'YYYY-MM-DD')", "11/21/2026"),
        ("TO_CHAR(SYS_EXTRACT_UTC(CAST(TO_DATE('2026-07-01 12:00', 'YYYY-MM-DD HH24:MI') AS TIMESTAMP)), 'HH24')", "19"),
        ("ROUND(10 / 4, 1)", "2.5"),
        ("SUBSTR('NetSuite', -5, 3)", "Sui"),
        ("GREATEST(1, 3, 2) - LEAST(4, 2)", "1"),
        ("'it''s'", "it's"),
        ("(SELECT MAX(id) - MAX(id) FROM customer)", "0"),
    ] {
        assert_eq!(one(&format!("SELECT {expression} AS v FROM dual")).await["v"], value, "{expression}");
    }
    assert_eq!(client.rows("SELECT id FROM customer WHERE ROWNUM <= 3").await.len(), 3);
    assert_eq!(client.rows("SELECT DISTINCT subsidiary FROM customer ORDER BY 1 DESC").await.len(), 2);
    assert_eq!(client.rows("WITH big AS (SELECT entity, COUNT(*) n FROM transaction GROUP BY entity) SELECT * FROM big ORDER BY n DESC OFFSET 2 ROWS FETCH NEXT 2 ROWS ONLY").await.len(), 2);
    assert_eq!(client.rows("SELECT id FROM customer WHERE id IN (SELECT entity FROM transaction WHERE type = 'CustInvc') UNION SELECT id FROM vendor").await.len(),
        5 + company.invoices.iter().map(|invoice| invoice.customer).collect::<std::collections::HashSet<_>>().len());
}

#[tokio::test]
async fn moments_are_in_the_accounts_zone_and_dates_in_the_users_format() {
    let client = Client::start().await;
    let q = "SELECT trandate, TO_CHAR(lastmodifieddate, 'YYYY-MM-DD HH24:MI:SS') AS changed FROM transaction WHERE externalid = 'BILL-0001'";
    let row = &client.rows(q).await[0];
    assert_eq!((row["trandate"].as_str(), row["changed"].as_str()), (Some("11/16/2026"), Some("2026-11-16 04:00:00")));
    client.configure(&json!({ "zone": "Europe/Berlin", "date_format": "DD/MM/YYYY" }));
    let row = &client.rows(q).await[0];
    assert_eq!((row["trandate"].as_str(), row["changed"].as_str()), (Some("16/11/2026"), Some("2026-11-16 13:00:00")));
    assert_eq!(client.rows("SELECT id FROM transaction WHERE trandate > '15/11/2026' AND type = 'VendBill'").await.len(), 5);
    let bill = &client.rows("SELECT foreigntotal FROM transaction WHERE externalid = 'BILL-0002'").await[0];
    assert_eq!(bill["foreigntotal"], "-261");
}

#[tokio::test]
async fn a_query_that_cannot_run_says_why() {
    let client = Client::start().await;
    let refused = async |q: &str| {
        let answer = client.ask(q, "").await;
        let (status, code, detail) = error(answer).await;
        assert_eq!((status, code.as_str()), (400, "INVALID_PARAMETER"), "{q}");
        detail
    };
    assert!(
        refused("SELECT nothing FROM transaction")
            .await
            .ends_with("Unknown identifier 'nothing'. Available identifiers are: {transaction=transaction}.")
    );
    assert!(refused("SELECT id FROM unicorns").await.ends_with("Invalid search type: unicorns."));
    client.configure(&json!({ "denied_records": ["customer"] }));
    assert!(refused("SELECT id FROM customer").await.ends_with("Record 'customer' was not found."));
    client.configure(&json!({ "denied_records": [], "one_company": true }));
    assert!(refused("SELECT subsidiary FROM customer").await.contains("Unknown identifier 'subsidiary'"));
    refused("SELECT id FROM subsidiary").await;
    let deep = format!("SELECT {}1{} FROM dual", "(".repeat(5_000), ")".repeat(5_000));
    let long = format!("SELECT 1 FROM dual WHERE {}1 = 1", "1 = 1 AND ".repeat(9_000));
    for q in [
        "SELECT",
        "DELETE FROM customer",
        "SELECT 1 FROM dual; SELECT 2 FROM dual",
        "SELECT 1 FROM dual;",
        "SELECT * FROM customer LIMIT 5",
        "SELECT FOO(1) FROM dual",
        "SELECT '",
        &deep,
        &long,
    ] {
        refused(q).await;
    }
    let cross = "SELECT COUNT(*) FROM transaction a, transaction b, transaction c";
    assert!(refused(cross).await.contains("too many rows"));
    let no_header = client.send(reqwest::Method::POST, SUITEQL, &json!({ "q": "SELECT 1 FROM dual" })).await;
    let body: Json = no_header.json().await.unwrap();
    assert_eq!(body["o:errorDetails"][0]["o:errorHeader"], "Prefer");
}
