//! Events: what is told of a change.

use serde_json::{Value as Json, json};

use super::{
    api::API,
    books::{Books, Row},
};

impl Books {
    /// Tells of something, if the vendor has such an event.
    pub(super) fn tell(&mut self, event: &str, object: &Json, previous: Option<Row>) {
        if !API.events.contains(event) {
            return;
        }
        let mut data = json!({ "object": object });
        if let (Some(previous), Some(data)) = (previous, data.as_object_mut()) {
            data.insert("previous_attributes".into(), Json::Object(previous));
        }
        let (request, key) = match &self.request {
            Some((id, key)) => (json!(id), json!(key)),
            None => (Json::Null, Json::Null),
        };
        let id = self.id("Event");
        let mut row = Row::new();
        super::books::set(
            &mut row,
            [
                ("id", json!(id)),
                ("object", json!("event")),
                ("api_version", json!(self.settings.default_version)),
                ("created", json!(self.now)),
                ("data", data),
                ("livemode", json!(self.live)),
                ("pending_webhooks", json!(0)),
                ("request", json!({"id": request, "idempotency_key": key})),
                ("type", json!(event)),
            ],
        );
        // Events push their oldest out, so this is never refused.
        if self.insert("Event", row).is_ok() {
            self.told.push(id);
        }
    }
}

/// The event of a kind, such as `customer.subscription.created`.
pub(super) fn name(object: &str, what: &str) -> String {
    match object {
        "subscription" => format!("customer.subscription.{what}"),
        "tax_id" => format!("customer.tax_id.{what}"),
        "dispute" => format!("charge.dispute.{what}"),
        "test_helpers.test_clock" => format!("test_helpers.test_clock.{what}"),
        _ => format!("{object}.{what}"),
    }
}
