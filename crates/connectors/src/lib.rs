//! The connectors Liaison ships, each one declared value in one file.
//!
//! A connector file knows its service and the vocabulary of the `connector` crate, nothing of the engine,
//! the store or recipes.

#![expect(clippy::result_large_err, reason = "a failed attempt is told in full; it is rare, and its size is one copy")]

mod email;
mod http;
mod log;
mod strict;
mod webhook;

use connector::Connector;

/// Every connector, by id in alphabetical order.
#[must_use]
pub fn all() -> Vec<Connector> {
    vec![email::connector(), http::connector(), log::connector(), webhook::connector()]
}

#[cfg(test)]
mod tests {
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
}
