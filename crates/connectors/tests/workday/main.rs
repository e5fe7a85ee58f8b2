//! The Workday connector against the simulated tenant: each action and trigger, and what faults become.

mod actions;
mod faults;
mod imported;
#[path = "../support/shelf.rs"]
#[expect(dead_code, reason = "no file breaks off here")]
mod shelf;
mod triggers;
#[expect(unreachable_pub, reason = "it is shared by several tests")]
#[path = "../support/vendor.rs"]
mod vendor;

use std::{collections::HashMap, sync::Arc};

use connector::{Connection, Secret};
use sandbox::Sandbox;
use serde_json::{Value as Json, json};
use vendor::Vendor;

/// Settings and credentials of a tenant's integration user and API client.
fn connection(sandbox: &Sandbox) -> (Json, Json) {
    let told = sandbox.vendor("workday").unwrap().credentials();
    let config = json!({ "rest_endpoint": told["rest_endpoint"], "token_endpoint": told["token_endpoint"] });
    let names = ["client_id", "client_secret", "refresh_token", "username", "password"];
    let credentials = names.iter().map(|name| ((*name).to_owned(), told[*name].clone()));
    (config, Json::Object(credentials.collect()))
}

/// A tenant without a rate and with approvals off, and a connection to it.
async fn workday() -> Vendor {
    let vendor = Vendor::start("workday", connection).await;
    set(&vendor, json!({ "calls_per_second": 0, "approvals": false }));
    vendor.http.keep_files_with(Arc::new(shelf::Door(Arc::default())));
    vendor
}

fn set(vendor: &Vendor, settings: Json) {
    vendor.sandbox.vendor("workday").unwrap().configure(&settings).unwrap();
}

fn happen(vendor: &Vendor, name: &str, with: Json) -> Json {
    vendor.sandbox.vendor("workday").unwrap().happen(name, &with).unwrap()
}

/// The same connection without some of its credentials.
fn without(vendor: &mut Vendor, names: &[&str]) {
    let old = &vendor.connection;
    let credentials: HashMap<String, Secret> = old
        .credentials
        .iter()
        .filter(|(name, _)| !names.contains(&name.as_str()))
        .map(|(name, secret)| (name.clone(), secret.clone()))
        .collect();
    let changed =
        Connection { name: "other".to_owned(), connector: old.connector.clone(), config: old.config.clone(), credentials };
    vendor.connection = Arc::new(changed);
}

/// Requests the system saw whose address holds a text.
fn seen(vendor: &Vendor, part: &str) -> usize {
    vendor.sandbox.world().recorder().of("workday").iter().filter(|request| request.target.contains(part)).count()
}
