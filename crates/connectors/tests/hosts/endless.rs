//! Lists of systems that never come to an end, read page by page as recipes with `stream: true` do.

use connector::{ErrorClass, StepError};
use serde_json::{Value as Json, json};

use crate::{
    SYSTEMS,
    stub::{Asked, Said, Stub},
};

/// Pages after which a walk counts as endless.
const PAGES: usize = 12;

/// Walks a list; how it ends.
async fn walk(id: &str, action: &str, input: Json, answer: fn(&Asked) -> Said) -> StepError {
    let stub = Stub::start(answer).await;
    let system = SYSTEMS.iter().find(|system| system.id == id).unwrap();
    let pages = system.connector().action(action).unwrap().pages.clone().unwrap();
    let mut cursor = None;
    for _ in 0..PAGES {
        match pages(system.cx(&stub.url), input.clone(), cursor).await {
            Ok(page) => cursor = Some(page.next.unwrap_or_else(|| panic!("{id}: it ends, and all was had"))),
            Err(error) => return error,
        }
    }
    panic!("{id}: {action} goes on for ever: {:#?}", stub.asked().last());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_page_again_and_again_ends_in_an_error() {
    let servicenow = |asked: &Asked| {
        let row = json!({ "sys_id": { "value": "46e18c0fa9fe19810066a0083f76bd56", "display_value": "46e18c0fa9fe19810066a0083f76bd56" } });
        let rows = if asked.target.contains("/table/incident") { vec![row] } else { Vec::new() };
        Said::json(200, &json!({ "result": rows })).header("x-total-count", "1000000")
    };
    let stripe = |_: &Asked| {
        Said::json(200, &json!({ "object": "list", "has_more": true, "data": [{ "id": "cus_1", "object": "customer" }] }))
    };
    let netsuite = |_: &Asked| Said::json(200, &json!({ "hasMore": true, "items": [{ "id": "107" }] }));
    for (id, action, input, answer) in [
        ("servicenow", "search_records", json!({ "table": "incident", "fields": ["sys_id"] }), servicenow as fn(&Asked) -> Said),
        ("stripe", "list_customers", json!({}), stripe),
        ("netsuite", "search_records", json!({ "type": "customer" }), netsuite),
    ] {
        let error = walk(id, action, input, answer).await;
        assert_eq!(error.class, ErrorClass::Server, "{id}: {error:?}");
        assert!(error.next.is_some(), "{id}: {error:?}");
    }
}
