//! The Table API: shapes of values, pages, writes, refusals.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Instance, failure, http, read};

#[tokio::test]
async fn values_have_the_documented_shapes() {
    let instance = Instance::start().await;
    let rows =
        instance.get("/api/now/table/incident?sysparm_query=state=2^caller_idISNOTEMPTY^ORDERBYnumber&sysparm_limit=1").await;
    let id = rows[0]["sys_id"].as_str().unwrap().to_owned();
    let one = |display: &str, links: bool| {
        format!(
            "/api/now/table/incident/{id}?sysparm_fields=caller_id,state,problem_id,caller_id.email&sysparm_display_value={display}&sysparm_exclude_reference_link={}",
            !links
        )
    };
    let plain = instance.get(&one("false", true)).await;
    let caller = plain["caller_id"]["value"].as_str().unwrap().to_owned();
    assert_eq!(plain["caller_id"]["link"], instance.url(&format!("/api/now/table/sys_user/{caller}")));
    assert_eq!((&plain["state"], &plain["problem_id"]), (&json!("2"), &json!("")), "an empty reference is a plain text");
    assert!(plain["caller_id.email"].as_str().unwrap().contains('@'));
    assert_eq!(instance.get(&one("false", false)).await["caller_id"], json!(caller));
    let shown = instance.get(&one("true", false)).await;
    assert_eq!(shown["state"], "In Progress");
    assert!(shown["caller_id"].as_str().unwrap().contains(' '));
    let all = instance.get(&one("all", true)).await;
    assert_eq!(all["state"], json!({"display_value": "In Progress", "value": "2"}));
    assert_eq!(all["caller_id"]["value"], json!(caller));
    assert!(all["caller_id"]["link"].is_string() && all["caller_id"]["display_value"].is_string());
    assert!(instance.get(&one("all", false)).await["caller_id"].get("link").is_none());
    let unknown = instance.get(&format!("/api/now/table/incident/{id}?sysparm_fields=sys_id,nonsense,caller_id.nonsense")).await;
    assert_eq!(unknown, json!({"sys_id": id}));
}

#[tokio::test]
async fn pages_tell_the_whole_count_and_link_to_each_other() {
    let instance = Instance::start().await;
    let page = |offset: &str| {
        format!("/api/now/table/incident?sysparm_query=ORDERBYnumber&sysparm_fields=number&sysparm_limit=30{offset}")
    };
    let first = instance.answer(Method::GET, &page(""), None).await;
    assert_eq!(first.headers()["x-total-count"], "67");
    let links = first.headers()["link"].to_str().unwrap().to_owned();
    let place = |rel: &str| links.split(",<").find(|link| link.ends_with(&format!("rel=\"{rel}\""))).map(str::to_owned);
    assert!(place("prev").is_none());
    assert!(place("next").unwrap().contains("sysparm_offset=30>"), "{links}");
    assert!(place("last").unwrap().contains("sysparm_offset=60>"), "{links}");
    let middle = instance.answer(Method::GET, &page("&sysparm_offset=30"), None).await;
    let links = middle.headers()["link"].to_str().unwrap().to_owned();
    assert!(
        links.contains("rel=\"prev\"") && links.contains("rel=\"next\"") && links.contains("sysparm_query=ORDERBYnumber"),
        "{links}"
    );
    let last = instance.answer(Method::GET, &page("&sysparm_offset=60"), None).await;
    assert!(!last.headers()["link"].to_str().unwrap().contains("rel=\"next\""));
    assert_eq!(read(last).await.1["result"].as_array().unwrap().len(), 7);
    let all = instance.answer(Method::GET, "/api/now/table/incident?sysparm_no_count=true", None).await;
    assert!(!all.headers().contains_key("link") && !all.headers().contains_key("x-total-count"));
    let quiet = instance.answer(Method::GET, &page("&sysparm_suppress_pagination_header=true"), None).await;
    assert!(!quiet.headers().contains_key("link"));
    let head = instance.answer(Method::HEAD, &page(""), None).await;
    assert_eq!(head.headers()["x-total-count"], "67");
}

