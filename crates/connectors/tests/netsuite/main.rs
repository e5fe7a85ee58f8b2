//! The NetSuite connector against the simulated account.

mod faults;
mod files;
#[path = "../support/shelf.rs"]
#[expect(dead_code, reason = "no file breaks off here")]
mod shelf;
mod triggers;
#[expect(unreachable_pub, reason = "it is shared by several tests")]
#[path = "../support/vendor.rs"]
mod vendor;

use connector::{Cx, ErrorClass, Inbound, Position};
use sandbox::Sandbox;
use serde_json::{Value as Json, json};
use vendor::Vendor;

fn picked(sandbox: &Sandbox, names: &[(&str, &str)]) -> Json {
    let credentials = sandbox.vendor("netsuite").unwrap().credentials();
    Json::Object(names.iter().map(|(to, from)| ((*to).to_owned(), credentials[*from].clone())).collect())
}

fn base(sandbox: &Sandbox) -> String {
    sandbox.url("netsuite").as_str().trim_end_matches('/').to_owned()
}

/// Signed in by a certificate.
async fn machine() -> Vendor {
    Vendor::start("netsuite", |sandbox| {
        let config = json!({ "account": "1234567_SB1", "base_url": base(sandbox), "auth": "certificate", "certificate_id": "certificate-1", "signature": "ES256" });
        (config, picked(sandbox, &[("client_id", "client_id"), ("private_key", "private_key")]))
    })
    .await
}

/// Signed in by tokens; the account is written as people often do.
async fn tokens() -> Vendor {
    Vendor::start("netsuite", |sandbox| {
        let config = json!({ "account": "1234567-sb1", "base_url": base(sandbox), "auth": "tba" });
        let names = ["consumer_key", "consumer_secret", "token", "token_secret"].map(|name| (name, name));
        let mut credentials = picked(sandbox, &names);
        credentials["webhook_secret"] = json!("s3cret");
        (config, credentials)
    })
    .await
}

fn configure(vendor: &Vendor, settings: &Json) {
    vendor.sandbox.vendor("netsuite").unwrap().configure(settings).unwrap();
}

fn happen(vendor: &Vendor, name: &str, with: &Json) -> Json {
    vendor.sandbox.vendor("netsuite").unwrap().happen(name, with).unwrap()
}

#[tokio::test]
async fn records_are_written_read_changed_and_deleted() {
    let vendor = machine().await;
    let fields = json!({ "companyName": "Fern & Co", "subsidiary": { "id": "1" } });
    let input = json!({ "type": "customer", "fields": fields });
    let made = vendor.call("create_record", input.clone()).await.unwrap();
    let again = vendor.call("create_record", input).await.unwrap();
    assert_eq!(made["id"], again["id"], "a repeated attempt makes no second record");
    let id = made["id"].as_str().unwrap();
    let read = vendor.call("get_record", json!({ "type": "customer", "id": id })).await.unwrap();
    assert_eq!((&read["companyName"], read.get("links")), (&json!("Fern & Co"), None));
    vendor.call("update_record", json!({ "type": "customer", "id": id, "fields": { "phone": "+1415" } })).await.unwrap();
    let only = vendor.call("get_record", json!({ "type": "customer", "id": id, "fields": ["phone"] })).await.unwrap();
    assert_eq!(only, json!({ "id": id, "phone": "+1415" }));

    let upsert =
        json!({ "type": "customer", "external_id": "A/1 é", "fields": { "companyName": "Alder", "subsidiary": { "id": "1" } } });
    let one = vendor.call("upsert_record", upsert.clone()).await.unwrap();
    assert_eq!(one["id"], vendor.call("upsert_record", upsert).await.unwrap()["id"]);
    let taken =
        json!({ "type": "customer", "external_id": "A/1 é", "fields": { "companyName": "Other", "subsidiary": { "id": "1" } } });
    assert_eq!(vendor.call("create_record", taken).await.unwrap_err().class, ErrorClass::Conflict);

    let found = json!({ "type": "customer", "filters": [{ "field": "companyname", "value": "Alder" }], "fields": { "companyName": "Alder" } });
    let found = vendor.call("find_or_create", found).await.unwrap();
    assert_eq!((&found["id"], &found["created_now"]), (&one["id"], &json!(false)));
    for deleted in [true, false] {
        assert_eq!(
            vendor.call("delete_record", json!({ "type": "customer", "external_id": "A/1 é" })).await.unwrap()["deleted"],
            deleted
        );
    }
    let later = Cx { in_doubt: true, ..vendor.cx("later") };
    let gone = json!({ "type": "customer", "external_id": "A/1 é" });
    let done = vendor.call_with(later, "delete_record", gone).await.unwrap();
    assert_eq!(done["deleted"], true, "an earlier try whose answer was lost has done it");
}

