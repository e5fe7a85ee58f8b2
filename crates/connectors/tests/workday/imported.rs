//! A description of Workday's REST becomes a connector that works.
//!
//! `workers_api.yaml` says what the description of the service `common` says of workers, and how: without servers and
//! sign-in, answers without a word about them, and pages by offset with a total.

use std::{collections::HashMap, sync::Arc};

use connector::{Connection, Cx, ErrorClass, Secret};
use connectors::{
    declared::File,
    openapi::{Options, import},
};
use serde_json::json;

use crate::workday;

const DESCRIPTION: &str = include_str!("workers_api.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn what_a_description_was_imported_to_reads_and_pages_through_workers() {
    let tenant = workday().await;
    let options = Options {
        id: Some("workers".to_owned()),
        base_url: Some("https://${ config.host }/ccx/api/v1/${ config.tenant }".to_owned()),
        auth: Some("none".parse().unwrap()),
        ..Options::default()
    };
    let made = import(DESCRIPTION, &options).unwrap();
    let told = tenant.sandbox.vendor("workday").unwrap().credentials();
    // What the option cannot say is written by hand.
    let way = format!("auth: {{ kind: oauth2, grants: [refresh_token], token_url: {} }}", told["token_endpoint"]);
    assert!(made.text.contains("auth: none"), "{}", made.text);
    let text = made.text.replace("auth: none", &way);
    let workers = File::read(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}")).connector();

    let config = json!({"host": "wd.example", "tenant": "acme", "base_url": told["rest_endpoint"]});
    let names = ["client_id", "client_secret", "refresh_token"];
    let credentials: HashMap<String, Secret> =
        names.iter().map(|name| ((*name).to_owned(), Secret::new(told[*name].as_str().unwrap().to_owned()))).collect();
    (workers.validate)(&config, &credentials).unwrap();
    let connection = Arc::new(Connection { name: "there".to_owned(), connector: "workers".to_owned(), config, credentials });
    let cx = || Cx { connection: Some(Arc::clone(&connection)), ..tenant.cx("run_1/step") };

    let pages = workers.action("get_collection_of_workers").unwrap().pages.clone().unwrap();
    let (mut found, mut cursor, mut asked) = (Vec::new(), None, 0);
    loop {
        let page = pages(cx(), json!({"limit": 20}), cursor).await.unwrap();
        asked += 1;
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut ids: Vec<&str> = found.iter().map(|worker| worker["id"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    // The last page is the one without anybody: a total may have changed since it was told.
    assert!(
        all > 1_000 && ids.len() == all && asked == all.div_ceil(20) + 1,
        "{all} workers, {} of them once, on {asked} pages",
        ids.len()
    );

    let get = async |id: &str| (workers.action("get_worker_instance").unwrap().run)(cx(), json!({ "id": id })).await;
    let first = found[0]["id"].as_str().unwrap();
    assert_eq!(get(first).await.unwrap()["descriptor"], found[0]["descriptor"]);
    let error = get(&"0".repeat(32)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound, "{error:?}");
}