#[tokio::test]
async fn refusals_have_the_vendors_words() {
    let instance = Instance::start().await;
    let unknown = "0123456789abcdef0123456789abcdef";
    let no_record = failure("No Record found", Some("Record doesn't exist or ACL restricts the record retrieval"));
    let cases = [
        (Method::GET, "/api/now/table/incidentx".to_owned(), 400, failure("Invalid table incidentx", None)),
        (
            Method::GET,
            "/api/now/table/incident?sysparm_limit=0".to_owned(),
            400,
            failure("Invalid value given for sysparm_limit", None),
        ),
        (
            Method::GET,
            "/api/now/table/incident?sysparm_limit=-5".to_owned(),
            400,
            failure("Invalid value given for sysparm_limit", None),
        ),
        (
            Method::GET,
            "/api/now/table/incident?sysparm_offset=-1".to_owned(),
            400,
            failure("Invalid value given for sysparm_offset", None),
        ),
        (Method::GET, format!("/api/now/table/incident/{unknown}"), 404, no_record.clone()),
        (Method::DELETE, format!("/api/now/table/incident/{unknown}"), 404, no_record),
        (Method::PUT, "/api/now/table/incident".to_owned(), 405, failure("Method not supported", None)),
    ];
    for (method, path, status, body) in cases {
        assert_eq!(instance.call(method, &path, None).await, (status, body), "{path}");
    }
    let nobody = http().get(instance.url("/api/now/table/incident")).send().await.unwrap();
    assert!(nobody.headers().contains_key("www-authenticate"));
    assert_eq!(read(nobody).await, (401, failure("User Not Authenticated", Some("Required to provide Auth information"))));
    let typed = instance.request(Method::POST, "/api/now/table/incident").header("content-type", "text/plain").body("x");
    assert_eq!(typed.send().await.unwrap().status(), 415);
    let broken = instance.request(Method::POST, "/api/now/table/incident").header("content-type", "application/json").body("{");
    assert_eq!(broken.send().await.unwrap().status(), 400);
    let accept = instance
        .http
        .get(instance.url("/api/now/table/incident"))
        .basic_auth(&instance.user, Some(&instance.password))
        .header("accept", "image/png");
    assert_eq!(accept.send().await.unwrap().status(), 406);
    let empty = "sysparm_query=number=nothing";
    assert_eq!(instance.call(Method::GET, &format!("/api/now/v1/table/incident?{empty}"), None).await.0, 404);
    assert_eq!(instance.get(&format!("/api/now/v2/table/incident?{empty}")).await, json!([]));
    let long = instance.answer(Method::GET, &format!("/api/now/table/{}", "A".repeat(23_000)), None).await;
    assert!(long.status().is_client_error() && long.text().await.unwrap().contains("html>"));
}

#[tokio::test]
async fn a_record_is_created_changed_and_deleted() {
    let instance = Instance::start().await;
    let body = json!({"short_description": "Printer on fire", "urgency": 1, "impact": "1", "made_up": "x", "sys_mod_count": "9", "comments": "first"});
    let answer = instance.answer(Method::POST, "/api/now/table/incident?sysparm_exclude_reference_link=true", Some(body)).await;
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let record = read(answer).await.1["result"].clone();
    let id = record["sys_id"].as_str().unwrap().to_owned();
    assert_eq!(location, instance.url(&format!("/api/now/table/incident/{id}")));
    assert_eq!((&record["priority"], &record["sys_mod_count"], &record["urgency"]), (&json!("1"), &json!("0"), &json!("1")));
    assert!(record["number"].as_str().unwrap().starts_with("INC001") && record.get("made_up").is_none());
    assert_eq!(record["comments"], "", "journals cannot be read back");
    assert_eq!(instance.column("sys_journal_field", &format!("element_id={id}"), "value").await, ["first"]);
    let path = format!("/api/now/table/incident/{id}");
    let (status, changed) = instance.call(Method::PATCH, &path, Some(json!({"state": "2", "comments": "second"}))).await;
    assert_eq!(
        (status, &changed["result"]["sys_mod_count"], &changed["result"]["short_description"]),
        (200, &json!("1"), &json!("Printer on fire"))
    );
    let shown = instance.get(&format!("{path}?sysparm_display_value=true&sysparm_fields=comments")).await;
    assert!(shown["comments"].as_str().unwrap().contains("(Additional comments)\nsecond"), "{shown}");
    let silent = instance
        .request(Method::PUT, &path)
        .header("x-no-response-body", "true")
        .json(&json!({"state": "3"}))
        .send()
        .await
        .unwrap();
    assert_eq!((silent.status().as_u16(), silent.text().await.unwrap()), (200, String::new()));
    assert_eq!(instance.answer(Method::DELETE, &path, None).await.status(), 204);
    assert_eq!(instance.call(Method::GET, &path, None).await.0, 404);
    assert_eq!(instance.column("sys_audit_delete", &format!("documentkey={id}"), "tablename").await, ["incident"]);
    assert!(instance.column("sys_journal_field", &format!("element_id={id}"), "value").await.is_empty());
}

#[tokio::test]
async fn a_clients_own_id_is_taken_once() {
    let instance = Instance::start().await;
    let body = json!({"sys_id": "AAAABBBBCCCCDDDDEEEEFFFF00001111", "short_description": "Mine"});
    assert_eq!(instance.create("incident", body.clone()).await["sys_id"], "AAAABBBBCCCCDDDDEEEEFFFF00001111");
    let again = instance.call(Method::POST, "/api/now/table/incident", Some(body)).await;
    assert_eq!(again, (403, failure("Operation Failed", Some("Error during insert of incident"))));
    let list = json!([{"short_description": "one"}, {"short_description": "two"}]);
    let before = instance.column("incident", "short_descriptionINone,two", "number").await.len();
    assert_eq!(instance.create("incident", list).await["short_description"], "one");
    assert_eq!(
        instance.column("incident", "short_descriptionINone,two", "number").await.len(),
        before + 1,
        "only the first of a list"
    );
}

