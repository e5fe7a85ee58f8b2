//! The ServiceNow connector against the simulated instance.

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../support/shelf.rs"]
mod shelf;
#[expect(dead_code, unreachable_pub, reason = "it is shared by several tests")]
#[path = "../support/stub.rs"]
mod stub;
#[expect(unreachable_pub, reason = "it is shared by several tests")]
#[path = "../support/vendor.rs"]
mod vendor;

mod faults;
mod imported;
mod many;
mod records;
mod sign_in;
mod tickets;
mod triggers;

use std::time::Duration;

use connector::{ErrorClass, StepError};
use sandbox::Sandbox;
use serde_json::{Value as Json, json};
use vendor::Vendor;

fn said(sandbox: &Sandbox) -> Json {
    sandbox.vendor("servicenow").unwrap().credentials()
}

/// A connection with a user name and a password.
async fn start() -> Vendor {
    Vendor::start("servicenow", |sandbox| {
        let said = said(sandbox);
        let credentials =
            json!({"username": said["user_name"], "password": said["password"], "webhook_key": said["webhook_key"]});
        (json!({"base_url": sandbox.url("servicenow").as_str()}), credentials)
    })
    .await
}

trait Instance {
    fn happen(&self, name: &str, with: Json) -> Json;
    fn configure(&self, settings: Json);
    fn advance(&self, seconds: u64);
    /// Requests seen whose method and target begin like this.
    fn seen(&self, method: &str, path: &str) -> usize;
    /// The values of a field of the instance's own rows.
    fn column(&self, table: &str, field: &str) -> Vec<String>;
}

impl Instance for Vendor {
    fn happen(&self, name: &str, with: Json) -> Json {
        self.sandbox.vendor("servicenow").unwrap().happen(name, &with).unwrap()
    }

    fn configure(&self, settings: Json) {
        self.sandbox.vendor("servicenow").unwrap().configure(&settings).unwrap();
    }

    fn advance(&self, seconds: u64) {
        self.sandbox.world().clock().advance(Duration::from_secs(seconds));
    }

    fn seen(&self, method: &str, path: &str) -> usize {
        let all = self.sandbox.world().recorder().all();
        all.iter().filter(|request| request.method == method && request.target.starts_with(path)).count()
    }

    fn column(&self, table: &str, field: &str) -> Vec<String> {
        let rows = self.sandbox.vendor("servicenow").unwrap().rows(table, 0, 100_000).unwrap();
        rows.iter().map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// Asserts class and code, and that the words are for people.
fn failed(result: Result<Json, StepError>, class: ErrorClass, code: &str) -> StepError {
    let error = result.expect_err("it should fail");
    assert_eq!((error.class, error.code.as_str()), (class, code), "{error:?}");
    assert!(error.message.len() > 20 && error.next.is_some(), "{error:?}");
    error
}