#[tokio::test]
async fn an_order_is_billed_once_however_often_it_is_tried() {
    let vendor = tokens().await;
    let rows = json!({ "items": [{ "item": { "externalId": "SEN-100" }, "quantity": 2 }] });
    let order = vendor
        .call("create_record", json!({ "type": "salesOrder", "fields": { "entity": { "externalId": "C-0001" }, "item": rows } }))
        .await
        .unwrap();
    let more = json!({ "type": "salesOrder", "id": order["id"], "sublist": "item", "rows": [{ "line": 1, "quantity": 3 }] });
    vendor.call("update_lines", more).await.unwrap();
    let input = json!({ "type": "salesOrder", "id": order["id"], "target": "invoice" });
    let invoice = vendor.call("transform_record", input.clone()).await.unwrap();
    assert_eq!(vendor.call("transform_record", input).await.unwrap()["id"], invoice["id"]);
    let read = vendor.call("get_record", json!({ "type": "invoice", "id": invoice["id"] })).await.unwrap();
    assert_eq!((&read["total"], &read["item"]["items"][0]["quantity"]), (&json!(147.0), &json!(3.0)));
    let open = vendor.call("open_invoices", json!({ "external_id": "C-0001" })).await.unwrap();
    assert!(open["rows"].as_array().unwrap().iter().any(|row| row["id"] == invoice["id"]));
    let stock = vendor.call("item_stock", json!({ "external_id": "SEN-100" })).await.unwrap();
    assert!(stock["rows"][0]["quantityonhand"].is_string(), "{stock}");
    assert_eq!(vendor.call("customer_balance", json!({ "external_id": "C-0001" })).await.unwrap()["count"], 1);
}

#[tokio::test]
async fn queries_come_in_pages_and_whole_and_refuse_to_be_cut() {
    let vendor = machine().await;
    let query = json!({ "query": "SELECT id FROM transaction WHERE type = :kind ORDER BY id", "params": { "kind": "CustInvc" }, "page_size": 50 });
    let pages = vendor.pages("run_suiteql", query.clone()).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [50, 50, 50, 30]);
    assert_eq!(vendor.call("run_suiteql", query.clone()).await.unwrap()["count"], 180);
    let mut few = query;
    few["max_rows"] = json!(100);
    assert_eq!(vendor.call("run_suiteql", few).await.unwrap_err().code, "TOO_MANY_ITEMS");
    let injected = json!({ "query": "SELECT id FROM customer WHERE companyname = :name", "params": { "name": "x' OR '1'='1" } });
    assert_eq!(vendor.call("run_suiteql", injected).await.unwrap()["count"], 0);
    let search = json!({ "type": "invoice", "filters": [{ "field": "trandate", "operator": "on_or_after", "value": "2026-11-01" }, { "field": "tranid", "operator": "starts_with", "value": "INV" }], "fields": ["tranid"] });
    let found = vendor.call("search_records", search).await.unwrap();
    assert!(found["count"].as_u64().unwrap() > 0 && found["rows"][0]["tranid"].as_str().unwrap().starts_with("INV"), "{found}");
    let values = vendor.call("picklist_values", json!({ "type": "customer", "field": "currency" })).await.unwrap();
    assert!(values["rows"].as_array().unwrap().iter().any(|row| row["name"] == "US Dollar"));
    let error = vendor.call("run_suiteql", json!({ "query": "SELECT nothing FROM customer" })).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "INVALID_PARAMETER"));
    assert!(error.message.contains("Unknown identifier 'nothing'"), "{}", error.message);
}

