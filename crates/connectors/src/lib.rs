//! The connectors Liaison ships, each one declared value in one file.
//!
//! A connector knows its service and the vocabulary of the `connector` crate, nothing of the engine, the store or
//! recipes. [`declared`] reads connectors from files, whose formulas are those of recipes.

#![expect(clippy::result_large_err, reason = "a failed attempt is told in full; it is rare, and its size is one copy")]

mod assertion;
pub mod declared;
mod email;
mod file;
mod http;
mod log;
mod netsuite;
pub mod openapi;
mod salesforce;
mod seen;
mod servicenow;
mod stripe;
mod webhook;
mod workday;

use connector::Connector;

/// Every connector, by id in alphabetical order.
#[must_use]
pub fn all() -> Vec<Connector> {
    let mut all = vec![
        email::connector(),
        file::connector(),
        http::connector(),
        log::connector(),
        netsuite::connector(),
        salesforce::connector(),
        servicenow::connector(),
        stripe::connector(),
        webhook::connector(),
        workday::connector(),
    ];
    all.extend(declared::shipped().iter().cloned());
    all.sort_by_key(|connector| connector.id);
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_people_agreed_to_ends_unused_where_the_system_says_so() {
        let week = std::time::Duration::from_secs(7 * 24 * 3600);
        for connector in super::all() {
            let lasts = connector.sign_in.as_ref().and_then(connector::oauth::SignIn::lasts_unused);
            assert_eq!(lasts, (connector.id == "netsuite").then_some(week), "{}", connector.id);
        }
    }

    #[test]
    fn the_list_is_alphabetical_and_every_schema_is_strict() {
        let all = super::all();
        assert!(all.is_sorted_by_key(|connector| connector.id));
        for connector in &all {
            let schemas = [&connector.config, &connector.credentials]
                .into_iter()
                .chain(connector.actions.iter().map(|action| &action.input))
                .chain(connector.triggers.iter().map(|trigger| &trigger.config));
            for schema in schemas {
                assert_eq!(schema["type"], "object", "{}", connector.id);
                assert_eq!(schema["additionalProperties"], false, "{}: {schema}", connector.id);
            }
        }
    }

    #[test]
    fn every_object_is_named_by_an_input_and_its_fields_are_where_they_are_said_to_be() {
        for connector in &super::all() {
            for action in &connector.actions {
                let Some(shaped) = action.shaped else { continue };
                let at = format!("{}.{}", connector.id, action.id);
                assert!(connector.shapes.is_some(), "{at}: nobody tells its objects");
                assert_eq!(action.input["properties"][shaped.named_by]["type"], "string", "{at}");
                if let Some(writes) = shaped.writes {
                    let fields = match writes.strip_suffix("[]") {
                        Some(rows) => &action.input["properties"][rows]["items"],
                        None => &action.input["properties"][writes],
                    };
                    assert_eq!(fields["type"], "object", "{at}: the input holds no {writes}");
                }
                if let Some(gives) = shaped.gives {
                    let place = match gives.strip_suffix("[]") {
                        Some(list) => &action.output["properties"][list]["items"],
                        None if gives.is_empty() => &action.output,
                        None => &action.output["properties"][gives],
                    };
                    assert!(place.is_object(), "{at}: the output holds no {gives}");
                }
            }
        }
    }

    #[test]
    fn every_sample_fits_its_schema_and_every_name_is_one_of_a_kind() {
        for connector in &super::all() {
            let mut names = std::collections::HashSet::new();
            let actions = connector.actions.iter().map(|action| ("action", action.id, &action.output, &action.sample));
            let triggers = connector.triggers.iter().map(|trigger| ("trigger", trigger.id, &trigger.output, &trigger.sample));
            for (what, id, schema, sample) in actions.chain(triggers) {
                assert!(names.insert((what, id)), "{}.{id} is there twice", connector.id);
                let validator =
                    jsonschema::validator_for(schema).unwrap_or_else(|error| panic!("{}.{id}: {error}", connector.id));
                if let Some(sample) = sample {
                    assert!(validator.is_valid(sample), "the sample of {}.{id} does not fit its schema", connector.id);
                }
            }
            for row in connector.errors {
                assert!(!row.sentence.ends_with('.') && row.next.ends_with('.'), "{}: {}", connector.id, row.code);
            }
        }
    }
}
