//! Answers that only a gateway, a lock or a broken cursor gives.

use std::sync::{Arc, Mutex};

use connector::{
    Connection, Doubt, ErrorClass,
    hint::{Hint, Listener},
};
use serde_json::{Value as Json, json};

use crate::{
    salesforce,
    stub::{Asked, Said, Stub},
    vendor::Vendor,
};

/// Answers the sign-in itself, and all else as a test says.
async fn org(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> (Vendor, Stub) {
    let stub = Stub::start(move |asked| match asked.target.contains("/oauth2/token") {
        true => Said::json(200, &json!({"access_token": "00Dx!token", "token_type": "Bearer"})),
        false => answer(asked),
    });
    let (stub, mut sf) = (stub.await, salesforce().await);
    let mut config = sf.connection.config.clone();
    config["login_url"] = json!(stub.url);
    sf.connection = Arc::new(Connection { name: "odd".into(), config, ..(*sf.connection).clone() });
    (sf, stub)
}

const ID: &str = "001xx000003DGb1AAG";

#[tokio::test]
async fn a_gateway_s_404_is_neither_an_empty_record_nor_a_deleted_one() {
    let (sf, _stub) = org(|_| Said::page(404)).await;
    for (action, input) in [
        ("get", json!({"object": "Account", "id": ID})),
        ("delete", json!({"object": "Account", "id": ID, "ignore_missing": true})),
    ] {
        let error = sf.call(action, input).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"), "{action}");
    }
}

#[tokio::test]
async fn a_next_page_that_is_the_same_page_ends_in_an_error() {
    let next = "/services/data/v62.0/query/01g-2000";
    let (sf, stub) = org(move |asked| {
        let record = json!({"Id": ID, "Contacts": {"totalSize": 9, "done": false, "nextRecordsUrl": next, "records": []}});
        let records = if asked.target.contains("children") { json!([record]) } else { json!([{"Id": ID}]) };
        Said::json(200, &json!({"totalSize": 9, "done": false, "nextRecordsUrl": next, "records": records}))
    })
    .await;
    for soql in ["SELECT Id FROM Account", "SELECT children FROM Account"] {
        let error = sf.call("query", json!({"soql": soql})).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Server, "ANSWER_UNREADABLE"), "{soql}");
    }
    let scheduled = sf.poll("scheduled_soql", json!({"soql": "SELECT Id FROM Account"}), connector::Position::Since(0)).await;
    assert_eq!(scheduled.unwrap_err().code, "ANSWER_UNREADABLE");
    assert!(stub.asked().len() < 12);
}

#[tokio::test]
async fn a_locked_record_is_tried_again_whatever_it_is_locked_for() {
    let (sf, _stub) = org(|asked| {
        let locked = json!({"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access", "fields": []});
        let refused = match &asked.target {
            target if target.contains("/tree/") => {
                json!({"hasErrors": true, "results": [{"referenceId": "r1", "errors": [locked]}]})
            }
            target if target.contains("/flow/") => json!([{"isSuccess": false, "errors": [locked]}]),
            _ => json!([{"success": false, "errors": [locked]}]),
        };
        Said::json(400, &refused)
    })
    .await;
    let tree = json!([{"attributes": {"type": "Account", "referenceId": "r1"}, "Name": "A"}]);
    for (action, input) in [
        ("create_tree", json!({"object": "Account", "records": tree})),
        ("run_flow", json!({"flow": "Welcome_Customer"})),
        ("approve", json!({"id": ID})),
    ] {
        let error = sf.call(action, input).await.unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str(), error.doubt),
            (ErrorClass::Server, "UNABLE_TO_LOCK_ROW", Doubt::Settled),
            "{action}"
        );
        assert!(error.next.unwrap().contains("tried again"), "{action}");
    }
}

#[derive(Default)]
struct Ear(Mutex<Vec<u64>>);

impl Listener for Ear {
    fn hear(&self, _: &str, hint: Hint) {
        self.0.lock().unwrap().push(hint.left);
    }
}

#[tokio::test]
async fn what_is_left_of_the_day_is_heard_of_refusals_too() {
    let (sf, _stub) = org(|_| {
        let refused = json!([{"errorCode": "INVALID_FIELD", "message": "x"}]);
        Said::json(400, &refused).header("sforce-limit-info", "api-usage=14990/15000")
    })
    .await;
    let ear = Arc::new(Ear::default());
    sf.http.tell_limits_to(ear.clone());
    assert_eq!(sf.call("limits", json!({})).await.unwrap_err().code, "INVALID_FIELD");
    assert_eq!(*ear.0.lock().unwrap(), [10]);
}

#[tokio::test]
async fn what_parts_an_upload_is_another_each_time() {
    let (sf, stub) = org(|_| Said::json(201, &json!({"id": "068xx000000TlsKAAS", "success": true}))).await;
    for _ in 0..2 {
        sf.call("upload_file", json!({"record_id": ID, "text": "hello"})).await.unwrap();
    }
    let bodies: Vec<String> =
        stub.asked().into_iter().filter(|asked| asked.target.contains("ContentVersion")).map(|asked| asked.body).collect();
    let parting = |body: &String| body.lines().next().unwrap().to_owned();
    assert!(bodies.len() == 2 && parting(&bodies[0]).len() > 30);
    assert_ne!(parting(&bodies[0]), parting(&bodies[1]));
    assert!(bodies[0].trim_end().ends_with(&format!("{}--", parting(&bodies[0]))));
}

#[tokio::test]
async fn a_query_is_as_long_as_it_is_sent() {
    let (sf, stub) = org(|_| Said::json(200, &json!({"totalSize": 0, "done": true, "records": []}))).await;
    let search = |letters: &str| {
        let value = Json::from(letters.repeat(3_000));
        json!({"object": "Account", "filter": [{"field": "Name", "is": "equal", "value": value}]})
    };
    assert!(sf.call("search", search("a")).await.is_ok());
    let before = stub.asked().len();
    assert_eq!(sf.call("search", search("é")).await.unwrap_err().code, "QUERY_TOO_LONG");
    assert_eq!(stub.asked().len(), before, "it is not sent");
}