#[tokio::test]
async fn a_batch_tells_of_each_record_and_a_repeated_one_is_the_same() {
    let vendor = machine().await;
    let mut rows: Vec<Json> = (0..120)
        .map(|n| json!({ "companyName": format!("Batch {n}"), "subsidiary": { "id": "1" }, "externalId": format!("B-{n}") }))
        .collect();
    rows[110] = json!({ "companyName": "bad", "subsidiary": { "id": "99" } });
    let input = json!({ "operation": "create", "type": "customer", "rows": rows });
    let done = vendor.call("batch_records", input.clone()).await.unwrap();
    assert_eq!((&done["count"], &done["failed"]), (&json!(120), &json!(1)));
    let bad = &done["results"][110];
    assert_eq!((&bad["index"], &bad["ok"], &bad["code"]), (&json!(110), &json!(false), &json!("INVALID_VALUE")));
    assert_eq!(vendor.call("batch_records", input).await.unwrap(), done, "the same key gives the same call");
    let customers =
        vendor.sandbox.vendor("netsuite").unwrap().tables().into_iter().find(|table| table.name == "customer").unwrap();
    assert_eq!(customers.rows, 60 + 119);
    let later = vendor
        .call_with(
            vendor.cx("run_1/later"),
            "submit_async",
            json!({ "path": "customer/eid:B-1", "method": "PATCH", "body": { "phone": "+1" } }),
        )
        .await
        .unwrap();
    let checked = vendor.call("check_async", json!({ "job": later["job"] })).await.unwrap();
    assert_eq!((&checked["completed"], &checked["results"][0]["ok"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn scripts_the_catalog_and_other_calls_are_reached() {
    let vendor = tokens().await;
    let echo = json!({ "script": "1", "method": "POST", "params": { "a": "1 & 2" }, "body": { "x": [1] } });
    assert_eq!(vendor.call("call_restlet", echo).await.unwrap()["body"]["received"], json!({ "x": [1] }));
    let got =
        vendor.call("call_restlet", json!({ "script": "customscript_echo", "params": { "name": "A & B+é" } })).await.unwrap();
    assert_eq!(got["body"]["received"]["name"], "A & B+é");
    let refused =
        vendor.call("call_restlet", json!({ "script": "6", "method": "POST", "success_field": "success" })).await.unwrap_err();
    assert_eq!(refused.code, "SCRIPT_REFUSED");
    let thrown = vendor
        .call("call_restlet", json!({ "script": "5", "method": "POST", "body": { "code": "MY_RULE", "message": "no" } }))
        .await
        .unwrap_err();
    assert_eq!((thrown.class, thrown.code.as_str()), (ErrorClass::Invalid, "MY_RULE"));
    let busy = vendor
        .call("call_restlet", json!({ "script": "5", "method": "POST", "body": { "code": "SSS_REQUEST_LIMIT_EXCEEDED" } }))
        .await
        .unwrap_err();
    assert_eq!(busy.class, ErrorClass::RateLimited, "a limit although it is a 400");
    let schema = vendor.call("record_metadata", json!({ "type": "customer" })).await.unwrap();
    assert_eq!(schema["properties"]["companyName"]["title"], "Company name");
    let objects = (vendor.connector.shapes.as_ref().unwrap().objects)(vendor.cx("shapes")).await.unwrap();
    assert!(objects.iter().any(|object| object.name == "salesOrder" && object.title == "Sales order"));
    let raw = vendor
        .call("custom_call", json!({ "path": "record/v1/customer/eid:C-0001", "query": { "fields": "email" } }))
        .await
        .unwrap();
    assert_eq!(raw["body"]["externalId"], Json::Null);
    assert!(vendor.call("custom_call", json!({ "path": "../x" })).await.is_err());
}

#[tokio::test]
async fn saved_searches_and_soap_records_work_with_tokens_only() {
    let vendor = tokens().await;
    let search = json!({ "search": "customsearch_customers", "search_type": "customer", "page_size": 25 });
    let pages = vendor.pages("run_saved_search", search.clone()).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [25, 25, 10]);
    assert!(pages[0].items[0]["companyName"].is_string(), "{}", pages[0].items[0]);
    assert_eq!(vendor.call("run_saved_search", search).await.unwrap()["count"], 60);
    let filtered = async |filters: Json| {
        let with = json!({ "search": "customsearch_customers", "search_type": "customer", "filters": filters });
        vendor.call("run_saved_search", with).await
    };
    let all = filtered(json!([])).await.unwrap()["rows"].clone();
    let (name, id) = (&all[3]["companyName"], &all[3]["id"]);
    let one = filtered(
        json!([{ "field": "companyName", "operator": "is", "values": [name] }, { "field": "isInactive", "values": [false] }]),
    );
    assert_eq!(one.await.unwrap()["rows"], json!([all[3]]));
    let by_id = filtered(json!([{ "field": "internalId", "operator": "anyOf", "ids": [id, all[5]["id"]] }])).await.unwrap();
    assert_eq!(by_id["rows"], json!([all[3], all[5]]));
    let long_ago =
        json!([{ "field": "dateCreated", "operator": "within", "values": ["1999-01-01T00:00:00Z", "1999-12-31T00:00:00Z"] }]);
    assert_eq!(filtered(long_ago).await.unwrap()["count"], 0);
    assert_eq!(filtered(json!([{ "field": "name><x" }])).await.unwrap_err().class, ErrorClass::Invalid);
    let unknown = filtered(json!([{ "field": "colour", "operator": "is", "values": ["red"] }])).await.unwrap_err();
    assert_eq!(unknown.code, "INVALID_SEARCH_FIELD");
    let made = json!({ "operation": "upsert", "type": "customer", "external_id": "S-1", "fields": { "companyName": "Soap & Co", "subsidiary": { "id": "1" } } });
    let made = vendor.call("soap_write_record", made).await.unwrap();
    let read = vendor.call("soap_get_record", json!({ "type": "customer", "external_id": "S-1" })).await.unwrap();
    assert_eq!((&read["id"], &read["companyName"]), (&made["id"], &json!("Soap & Co")));
    let gone = vendor.call("soap_get_record", json!({ "type": "customer", "external_id": "none" })).await.unwrap_err();
    assert_eq!(gone.class, ErrorClass::NotFound, "a failure inside an answer with 200");
    let other = machine().await.call("run_saved_search", json!({ "search": "1" })).await.unwrap_err();
    assert_eq!(other.code, "SOAP_NEEDS_TBA");
}

#[tokio::test]
async fn changes_are_walked_without_loss_and_asked_again_under_the_same_keys() {
    let vendor = machine().await;
    let since = vendor.sandbox.world().clock().now().as_microsecond();
    let changed = json!({ "type": "customer", "fields": ["companyname", "phone"] });
    let first = vendor.poll("changed_record", changed.clone(), Position::Since(since)).await.unwrap();
    assert!(first.events.is_empty());
    happen(&vendor, "record_changed", &json!({ "type": "customer", "id": "eid:C-0001", "values": { "phone": "+1" } }));
    happen(&vendor, "record_created", &json!({ "type": "customer", "values": { "companyName": "Moss", "subsidiary": "1" } }));
    vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(30));
    let second = vendor.poll("changed_record", changed.clone(), Position::After(first.cursor)).await.unwrap();
    assert_eq!(second.events.len(), 2);
    assert_eq!(second.events[0].data["record"]["phone"], "+1");
    let again = vendor.poll("changed_record", changed, Position::After(second.cursor)).await.unwrap();
    assert_eq!(again.events, second.events, "the last stretch is read again under the same keys");
    let made =
        vendor.poll("new_record", json!({ "type": "customer", "with_sublists": true }), Position::Since(since)).await.unwrap();
    assert_eq!((made.events.len(), &made.events[0].data["record"]["companyName"]), (1, &json!("Moss")));
    let id = made.events[0].data["id"].clone();
    happen(&vendor, "record_deleted", &json!({ "type": "customer", "id": id }));
    vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(30));
    let gone = vendor.poll("deleted_record", json!({ "type": "customer" }), Position::Since(since)).await.unwrap();
    assert_eq!((gone.events.len(), &gone.events[0].data["id"]), (1, &id));
}

#[tokio::test]
async fn many_records_of_one_second_are_walked_page_by_page() {
    let vendor = machine().await;
    let since = vendor.sandbox.world().clock().now().as_microsecond();
    happen(&vendor, "many_created", &json!({ "count": 2_300 }));
    vendor.sandbox.world().clock().advance(std::time::Duration::from_secs(30));
    let mut seen = std::collections::HashSet::new();
    let mut position = Position::Since(since);
    loop {
        let polled = vendor.poll("new_record", json!({ "type": "customer", "fields": ["companyname"] }), position).await.unwrap();
        seen.extend(polled.events.into_iter().map(|event| event.key));
        position = Position::After(polled.cursor);
        if !polled.more {
            break;
        }
    }
    assert_eq!(seen.len(), 2_300);
}

#[tokio::test]
async fn what_is_ordered_by_us_is_walked_by_id_and_what_is_not_is_never_cut() {
    let vendor = machine().await;
    happen(&vendor, "many_created", &json!({ "count": 50 }));
    let imported = json!([{ "field": "companyname", "operator": "starts_with", "value": "Imported" }]);
    let search = json!({ "type": "customer", "filters": imported, "fields": ["companyname"], "page_size": 25 });
    let pages = vendor.connector.action("search_records").unwrap().pages.clone().unwrap();
    let first = pages(vendor.cx("run_1/step"), search.clone(), None).await.unwrap();
    let gone = first.items[0]["id"].clone();
    assert_eq!(first.next, Some(json!({ "after": first.items[24]["id"] })));
    happen(&vendor, "record_deleted", &json!({ "type": "customer", "id": gone }));
    let second = pages(vendor.cx("run_1/step"), search, first.next).await.unwrap();
    assert_eq!(second.items.len(), 25, "what is deleted moves nobody to the page before");
    happen(&vendor, "many_created", &json!({ "count": 100_000 }));
    let pages = vendor.connector.action("run_suiteql").unwrap().pages.clone().unwrap();
    let query = json!({ "query": "SELECT id FROM customer ORDER BY id" });
    let error = pages(vendor.cx("run_1/step"), query, Some(json!({ "offset": 99_000 }))).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "TOO_MANY_ITEMS"));
    assert!(error.next.unwrap().contains("id > :last"));
}

