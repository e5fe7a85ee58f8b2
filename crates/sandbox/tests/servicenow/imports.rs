//! Import sets, attachments, batches, the catalog, changes and machines.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Instance, failure, read};

#[tokio::test]
async fn a_row_is_inserted_updated_ignored_or_an_error_inside() {
    let instance = Instance::start().await;
    let path = "/api/now/import/u_imp_customer";
    let row = |name: &str, city: &str| json!({"u_external_id": "C-9000", "u_name": name, "u_city": city});
    let (status, first) = instance.call(Method::POST, path, Some(row("New Customer", "Bern"))).await;
    assert_eq!((status, &first["staging_table"]), (201, &json!("u_imp_customer")));
    let told = &first["result"][0];
    assert_eq!(
        (&told["status"], &told["transform_map"], &told["table"], &told["display_value"]),
        (&json!("inserted"), &json!("Customer import"), &json!("core_company"), &json!("New Customer"))
    );
    assert!(first["import_set"].as_str().unwrap().starts_with("ISET"));
    assert_eq!(told["record_link"], instance.url(&format!("/api/now/table/core_company/{}", told["sys_id"].as_str().unwrap())));
    let outcome = async |body: Json| instance.call(Method::POST, path, Some(body)).await.1["result"][0].clone();
    assert_eq!(outcome(row("New Customer", "Basel")).await["status"], "updated");
    assert_eq!(outcome(row("New Customer", "Basel")).await["status"], "ignored");
    let wrong = outcome(row("", "Basel")).await;
    assert_eq!(wrong["status"], "error");
    assert!(wrong["error_message"].as_str().unwrap().contains("mandatory"));
    assert_eq!(instance.column("core_company", "u_external_id=C-9000", "city").await, ["Basel"]);
    assert_eq!(
        instance.call(Method::POST, "/api/now/import/incident", Some(json!({}))).await,
        (403, failure("Staging table is invalid", Some("incident")))
    );
}

#[tokio::test]
async fn many_rows_are_transformed_later() {
    let instance = Instance::start().await;
    instance.configure(json!({"transform_s": 600}));
    let rows: Vec<Json> = (0..40).map(|row| json!({"Email": format!("p{row}@northwind.example"), "First name": "P", "Last name": row.to_string(), "made up": 1})).collect();
    let path = "/api/now/import/u_imp_user/insertMultiple";
    let (status, done) = instance.call(Method::POST, path, Some(json!({"records": rows}))).await;
    assert_eq!(status, 201, "{done}");
    let set = done["import_set_id"].as_str().unwrap();
    assert_eq!(instance.column("sys_import_set", &format!("sys_id={set}"), "state").await, ["loaded"]);
    instance.sandbox.world().clock().advance(std::time::Duration::from_secs(600));
    assert_eq!(instance.column("sys_import_set", &format!("sys_id={set}"), "state").await, ["processed"]);
    let states = instance.column("sys_import_set_row", &format!("sys_import_set={set}"), "sys_import_state").await;
    assert_eq!((states.len(), states.iter().all(|state| state == "inserted")), (40, true));
    assert_eq!(instance.column("sys_user", "emailSTARTSWITHp3@", "name").await, ["P 3"]);
}

