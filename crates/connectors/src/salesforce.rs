//! Salesforce: records, queries, bulk loads, files, approvals, events of one org.
//!
//! What is known of the system and what was chosen where it is silent stands in [`NOTES`].

mod api;
mod approvals;
mod batch;
mod bulk;
mod csv_rows;
mod describe;
mod errors;
mod events;
mod extras;
mod files;
mod filter;
mod outbound;
mod query;
mod records;
mod settings;
mod triggers;

use connector::{Budget, Connector, Limits, Shapes};
use serde_json::{Value as Json, json};

/// Calls at the same time; an org takes 25 that last longer than 20 seconds, a Developer Edition 5.
const IN_FLIGHT_MAX: u32 = 10;

const NOTES: &[&str] = &[
    "Made by Salesforce's documentation of its REST API, Bulk API 2.0, OAuth and outbound messages, for API versions 46.0 to 67.0.",
    "Salesforce knows no key for a record that is created, so only a create with a key field may be sent again by itself.",
    "A query's cursor may end with its session (not documented), so searches walk by id where they can.",
    "A key that ends in .inc, .json or .xml is looked up by a query and written in a collection: in an address Salesforce reads such an ending as a format. Which endings it takes so is not documented in full.",
    "A bulk load that deletes and is sent again after a lost answer counts rows that are in the recycle bin as deleted: they are what was asked for.",
    "Ids are never sorted here: the order of their letters is the org's own.",
];

pub(crate) fn connector() -> Connector {
    Connector::new("salesforce", "Salesforce", "Reads and writes records of a Salesforce org and reacts to their changes.")
        .connections(settings::config_schema(), settings::credentials_schema(), settings::validate)
        .test("limits", json!({}))
        .limits(Limits { budget: Budget { in_flight: Some(IN_FLIGHT_MAX), ..Budget::default() }, ..Limits::default() })
        .sign_in(api::sign_in())
        .errors(errors::ERRORS)
        .notes(NOTES)
        .shapes(Shapes::new(describe::objects, describe::object))
        .actions(records::actions())
        .actions(query::actions())
        .actions(batch::actions())
        .actions(bulk::actions())
        .actions(files::actions())
        .actions(approvals::actions())
        .actions(extras::actions())
        .triggers(triggers::triggers())
        .triggers(events::triggers())
        .triggers([outbound::trigger()])
}

/// A strict schema of an input: its properties, and which must be there.
fn input(properties: Json, required: &[&str]) -> Json {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// The input that names an object.
fn object_input() -> Json {
    json!({"type": "string", "title": "Object", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,79}$",
        "description": "The object's API name: Account, or Invoice__c for one of your own."})
}

/// The input that names a record.
fn id_input() -> Json {
    json!({"type": "string", "title": "Record id", "pattern": "^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$", "description": "15 or 18 letters and digits."})
}

/// The input that holds a record's fields.
fn fields_input() -> Json {
    json!({"type": "object", "title": "Fields", "additionalProperties": true,
        "description": "Values by field API name. null empties a field; a parent may be named by its own key: {\"Account\": {\"External_Id__c\": \"C-1\"}}."})
}

/// The input that names a field.
fn field_input(title: &str, description: &str) -> Json {
    json!({"type": "string", "title": title, "pattern": "^[A-Za-z][A-Za-z0-9_]{0,79}$", "description": description})
}
