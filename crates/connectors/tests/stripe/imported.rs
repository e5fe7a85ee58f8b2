//! A description as Stripe publishes it becomes a connector that works.
//!
//! `customers_api.yaml` says what Stripe's description says of customers, and how: forms with records inside, an empty form
//! for what only reads, pages by the last id, and two ways to sign in.

use std::{collections::HashMap, sync::Arc};

use connector::{Connection, Cx, ErrorClass, Secret};
use connectors::{
    declared::File,
    openapi::{Options, import},
};
use serde_json::json;

use crate::stripe;

const DESCRIPTION: &str = include_str!("customers_api.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn what_a_description_was_imported_to_makes_reads_and_pages_through_customers() {
    let account = stripe().await;
    let options = Options { id: Some("customers".to_owned()), ..Options::default() };
    let made = import(DESCRIPTION, &options).unwrap();
    let customers = File::read(&made.text).unwrap_or_else(|problems| panic!("{problems:?}\n{}", made.text)).connector();

    let key = account.sandbox.vendor("stripe").unwrap().credentials()["secret_key"].as_str().unwrap().to_owned();
    let config = json!({"auth": "bearer", "base_url": account.sandbox.url("stripe").as_str().trim_end_matches('/')});
    let credentials = HashMap::from([("token".to_owned(), Secret::new(key))]);
    (customers.validate)(&config, &credentials).unwrap();
    let connection = Arc::new(Connection { name: "there".to_owned(), connector: "customers".to_owned(), config, credentials });
    let cx = || Cx { connection: Some(Arc::clone(&connection)), ..account.cx("run_1/step") };
    let call = async |action: &str, input| (customers.action(action).unwrap().run)(cx(), input).await;

    let input = json!({"name": "Imported & sound", "email": "sound@example.com", "address": {"city": "Bern"}, "metadata": {"from": "a description"}});
    let made = call("post_customers", input).await.unwrap();
    assert_eq!((&made["address"]["city"], &made["metadata"]), (&json!("Bern"), &json!({"from": "a description"})));
    let read = call("get_customers_customer", json!({"customer": made["id"]})).await.unwrap();
    assert_eq!(read["name"], "Imported & sound");

    // All pages as one list: more customers than one page of this size.
    let pages = customers.action("get_customers").unwrap().pages.clone().unwrap();
    let (mut ids, mut cursor, mut asked) = (Vec::new(), None, 0);
    loop {
        let page = pages(cx(), json!({"limit": 7}), cursor).await.unwrap();
        asked += 1;
        ids.extend(page.items.iter().map(|customer| customer["id"].as_str().unwrap().to_owned()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert!(
        asked > 1 && ids.len() == all && asked == all.div_ceil(7),
        "{all} customers, {} of them once, on {asked} pages",
        ids.len()
    );
    assert!(ids.iter().any(|id| made["id"] == **id));

    let error = call("get_customers_customer", json!({"customer": "cus_nobody"})).await.unwrap_err();
    assert_eq!((error.class, error.message.contains("No such customer")), (ErrorClass::NotFound, true), "{error:?}");
}