#[tokio::test]
async fn a_batch_is_told_whole_or_not_at_all() {
    let vendor = machine().await;
    configure(&vendor, &json!({ "task_page_rows": 10 }));
    let rows: Vec<Json> = (0..25).map(|n| json!({ "companyName": format!("Batch {n}"), "subsidiary": { "id": "1" } })).collect();
    let input = json!({ "operation": "create", "type": "customer", "rows": rows });
    assert_eq!(vendor.call("batch_records", input.clone()).await.unwrap()["count"], 25);
    configure(&vendor, &json!({ "tasks_forgotten": 1 }));
    let error = vendor.call("batch_records", input).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"));
    assert!(error.message.contains("24 parts of 25 records"), "{error}");
}

#[tokio::test]
async fn too_many_calls_that_are_refused_like_a_bad_sign_in_are_tried_once_more() {
    let vendor = tokens().await;
    configure(&vendor, &json!({ "concurrency_limit": 1, "concurrency_as_invalid_login": true, "call_ms": 500 }));
    let get = || vendor.call("get_record", json!({ "type": "customer", "external_id": "C-0001" }));
    let (one, other) = tokio::join!(get(), get());
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
}

#[tokio::test]
async fn a_scripts_message_is_taken_with_its_signature_and_in_time_only() {
    let vendor = tokens().await;
    let webhook = vendor.connector.trigger("record_script").unwrap().webhook.clone().unwrap();
    let now_s = 1_795_219_200;
    let body = json!({ "type": "customer", "id": "107", "event": "edit", "at": now_s * 1_000 }).to_string();
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"s3cret").unwrap();
    hmac::Mac::update(&mut mac, body.as_bytes());
    let signature = hex::encode(hmac::Mac::finalize(mac).into_bytes());
    let check = |signature: &str, body: &str, now_s: i64| {
        let headers = [("x-signature".to_owned(), signature.to_owned())];
        let inbound = Inbound {
            method: "POST",
            base: "https://us.example",
            target: "/hook",
            headers: &headers,
            body: body.as_bytes(),
            now_s,
        };
        (webhook.verify)(&vendor.connection, &inbound)
            .map(|_| (webhook.read.as_ref().unwrap())(&vendor.connection, &json!({ "types": ["customer"] }), &inbound).unwrap())
    };
    assert_eq!(
        check(&signature, &body, now_s).unwrap().events[0].data,
        json!({ "type": "customer", "id": "107", "event": "edit" })
    );
    assert_eq!(check(&signature, &body, now_s + 301).unwrap_err().code, "TIMESTAMP_TOO_OLD");
    assert_eq!(check(&signature, &body.replace("107", "108"), now_s).unwrap_err().code, "SIGNATURE_MISMATCH");
    assert_eq!(check("zz", &body, now_s).unwrap_err().code, "SIGNATURE_MISMATCH");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_a_wrong_one_is_explained() {
    let vendor = machine().await;
    let query = json!({ "query": "SELECT 1 AS ok FROM dual" });
    vendor.call("run_suiteql", query.clone()).await.unwrap();
    happen(&vendor, "tokens_expired", &json!({}));
    vendor.call("run_suiteql", query.clone()).await.unwrap();
    happen(&vendor, "sandbox_refreshed", &json!({}));
    let error = vendor.call("run_suiteql", query).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Auth);
    let other = tokens().await;
    happen(&other, "token_revoked", &json!({}));
    let error = other.call("get_record", json!({ "type": "customer", "external_id": "C-0001" })).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "INVALID_LOGIN"));
    assert!(error.next.unwrap().contains("Log in using Access Tokens"));
}

