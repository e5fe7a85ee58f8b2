//! Answers that can be read and are not what was asked for: of another system, empty, or nested without an end.

use connector::{Doubt, ErrorClass};
use serde_json::{Value as Json, json};

use crate::{
    SYSTEMS, is_told,
    stub::{Asked, Said, Stub},
};

/// Signs in; all else is a body with status 200.
fn signed_in(kind: &'static str, body: String) -> impl Fn(&Asked) -> Said + Send + Sync + 'static {
    move |asked| match asked.target.contains("oauth2") {
        true => Said::json(200, &json!({ "access_token": "token", "token_type": "Bearer", "expires_in": 3_600 })),
        false => Said { status: 200, headers: vec![("content-type", kind.to_owned())], body: body.clone() },
    }
}

/// A read of each system, and its answer without the rows.
fn reads() -> [(&'static str, &'static str, Json); 5] {
    [
        ("salesforce", "query", json!({ "soql": "SELECT Id FROM Account" })),
        ("netsuite", "run_suiteql", json!({ "query": "SELECT id FROM customer" })),
        ("servicenow", "search_records", json!({ "table": "incident" })),
        ("stripe", "list_customers", json!({})),
        ("workday", "list_currencies", json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_another_kind_is_neither_an_empty_list_nor_a_record() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let mut bodies: Vec<(&str, String)> = ["null", "[]", "{}", "7", "\"text\"", "{\"ok\":true}", "\u{feff}"]
        .map(|body| ("application/json", body.to_owned()))
        .into();
    bodies.push(("application/json", deep));
    bodies.push(("application/xml", "<records/>".to_owned()));
    bodies.push(("text/plain", "maintenance".to_owned()));
    for (kind, body) in bodies {
        let what = &body[..body.len().min(20)];
        let stub = Stub::start(signed_in(kind, body.clone())).await;
        for (id, action, input) in reads() {
            let system = SYSTEMS.iter().find(|system| system.id == id).unwrap();
            let error = system.call(&stub.url, action, input).await;
            let told = (error.class, error.code.as_str());
            assert_eq!(told, (ErrorClass::Server, "ANSWER_UNREADABLE"), "{id} {what}: {error:?}");
            is_told(id, &error, "127.0.0.1");
            // Workday answers a decision with a record of which nothing has to be there.
            if id == "workday" && body.starts_with('{') {
                continue;
            }
            let error = system.call(&stub.url, system.write.0, (system.write.1)()).await;
            assert_eq!(
                (error.class, error.doubt),
                (ErrorClass::Server, Doubt::MayHaveHappened),
                "{id} writes, {what}: {error:?}"
            );
            is_told(id, &error, "127.0.0.1");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pages_that_promise_more_come_to_an_end() {
    let empty = |id: &str| match id {
        "salesforce" => json!({ "totalSize": 9, "done": false, "records": [] }),
        "netsuite" => json!({ "hasMore": true, "items": [] }),
        "servicenow" => json!({ "result": [] }),
        "stripe" => json!({ "object": "list", "has_more": true, "data": [] }),
        _ => json!({ "total": 1_000_000, "data": [] }),
    };
    for (id, action, input) in reads() {
        let stub = Stub::start(move |asked: &Asked| {
            if asked.target.contains("oauth2") {
                return Said::json(200, &json!({ "access_token": "token", "token_type": "Bearer", "expires_in": 3_600 }));
            }
            let mut body = empty(id);
            // The next page is another one each time.
            if id == "salesforce" {
                body["nextRecordsUrl"] = json!(format!("{}1", asked.target.split('?').next().unwrap()));
            }
            Said::json(200, &body).header("x-total-count", "5000")
        });
        let stub = stub.await;
        let system = SYSTEMS.iter().find(|system| system.id == id).unwrap();
        let connector = system.connector();
        let done = (connector.action(action).unwrap().run)(system.cx(&stub.url), input).await;
        match done {
            // Access rules may hide whole pages; and a page that is not full is the last one.
            Ok(found) => assert!(matches!(id, "servicenow" | "workday"), "{id}: {found}"),
            Err(error) => {
                assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"), "{id}: {error:?}");
                assert!(error.next.is_some(), "{id}: {error:?}");
            }
        }
        assert!(stub.asked().len() < 12, "{id}: {} calls", stub.asked().len());
    }
}