#[tokio::test]
async fn files_come_back_as_they_went() {
    let instance = Instance::start().await;
    let incident = instance.column("incident", "number=INC0010001", "sys_id").await.remove(0);
    let content: Vec<u8> = (0..300_000_u32).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
    let path = format!("/api/now/attachment/file?table_name=incident&table_sys_id={incident}&file_name=Gr%C3%BC%C3%9Fe.bin");
    let sent = instance
        .request(Method::POST, &path)
        .header("content-type", "application/x-test")
        .body(content.clone())
        .send()
        .await
        .unwrap();
    let location = sent.headers()["location"].to_str().unwrap().to_owned();
    let (status, told) = read(sent).await;
    let id = told["result"]["sys_id"].as_str().unwrap().to_owned();
    assert_eq!(
        (status, &told["result"]["size_bytes"], &told["result"]["file_name"]),
        (201, &json!("300000"), &json!("Grüße.bin"))
    );
    assert_eq!(location, instance.url(&format!("/api/now/v1/attachment/{id}/file")));
    let file = instance.answer(Method::GET, &format!("/api/now/attachment/{id}/file"), None).await;
    assert_eq!(file.headers()["content-type"], "application/x-test");
    let metadata: Json = serde_json::from_slice(file.headers()["x-attachment-metadata"].as_bytes()).unwrap();
    assert_eq!(metadata["file_name"], "Grüße.bin");
    assert!(file.bytes().await.unwrap() == content);
    let form = "--X\r\nContent-Disposition: form-data; name=\"table_name\"\r\n\r\nincident\r\n--X\r\nContent-Disposition: form-data; name=\"table_sys_id\"\r\n\r\nID\r\n--X\r\nContent-Disposition: form-data; name=\"uploadFile\"; filename=\"note.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--X--\r\n";
    let upload = instance
        .request(Method::POST, "/api/now/attachment/upload")
        .header("content-type", "multipart/form-data; boundary=X")
        .body(form.replace("ID", &incident));
    assert_eq!(read(upload.send().await.unwrap()).await.1["result"]["size_bytes"], "5");
    let list = instance.get(&format!("/api/now/attachment?sysparm_query=table_name=incident^table_sys_id={incident}")).await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(
        instance
            .answer(Method::PATCH, &format!("/api/now/attachment/{id}"), Some(json!({"file_name": "new.bin"})))
            .await
            .status(),
        204
    );
    assert_eq!(instance.get(&format!("/api/now/attachment/{id}")).await["file_name"], "new.bin");
    assert_eq!(instance.answer(Method::DELETE, &format!("/api/now/attachment/{id}"), None).await.status(), 204);
    assert_eq!(instance.answer(Method::GET, &format!("/api/now/attachment/{id}/file"), None).await.status(), 404);
    let orphan = instance
        .request(Method::POST, "/api/now/attachment/file?table_name=incident&table_sys_id=nothing&file_name=x")
        .header("content-type", "text/plain")
        .body("x");
    assert_eq!(orphan.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_batch_runs_its_items_apart() {
    let instance = Instance::start().await;
    let incident = instance.column("incident", "number=INC0010001", "sys_id").await.remove(0);
    let item = |id: &str, method: &str, url: &str, body: &str| json!({"id": id, "method": method, "url": url, "body": STANDARD.encode(body), "headers": [{"name": "Content-Type", "value": "application/json"}]});
    let items = [
        item("a", "PATCH", &format!("/api/now/table/incident/{incident}"), r#"{"urgency":"2"}"#),
        item("b", "GET", "/api/now/table/incident/nothing", ""),
        item("c", "DELETE", &format!("/api/now/table/incident/{incident}"), ""),
    ];
    instance.configure(json!({"batch_items_run": 2}));
    let (status, done) =
        instance.call(Method::POST, "/api/now/v1/batch", Some(json!({"batch_request_id": 7, "rest_requests": items}))).await;
    assert_eq!((status, &done["batch_request_id"], &done["unserviced_requests"]), (200, &json!("7"), &json!(["c"])));
    let codes: Vec<&Json> = done["serviced_requests"].as_array().unwrap().iter().map(|one| &one["status_code"]).collect();
    assert_eq!(codes, [200, 404]);
    let body = STANDARD.decode(done["serviced_requests"][0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&body).unwrap()["result"]["urgency"], "2");
    assert_eq!(instance.call(Method::POST, "/api/now/v1/batch", Some(json!({"rest_requests": 1}))).await.0, 400);
}

#[tokio::test]
async fn the_catalog_takes_orders_with_the_mandatory_answers() {
    let instance = Instance::start().await;
    let items = instance.get("/api/sn_sc/servicecatalog/items?sysparm_text=laptop").await;
    let id = items[0]["sys_id"].as_str().unwrap().to_owned();
    let item = instance.get(&format!("/api/sn_sc/servicecatalog/items/{id}")).await;
    assert_eq!((&item["variables"][0]["name"], &item["variables"][0]["mandatory"]), (&json!("model"), &json!(true)));
    let path = format!("/api/sn_sc/servicecatalog/items/{id}/order_now");
    let (status, refused) = instance.call(Method::POST, &path, Some(json!({"sysparm_quantity": 1, "variables": {}}))).await;
    assert!(status == 400 && refused["error"]["detail"].as_str().unwrap().contains("Which model"), "{refused}");
    let (status, done) =
        instance.call(Method::POST, &path, Some(json!({"sysparm_quantity": 2, "variables": {"model": "X1"}}))).await;
    assert_eq!((status, &done["result"]["table"]), (200, &json!("sc_request")));
    let request = done["result"]["request_id"].as_str().unwrap();
    assert_eq!(instance.column("sc_req_item", &format!("request={request}"), "quantity").await, ["2"]);
    let values = instance.column("sc_item_option", &format!("request_item.request={request}"), "value").await;
    assert!(values.contains(&"X1".to_owned()));
    let outage =
        instance.get("/api/sn_sc/servicecatalog/items?sysparm_text=outage").await[0]["sys_id"].as_str().unwrap().to_owned();
    let path = format!("/api/sn_sc/servicecatalog/items/{outage}/submit_producer");
    let (_, made) = instance.call(Method::POST, &path, Some(json!({"variables": {"short_description": "All down"}}))).await;
    assert_eq!(made["result"]["table"], "incident");
}

#[tokio::test]
async fn changes_and_machines_have_apis_of_their_own() {
    let instance = Instance::start().await;
    let (status, made) =
        instance.call(Method::POST, "/api/sn_chg_rest/change/emergency", Some(json!({"short_description": "Patch"}))).await;
    assert_eq!((status, &made["result"]["type"]), (200, &json!({"display_value": "Emergency", "value": "emergency"})));
    assert_eq!(made["result"]["state"]["display_value"], "New");
    let (_, item) = instance
        .call(
            Method::POST,
            "/api/now/cmdb/instance/cmdb_ci_server",
            Some(json!({"source": "ServiceNow", "attributes": {"name": "srv-new"}})),
        )
        .await;
    assert_eq!(item["result"]["attributes"]["name"], "srv-new");
    let payload = json!({"items": [{"className": "cmdb_ci_server", "values": {"name": "srv-new", "os": "BSD"}}, {"className": "nothing", "values": {}}]});
    let (_, told) = instance.call(Method::POST, "/api/now/identifyreconcile", Some(payload)).await;
    assert_eq!(told["result"]["items"][0]["operation"], "UPDATE");
    assert_eq!(told["result"]["items"][1]["operation"], "NO_CHANGE");
}