#[tokio::test]
async fn a_wrong_clock_is_told_and_not_taken_for_wrong_keys() {
    for (vendor, action, input) in [
        (tokens().await, "get_record", json!({ "type": "customer", "external_id": "C-0001" })),
        (tokens().await, "soap_get_record", json!({ "type": "customer", "external_id": "C-0001" })),
        (machine().await, "run_suiteql", json!({ "query": "SELECT 1 AS ok FROM dual" })),
    ] {
        configure(&vendor, &json!({ "clock_skew_s": 1200 }));
        let error = vendor.call(action, input.clone()).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Auth, "{action}: {error:?}");
        assert!(error.message.contains("our clock is 20 min behind theirs"), "{action}: {}", error.message);
        assert!(error.next.unwrap().contains("NTP"), "{action}");
        configure(&vendor, &json!({ "clock_skew_s": 0 }));
        // The token service is not asked again at once after a refusal.
        if action != "run_suiteql" {
            vendor.call(action, input).await.expect("nothing had to be entered anew");
        }
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_with_every_reason() {
    let vendor = machine().await;
    let none = std::collections::HashMap::new();
    let problems = (vendor.connector.validate)(
        &json!({ "account": "1 2", "auth": "password", "time_zone": "Moon", "soap_version": "new", "x": 1 }),
        &none,
    )
    .unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|(field, _)| field.as_str()).collect();
    for field in ["config.account", "config.auth", "config.time_zone", "config.soap_version", "config.x", "credentials.client_id"]
    {
        assert!(fields.contains(&field), "{fields:?}");
    }
    configure(&vendor, &json!({ "denied_records": ["invoice"] }));
    let denied = vendor.call("get_record", json!({ "type": "invoice", "external_id": "INV-1001" })).await.unwrap_err();
    assert_eq!(denied.class, ErrorClass::Denied);
}

