//! The connector for Stripe against the simulated Stripe.

mod faults;
mod imported;
mod odd;
#[path = "../support/shelf.rs"]
#[expect(dead_code, reason = "other tests let files break off")]
mod shelf;
#[path = "../support/stub.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests of several vendors use it")]
mod stub;
mod triggers;
#[path = "../support/vendor.rs"]
#[expect(unreachable_pub, reason = "the tests of several vendors use it")]
mod vendor;
mod works;

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::{
    shelf::{Door, Shelf},
    vendor::Vendor,
};

/// The signing secret of the connection.
const SECRET: &str = "whsec_test_8f2b6c1d9e7a4f03";

/// Connected with one of the account's keys, and with a place for files.
async fn with_files(key: &str) -> (Vendor, Arc<Shelf>) {
    let key = key.to_owned();
    let vendor = Vendor::start("stripe", move |sandbox| {
        let url = sandbox.url("stripe").as_str();
        let credentials = sandbox.vendor("stripe").unwrap().credentials();
        (json!({"api_url": url, "files_url": url}), json!({"api_key": credentials[&key], "webhook_secret": SECRET}))
    });
    let vendor = vendor.await;
    let shelf = Arc::new(Shelf::default());
    vendor.http.keep_files_with(Arc::new(Door(Arc::clone(&shelf))));
    (vendor, shelf)
}

async fn with_key(key: &str) -> Vendor {
    with_files(key).await.0
}

async fn stripe() -> Vendor {
    with_key("secret_key").await
}

/// The id in an answer.
fn id(record: &Json) -> String {
    record["id"].as_str().unwrap_or_else(|| panic!("no id: {record}")).to_owned()
}
