//! The Salesforce connector against the simulated org: each action and trigger, and what becomes of it when things go wrong.

#[path = "../support/shelf.rs"]
#[expect(dead_code, reason = "shared with tests that tear files")]
mod shelf;
#[path = "../support/stub.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared by the tests of all systems")]
mod stub;
#[path = "../support/vendor.rs"]
#[expect(unreachable_pub, reason = "shared by the tests of all systems")]
mod vendor;

mod bulk;
mod events;
mod extras;
mod faults;
mod odd;
mod records;
mod sign_in;
mod triggers;

use serde_json::{Value as Json, json};
use vendor::Vendor;

/// A connection that signs in as the integration user.
async fn salesforce() -> Vendor {
    Vendor::start("salesforce", |sandbox| connection(&sandbox.vendor("salesforce").unwrap().credentials())).await
}

fn connection(told: &Json) -> (Json, Json) {
    let config = json!({"login_url": told["login_url"], "sign_in": "client_credentials", "client_id": told["client_id"], "organization_id": told["organization_id"],
        "pubsub_url": told["pubsub_url"]});
    (config, json!({"client_secret": told["client_secret"]}))
}

impl Vendor {
    fn happen(&self, name: &str, with: Json) -> Json {
        self.sandbox.vendor("salesforce").unwrap().happen(name, &with).unwrap()
    }

    fn configure(&self, settings: Json) {
        self.sandbox.vendor("salesforce").unwrap().configure(&settings).unwrap();
    }

    /// How many requests of a kind reached the org.
    fn seen(&self, path: &str) -> usize {
        self.sandbox
            .world()
            .recorder()
            .all()
            .iter()
            .filter(|request| request.vendor == "salesforce" && request.target.contains(path))
            .count()
    }

    async fn create(&self, object: &str, fields: Json) -> String {
        let made = self.call("create", json!({"object": object, "fields": fields})).await.unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    async fn count(&self, soql: &str) -> usize {
        self.call("query", json!({"soql": soql})).await.unwrap()["total_size"].as_u64().unwrap() as usize
    }
}

#[test]
fn every_action_and_trigger_has_words_a_schema_and_a_sample() {
    let connector = connectors::all().into_iter().find(|connector| connector.id == "salesforce").unwrap();
    for action in &connector.actions {
        assert!(action.sample.is_some() && action.summary.ends_with('.'), "{}", action.id);
        for (name, property) in action.input["properties"].as_object().unwrap() {
            assert!(property["title"].is_string(), "{}.{name} has no title", action.id);
        }
    }
    for trigger in &connector.triggers {
        assert!(trigger.sample.is_some() && trigger.summary.ends_with('.'), "{}", trigger.id);
    }
    let ids: Vec<&str> = connector.actions.iter().map(|action| action.id).collect();
    for id in ["create", "upsert", "search", "batch_upsert", "bulk_load", "composite", "custom_request", "run_report"] {
        assert!(ids.contains(&id), "{id}");
    }
}