#[tokio::test]
async fn the_script_that_is_written_signs_as_the_trigger_wants() {
    let vendor = tokens().await;
    let input = json!({ "address": "https://us.example/hooks/it's", "types": ["invoice"], "events": ["create"] });
    let told = vendor.call("user_event_script", input).await.unwrap();
    let script = told["script"].as_str().unwrap();
    for part in [
        "@NScriptType UserEventScript",
        "const events = ['create'];",
        "url: 'https://us.example/hooks/it%27s'",
        "secret: 'custsecret_liaison_webhook'",
        "JSON.stringify({ type: record.type, id: String(record.id), event, at: Date.now() })",
        "'X-Signature': signature",
    ] {
        assert!(script.contains(part), "{part}: {script}");
    }
    assert!(told["steps"].to_string().contains("invoice"), "{told}");
    for wrong in
        [json!({ "address": "http://us.example/" }), json!({ "address": "https://us.example/", "secret": "custsecret_'+x" })]
    {
        assert_eq!(vendor.call("user_event_script", wrong).await.unwrap_err().code, "INPUT_INVALID");
    }
}

#[tokio::test]
async fn a_passport_that_is_refused_for_too_many_calls_is_made_anew() {
    let vendor = tokens().await;
    configure(&vendor, &json!({ "concurrency_limit": 1, "concurrency_as_invalid_login": true, "call_ms": 500 }));
    let get = || vendor.call("soap_get_record", json!({ "type": "customer", "external_id": "C-0001" }));
    let (one, other) = tokio::join!(get(), get());
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    let requests = vendor.sandbox.world().recorder().of("netsuite");
    let nonce = |body: &str| body.split("nonce>").nth(1).unwrap().to_owned();
    let nonces: std::collections::HashSet<String> = requests.iter().map(|request| nonce(&request.body)).collect();
    assert_eq!(nonces.len(), 3, "every sending has its own");
}
