//! ServiceNow: records of any table, import sets, attachments, the catalog and events of one instance.
//!
//! What is known of the system and what was chosen where it is silent stands in [`NOTES`].

mod api;
mod attachments;
mod bulk;
mod catalog;
mod dictionary;
mod filter;
mod records;
mod settings;
mod tickets;
mod triggers;
mod webhook;

use std::sync::Arc;

use connector::{Action, Budget, Connector, Cx, Limits, Shapes, StepError};
use serde_json::{Value as Json, json};

use self::dictionary::Dictionary;

/// Calls at the same time: more only wait in the instance's queue (its semaphores; the number is unverified).
const IN_FLIGHT_MAX: u32 = 4;

const NOTES: &[&str] = &[
    "Made by ServiceNow's documentation of its REST APIs (releases Xanadu to Australia) and the behaviour its official Python client tests.",
    "A second insert under a known `sys_id` may fail in any way (not documented), so the record is looked up.",
    "The names of an import set's result fields are taken to be those of the dictionary.",
    "A value with `^` in a condition is refused, because no way to write it is documented.",
    "More than four calls at the same time only wait in the instance's queue; how long that queue is is not documented.",
];

pub(crate) fn connector() -> Connector {
    let dictionary = Arc::new(Dictionary::default());
    let kept = Arc::clone(&dictionary);
    Connector::new("servicenow", "ServiceNow", "Reads and writes records of a ServiceNow instance and reacts to their changes.")
        .connections(settings::config_schema(), settings::credentials_schema(), settings::validate)
        .sign_in(settings::sign_in())
        .test("who_am_i", json!({}))
        .limits(Limits { budget: Budget { in_flight: Some(IN_FLIGHT_MAX), ..Budget::default() }, ..Limits::default() })
        .errors(api::ERRORS)
        .notes(NOTES)
        .shapes(Shapes::new(dictionary::objects, move |cx, name| dictionary::object(Arc::clone(&kept), cx, name)))
        .actions(records::actions(&dictionary))
        .actions(tickets::actions(&dictionary))
        .actions(bulk::actions(&dictionary))
        .actions(attachments::actions(&dictionary))
        .actions(catalog::actions(&dictionary))
        .actions(webhook::actions(&dictionary))
        .triggers(triggers::triggers(&dictionary))
}

/// An action that knows the instance's dictionary.
fn action<F, R>(dictionary: &Arc<Dictionary>, id: &'static str, title: &'static str, summary: &'static str, run: F) -> Action
where
    F: Fn(Arc<Dictionary>, Cx, Json) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Json, StepError>> + Send + 'static,
{
    let dictionary = Arc::clone(dictionary);
    Action::new(id, title, summary, move |cx, input| run(Arc::clone(&dictionary), cx, input))
}
