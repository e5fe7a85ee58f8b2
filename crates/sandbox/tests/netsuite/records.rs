//! The record API.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Client, RECORDS, error, id};

#[tokio::test]
async fn a_list_gives_ids_and_links_and_its_pages_must_divide() {
    let client = Client::start().await;
    let page = client.read(&format!("{RECORDS}/customer?limit=25&offset=25")).await;
    assert_eq!(
        (&page["count"], &page["hasMore"], &page["offset"], &page["totalResults"]),
        (&json!(25), &json!(true), &json!(25), &json!(60))
    );
    let item = &page["items"][0];
    assert_eq!(item.as_object().unwrap().keys().collect::<Vec<_>>(), ["links", "id"]);
    let rels: Vec<&str> = page["links"].as_array().unwrap().iter().map(|link| link["rel"].as_str().unwrap()).collect();
    assert_eq!(rels, ["first", "prev", "next", "last", "self"]);
    let next = page["links"][2]["href"].as_str().unwrap();
    assert_eq!(client.read(next).await["count"], 10);
    for (query, name) in [("limit=25&offset=10", "offset"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=0", "limit")] {
        let answer = client.get(&format!("{RECORDS}/customer?{query}")).await;
        let body: Json = answer.json().await.unwrap();
        assert_eq!((&body["status"], &body["o:errorDetails"][0]["o:errorQueryParam"]), (&json!(400), &json!(name)), "{query}");
    }
}

#[tokio::test]
async fn a_record_is_made_read_changed_and_deleted() {
    let client = Client::start().await;
    let body = json!({
        "companyName": "Fern Labs", "subsidiary": { "id": "1" }, "externalId": "F-1", "currency": { "refName": "EUR" }, "creditLimit": "99.999",
        "addressBook": { "items": [{ "label": "Home", "addressBookAddress": { "addr1": "1 Road", "country": { "id": "US" } } }] },
    });
    let location = client.create("customer", &body).await;
    let record = client.read(&format!("{location}?expandSubResources=true")).await;
    assert_eq!(
        (&record["id"], &record["creditLimit"], &record["isPerson"]),
        (&json!(id(&location)), &json!(100.0), &json!(false))
    );
    assert_eq!(record["currency"]["refName"], "Euro");
    assert_eq!(record["addressBook"]["items"][0]["addressBookAddress"]["country"]["id"], "US");
    assert!(record.get("phone").is_none(), "empty fields are left out");
    assert_eq!(client.read(&format!("{RECORDS}/customer/eid:F-1?fields=email,companyName")).await.as_object().unwrap().len(), 3);

    let change = client
        .send(Method::PATCH, &format!("{RECORDS}/customer/eid:F-1"), &json!({ "phone": "+1415", "companyName": null }))
        .await;
    assert_eq!(error(change).await.1, "USER_ERROR", "a company needs its name");
    let change = client.send(Method::PATCH, &location, &json!({ "phone": "+1415" })).await;
    assert_eq!((change.status().as_u16(), change.headers()["location"].to_str().unwrap()), (204, location.as_str()));

    let again = client.send(Method::POST, &format!("{RECORDS}/customer"), &body).await;
    let (status, code, detail) = error(again).await;
    assert_eq!((status, code.as_str()), (400, "USER_ERROR"));
    assert!(detail.contains("already exists"), "{detail}");
    assert_eq!(client.request(Method::DELETE, &location).send().await.unwrap().status(), 204);
    let (status, code, _) = error(client.get(&location).await).await;
    assert_eq!((status, code.as_str()), (404, "NONEXISTENT_ID"));
}

#[tokio::test]
async fn an_upsert_makes_once_and_changes_then() {
    let client = Client::start().await;
    let put = async |name: &str| {
        let body = json!({ "companyName": name, "subsidiary": "1" });
        let answer = client.send(Method::PUT, &format!("{RECORDS}/customer/eid:UP-1"), &body).await;
        assert_eq!(answer.status(), 204);
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    let (first, second) = (put("One").await, put("Two").await);
    assert_eq!(first, second);
    assert_eq!(client.read(&first).await["companyName"], "Two");
    let by_id = client.send(Method::PUT, &first, &json!({})).await;
    assert_eq!(by_id.status(), 400);
}

#[tokio::test]
async fn an_order_becomes_an_invoice_and_a_payment_settles_it() {
    let client = Client::start().await;
    let item = |sku: &str, quantity: u32| json!({ "item": { "externalId": sku }, "quantity": quantity });
    let body = json!({ "entity": { "externalId": "C-0001" }, "item": { "items": [item("SEN-100", 2), item("CAL-001", 1)] } });
    let order = client.create("salesOrder", &body).await;
    assert_eq!(client.read(&order).await["total"], 348.0);
    let made = client.send(Method::POST, &format!("{order}/!transform/invoice"), &json!({ "memo": "first" })).await;
    let invoice = made.headers()["location"].to_str().unwrap().to_owned();
    let read = client.read(&invoice).await;
    assert_eq!(
        (&read["memo"], &read["amountRemaining"], &read["status"]["id"]),
        (&json!("first"), &json!(348.0), &json!("Open"))
    );
    assert_eq!(read["createdFrom"]["id"], id(&order));
    assert_eq!(client.read(&order).await["status"]["refName"], "Billed");
    let again = client.send(Method::POST, &format!("{order}/!transform/invoice"), &json!({})).await;
    assert_eq!(error(again).await.1, "USER_ERROR");

    let too_much = json!({ "apply": { "items": [{ "doc": { "id": id(&invoice) }, "apply": true, "amount": 400 }] } });
    let refused = client.send(Method::POST, &format!("{invoice}/!transform/customerPayment"), &too_much).await;
    assert_eq!(refused.status(), 400);
    let paid = client.send(Method::POST, &format!("{invoice}/!transform/customerPayment"), &json!({})).await;
    let payment = paid.headers()["location"].to_str().unwrap().to_owned();
    let read = client.read(&invoice).await;
    assert_eq!((&read["amountRemaining"], &read["status"]["id"]), (&json!(0.0), &json!("Paid In Full")));
    let held = client.request(Method::DELETE, &invoice).send().await.unwrap();
    assert_eq!(error(held).await.1, "USER_ERROR", "a paid invoice is linked");
    assert_eq!(client.request(Method::DELETE, &payment).send().await.unwrap().status(), 204);
    assert_eq!(client.read(&invoice).await["amountRemaining"], 348.0);
}

#[tokio::test]
async fn rows_are_merged_by_key_appended_without_and_replaced_on_demand() {
    let client = Client::start().await;
    let body = json!({ "entity": { "externalId": "C-0002" }, "item": { "items": [{ "item": { "externalId": "SEN-100" }, "quantity": 1 }] } });
    let order = client.create("salesOrder", &body).await;
    let patch = async |query: &str, rows: Json| {
        let answer = client.send(Method::PATCH, &format!("{order}{query}"), &json!({ "item": { "items": rows } })).await;
        assert_eq!(answer.status(), 204);
        client.read(&format!("{order}/item?expandSubResources=true")).await["items"].as_array().unwrap().clone()
    };
    let rows = patch("", json!([{ "line": 1, "quantity": 5 }, { "item": { "externalId": "GAT-010" } }])).await;
    assert_eq!((rows.len(), &rows[0]["quantity"], &rows[0]["amount"]), (2, &json!(5.0), &json!(245.0)));
    assert_eq!(client.read(&format!("{order}/item/2")).await["item"]["refName"], "GAT-010");
    let rows = patch("?replace=item", json!([{ "item": { "externalId": "CBL-005" } }])).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(client.get(&format!("{order}/item/1")).await.status(), 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_with_its_place() {
    let client = Client::start().await;
    let good = json!({ "companyName": "Oak", "subsidiary": "1" });
    for (change, code, path) in [
        (json!({ "companyNam": "x" }), "NONEXISTENT_FIELD", "companyNam"),
        (json!({ "subsidiary": { "id": "999" } }), "INVALID_VALUE", "subsidiary"),
        (json!({ "isInactive": "perhaps" }), "INVALID_VALUE", "isInactive"),
        (json!({ "balance": 5 }), "USER_ERROR", "balance"),
        (json!({ "addressBook": { "items": [{ "street": "x" }] } }), "NONEXISTENT_FIELD", "addressBook.items[0].street"),
    ] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer: Json = client.send(Method::POST, &format!("{RECORDS}/customer"), &body).await.json().await.unwrap();
        let detail = &answer["o:errorDetails"][0];
        assert_eq!((detail["o:errorCode"].as_str(), detail["o:errorPath"].as_str()), (Some(code), Some(path)), "{answer}");
    }
    let ignored =
        client.request(Method::POST, &format!("{RECORDS}/customer")).header("x-netsuite-propertynamevalidation", "Warning");
    let ignored = ignored.json(&json!({ "companyName": "Elder", "subsidiary": "1", "nonsense": 1 })).send().await.unwrap();
    assert_eq!(
        (ignored.status().as_u16(), &ignored.headers()["x-netsuite-propertyvalidation"]),
        (204, &"nonsense".parse().unwrap())
    );
    for (body, status) in [("{", 400), ("[1]", 400), ("{\"a\":", 400)] {
        let answer = client
            .request(Method::POST, &format!("{RECORDS}/customer"))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
    }
    let xml = client
        .request(Method::POST, &format!("{RECORDS}/customer"))
        .header("content-type", "text/xml")
        .body("<a/>")
        .send()
        .await
        .unwrap();
    assert_eq!(xml.status(), 415);
    assert_eq!(client.get(&format!("{RECORDS}/unicorn")).await.status(), 404);
    assert_eq!(client.request(Method::PUT, &format!("{RECORDS}/customer")).json(&json!({})).send().await.unwrap().status(), 405);
    let unbalanced = json!({ "line": { "items": [{ "account": "1", "debit": 5 }, { "account": "2", "credit": 4 }] } });
    let (_, code, detail) = error(client.send(Method::POST, &format!("{RECORDS}/journalEntry"), &unbalanced).await).await;
    assert_eq!(code, "USER_ERROR");
    assert!(detail.contains("must balance"), "{detail}");
}

#[tokio::test]
async fn filters_find_and_refuse_as_documented() {
    let client = Client::start().await;
    let count = async |kind: &str, q: &str| {
        let answer = client.request(Method::GET, &format!("{RECORDS}/{kind}")).query(&[("q", q)]).send().await.unwrap();
        answer.json::<Json>().await.unwrap()["totalResults"].as_u64()
    };
    let company = client.sandbox.world().company();
    assert_eq!(count("customer", "companyName EMPTY_NOT").await, Some(60));
    assert_eq!(count("customer", "externalId IS C-0007").await, Some(1));
    let german = u64::try_from(company.customers.iter().filter(|customer| customer.address.country == "DE").count()).unwrap();
    assert_eq!(count("customer", "subsidiary ANY_OF [2] AND isInactive IS false").await, Some(german));
    assert_eq!(count("customer", "(subsidiary EQUAL 2 OR subsidiary EQUAL 1) AND email CONTAIN_NOT \"@\"").await, Some(0));
    assert_eq!(count("invoice", "tranDate BEFORE 01/01/2000").await, Some(0));
    assert_eq!(count("invoice", "total GREATER 0 AND tranId BETWEEN [1,2]").await, None);
    client.configure(&json!({ "date_format": "DD/MM/YYYY" }));
    let today = u64::try_from(company.invoices.iter().filter(|invoice| invoice.issued == company.today).count()).unwrap();
    assert_eq!(count("invoice", "tranDate ON_OR_AFTER 16/11/2026").await, Some(today));
    let refused = async |kind: &str, q: &str| {
        error(client.request(Method::GET, &format!("{RECORDS}/{kind}")).query(&[("q", q)]).send().await.unwrap()).await
    };
    let (_, code, detail) = refused("invoice", "tranDate AFTER 2026-11-16").await;
    assert_eq!(code, "INVALID_PARAMETER");
    assert!(detail.contains("failed with date format"), "{detail}");
    assert_eq!(refused("employee", "lastModifiedDate AFTER 01/01/2026").await.1, "NONEXISTENT_FIELD");
    for q in ["email LIKES x", "email IS", "(email IS x", "email IS \"x", "email IS x x", "total GREATER", ")", &"(".repeat(500)]
    {
        assert_eq!(refused("customer", q).await.0, 400, "{q}");
    }
}

#[tokio::test]
async fn the_catalog_describes_types_in_three_forms() {
    let client = Client::start().await;
    let catalog = client.read(&format!("{RECORDS}/metadata-catalog?select=customer,invoice")).await;
    assert_eq!(catalog["items"][1]["name"], "invoice");
    let one =
        |media: &str| client.request(Method::GET, &format!("{RECORDS}/metadata-catalog/customer")).header("accept", media).send();
    let schema: Json = one("application/schema+json").await.unwrap().json().await.unwrap();
    assert_eq!(schema["properties"]["custentity_industry"]["x-ns-custom-field"], true);
    assert_eq!(
        schema["properties"]["addressBook"]["properties"]["items"]["items"]["x-ns-sublistkey"]["value"]["existing"][0],
        "id"
    );
    assert!(schema.get("required").is_none() && schema["x-ns-filterable"].as_array().unwrap().contains(&json!("email")));
    let openapi: Json = one("application/swagger+json").await.unwrap().json().await.unwrap();
    assert!(
        openapi["components"]["schemas"]["customer"]["properties"]["email"].is_object()
            && openapi["components"]["schemas"]["nsLink"].is_object()
    );
    assert_eq!(client.get(&format!("{RECORDS}/metadata-catalog/transaction")).await.status(), 404);
}

#[tokio::test]
async fn a_write_can_be_done_and_still_answered_with_an_error() {
    let client = Client::start().await;
    client.configure(&json!({ "fail_after_commit": 1 }));
    let body = json!({ "companyName": "Ash", "subsidiary": "1", "externalId": "A-1" });
    let (status, code, _) = error(client.send(Method::POST, &format!("{RECORDS}/customer"), &body).await).await;
    assert_eq!((status, code.as_str()), (500, "UNEXPECTED_ERROR"));
    assert_eq!(client.read(&format!("{RECORDS}/customer/eid:A-1")).await["companyName"], "Ash");
}

#[tokio::test]
async fn the_company_is_in_the_books_and_people_change_them() {
    let client = Client::start().await;
    let company = client.sandbox.world().company();
    let open = company.invoices.iter().find(|invoice| invoice.paid.is_none()).unwrap();
    let path = format!("{RECORDS}/invoice/eid:{}", open.reference());
    let before = client.read(&path).await;
    let owed = before["amountRemaining"].as_f64().unwrap();
    assert!((owed * 100.0 - f64::from(u32::try_from(open.cents()).unwrap())).abs() < 1.0);
    let done = client.happen("invoice_paid", &json!({ "invoice": open.reference() }));
    assert_eq!(done["amountRemaining"], 0.0);
    assert_eq!(client.read(&path).await["status"]["id"], "Paid In Full");
    let worker = client.read(&format!("{RECORDS}/employee/eid:21002")).await;
    assert_eq!(worker["email"], company.workers[1].email.as_str());
    let vendor = client.sandbox.vendor("netsuite").unwrap();
    assert!(vendor.happen("invoice_paid", &json!({ "invoice": open.reference() })).is_err(), "nothing is open any more");
    assert!(vendor.happen("world_peace", &json!({})).is_err());
}
