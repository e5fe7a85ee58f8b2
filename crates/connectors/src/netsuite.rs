//! NetSuite: records, SuiteQL, RESTlets, saved searches and changes of one account.
//!
//! What the vendor's documentation leaves open, and what was chosen then, stands in [`NOTES`].

mod api;
mod files;
mod others;
mod records;
mod script;
mod settings;
mod soap;
mod suiteql;
mod tba;
mod triggers;

use connector::{Budget, Connector, Limits, Shapes};
use serde_json::json;

/// Calls at the same time: the smallest account has 15 for all its integrations, a development account 5.
const IN_FLIGHT: u32 = 4;

const NOTES: &[&str] = &[
    "The codes of answers with status 409 and 429 are not documented; they are judged by their status.",
    "A 401 may also mean too many calls at once; the sentence of the error says so.",
    "SuiteQL's `deletedrecord` may be hidden from the role of the connection; deleted records are not seen then.",
    "The results of a batch are taken to come in the order of its records.",
    "`changed_at` is in the time zone of the account, which the connection names.",
    "The file cabinet over SOAP is made by the service's description alone; that an attachment made twice stays one is not documented, so it is never sent again by itself.",
    "The script that `user_event_script` writes was never run in an account.",
    "The catalog never says which fields are required, so a missing field is first told by NetSuite.",
];

pub(crate) fn connector() -> Connector {
    Connector::new(
        "netsuite",
        "NetSuite",
        "Reads and writes records of a NetSuite account, asks its tables, and reacts to changes.",
    )
    .connections(settings::config_schema(), settings::credentials_schema(), settings::validate)
    .sign_in(settings::sign_in())
    .test("check_connection", json!({}))
    .limits(Limits { budget: Budget { in_flight: Some(IN_FLIGHT), ..Budget::default() }, ..Limits::default() })
    .errors(api::ERRORS)
    .notes(NOTES)
    .shapes(Shapes::new(others::objects, others::object))
    .actions(records::actions())
    .actions(suiteql::actions())
    .actions(others::actions())
    .actions(soap::actions())
    .actions(files::actions())
    .actions(script::actions())
    .triggers(triggers::triggers())
}