#[tokio::test]
async fn what_people_see_can_be_written() {
    let instance = Instance::admin().await;
    let body = json!({"short_description": "x", "state": "In Progress", "caller_id": "System Administrator", "due_date": "2026-01-01 19:04:05"});
    let path = "/api/now/table/incident?sysparm_input_display_value=true&sysparm_exclude_reference_link=true";
    let (_, written) = instance.call(Method::POST, path, Some(body)).await;
    let record = &written["result"];
    assert_eq!((&record["state"], &record["caller_id"]), (&json!("2"), &json!("6816f79cc0a8016401c5a33be04be441")));
    assert_eq!(record["due_date"], "2026-01-02 03:04:05", "the administrator lives in Los Angeles");
    let cleared = instance
        .call(
            Method::PATCH,
            &format!("/api/now/table/incident/{}", record["sys_id"].as_str().unwrap()),
            Some(json!({"caller_id": ""})),
        )
        .await;
    assert_eq!(cleared.1["result"]["caller_id"], "");
}

#[tokio::test]
async fn a_parent_table_shows_the_records_of_its_children() {
    let instance = Instance::start().await;
    let classes = instance.column("task", "numberSTARTSWITHPRB", "sys_class_name").await;
    assert!(!classes.is_empty() && classes.iter().all(|class| class == "problem"));
    let row = instance.get("/api/now/table/task?sysparm_query=sys_class_name=incident&sysparm_limit=1").await;
    assert!(row[0].get("caller_id").is_none() && row[0].get("number").is_some(), "only the parent's fields");
    let servers = instance.column("cmdb_ci", "sys_class_nameINSTANCEOFcmdb_ci_computer", "sys_class_name").await;
    assert!(servers.contains(&"cmdb_ci_server".to_owned()) && servers.contains(&"cmdb_ci_computer".to_owned()));
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cut_after_its_status() {
    let instance = Instance::start().await;
    instance.configure(json!({"cancel_rows_over": 10}));
    let list = |limit: usize| format!("/api/now/table/incident?sysparm_fields=sys_id&sysparm_limit={limit}");
    let (status, both) = instance.call(Method::GET, &list(11), None).await;
    assert_eq!((status, both["result"].as_array().map(Vec::len), &both["status"]), (200, Some(10), &json!("failure")));
    assert_eq!(both["error"]["message"], "Transaction cancelled: maximum execution time exceeded");
    assert!(instance.call(Method::GET, &list(10), None).await.1.get("error").is_none());
    instance.configure(json!({"cancelled_json_is_valid": false}));
    let broken = instance.answer(Method::GET, &list(11), None).await;
    assert_eq!(broken.status(), 200);
    let text = broken.text().await.unwrap();
    assert!(text.contains("Transaction cancelled") && serde_json::from_str::<Json>(&text).is_err());
}

#[tokio::test]
async fn hidden_rows_shorten_pages_but_not_counts() {
    let instance = Instance::start().await;
    instance.configure(json!({"hidden": {"incident": "category=billing"}}));
    let answer = instance.answer(Method::GET, "/api/now/table/incident?sysparm_limit=1000", None).await;
    assert_eq!(answer.headers()["x-total-count"], "67");
    assert!(read(answer).await.1["result"].as_array().unwrap().len() < 67);
}

#[tokio::test]
async fn rate_limits_count_by_the_hour_and_tell_when_to_come_back() {
    let instance = Instance::start().await;
    instance.configure(json!({"rate_limits": {"Table API": 2}}));
    let list = "/api/now/table/incident?sysparm_limit=1";
    let first = instance.answer(Method::GET, list, None).await;
    assert_eq!((first.status().as_u16(), first.headers()["x-ratelimit-limit"].to_str().unwrap()), (200, "2"));
    let reset: i64 = first.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    let now_s = instance.sandbox.world().clock().now_s();
    assert!((now_s..=now_s + 3_600).contains(&reset));
    instance.answer(Method::GET, list, None).await;
    let refused = instance.answer(Method::GET, list, None).await;
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 3_600);
    let words = failure("Rate limit exceeded", Some("Rate limit of 2 requests per hour for Table API exceeded"));
    assert_eq!(read(refused).await, (429, words));
    assert_eq!(instance.answer(Method::GET, "/api/now/stats/incident?sysparm_count=true", None).await.status(), 200);
    instance.sandbox.world().clock().advance(std::time::Duration::from_secs(3_600));
    assert_eq!(instance.answer(Method::GET, list, None).await.status(), 200);
}
